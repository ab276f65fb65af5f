"""Every site: look up, add, change, remove; one JSON record each (contract 2).

The file system is the registry: ``registry/{username}/{id}.json`` is the record and
``domains/{domain}`` a link to it. A link counts only while its record names that domain, so
claiming a domain before writing the record, and freeing it after, leaves nothing wrong behind
whenever it is cut short. Readers take no lock and see every change at once.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pages import files
from pages.errors import DomainTaken, SiteBroken, SiteBusy, SiteExists, SiteNotFound
from pages.hosts import wildcards_of
from pages.model import Site, is_name, timestamp
from pages.paths import Paths
from pages.public import MayServe, PublicLinks
from pages.site_fields import site_from_record
from pages.work import Work

log = logging.getLogger(__name__)

_CACHED_RECORDS = 100_000


# Is a domain nobody's to take, whoever has it now?
IsReserved = Callable[[str], bool]
# Is a site as it was when a change of it was thought of?
IsExpected = Callable[[Site], bool]


def reserve_none(domain: str) -> bool:  # noqa: ARG001 - an IsReserved
    """The plainest ``IsReserved``."""
    return False


def expect_any(site: Site) -> bool:  # noqa: ARG001 - an IsExpected
    """The plainest ``IsExpected``."""
    return True


@dataclass(frozen=True)
class Problem:
    """A record that could not be read: its file below the data folder, and why."""

    file: str
    reason: str


class Registry:
    """All sites of one data folder. ``lock_timeout`` is in seconds; ``may_serve`` keeps sites off some hosts."""

    def __init__(self, paths: Paths, lock_timeout: float, may_serve: MayServe = lambda *_: True) -> None:
        self._paths = paths
        self._lock_timeout = lock_timeout
        self._may_serve = may_serve
        self._public = PublicLinks(paths, may_serve)
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

    def owner_of(self, host: str) -> Site:
        """The site that a canonical host name leads to, enabled or not; ``SiteNotFound`` or ``SiteBroken``.

        Its own name goes before any wildcard that covers it, and of those the most specific one.
        """
        site = self._holder_or_covering(host)
        if not self._may_serve(site.username, host):
            raise SiteNotFound()
        return site

    def _holder_or_covering(self, host: str) -> Site:
        try:
            return self.holder_of(host)
        except SiteNotFound:
            for wildcard in wildcards_of(host):
                with suppress(SiteNotFound):
                    return self.holder_of(wildcard)
            raise

    def holder_of(self, domain: str) -> Site:
        """The site that has this very domain or wildcard; ``SiteNotFound`` or ``SiteBroken``."""
        username, site_id = self._link(domain)
        site = self._read(username, site_id)
        if domain != site.domain and domain not in site.aliases:  # Left behind by a crash, or an edit by hand.
            raise SiteNotFound()
        return site

    def names(self, username: str | None = None) -> list[tuple[str, str]]:
        """(username, id) of every record, or of one tenant's, sorted."""
        if username is not None and not is_name(username):
            return []
        if username is not None:
            return sorted((username, site_id) for site_id in self._ids(username))
        return sorted((user, site_id) for user in _listed(self._paths.registry) for site_id in self._ids(user))

    def search(self, text: str, username: str | None = None) -> list[tuple[str, str]]:
        """As ``names``, of the sites alone whose username, id or one of whose domains holds a text; no case counts."""
        wanted = text.lower()
        of_domain = {self._linked(domain) for domain in _listed(self._paths.domains) if wanted in domain}
        return [name for name in self.names(username) if wanted in "/".join(name).lower() or name in of_domain]

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

    def check_free(self, site: Site, is_reserved: IsReserved = reserve_none) -> None:
        """May this site be added? ``SiteExists`` or ``DomainTaken`` (the caller holds ``locked``)."""
        if self.has(site.username, site.id):
            raise SiteExists()
        self._check_domains(site, site.domains, is_reserved)

    def _check_domains(self, site: Site, domains: Collection[str], is_reserved: IsReserved) -> None:
        """``DomainTaken`` unless the site may have all of these."""
        for domain in domains:
            if is_reserved(domain) or self._holder(domain) not in (None, (site.username, site.id)):
                raise DomainTaken()

    def add(self, work: Work, site: Site) -> None:
        """Register a new site that ``check_free`` has let pass; it is served from here on."""
        # All that needs room on the disk comes first: a full one must not leave half of it done.
        record, links = work.prepare(_encoded(site)), self._public.prepare(work, site)
        with self._putting_right(work, site.username, site.id, *site.domains):
            self._claim(work, site, site.domains)
            work.move(record, self._paths.record(site.username, site.id))
            self._public.show(work, site, links)

    def restore(self, work: Work, username: str, site_id: str, record: bytes) -> None:
        """Put a record from a backup in place as it is; ``sync`` makes its domain known."""
        work.write(self._paths.record(username, site_id), record)

    def change(
        self,
        work: Work,
        username: str,
        site_id: str,
        changes: dict[str, Any],
        now: datetime,
        is_reserved: IsReserved = reserve_none,
    ) -> Site:
        """Update a record (the caller holds ``locked``); no changes, no new ``updated_at``. ``DomainTaken``."""
        before = self.get(username, site_id)
        if not changes:
            return before
        site = msgspec.structs.replace(before, **changes, updated_at=timestamp(now))
        new = [domain for domain in site.domains if domain not in before.domains]
        old = [domain for domain in before.domains if domain not in site.domains]
        self._check_domains(site, new, is_reserved)
        record, links = work.prepare(_encoded(site)), self._public.prepare(work, site)  # As in add.
        with self._putting_right(work, username, site_id, *before.domains, *new):
            self._claim(work, site, new)
            # Before the record: nginx must not serve what the record does not allow any more.
            shown = self._public.shown(site)
            for domain in before.domains:
                if domain not in shown:
                    self._public.hide(work, domain)
            work.move(record, self._paths.record(username, site_id))
            for domain in old:
                self._release(work, domain, username, site_id)
            self._public.show(work, site, links)
        return site

    def remove(self, work: Work, username: str, site_id: str) -> None:
        """Take a record and its domain away (the caller holds ``locked``), readable or not."""
        record = self._paths.record(username, site_id)
        if not self.has(username, site_id):
            raise SiteNotFound()
        try:
            domains = list(self.get(username, site_id).domains)
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
                taken = self._claim_missing(work, site)
                problems += [self._problem(username, site_id, f"域名已被占用: {domain}") for domain in taken]
                self.settle_public(work, site)
            except SiteNotFound:
                continue
            except SiteBroken as error:
                problems.append(self._problem(username, site_id, error.reason))
        for domain in _listed(self._paths.domains):
            if self._holder(domain) is None:
                with self.locked():
                    if self._holder(domain) is None:
                        work.discard(self._paths.domain(domain))
        self.hide_wrong(work, self._public.domains())
        return problems

    def hide_wrong(self, work: Work, domains: Iterable[str]) -> None:
        """Have the application answer for those of these domains that nginx may not answer for."""
        for domain in domains:
            if self._public.is_shown(domain) and not self._may_be_public(domain):
                with self.locked():
                    if not self._may_be_public(domain):
                        self._public.hide(work, domain)

    def _claim_missing(self, work: Work, site: Site) -> list[str]:
        """Give a site the links of those of its domains that nobody has; returns the others'."""
        names, taken = (site.username, site.id), []
        for domain in site.domains:
            if self._linked(domain) != names:
                with self.locked():
                    site = self._read(*names)
                    if domain in site.domains and self._holder(domain) in (None, names):
                        self._claim(work, site, [domain])
                    elif domain in site.domains:
                        taken.append(domain)
        return taken

    def settle_public(self, work: Work, site: Site) -> None:
        """See that nginx serves a site exactly when it may; cheap when it does (takes ``locked`` otherwise)."""
        site = self._read(site.username, site.id)  # It may have got another alias while something was uploaded.
        if not self._public.is_right(site, self._owned(site)):
            with self.locked():
                site = self._read(site.username, site.id)
                self._public.settle(work, site, self._owned(site))

    def hide_public(self, work: Work, site: Site) -> None:
        """Have the application answer for a site from now on, until ``settle_public``."""
        site = self._read(site.username, site.id)
        if any(self._public.is_shown(domain) for domain in site.domains):
            with self.locked():
                for domain in self._owned(self._read(site.username, site.id)):
                    self._public.hide(work, domain)

    def public_links(self) -> PublicLinks:
        """What nginx answers for, to be looked at."""
        return self._public

    def is_public(self, host: str) -> bool:
        """Does nginx answer for this host by itself?"""
        return self._public.is_shown(host)

    def _owned(self, site: Site) -> list[str]:
        """Those of a site's domains that lead to it."""
        return [domain for domain in site.domains if self._linked(domain) == (site.username, site.id)]

    def _may_be_public(self, domain: str) -> bool:
        try:
            return self._public.is_right(self.holder_of(domain), [domain])
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
                self._public.settle(work, site, self._owned(site))
            raise

    def _claim(self, work: Work, site: Site, domains: Collection[str]) -> None:
        """Link domains that are free to the site."""
        for domain in domains:
            self._public.hide(work, domain)  # Left by an edit of the one who had it before.
            link = work.symlink(self._paths.domain_target(site.username, site.id))
            files.make_folders(self._paths.domains)
            work.put_link(link, self._paths.domain(domain))

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
            return names if domain in self._read(*names).domains else None
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
        identity = files.identity_of(status)
        known = self._parsed.get(path)
        if known is None or known[0] != identity:
            looked_ns = time.time_ns()
            known = (identity, self._parse(path, username, site_id))
            if not files.may_change_unseen(status, looked_ns):  # What was written just now is read again.
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
