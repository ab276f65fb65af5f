"""Writing so that a crash leaves old or new: atomic files and links, locks, work folders.

Readers take no lock: whatever they open was put in place by one rename. Every temporary thing is
made in a work folder that its process holds locked, so the next start can tell what a crash left.
"""

import ctypes
import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Busy(Exception):
    """A lock was not had in time."""


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: a rename is on disk only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Make all that was written below ``path`` durable, in one call for any number of files.

    One ``syncfs`` costs a deploy 1.0 to 1.25 times its unsynced time, an fsync of every file up to 6.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """Create ``path`` and its parents, durably: each new name is synced in its parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
        fsync_folder(folder.parent)


def exchange(first: Path, second: Path) -> None:
    """Swap two names in one step (Linux ``renameat2``), whatever they are.

    Where the file system cannot, two renames do it, with a moment between them in which
    ``second`` is missing.
    """
    if _libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EPERM):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(second))
    aside = first.with_name(first.name + ".aside")
    os.rename(second, aside)
    os.rename(first, second)
    os.rename(aside, first)


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
        if _try_lock(descriptor) and _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise Busy(str(path))
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Is the open file still the one that ``path`` names?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class Work:
    """A folder of one operation's own: what it makes before the switch and what it throws away after.

    Everything atomic is done through it, so that temporary names appear nowhere else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def new_path(self) -> Path:
        """A name in the work folder that is not taken."""
        return self.path / secrets.token_hex(8)

    def write(self, destination: Path, data: bytes, mode: int = 0o644) -> None:
        """Replace ``destination`` by ``data``, durably: readers see the old file or the new one."""
        temporary = self.new_path()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        self.move(temporary, destination)

    def move(self, source: Path, destination: Path) -> None:
        """Rename into place and make the new name durable; ``source`` must be on disk already."""
        make_folders(destination.parent)
        os.rename(source, destination)
        fsync_folder(destination.parent)

    def symlink(self, target: str) -> Path:
        """A new symlink in the work folder, for ``put_link``."""
        link = self.new_path()
        os.symlink(target, link)
        return link

    def put_link(self, link: Path, path: Path) -> None:
        """Move a symlink to ``path``, replacing atomically whatever is there; needs no space on the disk."""
        try:
            os.rename(link, path)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            exchange(link, path)  # A folder stood there: it goes with the work folder.
        fsync_folder(path.parent)

    def intend(self, what: str) -> None:
        """Tell recovery what is about to be put in place, switched to or taken away."""
        (self.path / "intent").write_text(what, encoding="utf-8")

    def discard(self, path: Path) -> None:
        """Take ``path`` away in one step; it is deleted when the work is over, after all locks."""
        try:
            os.rename(path, self.new_path())
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            remove_tree(path)  # Somebody mounted another disk there.


class Abandoned(NamedTuple):
    """A work folder whose process is dead: what it was about, and what it had set out to do."""

    path: Path
    note: str
    intent: str


class Workshop:
    """The folder that holds the work folders of all operations under way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def work(self, note: str = "") -> Iterator[Work]:
        """A locked work folder, removed at the end. ``note`` tells recovery what it was about."""
        path, descriptor = self._new_folder()
        try:
            if note:
                (path / "note").write_text(note, encoding="utf-8")
            yield Work(path)
        finally:
            try:
                remove_tree(path)
            except OSError as error:  # What was to be done is done: the next start clears the rest.
                log.warning("The work folder %s cannot be removed: %s", path, error)
            os.close(descriptor)

    def _new_folder(self) -> tuple[Path, int]:
        while True:
            path = self.folder / secrets.token_hex(8)
            self.folder.mkdir(exist_ok=True)
            path.mkdir()
            # Between the two lines a recovery may take the folder for a dead one: then a new one.
            try:
                descriptor = _open_and_lock(path)
            except OSError:
                path.rmdir()
                raise
            if descriptor is not None:
                return path, descriptor

    def clear_abandoned(self, finish: Callable[[Abandoned], None]) -> None:
        """Clear the work folders whose process is dead; ``finish`` completes what each was about.

        Space is freed first: a full disk may be why it died. A folder that cannot be finished or removed
        stays for the next start, and stops nothing.
        """
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            descriptor = _open_and_lock(path) if path.is_dir() else None
            if descriptor is None and path.is_dir():
                continue  # Its process lives.
            try:
                _empty(path)
                finish(Abandoned(path, _text(path / "note"), _text(path / "intent")))
                remove_tree(path)
            except OSError as error:
                log.error("The work folder %s cannot be cleared: %s", path, error)
            if descriptor is not None:
                os.close(descriptor)


def _empty(path: Path) -> None:
    """Remove all that is in a work folder, but what tells what it was about."""
    for inside in path.iterdir() if path.is_dir() else ():
        if inside.name not in ("note", "intent"):
            remove_tree(inside)


def _open_and_lock(path: Path) -> int | None:
    """A locked descriptor of the folder; None if somebody has it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _try_lock(descriptor) and _is_at(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
