"""What a reader yields: one judged entry after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read: ``max_files`` entries, ``max_unpacked_bytes`` of content."""

    max_files: int
    max_unpacked_bytes: int


class Entry(NamedTuple):
    """A file or folder. ``chunks`` is its content: read it to the end before the next entry.

    What is wrong with the content (length, checksum) is raised as ``BadArchive`` while it is read.
    ``mtime`` (nanoseconds) is 0 for all that comes from an archive, whose times are ignored.
    """

    path: str
    is_folder: bool
    chunks: Iterator[bytes]
    mtime: int = 0
