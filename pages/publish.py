"""What changes what a site serves: create, deploy, snapshot, checkout, and their undoing.

Every way is the same (design, "The way of a deploy"): build beside, make durable, put in place,
replace ``metadata.json`` (the commit), switch the root. Before the commit a crash leaves the old
site and a work folder that start-up clears; after it, ``Settler`` completes the switch.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pages import files, history
from pages.due import Due
from pages.errors import (
    CheckpointAwaited,
    CheckpointInUse,
    CheckpointNotFound,
    CheckpointPinned,
    EmptySite,
    HistoryBroken,
    KeyReused,
    NothingToReturnTo,
    SettingsChanged,
    SiteBroken,
    SiteBusy,
    SiteLocked,
    SiteNotFound,
)
from pages.events import Events
from pages.history import Histories
from pages.model import Checkpoint, Confirmation, History, Site, timestamp
from pages.paths import Paths
from pages.quotas import Quotas
from pages.registry import IsExpected, IsReserved, Registry, expect_any, reserve_none
from pages.roots import entries_of, mtimes_below
from pages.settling import CREATE, DELETE, Settler
from pages.site_fields import fitting
from pages.space import Space
from pages.trees import Trees
from pages.uploads import New, Sent, Uploads
from pages.versions import Versions
from pages.work import Work, Workshop

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """The checkpoint that was made, or was before by the same request, and what its owner should know."""

    checkpoint: Checkpoint
    warnings: list[str]
    is_live: bool = True
    is_new: bool = True


@dataclass(frozen=True)
class Terms:
    """What a deploy is asked for besides: ``only_if`` a checkpoint is current, once for a ``key``, not to go live."""

    only_if: history.OnlyIf = None
    key: str = ""
    activate: bool = True


_PLAIN = Terms()


@dataclass(frozen=True)
class Trial:
    """What an archive would become: its files and their bytes, and what is different from the current version."""

    digest: str
    files: int
    bytes: int
    added: list[str]
    removed: list[str]
    changed: list[str]
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
        settler: Settler,
        uploads: Uploads,
        quotas: Quotas,
        space: Space,
        due: Due,
        events: Events,
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees
        self._versions = versions
        self._settler = settler
        self._uploads = uploads
        self._quotas = quotas
        self._space = space
        self._due = due
        self._events = events

    # --- Sites ------------------------------------------------------------------------------

    def create(self, fields: dict[str, Any], now: datetime, is_reserved: IsReserved = reserve_none) -> Site:
        """Register a site with an empty root: ``SiteExists``, ``DomainTaken`` (also for reserved ones)."""
        site = Site(**fields, created_at=timestamp(now), updated_at=timestamp(now))
        with self._settler.changing(site.username, site.id) as work, self._registry.locked():
            self._registry.check_free(site, is_reserved)
            self._quotas.check_site(site.username)
            work.intend(CREATE, durably=True)
            self._settler.set_aside_versions(work, site.username, site.id)
            self._settler.make_ready(work, site)
            self._registry.add(work, site)
            self._events.created(site)
        return site

    def update(
        self,
        username: str,
        site_id: str,
        changes: dict[str, Any],
        now: datetime,
        is_reserved: IsReserved = reserve_none,
        is_expected: IsExpected = expect_any,
    ) -> Site:
        """Change a site's record, if it is the one that the changes were meant for.

        ``SettingsChanged``, ``SiteNotFound``, ``SiteBroken``, ``DomainTaken``, ``InvalidField``.
        """
        with self._workshop.work() as work, self._registry.locked():
            before = self._registry.get(username, site_id)
            if not is_expected(before):
                raise SettingsChanged()
            after = self._after_versions(before, now)
            return self._registry.change(work, username, site_id, fitting(before, changes), after, is_reserved)

    def delete(self, username: str, site_id: str, only_if: history.OnlyIf = None) -> None:
        """Take a site away with its root, checkpoints and domain: ``SiteNotFound``, ``SiteMovedOn``."""
        delete = partial(self._delete, username, site_id, only_if)
        self._space.for_deleting(delete, again=_unless_gone(delete))

    def _delete(self, username: str, site_id: str, only_if: history.OnlyIf) -> None:
        with self._settler.changing(username, site_id) as work, self._registry.locked():
            if only_if is not None:
                history.require_current(self._histories.read(self._registry.get(username, site_id)), only_if)
            known = self._known(username, site_id)
            work.intend(DELETE, durably=True)
            self._registry.remove(work, username, site_id)
            self._settler.clear_away(work, username, site_id)
            if known is not None:
                self._due.forget(*known)
            self._events.deleted(username, site_id)

    def _known(self, username: str, site_id: str) -> tuple[Site, History] | None:
        """A site and its metadata; None where either cannot be read."""
        with suppress(SiteNotFound, SiteBroken, HistoryBroken):
            site = self._registry.get(username, site_id)
            return site, self._histories.read(site)
        return None

    # --- Versions ---------------------------------------------------------------------------

    def deploy(self, site: Site, sent: Sent, now: datetime, terms: Terms = _PLAIN) -> Published:
        """Publish what was sent.

        The archive's bytes must not change afterwards: where they are a plain tar.gz, the checkpoint keeps them.
        The old site goes on being served until the switch, and for good when this raises:
        what ``Uploads.staged`` does, ``SiteNotFound``, ``SiteBusy``, ``SiteMovedOn``, ``KeyReused``.
        """
        is_again = self.has_uploaded(site.username, site.id, terms.key)
        with (
            self._uploads.staged(site, sent, now, is_again=is_again) as (new, warnings),
            self._settler.locked_site(site) as work,
        ):
            before = self._histories.read(site)
            known = history.uploaded(before, terms.key) if terms.key else None
            if known is not None:
                if not self._holds(site, known, new):
                    raise KeyReused()
                return Published(known, warnings, before.current == known.id, is_new=False)
            history.require_current(before, terms.only_if)
            is_locked = self._registry.get(site.username, site.id).locked
            if is_locked and terms.activate:
                warnings.append("站点已锁定发布：此版本已保存，未激活")
            terms = replace(terms, activate=terms.activate and not is_locked)
            checkpoint = self._commit(work, site, before, new, now, terms)
            self._events.deployed(site, checkpoint, before.current, is_live=terms.activate)
        return Published(checkpoint, warnings, terms.activate)

    def has_uploaded(self, username: str, site_id: str, key: str) -> bool:
        """Does a checkpoint stand for this ``Idempotency-Key``, so that the next deploy with it stores nothing?"""
        known = self._known(username, site_id) if key else None
        return known is not None and history.uploaded(known[1], key) is not None

    def rehearse(self, site: Site, sent: Sent, now: datetime, only_if: history.OnlyIf = None) -> Trial:
        """Judge what was sent as ``deploy`` would, and store nothing; the same errors."""
        with self._uploads.staged(site, sent, now) as (new, warnings):
            before = self._histories.read(site)
            history.require_current(before, only_if)
            self._quotas.check_checkpoints(site.username, before)
            manifest = self._histories.manifest(site, before.current)
            old, files = manifest.files if manifest else {}, new.staging.files
            return Trial(
                digest=new.staging.digest(),
                files=len(files),
                bytes=sum(size for size, _, _ in files.values()),
                added=sorted(files.keys() - old.keys()),
                removed=sorted(old.keys() - files.keys()),
                changed=sorted(history.changed_paths(old, files)),
                warnings=warnings,
            )

    def _holds(self, site: Site, checkpoint: Checkpoint, new: New) -> bool:
        """Has a checkpoint the very content of a version in the making?"""
        manifest = self._histories.manifest(site, checkpoint.id)
        digest = new.staging.digest()
        return digest.startswith(checkpoint.id[-8:]) if manifest is None else manifest.digest == digest

    def snapshot(self, site: Site, description: str | None, now: datetime) -> Published:
        """Make a checkpoint of the root as it is now; it becomes the current one.

        Links and special files are left out (they are never served), with a warning. Raises
        ``EmptySite`` when no file is left.
        """
        with self._settler.locked_site(site) as work:
            root = self._trees.live(site)
            warnings: list[str] = []
            found = self._uploads.watched(site, entries_of(root, warnings)) if root else ()
            staging, archive = self._uploads.stage(work, found, now)
            if not staging.files:
                raise EmptySite()
            new = New(staging, archive, "", "manual", description or "手动创建")
            checkpoint = self._commit(work, site, self._histories.read(site), new, now, _PLAIN)
        return Published(checkpoint, warnings)

    def checkout(
        self,
        site: Site,
        checkpoint_id: str,
        now: datetime,
        only_if: history.OnlyIf = None,
        confirm_within: int = 0,
    ) -> History:
        """Serve another checkpoint; with ``confirm_within`` only for so many seconds, unless it is confirmed.

        ``CheckpointNotFound``, ``CheckpointBroken``, ``SiteMovedOn``, ``SiteLocked``, ``NothingToReturnTo``.
        """
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            history.checkpoint_in(before, checkpoint_id)
            history.require_current(before, only_if)
            self.refuse_locked(site)
            return self.switch(work, site, before, checkpoint_id, now, confirm_within)

    def refuse_locked(self, site: Site) -> None:
        """``SiteLocked`` for a site where nothing may go live; the caller holds the site's lock."""
        if self._registry.get(site.username, site.id).locked:
            raise SiteLocked()

    def switch(
        self,
        work: Work,
        site: Site,
        before: History,
        checkpoint_id: str,
        now: datetime,
        confirm_within: int = 0,
        by: str = "request",
    ) -> History:
        """``checkout`` for who holds the site's lock: from what the metadata says ``before`` to what it says then.

        ``by`` is why, for ``Events.switched``.
        """
        checkpoint = history.checkpoint_in(before, checkpoint_id)
        net = self._net(site, before, checkpoint_id, now, confirm_within) if confirm_within else None
        tree = self._versions.tree_of(work, site, checkpoint)
        # An operator's own root is replaced after a power cut as well only if that is known.
        work.intend(checkpoint_id, durably=self._trees.has_own_root(site.username, site.id))
        link = self._versions.prepare(work, site, tree)
        after = history.with_current(before, checkpoint_id, now, net)
        self._histories.write(work, after)
        self._versions.switch(work, site, link)
        self._due.forget(site, before, after)
        self._events.switched(site, before, after, by)
        return after

    def _net(self, site: Site, before: History, checkpoint_id: str, now: datetime, seconds: int) -> Confirmation:
        """What undoes a checkout when its time is over."""
        back_to = before.current
        # What nobody has confirmed yet is no safe place to return to.
        if before.confirmation is not None and before.confirmation.back_to != checkpoint_id:
            back_to = before.confirmation.back_to
        if back_to in (None, checkpoint_id):
            raise NothingToReturnTo()
        until = now + timedelta(seconds=seconds)
        self._due.add(site, until)
        return Confirmation(checkpoint_id, str(back_to), timestamp(until, "seconds"))

    def pin(self, site: Site, checkpoint_id: str, *, pinned: bool) -> None:
        """Keep a checkpoint until it is unpinned, or not any more: ``CheckpointNotFound``."""
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            history.checkpoint_in(before, checkpoint_id)
            self._histories.write(work, history.with_pin(before, checkpoint_id, pinned=pinned))

    def delete_checkpoint(
        self,
        site: Site,
        checkpoint_id: str,
        now: datetime,
        only_if: history.OnlyIf = None,
        is_needed: Callable[[History], bool] = lambda _: False,
    ) -> None:
        """Take a checkpoint away: ``CheckpointNotFound``, ``CheckpointInUse`` for the current one.

        ``CheckpointPinned``, ``CheckpointAwaited`` by a switch to come or as ``is_needed`` says, ``SiteMovedOn``.
        """
        delete = partial(self._delete_checkpoint, site, checkpoint_id, now, only_if, is_needed)
        self._space.for_deleting(delete, again=_unless_gone(delete))

    def _delete_checkpoint(
        self,
        site: Site,
        checkpoint_id: str,
        now: datetime,
        only_if: history.OnlyIf,
        is_needed: Callable[[History], bool],
    ) -> None:
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            history.checkpoint_in(before, checkpoint_id)
            history.require_current(before, only_if)
            if before.current == checkpoint_id:
                raise CheckpointInUse()
            if checkpoint_id in before.pinned:
                raise CheckpointPinned()
            if checkpoint_id in history.awaited(before) or is_needed(before):
                raise CheckpointAwaited()
            work.intend(checkpoint_id, durably=True)
            self._histories.write(work, history.without_checkpoint(before, checkpoint_id, now))
            self._settler.discard_version(work, site, checkpoint_id)

    # --- Steps ------------------------------------------------------------------------------

    def _commit(self, work: Work, site: Site, before: History, new: New, now: datetime, terms: Terms) -> Checkpoint:
        """Make a staged version the site's newest checkpoint, and live unless the terms say otherwise."""
        with self._quotas.room_for(site, before, new.size):
            return self._put_in_place(work, site, before, new, now, terms)

    def _put_in_place(
        self, work: Work, site: Site, before: History, new: New, now: datetime, terms: Terms
    ) -> Checkpoint:
        time = history.next_time(before, self._after_root(site, before, now), site.updated_at)
        manifest = new.staging.stamp(self._histories.manifest(site, before.current), int(time.timestamp()))
        checkpoint_id = history.new_checkpoint_id(time, manifest.digest)
        file_name = new.file_name or f"{checkpoint_id}.tar.gz"
        checkpoint = Checkpoint(
            id=checkpoint_id,
            created_at=timestamp(time, "seconds"),
            file_size=new.archive.stat().st_size,
            file_name=file_name,
            source=new.source,
            description=new.description or f"部署: {file_name}",
        )
        twins = self._versions.twins(work, site, new.staging.tree, manifest)
        work.intend(checkpoint_id)
        files.sync_file_system(new.archive)
        self._histories.store(work, site, checkpoint_id, new.archive, manifest)
        tree = self._versions.place(work, site, new.staging.tree, checkpoint_id, twins)
        if terms.key:
            before = history.with_upload(before, terms.key, checkpoint_id)
        if not terms.activate:
            self._histories.write(work, history.with_stored(before, checkpoint))
            self._versions.keep(work, site)
            return checkpoint
        link = self._versions.prepare(work, site, tree)
        after = history.with_checkpoint(before, checkpoint)
        self._histories.write(work, after)
        self._versions.switch(work, site, link)
        self._due.forget(site, before, after)
        return checkpoint

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


def _unless_gone(delete: Callable[[], None]) -> Callable[[], None]:
    """The same as a second attempt, for which nothing may be left to do: the first one had got past its commit."""

    def attempt() -> None:
        with suppress(SiteNotFound, CheckpointNotFound):
            delete()

    return attempt
