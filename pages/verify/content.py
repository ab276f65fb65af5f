"""What an archive, an unpacked version or a compressed twin really holds, read through from disk.

Read in pieces; what is kept in memory is a line for each file.
"""

import errno
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import files
from pages.archive import read_stored_archive
from pages.errors import BadArchive
from pages.history import content_digest
from pages.model import Manifest
from pages.verify.findings import Checked

_CHUNK_BYTES = 256 * 1024
# The process has too many files open, or may not read this one: that says nothing of what the file holds.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class Content:
    """Files as a manifest has them, (size, SHA-256, time); what else stands in a tree, and wrong modes."""

    folders: set[str] = field(default_factory=set)
    files: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    strange: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    size: int = 0

    @property
    def digest(self) -> str:
        """As in a manifest and in the ids of checkpoints; "" with names that no archive has."""
        try:
            return content_digest(tuple(self.folders), self.files)
        except UnicodeEncodeError:
            return ""

    def holds_what(self, manifest: Manifest) -> bool:
        """Is this what the manifest says, but for the times?"""
        return self.folders == set(manifest.folders) and _timeless(self.files) == _timeless(manifest.files)


def is_damage(error: OSError) -> bool:
    """Is it the file that is wrong, and not the process that cannot read it?"""
    return error.errno not in _OURS


def require_readable(path: Path) -> None:
    """``OSError`` for a file that may be sound, and cannot be read now."""
    try:
        files.read(path)
    except OSError as error:
        if not is_damage(error):
            raise


def is_consistent(manifest: Manifest, checkpoint_id: str) -> bool:
    """Does a manifest agree with itself and with the checkpoint's id?"""
    try:
        digest = content_digest(manifest.folders, manifest.files)
    except ValueError:  # A file's digest is no digest.
        return False
    return digest == manifest.digest and digest[:8] == checkpoint_id[-8:]


def read_archive(path: Path, checked: Checked) -> Content:
    """All that a stored archive holds; ``BadArchive`` when it is damaged, ``OSError``."""
    content = Content()
    if not stat.S_ISREG(path.lstat().st_mode):
        raise BadArchive("不是普通文件")
    with open(path, "rb") as file, closing(read_stored_archive(file)) as entries:
        for entry in entries:
            _note_folders(entry.path if entry.is_folder else entry.path.rpartition("/")[0], content.folders)
            if not entry.is_folder:
                size, sha256 = _digest(entry.chunks)
                content.files[entry.path] = (size, sha256, 0)
        content.size = os.fstat(file.fileno()).st_size
    checked.files += 1
    checked.bytes += content.size
    return content


def _note_folders(path: str, folders: set[str]) -> None:
    while path and path not in folders:
        folders.add(path)
        path = path.rpartition("/")[0]


def read_tree(tree: Path, checked: Checked) -> Content:
    """All that a folder holds, no link followed. What vanishes meanwhile is left out; ``OSError``."""
    content = Content()
    # The installation's umask is not known here; the version's own folder was made with it.
    allowed = stat.S_IMODE(tree.parent.stat().st_mode)
    folders = [""]
    for folder in folders:
        try:
            with os.scandir(tree / folder) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except FileNotFoundError:
            if not folder:
                raise
            continue
        for item in items:
            path = f"{folder}/{item.name}" if folder else item.name
            try:
                _take_in(content, path, item, allowed, checked)
            except FileNotFoundError:
                continue
            if path in content.folders:
                folders.append(path)
    return content


def _take_in(content: Content, path: str, item: "os.DirEntry[str]", allowed: int, checked: Checked) -> None:
    status = item.stat(follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        content.folders.add(path)
        mode, right = mode & ~stat.S_ISGID, 0o755 & allowed
    elif stat.S_ISREG(status.st_mode):
        size, sha256 = file_digest(item.path)
        content.files[path] = (size, sha256, status.st_mtime_ns)
        checked.files += 1
        checked.bytes += size
        right = 0o644 & allowed
    else:
        content.strange[path] = "a symlink" if stat.S_ISLNK(status.st_mode) else "a special file"
        return
    if mode != right:
        content.modes[path] = f"{mode:04o}"


def file_digest(path: str | Path) -> tuple[int, str]:
    """(size in bytes, SHA-256 in hex) of a regular file; a link is not followed. ``OSError``."""
    with open(os.open(path, _READ), "rb", buffering=0) as file:
        return _digest(_pieces(file.read))


def twin_digest(path: Path) -> str | None:
    """The SHA-256 of what a ``.gz`` or ``.br`` file unpacks to; "" when damaged, None when that cannot be told."""
    try:
        unpack = _unpacker(path.suffix)
    except ImportError:
        return None
    with open(os.open(path, _READ), "rb", buffering=0) as file:
        try:
            return _digest(unpack(_pieces(file.read)))[1]
        except ValueError:
            return ""


def _unpacker(suffix: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    if suffix == ".gz":
        return _gunzipped
    import brotli

    def unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
        decompressor = brotli.Decompressor()
        try:
            for chunk in chunks:
                yield decompressor.process(chunk)
        except brotli.error:
            raise ValueError from None
        if not decompressor.is_finished():
            raise ValueError

    return unpacked


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for chunk in chunks:
        while chunk:
            try:
                yield inflater.decompress(chunk, _CHUNK_BYTES)
            except zlib.error:
                raise ValueError from None
            if inflater.unused_data:
                raise ValueError
            chunk = inflater.unconsumed_tail
    if not inflater.eof:
        raise ValueError


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(_CHUNK_BYTES):
        yield chunk


def _digest(chunks: Iterator[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _timeless(files: dict[str, tuple[int, str, int]]) -> dict[str, tuple[int, str]]:
    return {path: (size, sha256) for path, (size, sha256, _) in files.items()}
