"""A site in the making: entries in; a tree, its ``.tar.gz`` and its manifest out, in one pass.

Only folders and regular files are ever made, below a folder that nobody else knows, so nothing in an
archive can reach outside. Nothing here is durable yet: ``publish`` syncs once for all.
"""

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pages.archive import Entry
from pages.errors import BadArchive
from pages.history import content_digest
from pages.model import Manifest

try:
    from isal import isal_zlib

    def _gzip() -> Any:
        # Level 1 takes a quarter of zlib's time for an archive about a quarter larger.
        return isal_zlib.compressobj(1, isal_zlib.DEFLATED, zlib.MAX_WBITS | 16)

except ImportError:  # No wheel for this machine.

    def _gzip() -> Any:
        return zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)


_KEPT_BYTES = 1024 * 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TarGz:
    """A ``.tar.gz`` being written, in the format that every tar reads (pax where names are long)."""

    def __init__(self, file: BinaryIO, mtime: int) -> None:
        self._file = file
        self._mtime = mtime
        self._compress = _gzip()

    def add_folder(self, path: str) -> None:
        self._header(path + "/", tarfile.DIRTYPE, 0o755, 0)

    def add_file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        self._header(path, tarfile.REGTYPE, 0o644, size)
        for chunk in chunks:
            self._write(chunk)
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def close(self) -> None:
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(self._compress.flush())

    def _header(self, name: str, kind: bytes, mode: int, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.mtime = kind, mode, size, self._mtime
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))

    def _write(self, data: bytes) -> None:
        self._file.write(self._compress.compress(data))


class Staging:
    """A tree under ``folder / "tree"`` and, where ``archive`` names a file, the archive of the same.

    ``mtime`` (seconds) is what the archive says of every file; the tree's files get theirs by ``stamp``.
    """

    def __init__(self, tree: Path, archive: BinaryIO | None, mtime: int = 0) -> None:
        self.tree = tree
        self.folders: list[str] = []
        self.files: dict[str, tuple[int, str, int]] = {}
        self._made = {""}
        self._tar = TarGz(archive, mtime) if archive else None
        tree.mkdir()

    def add(self, entries: Iterable[Entry]) -> None:
        """Create every entry. Paths are judged already and come once each."""
        for entry in entries:
            if entry.is_folder:
                self._make_folder(entry.path)
            else:
                self._make_folder(os.path.dirname(entry.path))
                self._make_file(entry)
        if self._tar:
            self._tar.close()

    def digest(self) -> str:
        """The SHA-256 of the content, in hex."""
        return content_digest(tuple(self.folders), self.files)

    def stamp(self, before: Manifest | None, second: int) -> Manifest:
        """Give the tree's files the times their validators are made of; returns the manifest.

        A file that ``before`` holds with the same content keeps its time, and so does one that came
        with a time and that ``before`` does not know; any other gets ``second`` (a Unix time that no
        other version of this site has). The fraction is drawn from the content, so that equal times
        mean equal content even between sites.
        """
        known = before.files if before else {}
        stamped = {}
        for path, (size, sha256, own) in self.files.items():
            mtime = second * 1_000_000_000 + int(sha256[:8], 16) % 1_000_000_000
            if path not in known:
                mtime = own or mtime
            elif known[path][:2] == (size, sha256):
                mtime = known[path][2]
            os.utime(self.tree / path, ns=(mtime, mtime), follow_symlinks=False)
            stamped[path] = (size, sha256, mtime)
        return Manifest(self.digest(), tuple(self.folders), stamped)

    def _make_folder(self, path: str) -> None:
        missing = []
        while path not in self._made:
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            os.mkdir(self.tree / folder, 0o755)
            self._made.add(folder)
            self.folders.append(folder)
            if self._tar:
                self._tar.add_folder(folder)

    def _make_file(self, entry: Entry) -> None:
        target = self.tree / entry.path
        content = hashlib.sha256()
        kept: list[bytes] | None = []
        size = 0
        with open(os.open(target, _CREATE, 0o644), "wb", buffering=0) as file:
            for chunk in entry.chunks:
                _write_all(file, chunk)
                content.update(chunk)
                size += len(chunk)
                if kept is not None:
                    kept.append(chunk)
                    if size > _KEPT_BYTES:
                        kept = None
        self.files[entry.path] = (size, content.hexdigest(), entry.mtime)
        if self._tar:
            # A tar wants the size first; a large file is read back from the page cache.
            self._tar.add_file(entry.path, size, _read(target) if kept is None else kept)


def below(entries: Iterable[Entry], root: str) -> Iterator[Entry]:
    """The entries of one folder, as seen from there; the others are passed over, still checked."""
    prefix = root + "/"
    found = False
    for entry in entries:
        if entry.path == root and not entry.is_folder:
            break
        if entry.path.startswith(prefix):
            found = True
            yield Entry(entry.path.removeprefix(prefix), entry.is_folder, entry.chunks)
        found = found or entry.path == root
    if not found:
        raise BadArchive(f"压缩包内没有文件夹: {root}")


def _read(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(256 * 1024):
            yield chunk


def _write_all(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
