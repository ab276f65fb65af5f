"""A site in the making: entries in; a tree, its ``.tar.gz`` and its manifest out, in one pass.

Only folders and regular files are ever made, below a folder that nobody else knows, so nothing in an
archive can reach outside. Nothing here is durable yet: ``publish`` syncs once for all.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from pages.archive import Entry
from pages.errors import BadArchive
from pages.history import content_digest
from pages.line import Line
from pages.model import Manifest
from pages.packing import TarGz

# Handed over at once: a thread that is woken for each file costs more than it gains.
_BATCH_BYTES, _BATCH_FILES = 256 * 1024, 100
_SMALL_BYTES = 1024 * 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Batch = list[tuple[str, list[bytes], int]]  # Files: path, content, mtime.


class Staging:
    """A tree in the making in the new folder ``tree``; its files get their times by ``stamp``."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.folders: list[str] = []
        self.files: dict[str, tuple[int, str, int]] = {}
        self._made = {""}
        self._there = {""}
        self._batch: Batch = []
        self._batch_bytes = 0
        tree.mkdir()

    def add(self, entries: Iterable[Entry], tar: TarGz | None) -> None:
        """Create every entry, in the tree and in ``tar``. Paths are judged already and come once each.

        A file that is there from an earlier call, made without a ``tar``, only goes into this one.
        """
        there = set(self.files)
        self._there |= self._made
        self._made, self.folders = {""}, []
        with Line("writing") as line:
            for entry in entries:
                if entry.is_folder:
                    self._make_folder(entry.path, tar)
                else:
                    self._make_folder(entry.path.rpartition("/")[0], tar)
                    if entry.path in there:
                        self._pack_file(entry.path, tar)
                    else:
                        self._add_file(entry, tar, line)
            self._hand_over(line)
            line.finish()

    def pack(self, tar: TarGz) -> None:
        """Put what the tree holds into ``tar``, where ``add`` had none to put it in."""
        for folder in self.folders:
            tar.add_folder(folder)
        for path in self.files:
            self._pack_file(path, tar)

    def read(self, path: str) -> Iterator[bytes]:
        """The content of a file that is there."""
        with open(f"{self.tree}/{path}", "rb", buffering=0) as file:
            while chunk := file.read(256 * 1024):
                yield chunk

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
            os.utime(f"{self.tree}/{path}", ns=(mtime, mtime), follow_symlinks=False)
            stamped[path] = (size, sha256, mtime)
        return Manifest(self.digest(), tuple(self.folders), stamped)

    def _make_folder(self, path: str, tar: TarGz | None) -> None:
        missing = []
        while path not in self._made:
            missing.append(path)
            path = path.rpartition("/")[0]
        for folder in reversed(missing):
            if folder not in self._there:
                os.mkdir(f"{self.tree}/{folder}", 0o755)
            self._made.add(folder)
            self.folders.append(folder)
            if tar:
                tar.add_folder(folder)

    def _pack_file(self, path: str, tar: TarGz | None) -> None:
        if tar:
            tar.add_file(path, self.files[path][0], self.read(path))

    def _add_file(self, entry: Entry, tar: TarGz | None, line: Line) -> None:
        """Take in a file: a small one is written by another thread, together with others."""
        chunks = []
        size = 0
        for chunk in entry.chunks:
            chunks.append(chunk)
            size += len(chunk)
            if size > _SMALL_BYTES:
                size = self._write_file(entry.path, chain(chunks, entry.chunks), entry.mtime)
                if tar:
                    # A tar wants the size first: read back from the page cache.
                    tar.add_file(entry.path, size, self.read(entry.path))
                return
        self._batch.append((entry.path, chunks, entry.mtime))
        self._batch_bytes += size
        if self._batch_bytes > _BATCH_BYTES or len(self._batch) > _BATCH_FILES:
            self._hand_over(line)
        if tar:
            tar.add_file(entry.path, size, chunks)

    def _hand_over(self, line: Line) -> None:
        line.call(self._write_files, self._batch)
        self._batch, self._batch_bytes = [], 0

    def _write_files(self, batch: Batch) -> None:
        for path, chunks, mtime in batch:
            self._write_file(path, chunks, mtime)

    def _write_file(self, path: str, chunks: Iterable[bytes], mtime: int) -> int:
        """Create a file; returns its size in bytes."""
        content = hashlib.sha256()
        size = 0
        # Text, not a Path: there may be 100,000 of them.
        descriptor = os.open(f"{self.tree}/{path}", _CREATE, 0o644)
        try:
            for chunk in chunks:
                _write_all(descriptor, chunk)
                content.update(chunk)
                size += len(chunk)
        finally:
            os.close(descriptor)
        self.files[path] = (size, content.hexdigest(), mtime)
        return size


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


def keep(upload: Path, archive: Path) -> None:
    """Make ``archive`` a file of the upload's bytes: a second name of it, or a copy where that cannot be."""
    try:
        os.link(upload, archive)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(upload, archive)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # A disk that is nearly full, or a signal.
        data = data[written:]
        written = os.write(descriptor, data)
