"""A ``.tar.gz`` being written: what goes in is compressed by a thread of its own.

The compressor and the disk work while the next file is unpacked and checked. What goes wrong in the
thread is raised where the archive is filled, and the thread never outlives the ``with`` block.
"""

import queue
import tarfile
import threading
import zlib
from collections.abc import Iterable
from types import TracebackType
from typing import Any, BinaryIO, Self

try:
    from isal import isal_zlib

    def _gzip() -> Any:
        # Level 1 takes a quarter of zlib's time for an archive about a quarter larger.
        return isal_zlib.compressobj(1, isal_zlib.DEFLATED, zlib.MAX_WBITS | 16)

except ImportError:  # No wheel for this machine.

    def _gzip() -> Any:
        return zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)


_BATCH_BYTES = 256 * 1024  # Handed over at once: a thread that is woken for each file costs more than it gains.
_WAITING_BATCHES = 4


class TarGz:
    """An archive in the format that every tar reads (pax where names are long or not ASCII).

    Used as a context manager: whole when the block ends well, worthless when it does not.
    """

    def __init__(self, file: BinaryIO, mtime: int) -> None:
        self._of_files = _Headers(tarfile.REGTYPE, 0o644, mtime)
        self._of_folders = _Headers(tarfile.DIRTYPE, 0o755, mtime)
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._gzip = _Gzip(file)

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
        self._gzip.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write(bytes(2 * tarfile.BLOCKSIZE))
                self._hand_over()
        finally:
            self._gzip.close()
        if error is None:
            self._gzip.check()

    def _write(self, data: bytes) -> None:
        self._batch.append(data)
        self._batch_bytes += len(data)
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        self._gzip.write(b"".join(self._batch))
        self._batch.clear()
        self._batch_bytes = 0


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


class _Gzip:
    """A thread that compresses what it is given, in order, into a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._given: queue.Queue[bytes | None] = queue.Queue(_WAITING_BATCHES)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="packing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Take in some more; raises what went wrong with earlier data."""
        self.check()
        self._given.put(data)

    def close(self) -> None:
        """Wait until all that was given is in the file, or lost after an error."""
        self._given.put(None)
        self._thread.join()

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        compress = _gzip()
        while (data := self._given.get()) is not None:
            # After an error it goes on taking, so that nobody waits for room for ever.
            if self._error is None:
                self._put(compress.compress, data)
        if self._error is None:
            self._put(compress.flush)

    def _put(self, packed: Any, *data: bytes) -> None:
        try:
            self._file.write(packed(*data))
        except Exception as error:
            self._error = error
