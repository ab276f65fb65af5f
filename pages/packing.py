"""A ``.tar.gz`` being written: what goes in is compressed by a thread of its own.

The compressor and the disk work while the next file is unpacked and checked. What goes wrong in the
thread is raised where the archive is filled, and the thread never outlives the ``with`` block.
"""

import tarfile
from collections.abc import Iterable
from types import TracebackType
from typing import Any, BinaryIO, Self

from pages.gzips import new_gzip
from pages.line import Line

_BATCH_BYTES = 256 * 1024  # Handed over at once: a thread that is woken for each file costs more than it gains.


class TarGz:
    """An archive in the format that every tar reads (pax where names are long or not ASCII).

    Used as a context manager: whole when the block ends well, worthless when it does not.
    """

    def __init__(self, file: BinaryIO, mtime: int) -> None:
        self._of_files = _Headers(tarfile.REGTYPE, 0o644, mtime)
        self._of_folders = _Headers(tarfile.DIRTYPE, 0o755, mtime)
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._file = file
        self._compress = new_gzip(isal_level=1)  # A deploy waits for it.
        self._line = Line("packing")

    def add_folder(self, path: str) -> None:
        """Add a folder; its parents come before it. Raises what went wrong with what was added before."""
        self._write(self._of_folders.header(path + "/", 0))

    def add_file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file of ``size`` bytes. Raises what went wrong with what was added before."""
        self._write(self._of_files.header(path, size))
        for chunk in chunks:
            self._write(chunk)
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write(bytes(2 * tarfile.BLOCKSIZE))
                self._hand_over()
                self._line.call(self._pack, self._compress.flush)
                self._line.finish()
        finally:
            self._line.__exit__(kind, error, trace)

    def _write(self, data: bytes) -> None:
        self._batch.append(data)
        self._batch_bytes += len(data)
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        self._line.call(self._pack, self._compress.compress, b"".join(self._batch))
        self._batch.clear()
        self._batch_bytes = 0

    def _pack(self, compress: Any, *data: bytes) -> None:
        self._file.write(compress(*data))


class _Headers:
    """The headers of one kind of entry: they differ in name, size and checksum alone."""

    def __init__(self, kind: bytes, mode: int, mtime: int) -> None:
        self._kind, self._mode, self._mtime = kind, mode, mtime
        empty = bytearray(self._by_tarfile("", 0))
        empty[:100] = bytes(100)
        empty[124:136] = bytes(12)
        empty[148:156] = b" " * 8  # As which the checksum counts in itself.
        self._before_size, self._after_size = bytes(empty[100:124]), bytes(empty[136:148])
        self._after_checksum = bytes(empty[156:])
        self._sum = sum(empty)

    def header(self, name: str, size: int) -> bytes:
        """The header of an entry, extended by pax records where it needs them."""
        # (Octal has room for 8 GiB.)
        if len(name) > 100 or not name.isascii() or size > 0o77777777777:
            return self._by_tarfile(name, size)
        text, digits = name.encode(), b"%011o\0" % size
        checksum = b"%06o\0 " % (self._sum + sum(text) + sum(digits))
        return b"".join(
            (text.ljust(100, b"\0"), self._before_size, digits, self._after_size, checksum, self._after_checksum)
        )

    def _by_tarfile(self, name: str, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.mtime = self._kind, self._mode, size, self._mtime
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
