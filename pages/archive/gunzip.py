"""A gzip file of one or many members as one stream of bytes, every checksum and length verified."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pages.archive.entry import CHUNK_BYTES
from pages.errors import BadArchive

_MAX_EMPTY_MEMBERS = 1000
_MAX_PADDING_BYTES = 64 * 1024 * 1024


class Gunzip:
    """Reads forward only; holds one chunk. What is wrong is raised as ``BadArchive``."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self._file = file
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._packed = b""
        self._unpacked = b""
        self._at = 0
        self._empty_members = 0
        self._ended = False

    def exactly(self, length: int) -> bytes:
        """The next ``length`` bytes; ``BadArchive`` when the stream ends before."""
        return b"".join(self.chunks(length))

    def chunks(self, length: int) -> Iterator[bytes]:
        """The next ``length`` bytes in pieces of bounded size."""
        while length:
            if self._at == len(self._unpacked) and not self._fill():
                raise BadArchive("tar 被截断")
            chunk = self._unpacked[self._at : self._at + length]
            self._at += len(chunk)
            length -= len(chunk)
            yield chunk

    def expect_only_zeros(self) -> None:
        """The rest of the stream must be padding."""
        padding = 0
        while self._at < len(self._unpacked) or self._fill():
            rest = self._unpacked[self._at :]
            self._at = len(self._unpacked)
            padding += len(rest)
            if any(rest) or padding > _MAX_PADDING_BYTES:
                raise BadArchive("tar 结束后有多余数据")

    def _fill(self) -> bool:
        """Inflate some more; False at the end of the last member."""
        while not self._ended:
            if not self._packed:
                self._packed = self._file.read(CHUNK_BYTES)
                if not self._packed:
                    raise BadArchive("gzip 数据被截断")
            try:
                chunk = self._inflater.decompress(self._packed, CHUNK_BYTES * 4)
            except zlib.error as error:
                raise BadArchive("gzip 数据损坏或校验失败") from error
            self._packed = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self._next_member(self._inflater.unused_data, empty=not chunk)
            if chunk:
                self._unpacked, self._at = chunk, 0
                return True
        return False

    def _next_member(self, rest: bytes, *, empty: bool) -> None:
        """After a member's end: another member, or zeros to the end of the file."""
        rest = rest or self._file.read(CHUNK_BYTES)
        if rest[:1] == b"\x1f":
            self._empty_members += empty
            if self._empty_members > _MAX_EMPTY_MEMBERS:
                raise BadArchive("gzip 空成员过多")
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._packed = rest
            return
        self._ended = True
        while rest:
            if any(rest):
                raise BadArchive("gzip 数据后有多余内容")
            rest = self._file.read(CHUNK_BYTES)
