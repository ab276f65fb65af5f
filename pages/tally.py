"""How often something happened lately, by key, in a fixed number of blocks.

A key has its place in one block. One that finds the block full of others takes over the place with the lowest count,
and that count with it: so a count may be too high, and is never too low. Of a key, only a keyed hash is stored.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pages.blocks import BLOCK_BYTES, Blocks

MAX_COUNT = 0xFFFF

# A window is counted in parts; the one that is going on makes it seven.
_PARTS_PER_WINDOW = 6
_PARTS = _PARTS_PER_WINDOW + 1
# Whose it is, the number of the newest part, the counts from the newest on, and whether they are partly another's.
_PLACE = struct.Struct(f"<8sQ{_PARTS}H?x")
_NOTHING = [0] * _PARTS


def tag_of(secret: bytes, key: bytes) -> tuple[bytes, int]:
    """What is stored of a key, and a number that chooses its block."""
    digest = hmac.digest(secret, key, hashlib.sha256)
    return digest[:8], int.from_bytes(digest[8:16])


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
    tag: bytes
    newest: int
    parts: list[int]
    is_inherited: bool

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
        tag, number = tag_of(blocks.secret, key)
        block = self._first + number % self._size
        current = int(now / self._seconds)
        content = blocks.read(block)
        at = find(content, tag, _PLACE.size)
        if at is not None:
            return _read_place(content, block, at // _PLACE.size, tag, current)
        places = range(BLOCK_BYTES // _PLACE.size) if any(content) else [0]
        others = [_read_place(content, block, place, tag, current) for place in places]
        return min(others, key=lambda count: count.total)

    def add(self, blocks: Blocks, key: bytes, now: float) -> int:
        """Count ``key`` once more; returns the new count."""
        count = self.count(blocks, key, now)
        count.parts[0] = min(count.parts[0] + 1, MAX_COUNT)
        self._store(blocks, count)
        return count.total

    def clear(self, blocks: Blocks, key: bytes, now: float) -> None:
        """Forget ``key``, unless what is counted may be another's."""
        count = self.count(blocks, key, now)
        if count.total and not count.is_inherited:
            count.parts = list(_NOTHING)
            self._store(blocks, count)

    def seconds_until_below(self, count: Count, limit: int, now: float) -> float:
        """When the count will be under ``limit``, if nothing is added; 0 when it is."""
        for kept in range(_PARTS, -1, -1):
            if sum(count.parts[:kept]) < limit:
                break
        return 0.0 if kept == _PARTS else (count.newest - kept + _PARTS) * self._seconds - now

    def _store(self, blocks: Blocks, count: Count) -> None:
        content = bytearray(blocks.read(count.block))
        place = _PLACE.size * count.place
        _PLACE.pack_into(content, place, count.tag, count.newest, *count.parts, count.is_inherited)
        blocks.write(count.block, bytes(content))


def _read_place(content: bytes, block: int, place: int, tag: bytes, current: int) -> Count:
    """What stands there, as the count of ``tag``."""
    its_tag, its_newest, *its_parts, was_inherited = _PLACE.unpack_from(content, place * _PLACE.size)
    newest, parts = _seen_from(current, its_newest, its_parts)
    return Count(block, place, tag, newest, parts, any(parts) and (was_inherited or its_tag != tag))


def _seen_from(current: int, newest: int, parts: Sequence[int]) -> tuple[int, list[int]]:
    """Counts whose newest part is ``newest``, when ``current`` is: what is too old is left out."""
    age = current - newest
    if -_PARTS < age <= 0:  # Another process looked at the clock a moment later.
        return newest, list(parts)
    if 0 < age < _PARTS:
        return current, [0] * age + list(parts[:-age])
    return current, list(_NOTHING)
