"""Full backups: registry, metadata and archives of all sites, or of one, in a single file.

Consistent while deploys run: under a site's lock its files get second names (archives and records are
never changed, only replaced), and are copied when the lock is free again.
"""

import fcntl
import logging
import os
import secrets
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pages import files, full_tar
from pages.backups import NAMES, form_of_site, give_name, prune
from pages.config import Config
from pages.errors import HistoryBroken, OperationFailed, SiteBusy, SiteNotFound
from pages.full_tar import FullTar, SavedSite
from pages.history import Histories
from pages.model import Site, timestamp
from pages.paths import Paths
from pages.registry import Registry
from pages.roots import entries_of
from pages.staging import Staging
from pages.trees import Trees
from pages.work import Work, Workshop

log = logging.getLogger(__name__)


@dataclass
class _Snapshot:
    """A site as it was under its lock: what to copy under which name."""

    site: SavedSite
    files: list[tuple[str, Path, int]]
    folders: list[str]


class FullBackups:
    """The full backups of one installation, in ``config.backup_dir``."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        trees: Trees,
    ) -> None:
        self._config = config
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees

    def back_up(
        self, now: datetime, only: tuple[str, str] | None = None, output: Path | None = None
    ) -> tuple[Path, list[str]]:
        """Write a full backup of all sites, or of ``only`` one (username, id); into ``output`` if given.

        Returns its path, and what is missing in the installation and so in it. The file is written aside,
        synced, read back and compared, and only then gets its name; the oldest go. Raises
        ``OperationFailed``, ``SiteNotFound``.
        """
        if only is not None and not self._registry.has(*only):
            raise SiteNotFound()
        folder = output.absolute().parent if output else self._config.backup_dir
        if not output:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear_unfinished(folder)
        aside = folder / f".writing-{secrets.token_hex(8)}"
        try:
            sites = self._write(aside, now, [only] if only else self._registry.names())
            extension = "{}@{}.tar".format(*only) if only else "full.tar"
            backup = _linked(aside, output) if output else give_name(aside, folder, now, extension)
            files.fsync_folder(folder)
        finally:
            aside.unlink(missing_ok=True)
        if not output:
            form = form_of_site(*only) if only else NAMES[1]
            prune(folder, form, self._config.backup_keep, keep=backup)
        return backup, [name for site in sites for name in site.missing]

    def _write(self, aside: Path, now: datetime, names: list[tuple[str, str]]) -> list[SavedSite]:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=1024 * 1024) as file:
            files.try_lock(descriptor)  # For whoever clears what dead processes left.
            tar = FullTar(file, timestamp(now), int(now.timestamp()))
            sites = [site for name in names if (site := self._add_site(tar, *name))]
            saved = tar.finish(sites)
            file.flush()
            os.fsync(descriptor)
            # So that it is read back from the disk and not from memory.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if full_tar.check(aside) != saved:
                raise OperationFailed("the backup could not be read back as it was written")
        return sites

    def _add_site(self, tar: FullTar, username: str, site_id: str) -> SavedSite | None:
        with self._workshop.work() as work:
            try:
                with self._registry.site_locked(username, site_id):
                    if not self._registry.has(username, site_id):
                        return None  # Deleted meanwhile.
                    snapshot = self._snapshot(work, username, site_id)
            except SiteBusy:
                raise OperationFailed(f"{username}/{site_id} was being changed for longer than lock_timeout") from None
            for folder in snapshot.folders:
                tar.add_folder(folder)
            for name, path, mtime in snapshot.files:
                tar.add_file(name, path, mtime)
        return snapshot.site

    def _snapshot(self, work: Work, username: str, site_id: str) -> _Snapshot:
        paths, site = self._paths, Site(site_id, username, "", "", False, "", "")
        try:
            history = self._histories.read(site)
            ids, current = [c.id for c in history.checkpoints], history.current
        except HistoryBroken:  # Saved as it is.
            ids, current = sorted(self._histories.archive_ids(site)), "unknown"
        wanted = [paths.record(username, site_id), paths.metadata(username, site_id)]
        for checkpoint_id in ids:
            wanted += [
                paths.archive(username, site_id, checkpoint_id),
                paths.manifest(username, site_id, checkpoint_id),
            ]
        found: list[tuple[str, Path, int]] = []
        missing = []
        for path in wanted:
            name = str(path.relative_to(paths.data))
            try:
                found.append((name, _second_name(work, path), 0))
            except FileNotFoundError as error:
                missing.append(f"{name}: {error.strerror}")
            except OSError as error:  # It is there: a backup without it would be none.
                raise OperationFailed(f"{name} cannot be saved: {error.strerror}") from None
        snapshot = _Snapshot(SavedSite(username, site_id, "", missing), found, [])
        return self._with_root(work, snapshot, site, current)

    def _with_root(self, work: Work, snapshot: _Snapshot, site: Site, current: str | None) -> _Snapshot:
        """With the files of a root that is no checkpoint's."""
        live = self._trees.live(site)
        if live is None or not live.is_dir():
            return snapshot
        is_ours = live.parent.parent == self._paths.versions(site.username, site.id)
        if is_ours and current is not None:
            return snapshot
        warnings: list[str] = []
        staging = Staging(work.new_path())
        with closing(entries_of(live, warnings)) as entries:  # type: ignore[type-var]
            staging.add(entries, None)
        for warning in warnings:
            log.warning("Not in the backup of %s/%s: %s", site.username, site.id, warning)
        base = f"roots/{site.username}/{site.id}"
        snapshot.folders += [f"{base}/{folder}" for folder in staging.folders]
        snapshot.files += [
            (f"{base}/{path}", staging.tree / path, mtime) for path, (_, _, mtime) in sorted(staging.files.items())
        ]
        saved = snapshot.site
        snapshot.site = SavedSite(saved.username, saved.id, "initial" if is_ours else "own", saved.missing)
        return snapshot


def _second_name(work: Work, path: Path) -> Path:
    """The file as it is now, whatever takes its place; a copy where there can be no second name."""
    name = work.new_path()
    if not path.is_file() or path.is_symlink():
        raise FileNotFoundError(2, "No such file", str(path))
    try:
        os.link(path, name, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # Somebody else's file, too many names, or a file system that knows only one.
        shutil.copyfile(path, name)
    return name


def _linked(aside: Path, output: Path) -> Path:
    try:
        os.link(aside, output)
    except FileExistsError:
        raise OperationFailed(f"{output} is there already") from None
    return output


def _clear_unfinished(folder: Path) -> None:
    """Remove what dead processes left: nobody has it locked."""
    for path in folder.glob(".writing-*"):
        with suppress(OSError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
