"""What belongs to nobody: sites without a record, work of processes that died, backups that are not whole."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pages.backups import Backups
from pages.errors import OperationFailed
from pages.model import is_name
from pages.verify.content import is_damage
from pages.verify.findings import Finding
from pages.verify.parts import Ground, Part, shown
from pages.work import Work

# A folder this young may have been made by a process that is just about to lock it.
_YOUNG_SECONDS = 10.0


class OrphanPart(Part):
    """What stands at a site's place below ``base`` belongs to a site that has a record."""

    def __init__(self, ground: Ground, path: Path, username: str, site_id: str) -> None:
        super().__init__(ground, username, site_id)
        self.lock = "site" if is_name(username) and is_name(site_id) else "none"
        self._path = path

    def look(self) -> Iterable[Finding]:
        if not os.path.lexists(self._path) or self.ground.registry.has(self.username, self.site_id):
            return
        is_prepared = self._path.parent.parent == self.ground.paths.sites and stat.S_ISDIR(self._path.lstat().st_mode)
        if not is_prepared:  # A folder that an operator put there for a site to come.
            yield Finding(f"{self.username}/{self.site_id}", self.ground.relative(self._path), "site-orphan")

    def mend(self, work: Work) -> None:
        if self._path.is_relative_to(self.ground.paths.cache):
            work.discard(self._path)
        else:
            self.ground.quarantine.take(work, self._path, "site-orphan")


def orphans(ground: Ground) -> Iterable[OrphanPart]:
    """A part for each thing at a site's place, but for those that surely have a record."""
    paths = ground.paths
    for base in (paths.sites, paths.histories, paths.trees, paths.encodings):
        for username in _listed(base):
            inside = _listed(base / username) if (base / username).is_dir() else [""]
            for site_id in inside:
                if not ground.registry.has(username, site_id):
                    yield OrphanPart(ground, base / username / site_id, username, site_id)


class WorkPart(Part):
    """No work folder is left of a process that died; ``finish`` completes what each was about."""

    def __init__(self, ground: Ground, finish: Callable[[], None]) -> None:
        super().__init__(ground)
        self._finish = finish

    def look(self) -> Iterable[Finding]:
        for name in _listed(self.ground.paths.work):
            path = self.ground.paths.work / name
            if _is_abandoned(path):
                yield Finding(None, self.ground.relative(path), "work-abandoned")

    def mend(self, _work: Work) -> None:
        self._finish()


class BackupPart(Part):
    """A backup that exists is whole."""

    def __init__(self, ground: Ground, backups: Backups, path: Path) -> None:
        super().__init__(ground)
        self._backups = backups
        self._path = path

    def look(self) -> Iterable[Finding]:
        try:
            self._backups.check(self._path)
            self.ground.checked.files += 1
            self.ground.checked.bytes += self._path.stat().st_size
        except FileNotFoundError:
            return  # Pruned meanwhile.
        except (OperationFailed, OSError) as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise
            if self._path.exists():
                yield Finding(None, shown(self._path), "backup-damaged", str(error))

    def mend(self, _work: Work) -> None:
        self._backups.set_aside(self._path)


def _is_abandoned(path: Path) -> bool:
    try:
        status = path.lstat()
        if time.time() - status.st_mtime < _YOUNG_SECONDS:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return True
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return path.exists()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
