"""A folder on disk read as an archive is: for a checkpoint of a root as it is now."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pages.archive import Entry
from pages.archive.names import shown_name

# The service's own trouble, or the disk's: a checkpoint must not lack a file for it.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)


def entries_of(root: Path, warnings: list[str]) -> Iterator[Entry]:
    """What a folder on disk holds, as an archive's entries; what cannot be served is left out."""
    for path, is_folder, status in _walk(root):
        name = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if not (is_folder or stat.S_ISREG(status.st_mode)):
            warnings.append(f"已略过符号链接或特殊文件: {shown_name(name)}")
            continue
        if path != name:
            warnings.append(f"已略过名称不是 UTF-8 的文件: {shown_name(name)}")
            continue
        if is_folder:
            yield Entry(path, True, iter(()), status.st_mtime_ns)
            continue
        try:
            opened = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:  # Gone since, or not ours to read.
            if error.errno in _OURS:
                raise
            warnings.append(f"已略过无法读取的文件: {shown_name(name)}（{error.strerror}）")
            continue
        yield Entry(path, False, _content_of(opened), status.st_mtime_ns)


def _walk(root: Path) -> Iterator[tuple[str, bool, os.stat_result]]:
    """(path, is it a folder, its status) of all below a folder, no link followed; folders come first."""
    folders = [""]
    for folder in folders:
        try:
            with os.scandir(root / folder) as listing:
                found = sorted(listing, key=lambda item: item.name)
        except (FileNotFoundError, PermissionError):  # Gone since, or not ours to read: not served either.
            continue
        for item in found:
            path = f"{folder}/{item.name}" if folder else item.name
            try:
                is_folder, status = item.is_dir(follow_symlinks=False), item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_folder:
                folders.append(path)
            yield path, is_folder, status


def mtimes_below(root: Path) -> Iterator[float]:
    """The modification time (seconds) of everything below a folder that is not a folder itself."""
    return (status.st_mtime for _, is_folder, status in _walk(root) if not is_folder)


def _content_of(descriptor: int) -> Iterator[bytes]:
    with open(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(256 * 1024):
            yield chunk
