"""What changes what a site serves: create, deploy, snapshot, checkout, and their undoing.

Every way is the same (design, "The way of a deploy"): build beside, make durable, put in place,
replace ``metadata.json`` (the commit), switch the root. Before the commit a crash leaves the old
site and a work folder that start-up clears; after it, ``finish`` completes the switch.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pages import files, history
from pages.archive import Entry, Limits, Plainness, archive_kind, read_archive
from pages.errors import (
    BadArchive,
    CheckpointBroken,
    CheckpointInUse,
    CheckpointNotFound,
    EmptySite,
    HistoryBroken,
    PagesError,
    SiteBroken,
    SiteBusy,
    SiteNotFound,
)
from pages.history import Histories, is_checkpoint_id
from pages.model import Checkpoint, History, Site, is_name, timestamp
from pages.packing import TarGz
from pages.paths import Paths
from pages.quotas import Quotas, within
from pages.registry import Registry
from pages.roots import entries_of, mtimes_below
from pages.space import Space
from pages.staging import Staging, below, keep
from pages.trees import Trees
from pages.versions import Versions
from pages.work import Abandoned, Work, Workshop

log = logging.getLogger(__name__)

_CREATE, _DELETE = "create", "delete"  # What a work folder tells of, beside checkpoints' ids.
_UPLOAD_BUFFER_BYTES = 256 * 1024  # A zip of small files is read in thousands of small pieces.


@dataclass(frozen=True)
class Published:
    """The checkpoint that is live now, and what its owner should know."""

    checkpoint: Checkpoint
    warnings: list[str]


class Publisher:
    """The changes of all sites of one data folder."""

    def __init__(
        self,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        trees: Trees,
        versions: Versions,
        limits: Limits,
        quotas: Quotas,
        space: Space,
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees
        self._versions = versions
        self._limits = limits
        self._quotas = quotas
        self._space = space
        self._has_left_work = False  # An error of the disk kept this process from finishing something.

    # --- Sites ------------------------------------------------------------------------------

    def create(self, fields: dict[str, Any], now: datetime, reserved: Collection[str] = ()) -> Site:
        """Register a site with an empty root: ``SiteExists``, ``DomainTaken`` (also for ``reserved`` ones)."""
        site = Site(**fields, created_at=timestamp(now), updated_at=timestamp(now))
        with self._changing(site.username, site.id) as work, self._registry.locked():
            self._registry.check_free(site, reserved)
            self._quotas.check_site(site.username)
            work.intend(_CREATE, durably=True)
            self._set_aside_versions(work, site.username, site.id)
            self._make_ready(work, site)
            self._registry.add(work, site)
        return site

    def update(self, username: str, site_id: str, changes: dict[str, Any], now: datetime) -> Site:
        """Change a site's record: ``SiteNotFound``, ``SiteBroken``, ``DomainTaken``."""
        with self._workshop.work() as work, self._registry.locked():
            after = self._after_versions(self._registry.get(username, site_id), now)
            return self._registry.change(work, username, site_id, changes, after)

    def delete(self, username: str, site_id: str) -> None:
        """Take a site away with its root, checkpoints and domain: ``SiteNotFound``."""
        self._deleting(partial(self._delete, username, site_id))

    def _delete(self, username: str, site_id: str) -> None:
        with self._changing(username, site_id) as work, self._registry.locked():
            work.intend(_DELETE, durably=True)
            self._registry.remove(work, username, site_id)
            self._clear_away(work, username, site_id)

    # --- Versions ---------------------------------------------------------------------------

    def deploy(self, site: Site, upload: Path, file_name: str, root: str, now: datetime) -> Published:
        """Publish an uploaded archive (``root`` names one folder of it, or is empty).

        The upload's bytes must not change afterwards: where they are a plain tar.gz, the checkpoint keeps them.
        The old site goes on being served until the switch, and for good when this raises:
        ``BadArchive``, ``TooLarge``, ``UnsupportedFormat``, ``SiteNotFound``, ``SiteBusy``.
        """
        kind = archive_kind(file_name)
        plainness = Plainness()
        with (
            self._workshop.work() as work,
            open(upload, "rb", buffering=_UPLOAD_BUFFER_BYTES) as file,
            closing(read_archive(file, kind, self._limits, plainness)) as found,
        ):
            entries = self._watched(site, found)
            if kind == "tar.gz" and not root:
                staging, archive = self._stage_or_keep(work, entries, now, upload, plainness)
            else:
                staging, archive = self._stage(work, below(entries, root) if root else entries, now)
            if not staging.files:
                raise BadArchive("压缩包中没有文件", kind)
            warnings = _index_warnings(site.index, staging.files)
            with self._locked_site(site) as locked:
                checkpoint = self._commit(
                    locked, site, staging, archive, now, file_name, "deploy", f"部署: {file_name}"
                )
        return Published(checkpoint, warnings)

    def snapshot(self, site: Site, description: str | None, now: datetime) -> Published:
        """Make a checkpoint of the root as it is now; it becomes the current one.

        Links and special files are left out (they are never served), with a warning. Raises
        ``EmptySite`` when no file is left.
        """
        with self._locked_site(site) as work:
            root = self._trees.live(site)
            warnings: list[str] = []
            staging, archive = self._stage(work, self._watched(site, entries_of(root, warnings)) if root else (), now)
            if not staging.files:
                raise EmptySite()
            checkpoint = self._commit(work, site, staging, archive, now, "", "manual", description or "手动创建")
        return Published(checkpoint, warnings)

    def checkout(self, site: Site, checkpoint_id: str, now: datetime) -> None:
        """Serve another checkpoint: ``CheckpointNotFound``, ``CheckpointBroken``."""
        with self._locked_site(site) as work:
            before = self._histories.read(site)
            checkpoint = history.checkpoint_in(before, checkpoint_id)
            tree = self._versions.tree_of(work, site, checkpoint)
            # An operator's own root is replaced after a power cut as well only if that is known.
            work.intend(checkpoint_id, durably=self._trees.has_own_root(site.username, site.id))
            link = self._trees.prepare(work, site, tree)
            self._histories.write(work, history.with_current(before, checkpoint_id, now))
            self._versions.switch(work, site, link)

    def delete_checkpoint(self, site: Site, checkpoint_id: str, now: datetime) -> None:
        """Take a checkpoint away: ``CheckpointNotFound``, ``CheckpointInUse`` for the current one."""
        self._deleting(partial(self._delete_checkpoint, site, checkpoint_id, now))

    def _delete_checkpoint(self, site: Site, checkpoint_id: str, now: datetime) -> None:
        with self._locked_site(site) as work:
            before = self._histories.read(site)
            history.checkpoint_in(before, checkpoint_id)
            if before.current == checkpoint_id:
                raise CheckpointInUse()
            work.intend(checkpoint_id, durably=True)
            self._histories.write(work, history.without_checkpoint(before, checkpoint_id, now))
            self._discard_version(work, site, checkpoint_id)

    # --- Recovery ---------------------------------------------------------------------------

    def finish_abandoned(self, abandoned: Abandoned) -> None:
        """Finish or clear what a dead process had begun on a site: ``SiteBusy`` when that has to wait."""
        username, _, site_id = abandoned.note.partition("/")
        if not (is_name(username) and is_name(site_id)):
            return  # It was about no site, or the file is damaged.
        log.warning("Site %s: finishing what was cut short", abandoned.note)
        try:
            with self._holding(username, site_id) as work:
                self._finish(work, username, site_id, abandoned.intent)
        except SiteBusy:
            raise  # The only one that passes: the folder stays.
        except PagesError as error:
            log.error("Site %s: %s", abandoned.note, error)

    def _finish(self, work: Work, username: str, site_id: str, intended: str) -> None:
        """``intended`` is the checkpoint that was about to be committed, switched to or deleted, if any; or that the
        site was being created or deleted.
        """
        try:
            site = self._registry.get(username, site_id)
        except SiteNotFound:
            if intended == _DELETE:
                self._clear_away(work, username, site_id)
            elif intended == _CREATE:
                self._undo_create(work, username, site_id)
            return
        known = self._histories.read(site)
        if is_checkpoint_id(intended) and intended not in {c.id for c in known.checkpoints}:
            self._discard_version(work, site, intended)
        # Committed: then even a root of an operator's own was about to be replaced.
        self._settle(work, site, own_root=known.current != intended)

    def ensure_settled(self, site: Site) -> None:
        """See that a site serves what its metadata says; cheap when it does.

        Also gives a site whose record was made by hand its root and metadata.
        """
        if not self._trees.is_settled(site, self._histories.read(site).current):
            with self._locked_site(site):
                pass

    def _settle(self, work: Work, site: Site, *, own_root: bool = True) -> None:
        """Make true what ``metadata.json`` says; the caller holds the site's lock."""
        known = self._histories.read(site)
        self._make_ready(work, site)
        self._registry.settle_public(work, site)
        if known.current is not None and not self._trees.is_settled(site, known.current, own_root=own_root):
            try:
                tree = self._versions.tree_of(work, site, history.checkpoint_in(known, known.current))
                self._versions.switch(work, site, self._trees.prepare(work, site, tree))
            except (CheckpointBroken, CheckpointNotFound) as error:
                log.error(
                    "Site %s/%s: its current checkpoint %s cannot be unpacked (%s). Deploy again, or check out "
                    "another one.",
                    site.username,
                    site.id,
                    known.current,
                    getattr(error, "reason", error),
                )

    # --- Steps ------------------------------------------------------------------------------

    def _deleting(self, delete: Callable[[], None]) -> None:
        """Delete, also on a full disk. What is tried again there may be done: the first attempt had committed it."""
        attempts = count(1)

        def attempt() -> None:
            is_first = next(attempts) == 1
            try:
                delete()
            except (SiteNotFound, CheckpointNotFound):
                if is_first:
                    raise

        self._space.for_deleting(attempt)

    @contextmanager
    def _holding(self, username: str, site_id: str) -> Iterator[Work]:
        """A work folder that names the site, and the site's lock; what is thrown away goes after it.

        ``SiteNotFound`` for what can be no site's name: a lock is a file named after it.
        """
        if not (is_name(username) and is_name(site_id)):
            raise SiteNotFound()
        with (
            self._workshop.work(note=f"{username}/{site_id}") as work,
            self._registry.site_locked(username, site_id),
        ):
            yield work

    @contextmanager
    def _changing(self, username: str, site_id: str) -> Iterator[Work]:
        """The same for a change: what an error of the disk cuts short is finished or undone."""
        if self._has_left_work:
            self._has_left_work = not self._workshop.clear_abandoned(self.finish_abandoned)
        with self._holding(username, site_id) as work:
            try:
                yield work
            except OSError:
                self._put_right(work, username, site_id)
                raise

    def _put_right(self, work: Work, username: str, site_id: str) -> None:
        """After an error of the disk: finish or undo what was begun, now or before the next change."""
        try:
            self._finish(work, username, site_id, work.intent)
        except (OSError, PagesError) as error:
            log.error("Site %s/%s: left unfinished until the next change or start: %s", username, site_id, error)
            work.leave_unfinished()
            self._has_left_work = True

    @contextmanager
    def _locked_site(self, site: Site) -> Iterator[Work]:
        """The site's lock, with everything that an earlier crash left finished.

        ``SiteNotFound`` when the site is gone by now, also when another one took its name.
        """
        with self._changing(site.username, site.id) as work:
            if self._registry.get(site.username, site.id).created_at != site.created_at:
                raise SiteNotFound()
            self._settle(work, site)
            yield work

    def _make_ready(self, work: Work, site: Site) -> None:
        """A site has a root and metadata from its first day, also when its record was made by hand."""
        if not self._paths.metadata(site.username, site.id).exists():
            self._histories.write(work, self._histories.read(site))
        root = self._trees.live(site)
        if root is None or not root.is_dir():
            self._trees.make_initial(work, site)

    def _watched(self, site: Site, entries: Iterable[Entry]) -> Iterable[Entry]:
        """The same entries, while there is room for them: on the disk and in the tenant's quota."""
        return within(entries, self._space.watch(), self._quotas.watch(site))

    def _stage(self, work: Work, entries: Iterable[Entry], now: datetime) -> tuple[Staging, Path]:
        """Make a tree and an archive of the entries in one pass."""
        archive = work.path / "archive"
        staging = Staging(work.path / "tree")
        with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
            staging.add(entries, tar)
        return staging, archive

    def _stage_or_keep(
        self, work: Work, entries: Iterable[Entry], now: datetime, upload: Path, plainness: Plainness
    ) -> tuple[Staging, Path]:
        """Make a tree of an uploaded tar.gz; the archive is the upload itself where that is plain."""
        archive = work.path / "archive"
        staging = Staging(work.path / "tree")
        staging.add(entries, None)
        if plainness.holds:
            keep(upload, archive)
        else:
            with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
                staging.pack(tar)
        return staging, archive

    def _commit(
        self,
        work: Work,
        site: Site,
        staging: Staging,
        archive: Path,
        now: datetime,
        file_name: str,
        source: str,
        description: str,
    ) -> Checkpoint:
        """Make a staged tree and archive the site's newest checkpoint, and live."""
        before = self._histories.read(site)
        size = archive.stat().st_size + sum(size for size, _, _ in staging.files.values())
        with self._quotas.room_for(site, before, size):
            return self._put_in_place(work, site, before, staging, archive, now, file_name, source, description)

    def _put_in_place(
        self,
        work: Work,
        site: Site,
        before: History,
        staging: Staging,
        archive: Path,
        now: datetime,
        file_name: str,
        source: str,
        description: str,
    ) -> Checkpoint:
        time = history.next_time(before, self._after_root(site, before, now), site.updated_at)
        manifest = staging.stamp(self._histories.manifest(site, before.current), int(time.timestamp()))
        checkpoint_id = history.new_checkpoint_id(time, manifest.digest)
        checkpoint = Checkpoint(
            id=checkpoint_id,
            created_at=timestamp(time, "seconds"),
            file_size=archive.stat().st_size,
            file_name=file_name or f"{checkpoint_id}.tar.gz",
            source=source,
            description=description,
        )
        twins = self._versions.twins(work, site, staging.tree, manifest)
        work.intend(checkpoint_id)
        files.sync_file_system(archive)
        self._histories.store(work, site, checkpoint_id, archive, manifest)
        tree = self._versions.place(work, site, staging.tree, checkpoint_id, twins)
        link = self._trees.prepare(work, site, tree)
        self._histories.write(work, history.with_checkpoint(before, checkpoint))
        self._versions.switch(work, site, link)
        return checkpoint

    def _discard_version(self, work: Work, site: Site, checkpoint_id: str) -> None:
        self._histories.discard(work, site, checkpoint_id)
        self._trees.discard(work, site, checkpoint_id)

    def _after_versions(self, site: Site, now: datetime) -> datetime:
        """``now``, or just after the newest checkpoint when that one's second lies ahead of the clock.

        What was last modified before the record's last change is not recognised by its date alone.
        """
        try:
            checkpoints = self._histories.read(site).checkpoints
        except HistoryBroken:
            return now
        times = [datetime.fromisoformat(c.created_at) + timedelta(microseconds=1) for c in checkpoints]
        return max([now, *times])

    def _after_root(self, site: Site, before: History, now: datetime) -> datetime:
        """``now``, or just after the newest file of a root that is no checkpoint's.

        Visitors hold validators made of those times: the first version must have later ones.
        """
        root = self._trees.live(site)
        if before.current is not None or root is None:
            return now
        times = list(mtimes_below(root))
        newest = max((time for time in times if time <= now.timestamp()), default=0)
        return max(now, datetime.fromtimestamp(int(newest) + 1).astimezone())

    # --- Clearing away ----------------------------------------------------------------------

    def clear_warm(self) -> None:
        """Take away what a checkout would find unpacked, of all sites but those that are being changed."""
        for username, site_id in self._registry.names():
            if self._trees.has_warm(username, site_id):
                with (
                    suppress(SiteNotFound, SiteBroken, SiteBusy),
                    self._workshop.work() as work,
                    self._registry.site_locked(username, site_id, timeout=0),
                ):
                    self._trees.discard_warm(work, self._registry.get(username, site_id))

    def _clear_away(self, work: Work, username: str, site_id: str) -> None:
        """Everything of a site but its record; the folder of a tenant without sites goes as well."""
        self._discard_root(work, username, site_id)
        self._clear_versions(work, username, site_id)
        _sync_or_remove(self._paths.record(username, site_id).parent)

    def _undo_create(self, work: Work, username: str, site_id: str) -> None:
        """Take away what was made for a site that has not come to be; what was there before is not ours to remove."""
        if not self._trees.has_own_root(username, site_id):
            self._discard_root(work, username, site_id)
        self._set_aside_versions(work, username, site_id)
        _sync_or_remove(self._paths.record(username, site_id).parent)

    def _discard_root(self, work: Work, username: str, site_id: str) -> None:
        root = self._paths.site_root(username, site_id)
        work.discard(root)
        _sync_or_remove(root.parent)

    def _set_aside_versions(self, work: Work, username: str, site_id: str) -> None:
        """A new site starts empty. Checkpoints whose record somebody took away by hand are kept, elsewhere."""
        found = self._paths.history(username, site_id)
        if any(found.glob("checkpoints/*.tar.gz")):
            kept = self._paths.lost(username, site_id, work.path.name)
            work.move(found, kept)
            log.warning("Checkpoints of an earlier site %s/%s were moved to %s", username, site_id, kept)
        self._clear_versions(work, username, site_id)

    def _clear_versions(self, work: Work, username: str, site_id: str) -> None:
        """All checkpoints and trees of a site."""
        for path in (
            self._paths.history(username, site_id),
            self._paths.versions(username, site_id),
            self._paths.encodings / username / site_id,
        ):
            work.discard(path)
            _sync_or_remove(path.parent)
        with suppress(OSError):
            self._paths.encodings.rmdir()


def _sync_or_remove(folder: Path) -> None:
    """Make a folder's names durable; without any, it goes."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        with suppress(FileNotFoundError):  # Taken away by a clearing of the cache.
            files.fsync_folder(folder)


def _index_warnings(index: str, paths: dict[str, Any]) -> list[str]:
    """Says so when the index is not at the root, and which folder has it (contract 3)."""
    if index in paths:
        return []
    elsewhere = [path for path in paths if path.endswith("/" + index)]
    if not elsewhere:
        return [f"没有找到首页 {index}，访问站点根路径会得到 404"]
    folder = os.path.dirname(min(elsewhere, key=lambda path: (path.count("/"), path)))
    return [f"首页 {index} 不在根目录，而在文件夹 {folder} 中；部署时加上表单字段 root={folder} 可将其作为站点根目录"]
