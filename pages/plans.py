"""Switches to come: a checkout at a set time, and the way back from one that nobody confirms.

Both stand in the site's metadata, so they outlive every process; ``run_due`` is called once a second by every worker
(pages.clock), and does under the site's lock what the metadata says, once.
"""

import logging
import time
from datetime import datetime

import msgspec

from pages import history
from pages.due import Due, Entry
from pages.errors import (
    Broken,
    NothingPlanned,
    NothingToConfirm,
    PagesError,
    SiteBusy,
    SiteNotFound,
)
from pages.history import Histories
from pages.model import History, Plan, Site, timestamp
from pages.publish import Publisher
from pages.registry import Registry
from pages.settling import Settler
from pages.work import Work

log = logging.getLogger(__name__)

_RETRY_SECONDS = 10.0  # A locked site may be unlocked, a full disk cleared.


class Plans:
    """The switches to come of all sites of one data folder."""

    def __init__(
        self, registry: Registry, histories: Histories, settler: Settler, publisher: Publisher, due: Due
    ) -> None:
        self._registry = registry
        self._histories = histories
        self._settler = settler
        self._publisher = publisher
        self._due = due
        self._not_before: dict[str, float] = {}

    def plan(
        self,
        site: Site,
        checkpoint_id: str,
        at: datetime,
        *,
        confirm_within: int,
        only_if: history.OnlyIf,
    ) -> Plan:
        """Have a checkpoint checked out at a time, in place of what was planned before.

        ``CheckpointNotFound``, ``SiteMovedOn``, ``SiteLocked``.
        """
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            history.checkpoint_in(before, checkpoint_id)
            history.require_current(before, only_if)
            self._publisher.refuse_locked(site)
            plan = Plan(checkpoint_id, timestamp(at, "seconds"), confirm_within)
            self._due.add(site, at)
            self._histories.write(work, msgspec.structs.replace(before, plan=plan))
        return plan

    def cancel(self, site: Site) -> None:
        """Forget what was planned; ``NothingPlanned``."""
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            if before.plan is None:
                raise NothingPlanned()
            self._histories.write(work, msgspec.structs.replace(before, plan=None))

    def confirm(self, site: Site, checkpoint_id: str) -> None:
        """Keep what was checked out with a net; ``NothingToConfirm``, also for another checkpoint."""
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            if before.confirmation is None or before.confirmation.checkpoint != checkpoint_id:
                raise NothingToConfirm()
            self._histories.write(work, msgspec.structs.replace(before, confirmation=None))

    def note(self, site: Site) -> None:
        """See that a site with a switch to come is found when it is due; for records and metadata made by hand."""
        known = self._histories.read(site)
        for text in _times_of(known):
            self._due.add(site, datetime.fromisoformat(text))

    def run_due(self, now: datetime) -> None:
        """Do all that is due by now. What cannot be done yet is tried again some seconds later."""
        for entry in self._due.until(now):
            if self._not_before.get(entry.name, 0) <= time.monotonic():
                try:
                    is_done = self._run(entry, now)
                except (SiteBusy, OSError) as error:
                    log.warning("Site %s/%s: a switch is due and waits: %s", entry.username, entry.site_id, error)
                    is_done = False
                if is_done:
                    self._not_before.pop(entry.name, None)
                    self._due.remove(entry)
                else:
                    self._not_before[entry.name] = time.monotonic() + _RETRY_SECONDS

    def _run(self, entry: Entry, now: datetime) -> bool:
        """Do what is due for one site; False when it has to wait."""
        try:
            site = self._registry.get(entry.username, entry.site_id)
            if site.locked and _times_of(self._histories.read(site)):
                return False  # Nothing goes live while it is.
            with self._settler.locked_site(site) as work:
                self._return(work, site, now)
                self._switch(work, site, now)
        except SiteNotFound:
            pass
        except Broken as error:
            log.error("Site %s/%s: a switch is due: %s (%s)", entry.username, entry.site_id, error, error.reason)
        return True

    def _return(self, work: Work, site: Site, now: datetime) -> None:
        """Undo a checkout that nobody has confirmed in time."""
        known = self._histories.read(site)
        waiting = known.confirmation
        if waiting is None or datetime.fromisoformat(waiting.until) > now:
            return
        log.warning(
            "Site %s/%s: %s was not confirmed: back to %s",
            site.username, site.id, waiting.checkpoint, waiting.back_to,
        )  # fmt: skip
        self._attempt(work, site, msgspec.structs.replace(known, confirmation=None), waiting.back_to, now)

    def _switch(self, work: Work, site: Site, now: datetime) -> None:
        known = self._histories.read(site)
        plan = known.plan
        if plan is None or datetime.fromisoformat(plan.at) > now:
            return
        log.info("Site %s/%s: switching to %s as planned", site.username, site.id, plan.checkpoint)
        forgotten = msgspec.structs.replace(known, plan=None)
        self._attempt(work, site, forgotten, plan.checkpoint, now, plan.confirm_within)

    def _attempt(
        self, work: Work, site: Site, known: History, checkpoint_id: str, now: datetime, confirm_within: int = 0
    ) -> None:
        """Switch; where that cannot be done at all, the switch is forgotten, and the log says why."""
        try:
            self._publisher.switch(work, site, known, checkpoint_id, now, confirm_within)
        except PagesError as error:
            reason = getattr(error, "reason", "")
            log.error("Site %s/%s: not switched to %s: %s %s", site.username, site.id, checkpoint_id, error, reason)
            self._histories.write(work, known)


def _times_of(known: History) -> list[str]:
    """When switches of a site are due."""
    times = [known.confirmation.until] if known.confirmation else []
    return times + ([known.plan.at] if known.plan else [])
