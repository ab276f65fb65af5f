"""Every site: look up, add, change, remove; one JSON record each (contract 2).

The file system is the registry: ``registry/{username}/{id}.json`` is the record and
``domains/{domain}`` a link to it. A link counts only while its record names that domain, so
claiming a domain before writing the record, and freeing it after, leaves nothing wrong behind
whenever it is cut short. Readers take no lock and see every change at once.
"""

import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pages import files
from pages.errors import DomainTaken, SiteBroken, SiteBusy, SiteExists, SiteNotFound
from pages.model import Site, is_name, site_from_record, timestamp
from pages.paths import Paths
from pages.public import PublicLinks, is_public
from pages.work import Work

log = logging.getLogger(__name__)

_CACHED_RECORDS = 100_000
# Two writes within one tick of the kernel's clock may leave a file of the same identity: what was
# written just now is read again.
_RACY_NS = 50_000_000


@dataclass(frozen=True)
class Problem:
    """A record that could not be read: its file below the data folder, and why."""

    file: str
    reason: str


class Registry:
    """All sites of one data folder. ``lock_timeout`` is in seconds."""

    def __init__(self, paths: Paths, lock_timeout: float) -> None:
        self._paths = paths
        self._lock_timeout = lock_timeout
        self._public = PublicLinks(paths)
        # What a record said, by the identity of its file: never stale, at most one parse a change.
        self._parsed: dict[str, tuple[tuple[int, int, int], Site | SiteBroken]] = {}

    # --- Looking up -------------------------------------------------------------------------

    def get(self, username: str, site_id: str) -> Site:
        """The site; ``SiteNotFound``, or ``SiteBroken`` when its record cannot be read."""
        if not (is_name(username) and is_name(site_id)):
            raise SiteNotFound()
        return self._read(username, site_id)

    def has(self, username: str, site_id: str) -> bool:
        """Is there a record of this name, readable or not?"""
        return is_name(username) and is_name(site_id) and os.path.lexists(self._paths.record(username, site_id))

    def owner_of(self, domain: str) -> Site:
        """The site on a canonical domain, enabled or not; ``SiteNotFound`` or ``SiteBroken``."""
        username, site_id = self._link(domain)
        site = self._read(username, site_id)
        if site.domain != domain:  # A link that a crash, or an edit by hand, left behind.
            raise SiteNotFound()
        return site

    def names(self, username: str | None = None) -> list[tuple[str, str]]:
        """(username, id) of every record, or of one tenant's, sorted."""
        if username is not None and not is_name(username):
            return []
        if username is not None:
            return sorted((username, site_id) for site_id in self._ids(username))
        return sorted((user, site_id) for user in _listed(self._paths.registry) for site_id in self._ids(user))

    def sites(self, names: list[tuple[str, str]]) -> list[Site]:
        """The sites of these names, without those that are gone or broken by now."""
        found = []
        for username, site_id in names:
            with suppress(SiteNotFound, SiteBroken):
                found.append(self._read(username, site_id))
        return found

    def enabled_count(self, username: str | None = None) -> int:
        """How many sites are enabled, of all or of one tenant."""
        return sum(site.enabled for site in self.sites(self.names(username)))

    # --- Changing ---------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes any record meanwhile."""
        try:
            with files.lock(self._paths.registry_lock, self._lock_timeout):
                yield
        except files.Busy:
            raise SiteBusy() from None

    @contextmanager
    def site_locked(self, username: str, site_id: str, timeout: float | None = None) -> Iterator[None]:
        """Nobody else deploys, switches or deletes this site meanwhile; ``SiteBusy`` after ``timeout`` seconds.

        Taken before ``locked``, never after: waiting for one busy site must not hold up all others.
        """
        timeout = self._lock_timeout if timeout is None else timeout
        try:
            with files.lock(self._paths.site_lock(username, site_id), timeout):
                try:
                    yield
                finally:
                    if not self.has(username, site_id):
                        self._remove_lock(username, site_id)
        except files.Busy:
            raise SiteBusy() from None

    def _remove_lock(self, username: str, site_id: str) -> None:
        """The lock of a site that is none; the caller holds it."""
        path = self._paths.site_lock(username, site_id)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def check_free(self, site: Site, reserved: Collection[str] = ()) -> None:
        """May this site be added? ``SiteExists`` or ``DomainTaken`` (the caller holds ``locked``)."""
        if self.has(site.username, site.id):
            raise SiteExists()
        if site.domain in reserved or self._holder(site.domain) is not None:
            raise DomainTaken()

    def add(self, work: Work, site: Site) -> None:
        """Register a new site that ``check_free`` has let pass; it is served from here on."""
        # All that needs room on the disk comes first: a full one must not leave half of it done.
        record, link = work.prepare(_encoded(site)), self._public.prepare(work, site)
        with self._putting_right(work, site.username, site.id, site.domain):
            self._claim(work, site)
            work.move(record, self._paths.record(site.username, site.id))
            self._public.show(work, site, link)

    def restore(self, work: Work, username: str, site_id: str, record: bytes) -> None:
        """Put a record from a backup in place as it is; ``sync`` makes its domain known."""
        work.write(self._paths.record(username, site_id), record)

    def change(self, work: Work, username: str, site_id: str, changes: dict[str, Any], now: datetime) -> Site:
        """Update a record (the caller holds ``locked``); no changes, no new ``updated_at``."""
        before = self.get(username, site_id)
        if not changes:
            return before
        site = msgspec.structs.replace(before, **changes, updated_at=timestamp(now))
        record, link = work.prepare(_encoded(site)), self._public.prepare(work, site)  # As in add.
        with self._putting_right(work, username, site_id, before.domain, site.domain):
            if site.domain != before.domain:
                self._claim(work, site)
            if site.domain != before.domain or not is_public(site):
                # Before the record: nginx must not serve what the record does not allow any more.
                self._public.hide(work, before.domain)
            work.move(record, self._paths.record(username, site_id))
            if site.domain != before.domain:
                self._release(work, before.domain, username, site_id)
            self._public.show(work, site, link)
        return site

    def remove(self, work: Work, username: str, site_id: str) -> None:
        """Take a record and its domain away (the caller holds ``locked``), readable or not."""
        record = self._paths.record(username, site_id)
        if not self.has(username, site_id):
            raise SiteNotFound()
        try:
            domains = [self.get(username, site_id).domain]
        except (SiteBroken, SiteNotFound):  # Unreadable, or a link that leads nowhere.
            domains = [d for d in _listed(self._paths.domains) if self._linked(d) == (username, site_id)]
        with self._putting_right(work, username, site_id, *domains):
            for domain in domains:
                self._public.hide(work, domain)
            work.discard(record)
            files.fsync_folder(record.parent)
            for domain in domains:
                self._release(work, domain, username, site_id)

    def sync(self, work: Work) -> list[Problem]:
        """Bring the domain links in line with the records, also those edited by hand.

        Returns the records that cannot be read, or whose domain another site has; each is logged.
        Such a site keeps the domain it has, and is not served. Locks for one change at a time.
        """
        problems = []
        for username, site_id in self.names():
            try:
                site = self._read(username, site_id)
                if self._linked(site.domain) != (username, site_id):
                    with self.locked():
                        self._claim(work, self._read(username, site_id))
                self.settle_public(work, site)
            except SiteNotFound:
                continue
            except SiteBroken as error:
                problems.append(self._problem(username, site_id, error.reason))
            except DomainTaken:
                problems.append(self._problem(username, site_id, f"域名已被占用: {site.domain}"))
        for domain in _listed(self._paths.domains):
            if self._holder(domain) is None:
                with self.locked():
                    if self._holder(domain) is None:
                        work.discard(self._paths.domain(domain))
        for domain in self._public.domains():
            if not self._may_be_public(domain):
                with self.locked():
                    if not self._may_be_public(domain):
                        self._public.hide(work, domain)
        return problems

    def settle_public(self, work: Work, site: Site) -> None:
        """See that nginx serves a site exactly when it may; cheap when it does (takes ``locked`` otherwise)."""
        if not self._public.is_right(site):
            with self.locked():
                site = self._read(site.username, site.id)
                if self._linked(site.domain) == (site.username, site.id):
                    self._public.settle(work, site)

    def _may_be_public(self, domain: str) -> bool:
        try:
            return self._public.is_right(self.owner_of(domain))
        except (SiteNotFound, SiteBroken):
            return False

    # --- Domains ----------------------------------------------------------------------------

    @contextmanager
    def _putting_right(self, work: Work, username: str, site_id: str, *domains: str) -> Iterator[None]:
        """After an error of the disk, bring these domains in line with the record, whichever it is by now.

        What cannot be is harmless, and the next reload's or start's to do.
        """
        try:
            yield
        except OSError:
            with suppress(OSError, SiteNotFound, SiteBroken):
                for domain in domains:
                    if self._holder(domain) is None:
                        self._public.hide(work, domain)
                        self._release(work, domain, username, site_id)
                site = self._read(username, site_id)
                if self._linked(site.domain) == (username, site_id):
                    self._public.settle(work, site)
            raise

    def _claim(self, work: Work, site: Site) -> None:
        holder = self._holder(site.domain)
        if holder not in (None, (site.username, site.id)):
            raise DomainTaken()
        self._public.hide(work, site.domain)  # Left by an edit of the one who had it before.
        link = work.symlink(self._paths.domain_target(site.username, site.id))
        files.make_folders(self._paths.domains)
        work.put_link(link, self._paths.domain(site.domain))

    def _release(self, work: Work, domain: str, username: str, site_id: str) -> None:
        if self._linked(domain) == (username, site_id):
            work.discard(self._paths.domain(domain))
            files.fsync_folder(self._paths.domains)

    def _holder(self, domain: str) -> tuple[str, str] | None:
        """Who really has the domain; a record that cannot be read keeps what its link says."""
        names = self._linked(domain)
        if names is None:
            return None
        try:
            return names if self._read(*names).domain == domain else None
        except SiteBroken:
            return names
        except SiteNotFound:
            return None

    def _linked(self, domain: str) -> tuple[str, str] | None:
        try:
            return self._link(domain)
        except SiteNotFound:
            return None

    def _link(self, domain: str) -> tuple[str, str]:
        """(username, id) of the record that a domain's link names."""
        try:
            # Text, not a Path: this and _read stand in the way of every visitor.
            target = os.readlink(f"{self._paths.domains}/{domain}")
        except OSError:
            raise SiteNotFound() from None
        username, _, file_name = target.removeprefix("../registry/").partition("/")
        site_id = file_name.removesuffix(".json")
        if target != self._paths.domain_target(username, site_id) or not (is_name(username) and is_name(site_id)):
            raise SiteNotFound()
        return username, site_id

    # --- Records ----------------------------------------------------------------------------

    def _ids(self, username: str) -> list[str]:
        folder = self._paths.registry / username
        ids = [name.removesuffix(".json") for name in _listed(folder) if name.endswith(".json")]
        return [site_id for site_id in ids if is_name(site_id)]

    def _read(self, username: str, site_id: str) -> Site:
        path = f"{self._paths.registry}/{username}/{site_id}.json"
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._parsed.pop(path, None)
            raise SiteNotFound() from None
        except OSError as error:
            raise SiteBroken(error.strerror or "无法读取") from None
        identity = (status.st_ino, status.st_ctime_ns, status.st_size)
        known = self._parsed.get(path)
        if known is None or known[0] != identity:
            known = (identity, self._parse(path, username, site_id))
            if time.time_ns() - status.st_ctime_ns > _RACY_NS:
                self._remember(path, known)
        if isinstance(known[1], SiteBroken):
            raise SiteBroken(known[1].reason)
        return known[1]

    def _remember(self, path: str, known: tuple[tuple[int, int, int], Site | SiteBroken]) -> None:
        if len(self._parsed) >= _CACHED_RECORDS:
            self._parsed.clear()
        self._parsed[path] = known

    def _parse(self, path: str, username: str, site_id: str) -> Site | SiteBroken:
        try:
            return site_from_record(files.read(path), username, site_id)
        except FileNotFoundError:
            raise SiteNotFound() from None
        except OSError as error:
            # Not remembered: too many open files, or a disk that does not answer, may pass.
            log.error("The record %s cannot be read: %s", path, error.strerror)
            raise SiteBroken(error.strerror or "无法读取") from None
        except ValueError as error:
            log.error("The record %s cannot be read: %s", path, error)
            return SiteBroken(str(error))

    def _problem(self, username: str, site_id: str, reason: str) -> Problem:
        path = self._paths.record(username, site_id).relative_to(self._paths.data)
        file = str(path).encode("utf-8", "backslashreplace").decode()
        log.error("The record %s is not in force: %s", file, reason)
        return Problem(file, reason)


def _encoded(site: Site) -> bytes:
    """A record as it is stored: indented, for the people who read it."""
    return msgspec.json.format(msgspec.json.encode(site), indent=2) + b"\n"


def _listed(folder: Path) -> list[str]:
    """The names in a folder that are somebody's, sorted."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
