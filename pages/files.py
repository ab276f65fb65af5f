"""What the standard library leaves out: durable folders, an exchange of names, locks between processes."""

import ctypes
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# Two writes within one tick of the kernel's clock may leave a file of the same identity.
_RACY_NS = 50_000_000


class Busy(Exception):
    """A lock was not had in time."""


class NotSynced(OSError):
    """What was written may not be on disk, and never will be known to be: to sync it again would prove nothing."""


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: a rename is on disk only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make a file's content durable; its name is only by ``fsync_folder``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync(descriptor: int) -> None:
    """Make an open file's content, or a folder's names, durable: ``NotSynced``."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise NotSynced(error.errno, error.strerror) from None


def sync_file_system(path: Path) -> None:
    """Make all that was written below ``path`` durable, in one call for any number of files.

    One ``syncfs`` costs a deploy 1.0 to 1.25 times its unsynced time, an fsync of every file up to 6.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise NotSynced(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


def read(path: Path | str, most: int = -1) -> bytes:
    """A regular file's content, or its first ``most`` bytes; ``OSError`` for anything else.

    A pipe would keep us waiting for ever.
    """
    with open_regular(path) as file:
        return file.read(most)


def open_regular(path: Path | str, flags: int = 0) -> BinaryIO:
    """A regular file to be read, opened with these flags beside; ``OSError`` for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def identity_of(status: os.stat_result) -> tuple[int, int, int]:
    """What tells one version of a file from another, where ``may_change_unseen`` says no."""
    return status.st_ino, status.st_ctime_ns, status.st_size


def may_change_unseen(status: os.stat_result, looked_ns: int) -> bool:
    """Could a change after this moment, before which its status was read, leave the file its identity?"""
    return looked_ns - status.st_ctime_ns <= _RACY_NS


def make_folders(path: Path, mode: int = 0o777) -> None:
    """Create ``path`` and its parents, durably: each new name is synced in its parent. ``mode`` is the last one's."""
    wanted, missing = path, []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir(mode if folder == wanted else 0o777)
        fsync_folder(folder.parent)


def exchange(first: Path, second: Path) -> None:
    """Swap two names in one step (Linux ``renameat2``), whatever they are.

    Where the file system cannot, two renames do it, with a moment between them in which
    ``second`` is missing.
    """
    if swapped(first, second):
        return
    aside = first.with_name(first.name + ".aside")
    os.rename(second, aside)
    os.rename(first, second)
    os.rename(aside, first)


def swapped(first: Path, second: Path) -> bool:
    """Swap two names in one step; False, with nothing done, where the file system cannot."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EPERM):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(second))
    return False


def has_more_than(path: Path, count: int) -> bool:
    """Are there more files and folders than this below ``path``? Looks no further than it has to."""
    found = 0
    for _, folders, names in os.walk(path):
        found += len(folders) + len(names)
        if found > count:
            return True
    return False


def remove_tree(path: Path) -> None:
    """Delete a file, link or folder; that some of it is gone already is no error.

    Unlike ``shutil.rmtree`` this holds no descriptor for each level: trees may be 500 levels deep, and
    all threads of a process share 1,024.
    """
    folders = [path]
    for folder in folders:
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except NotADirectoryError:
            entries = []
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                _unless_missing(os.unlink, entry.path)
    for folder in reversed(folders):
        is_folder = folder.is_dir() and not folder.is_symlink()
        _unless_missing(os.rmdir if is_folder else os.unlink, folder)


def _unless_missing(remove: Callable[[Any], None], path: Any) -> None:
    with suppress(FileNotFoundError):
        remove(path)


@contextmanager
def lock(path: Path, timeout: float) -> Iterator[None]:
    """Hold ``path`` locked against every thread and process; freed by the kernel if we die.

    Waits ``timeout`` seconds at most, then raises ``Busy``. The file may be unlinked by whoever
    holds the lock: a waiter notices and locks the new one.
    """
    deadline = time.monotonic() + timeout
    descriptor = _locked(path, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path, deadline: float) -> int:
    pause = 0.0005
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileNotFoundError, FileExistsError):
            # The folder comes and goes with the locks of others: one went between two of our calls.
            if time.monotonic() >= deadline:
                raise Busy(str(path)) from None
            continue
        if try_lock(descriptor) and is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise Busy(str(path))
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder, if nobody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Is the open file still the one that ``path`` names?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
