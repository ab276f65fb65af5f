"""Work folders: what an operation makes before its switch, and throws away after.

Readers take no lock: whatever they open was put in place by one rename. Every temporary thing is made in
a work folder that its process holds locked, so the next start can tell what a crash left.
"""

import errno
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pages import files
from pages.errors import PagesError, SiteBusy

log = logging.getLogger(__name__)

_FEW_FILES = 500  # Deleted in a few milliseconds.

Task = Callable[[], None]
Afterwards = Callable[[Task], None]


def run_now(task: Task) -> None:
    """The plainest ``Afterwards``: the caller waits."""
    task()


def in_background() -> Afterwards:
    """An ``Afterwards`` with one thread of its own, so that what nobody waits for crowds out nobody.

    The process ends when all is done.
    """
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="afterwards")

    def submit(task: Task) -> None:
        try:
            executor.submit(task)
        except RuntimeError:  # The process is ending.
            task()

    return submit


class Work:
    """A folder of one operation's own: what it makes before the switch and what it throws away after.

    Everything atomic is done through it, so that temporary names appear nowhere else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_discarded = False
        self.is_unfinished = False
        self.intent = ""
        self.later: list[Task] = []

    def new_path(self) -> Path:
        """A name in the work folder that is not taken."""
        return self.path / secrets.token_hex(8)

    def write(self, destination: Path, data: bytes, mode: int = 0o644) -> None:
        """Replace ``destination`` by ``data``, durably: readers see the old file or the new one."""
        self.move(self.prepare(data, mode), destination)

    def prepare(self, data: bytes, mode: int = 0o644) -> Path:
        """A new file of ``data`` in the work folder, on disk, for ``move``: all that a write needs room for."""
        temporary = self.new_path()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            files.fsync(descriptor)
        return temporary

    def move(self, source: Path, destination: Path) -> None:
        """Rename into place and make the new name durable; ``source`` must be on disk already."""
        files.make_folders(destination.parent)
        os.rename(source, destination)
        files.fsync_folder(destination.parent)

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
            files.exchange(link, path)  # A folder stood there: it goes with the work folder.
        files.fsync_folder(path.parent)

    def intend(self, what: str, *, durably: bool = False) -> None:
        """Tell recovery what is about to be put in place, switched to or taken away.

        ``durably`` is for what a start can tell from nothing else; a deploy syncs its notes with all the rest.
        """
        self.intent = what
        (self.path / "intent").write_text(what, encoding="utf-8")
        if durably:
            files.fsync_file(self.path / "note")
            files.fsync_file(self.path / "intent")
            files.fsync_folder(self.path)
            files.fsync_folder(self.path.parent)

    def leave_unfinished(self) -> None:
        """What was begun can be neither finished nor undone now: the folder stays, for ``clear_left`` or a start."""
        self.is_unfinished = True

    def afterwards(self, task: Task) -> None:
        """Have something done when the work is over, after all locks; it may never be, after a crash."""
        self.later.append(task)

    def discard(self, path: Path) -> None:
        """Take ``path`` away in one step; it is deleted when the work is over, after all locks."""
        try:
            os.rename(path, self.new_path())
            self.has_discarded = True
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            files.remove_tree(path)  # Somebody mounted another disk there.


class Abandoned(NamedTuple):
    """A work folder whose process is dead: what it was about, and what it had set out to do."""

    path: Path
    note: str
    intent: str


class Workshop:
    """The folder that holds the work folders of all operations under way.

    ``afterwards`` runs, now or soon, what nobody has to wait for: deleting what was thrown away, first of all.
    """

    def __init__(self, folder: Path, afterwards: Afterwards = run_now) -> None:
        self.folder = folder
        self._afterwards = afterwards
        self._remains: deque[tuple[Path, int]] = deque()  # Folders that could not be removed.
        self._has_left = False  # Is there one that tells of what could be neither finished nor undone?

    def afterwards(self, task: Task) -> None:
        """Have something done, now or soon, that nobody waits for; its errors only the log hears of."""
        self._afterwards(partial(_attempt, task))

    @contextmanager
    def work(self, note: str = "") -> Iterator[Work]:
        """A locked work folder, removed at the end. ``note`` tells recovery what it was about."""
        path, descriptor = self._new_folder()
        work = Work(path)
        try:
            if note:
                (path / "note").write_text(note, encoding="utf-8")
            yield work
        except BaseException:
            if work.is_unfinished:
                self._has_left = True
                _leave(path, descriptor)
            else:
                self._remove(path, descriptor)  # A refusal leaves nothing behind, from the moment it is told.
            raise
        if work.has_discarded and files.has_more_than(path, _FEW_FILES):
            work.later.append(partial(self._remove, path, descriptor))
        else:
            self._remove(path, descriptor)
        for task in work.later:
            self.afterwards(task)

    def _remove(self, path: Path, descriptor: int) -> None:
        """Remove a work folder, and those that could not be when their time was."""
        self._remains.append((path, descriptor))
        for _ in range(len(self._remains)):
            with suppress(IndexError):  # Another thread has taken it.
                path, descriptor = self._remains.popleft()
                try:
                    files.remove_tree(path)
                except (OSError, MemoryError) as error:  # What was to be done is done: later, or at the next start.
                    log.warning("The work folder %s cannot be removed yet: %s", path, error)
                    self._remains.append((path, descriptor))
                else:
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

    def clear_left(self, finish: Callable[[Abandoned], None]) -> None:
        """``clear_abandoned``, if this process had to leave something unfinished."""
        if self._has_left:
            self._has_left = not self.clear_abandoned(finish)

    def clear_abandoned(self, finish: Callable[[Abandoned], None]) -> bool:
        """Clear the work folders whose process is dead; ``finish`` completes what each was about. Is all cleared?

        Space is freed first: a full disk may be why it died. A folder that cannot be finished or removed
        stays for the next time, and stops nothing.
        """
        is_clear = True
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            descriptor = _open_and_lock(path) if path.is_dir() else None
            if descriptor is None and path.is_dir():
                continue  # Its process lives.
            try:
                _empty(path)
                finish(Abandoned(path, _text(path / "note"), _text(path / "intent")))
                files.remove_tree(path)
            except (OSError, SiteBusy) as error:
                log.error("The work folder %s cannot be cleared: %s", path, error)
                is_clear = False
            if descriptor is not None:
                os.close(descriptor)
        return is_clear


def _attempt(task: Task) -> None:
    """What was answered already cannot fail any more: only the log hears of it."""
    try:
        task()
    except (OSError, PagesError) as error:
        log.warning("Left undone after an answer: %s", error)
    except Exception:  # The background thread would keep it to itself.
        log.exception("Left undone after an answer")


def _leave(path: Path, descriptor: int) -> None:
    """Let a work folder go, for ``clear_left`` or a start to finish what it tells of."""
    try:
        _empty(path)
    except OSError as error:
        log.warning("The work folder %s cannot be emptied: %s", path, error)
    os.close(descriptor)


def _empty(path: Path) -> None:
    """Remove all that is in a work folder, but what tells what it was about."""
    for inside in path.iterdir() if path.is_dir() else ():
        if inside.name not in ("note", "intent"):
            files.remove_tree(inside)


def _open_and_lock(path: Path) -> int | None:
    """A locked descriptor of the folder; None if somebody has it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if files.try_lock(descriptor) and files.is_at(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
