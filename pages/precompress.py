"""Compressed twins of a site's text files, made once at a deploy so that no request compresses.

They stand apart from what was uploaded: ``a/b.css`` has its twins at ``{encodings}/a/b.css.gz`` and ``.br``.
A twin carries the time of its file, so each has a validator of its own (another size) that changes
with the file. They are derived: whatever is missing is served as it was uploaded.
"""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pages.gzips import new_gzip
from pages.media_types import may_have_twins
from pages.model import Manifest


def _brotli() -> Any:
    import brotli

    return _Brotli(brotli.Compressor(mode=brotli.MODE_TEXT, quality=5))


class _Brotli:
    """brotli's compressor with the method names of zlib's."""

    def __init__(self, compressor: Any) -> None:
        self.compress, self.flush = compressor.process, compressor.finish


# By the token of Accept-Encoding, the best first: the twin's ending, and who makes it.
SUFFIXES: dict[str, str] = {"br": ".br", "gzip": ".gz"}
_COMPRESSORS: dict[str, Callable[[], Any]] = {"br": _brotli, "gzip": partial(new_gzip, isal_level=3)}
_MIN_BYTES = 256  # Smaller ones fit into one packet as they are.
_WORTH_IT = 0.95
_CHUNK_BYTES = 256 * 1024
# Beside "a.css" somebody has a folder "a.css.gz", or the name is as long as a name may be: no twin then.
_NAME_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class Precompressor:
    """Makes twins in the encodings named (tokens of Accept-Encoding); none for an empty list."""

    def __init__(self, encodings: Iterable[str]) -> None:
        self._encodings = [name for name in SUFFIXES if name in tuple(encodings)][::-1]

    def has_more_to_read(self, manifest: Manifest, known: Path | None, count: int) -> bool:
        """Would ``encode`` have to compress more than ``count`` bytes? What ``known`` holds already is free."""
        suffix = SUFFIXES[self._encodings[0]] if self._encodings else ""
        left = count
        for path, (size, _, mtime) in manifest.files.items():
            if suffix and _may_have_twins(path, size) and not (known and _is_twin(f"{known}/{path}{suffix}", mtime)):
                left -= size
                if left < 0:
                    return True
        return False

    def encode(self, tree: Path, manifest: Manifest, target: Path, known: Path | None) -> None:
        """Fill the new folder ``target`` with the twins of a tree's files.

        Twins of unchanged files are linked from ``known``, the folder of the version before. Nothing is
        durable yet. Raises ``OSError``.
        """
        target.mkdir()
        for path, (size, _, mtime) in manifest.files.items():
            if self._encodings and _may_have_twins(path, size):
                try:
                    os.makedirs(os.path.dirname(target / path), exist_ok=True)
                    self._encode_file(f"{tree}/{path}", f"{target}/{path}", size, mtime, f"{known}/{path}")
                except OSError as error:
                    if error.errno not in _NAME_TAKEN:
                        raise

    def _encode_file(self, source: str, target: str, size: int, mtime: int, known: str) -> None:
        sizes = set()
        for name in self._encodings:
            twin = target + SUFFIXES[name]
            if _linked(known + SUFFIXES[name], twin, mtime):
                continue
            written = _compress(source, twin, _COMPRESSORS[name]())
            was_edited = os.lstat(source).st_mtime_ns != mtime  # By hand: no twin of what the manifest says.
            # Two twins of one size and time would share a validator in nginx.
            if was_edited or written > size * _WORTH_IT or written in sizes:
                os.unlink(twin)
                continue
            sizes.add(written)
            os.utime(twin, ns=(mtime, mtime))


def _may_have_twins(path: str, size: int) -> bool:
    return size >= _MIN_BYTES and may_have_twins(path)


def _is_twin(twin: str, mtime: int) -> bool:
    """Was this made of the file with this time? (A time's fraction is drawn from the content.)"""
    try:
        return os.lstat(twin).st_mtime_ns == mtime
    except OSError:
        return False


def _linked(known: str, twin: str, mtime: int) -> bool:
    if not _is_twin(known, mtime):
        return False
    with suppress(OSError):  # The cache is being cleared.
        os.link(known, twin, follow_symlinks=False)
        return True
    return False


def _compress(source: str, target: str, compressor: Any) -> int:
    """Write the compressed file; returns its size in bytes."""
    with open(source, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(_CHUNK_BYTES):
            writing.write(compressor.compress(chunk))
        writing.write(compressor.flush())
        return writing.tell()
