"""How often something happened lately, by key, in a fixed number of blocks.

A key has its place in one block. Keys that find all places of their block taken share the last one: so a count may be
too high, and is never too low. Of a key, only a keyed hash is stored.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pages.blocks import BLOCK_BYTES, Blocks

_MAX_COUNT = 0xFFFF

# A window is counted in parts; the one that is going on makes it seven.
_PARTS_PER_WINDOW = 6
_PARTS = _PARTS_PER_WINDOW + 1
# Whose it is, the number of the newest part, the counts from the newest on, and whether they are partly others'.
_PLACE = struct.Struct(f"<8sQ{_PARTS}H?x")
_SHARED = BLOCK_BYTES // _PLACE.size - 1
_NOTHING = [0] * _PARTS


def tag_of(secret: bytes, key: bytes) -> tuple[bytes, int]:
    """What is stored of a key, and a number that chooses its block."""
    digest = hashlib.blake2b(key, key=secret, digest_size=16).digest()
    return digest[:8], int.from_bytes(digest[8:])


def find(content: bytes, tag: bytes, step: int) -> int | None:
    """Where a record of ``step`` bytes that begins with ``tag`` is."""
    at = content.find(tag)
    while at % step and at != -1:
        at = content.find(tag, at + 1)
    return at if at != -1 else None


@dataclass
class Count:
    """What is known of one key. ``parts`` are counts from the newest on; ``newest`` is that one's number."""

    block: int
    place: int
    newest: int
    parts: list[int]
    is_others_too: bool

    @property
    def total(self) -> int:
        return sum(self.parts)


class Tally:
    """Counts over the last ``window`` seconds (and up to a sixth more) in ``size`` blocks from ``first`` on."""

    def __init__(self, first: int, size: int, window: float) -> None:
        self._first = first
        self._size = size
        self._seconds = window / _PARTS_PER_WINDOW

    def count(self, blocks: Blocks, key: bytes, now: float) -> Count:
        """How often ``key`` was added lately. ``now`` is in seconds; all processes go by one clock."""
        return self._find(blocks, *tag_of(blocks.secret, key), now)

    def add(self, blocks: Blocks, key: bytes, now: float) -> int:
        """Count ``key`` once more; returns the new count."""
        tag, number = tag_of(blocks.secret, key)
        count = self._find(blocks, tag, number, now)
        count.parts[0] = min(count.parts[0] + 1, _MAX_COUNT)
        _store(blocks, count, tag)
        return count.total

    def clear(self, blocks: Blocks, key: bytes, now: float) -> None:
        """Forget ``key``, unless what is counted may be another's."""
        tag, number = tag_of(blocks.secret, key)
        count = self._find(blocks, tag, number, now)
        if count.total and not count.is_others_too:
            count.parts = list(_NOTHING)
            _store(blocks, count, tag)

    def seconds_until_below(self, count: Count, limit: int, now: float) -> float:
        """When the count will be under ``limit``, if nothing is added; 0 when it is."""
        kept = next(kept for kept in range(_PARTS, -1, -1) if sum(count.parts[:kept]) < limit)
        return 0.0 if kept == _PARTS else (count.newest - kept + _PARTS) * self._seconds - now

    def _find(self, blocks: Blocks, tag: bytes, number: int, now: float) -> Count:
        """The count of a key, at its place or at the one it would get."""
        block = self._first + number % self._size
        current = int(now / self._seconds)
        content = blocks.read(block)
        at = find(content, tag, _PLACE.size)
        if at is not None:
            return _read(content, block, at // _PLACE.size, current)
        found = _read(content, block, _SHARED, current)
        found.is_others_too = found.total > 0
        found.place = next((place for place in range(_SHARED) if _is_free(content, block, place, current)), _SHARED)
        return found


def _read(content: bytes, block: int, place: int, current: int) -> Count:
    _, its_newest, *its_parts, is_others_too = _PLACE.unpack_from(content, place * _PLACE.size)
    newest, parts = _seen_from(current, its_newest, its_parts)
    return Count(block, place, newest, parts, is_others_too and any(parts))


def _is_free(content: bytes, block: int, place: int, current: int) -> bool:
    return _read(content, block, place, current).total == 0


def _store(blocks: Blocks, count: Count, tag: bytes) -> None:
    content = bytearray(blocks.read(count.block))
    is_shared = count.place == _SHARED
    its_tag = bytes(len(tag)) if is_shared else tag
    record = (its_tag, count.newest, *count.parts, count.is_others_too or is_shared)
    _PLACE.pack_into(content, count.place * _PLACE.size, *record)
    blocks.write(count.block, bytes(content))


def _seen_from(current: int, newest: int, parts: Sequence[int]) -> tuple[int, list[int]]:
    """Counts whose newest part is ``newest``, when ``current`` is: what is too old is left out."""
    age = current - newest
    if -_PARTS < age <= 0:  # Another process looked at the clock a moment later.
        return newest, list(parts)
    if 0 < age < _PARTS:
        return current, [0] * age + list(parts[:-age])
    return current, list(_NOTHING)
