"""A gzip file of one or many members as one stream of bytes, every checksum and length verified."""

import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

from pages.archive.ahead import Ahead
from pages.archive.entry import CHUNK_BYTES
from pages.archive.plain import Plainness
from pages.errors import BadArchive

# Each costs as much as many bytes of content. (bgzip makes one of 64 KiB.)
_MAX_MEMBERS, _MAX_EMPTY_MEMBERS = 100_000, 1000
_MAX_PADDING_BYTES = 64 * 1024 * 1024


class Gunzip:
    """Reads forward only, in the block of a ``with``. What is wrong is raised as ``BadArchive``.

    A thread of its own inflates, some chunks ahead.
    """

    def __init__(self, file: BinaryIO, plainness: Plainness) -> None:
        self._inflated = Ahead(_inflated(file, plainness))
        self._chunk = b""
        self._at = 0

    def __enter__(self) -> Self:
        self._inflated.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inflated.__exit__(kind, error, trace)

    def exactly(self, length: int) -> bytes:
        """The next ``length`` bytes; ``BadArchive`` when the stream ends before."""
        end = self._at + length
        if end > len(self._chunk):
            return b"".join(self.chunks(length))
        data = self._chunk[self._at : end]
        self._at = end
        return data

    def chunks(self, length: int) -> Iterator[bytes]:
        """The next ``length`` bytes in pieces of bounded size."""
        while length:
            if self._at == len(self._chunk) and not self._fill():
                raise BadArchive("tar 被截断")
            piece = self._chunk[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def expect_only_zeros(self) -> int:
        """The rest of the stream must be padding; returns its length."""
        padding = 0
        while self._at < len(self._chunk) or self._fill():
            rest = self._chunk[self._at :]
            self._at = len(self._chunk)
            padding += len(rest)
            if any(rest) or padding > _MAX_PADDING_BYTES:
                raise BadArchive("tar 结束后有多余数据")
        return padding

    def _fill(self) -> bool:
        """Take the next chunk; False at the end of the last member."""
        self._chunk, self._at = next(self._inflated, b""), 0
        return bool(self._chunk)


def _inflated(file: BinaryIO, plainness: Plainness) -> Iterator[bytes]:
    """All members' content in chunks of bounded size, none of them empty."""
    file.seek(0)
    packed = file.read(CHUNK_BYTES)
    members = empty_members = 0
    while True:
        plainness.see_gzip(packed)
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        is_empty = True
        while not inflater.eof:
            packed = packed or file.read(CHUNK_BYTES)
            if not packed:
                raise BadArchive("gzip 数据被截断")
            try:
                chunk = inflater.decompress(packed, CHUNK_BYTES * 4)
            except zlib.error as error:
                raise BadArchive("gzip 数据损坏或校验失败") from error
            packed = inflater.unconsumed_tail
            is_empty = not chunk
            if chunk:
                yield chunk
        packed = inflater.unused_data or file.read(CHUNK_BYTES)
        if packed:
            plainness.broken()
        if packed[:1] != b"\x1f":
            break
        members += 1
        empty_members += is_empty
        if members >= _MAX_MEMBERS or empty_members > _MAX_EMPTY_MEMBERS:
            raise BadArchive("gzip 成员过多")
    while packed:
        if any(packed):
            raise BadArchive("gzip 数据后有多余内容")
        packed = file.read(CHUNK_BYTES)
