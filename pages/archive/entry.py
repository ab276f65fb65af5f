"""What a reader yields: one judged entry after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pages.errors import TooLarge

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read: ``max_files`` entries, ``max_unpacked_bytes`` of content."""

    max_files: int
    max_unpacked_bytes: int

    def check_bytes(self, count: int) -> None:
        """``TooLarge`` when so many bytes of content are too many."""
        if count > self.max_unpacked_bytes:
            raise TooLarge(f"解压后超过上限 max_unpacked_bytes = {self.max_unpacked_bytes} 字节")


class Entry(NamedTuple):
    """A file or folder. ``chunks`` is its content: read it to the end before the next entry.

    What is wrong with the content (length, checksum) is raised as ``BadArchive`` while it is read.
    ``mtime`` (nanoseconds) is 0 for all that comes from an archive, whose times are ignored.
    """

    path: str
    is_folder: bool
    chunks: Iterator[bytes]
    mtime: int = 0
