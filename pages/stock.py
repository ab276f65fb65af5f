"""What the unpacked versions of a site hold, found by the digest of its content.

Nothing is taken on trust: a file counts while it has the size and the time that its checkpoint's manifest says, and who
copies it compares the digest of what came out. It is copied and never linked: an operator who writes into a file of
the live version changes no other one.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pages.errors import FilesMissing
from pages.lookup import NOT_THERE, file_at
from pages.model import Manifest

_CHUNK_BYTES = 256 * 1024
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Place(NamedTuple):
    """Where a content was when a version was made."""

    tree: str
    path: str
    size: int
    mtime: int


class Stock:
    """The places of these ``digests`` in the trees of one site; trees may go at any moment."""

    def __init__(self, trees: Iterable[tuple[Path, Manifest]], digests: Collection[str]) -> None:
        self._places: dict[str, list[_Place]] = {}
        for tree, manifest in trees:
            for path, (size, sha256, mtime) in manifest.files.items():
                if sha256 in digests:
                    self._places.setdefault(sha256, []).append(_Place(str(tree), path, size, mtime))

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Those of some digests that are nowhere, each once; no content is read."""
        return [digest for digest in dict.fromkeys(digests) if not any(map(_seen, self._places.get(digest, ())))]

    def read(self, digest: str) -> Iterator[bytes]:
        """The content of a place that seems to hold it; ``FilesMissing`` when there is none any more.

        It may have been changed by hand with its time kept: compare its digest.
        """
        for place in self._places.get(digest, ()):
            descriptor = _opened(place)
            if descriptor is not None:
                yield from _content(descriptor, place.size)
                return
        raise FilesMissing([digest])


def _seen(place: _Place) -> os.stat_result | None:
    """The status of a file that is as it was made, no link followed on the way; None of any other."""
    found = file_at(place.tree, place.path.split("/"))
    if found is None or (found.status.st_size, found.status.st_mtime_ns) != (place.size, place.mtime):
        return None
    return found.status


def _opened(place: _Place) -> int | None:
    """A descriptor of the file that is ``_seen``."""
    status = _seen(place)
    if status is None:
        return None
    try:
        descriptor = os.open(f"{place.tree}/{place.path}", _OPEN)
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        return None
    if os.path.samestat(status, os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return None


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    with open(descriptor, "rb", buffering=0) as file:
        while size and (chunk := file.read(min(size, _CHUNK_BYTES))):
            size -= len(chunk)
            yield chunk
