"""Switches to come: a checkout at a set time, and the way back from one that nobody confirms.

Both stand in the site's metadata, so they outlive every process; ``run_due`` is called once a second by every worker
(pages.clock), and does under the site's lock what the metadata says, once.
"""

import logging
import time
from datetime import datetime
from functools import partial

import msgspec

from pages import history
from pages.due import Due, Entry, times_of
from pages.errors import (
    Broken,
    NothingPlanned,
    NothingToConfirm,
    PagesError,
    SiteBusy,
    SiteLocked,
    SiteNotFound,
)
from pages.history import Histories
from pages.model import History, Plan, Site, timestamp
from pages.publish import Publisher
from pages.registry import Registry
from pages.settling import Settler
from pages.space import Space
from pages.work import Work

log = logging.getLogger(__name__)

# In which a deploy is over; a locked site may be unlocked, a full disk cleared; a damaged file be put right.
_BUSY_SECONDS, _RETRY_SECONDS, _BROKEN_SECONDS = 1.0, 10.0, 60.0


class Plans:
    """The switches to come of all sites of one data folder."""

    def __init__(
        self,
        registry: Registry,
        histories: Histories,
        settler: Settler,
        publisher: Publisher,
        due: Due,
        space: Space,
    ) -> None:
        self._registry = registry
        self._histories = histories
        self._settler = settler
        self._publisher = publisher
        self._due = due
        self._space = space
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
            self._write(work, site, before, msgspec.structs.replace(before, plan=plan))
        return plan

    def cancel(self, site: Site) -> None:
        """Forget what was planned, on a full disk as well; ``NothingPlanned``."""
        self._space.for_deleting(partial(self._cancel, site))

    def _cancel(self, site: Site) -> None:
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            if before.plan is None:
                raise NothingPlanned()
            self._write(work, site, before, msgspec.structs.replace(before, plan=None))

    def confirm(self, site: Site, checkpoint_id: str) -> None:
        """Keep what was checked out with a net, on a full disk as well.

        ``NothingToConfirm``, also for another checkpoint.
        """
        self._space.for_deleting(partial(self._confirm, site, checkpoint_id))

    def _confirm(self, site: Site, checkpoint_id: str) -> None:
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            if before.confirmation is None or before.confirmation.checkpoint != checkpoint_id:
                raise NothingToConfirm()
            self._write(work, site, before, msgspec.structs.replace(before, confirmation=None))

    def _write(self, work: Work, site: Site, before: History, after: History) -> None:
        self._histories.write(work, after)
        self._due.forget(site, before, after)

    def note(self, site: Site) -> None:
        """See that a site with a switch to come is found when it is due; for records and metadata made by hand."""
        for time_due in times_of(self._histories.read(site)):
            self._due.add(site, time_due)

    def run_due(self, now: datetime) -> None:
        """Do all that is due by now. What cannot be done yet is tried again some seconds later."""
        due = self._due.until(now)
        self._not_before = {entry.name: self._not_before.get(entry.name, 0.0) for entry in due}
        for entry in due:
            if self._not_before[entry.name] <= time.monotonic():
                wait = self._seconds_to_wait(entry, now)
                self._not_before[entry.name] = time.monotonic() + wait

    def _seconds_to_wait(self, entry: Entry, now: datetime) -> float:
        """Do what is due for one site; in how many seconds it has to be tried again, if it cannot be done now.

        Whatever is wrong with one site must not keep others waiting.
        """
        wait = _RETRY_SECONDS
        try:
            self._space.for_deleting(partial(self._run, entry, now))  # A way back is there on a full disk as well.
            wait = 0.0
        except SiteNotFound:
            self._due.remove(entry)
        except SiteBusy as error:  # Several workers try: each goes on with the next site.
            wait = _BUSY_SECONDS
            log.info("Site %s/%s: a switch is due and waits: %s", entry.username, entry.site_id, error)
        except (SiteLocked, OSError) as error:
            log.warning("Site %s/%s: a switch is due and waits: %s", entry.username, entry.site_id, error)
        except Broken as error:
            wait = _BROKEN_SECONDS
            log.error("Site %s/%s: a switch is due: %s (%s)", entry.username, entry.site_id, error, error.reason)
        except Exception:
            wait = _BROKEN_SECONDS
            log.exception("Site %s/%s: a switch is due, and cannot be done", entry.username, entry.site_id)
        return wait

    def _run(self, entry: Entry, now: datetime) -> None:
        """Do what is due for one site, if nobody changes it at the moment: ``SiteBusy``."""
        site = self._registry.get(entry.username, entry.site_id)
        with self._settler.locked_site(site, timeout=0) as work:
            if times_of(self._histories.read(site)):
                self._publisher.refuse_locked(site)
            self._return(work, site, now)
            self._switch(work, site, now)
            self._due.remove(entry)

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
        forgotten = msgspec.structs.replace(known, confirmation=None)
        self._attempt(work, site, forgotten, waiting.back_to, now, by="return")

    def _switch(self, work: Work, site: Site, now: datetime) -> None:
        known = self._histories.read(site)
        plan = known.plan
        if plan is None or datetime.fromisoformat(plan.at) > now:
            return
        log.info("Site %s/%s: switching to %s as planned", site.username, site.id, plan.checkpoint)
        forgotten = msgspec.structs.replace(known, plan=None)
        self._attempt(work, site, forgotten, plan.checkpoint, now, plan.confirm_within, by="plan")

    def _attempt(
        self,
        work: Work,
        site: Site,
        known: History,
        checkpoint_id: str,
        now: datetime,
        confirm_within: int = 0,
        *,
        by: str,
    ) -> None:
        """Switch; where that cannot be done at all, the switch is forgotten, and the log says why. ``SiteBusy``."""
        try:
            self._publisher.switch(work, site, known, checkpoint_id, now, confirm_within, by)
        except SiteBusy:
            raise  # It can be, only not now.
        except PagesError as error:
            reason = getattr(error, "reason", "")
            log.error("Site %s/%s: not switched to %s: %s %s", site.username, site.id, checkpoint_id, error, reason)
            if self._histories.read(site).current == known.current:  # It has not come past its commit.
                self._histories.write(work, known)
