"""What one tenant may keep: sites, bytes, checkpoints a site. Whoever deploys, it counts for the site's username.

Bytes are the archives of all checkpoints, and the unpacked files of the version of each site that is live. Nothing is
counted along: what is there is added up when somebody asks, which takes the longer the more of its own a tenant has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pages import files
from pages.archive import Entry
from pages.errors import HistoryBroken, QuotaExceeded, SiteBroken, SiteBusy, SiteNotFound
from pages.history import Histories
from pages.model import History, Site
from pages.paths import Paths
from pages.registry import Registry

KINDS = ("quota_sites", "quota_bytes", "quota_checkpoints")

# Called with the (bytes, files) written so far; raises when that is too much.
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """A tenant's quotas; 0 is no limit. ``checkpoints`` is for each site."""

    sites: int
    bytes: int
    checkpoints: int


@dataclass(frozen=True)
class Usage:
    """What a tenant has."""

    sites: int
    bytes: int


class Quotas:
    """The quotas of all tenants: ``defaults`` (by ``KINDS``), overridden by ``own[username]``."""

    def __init__(
        self,
        paths: Paths,
        registry: Registry,
        histories: Histories,
        defaults: Mapping[str, int],
        own: Mapping[str, Mapping[str, int]],
        lock_timeout: float,
    ) -> None:
        self._paths = paths
        self._registry = registry
        self._histories = histories
        self._defaults = defaults
        self._own = own
        self._lock_timeout = lock_timeout

    def limits(self, username: str) -> Limits:
        """The quotas of one tenant."""
        merged = {**self._defaults, **self._own.get(username, {})}
        return Limits(*(merged[kind] for kind in KINDS))

    def usage(self, username: str) -> Usage:
        """What a tenant has now."""
        names = self._registry.names(username)
        return Usage(len(names), sum(sum(self._bytes_of(*name)) for name in names))

    def check_site(self, username: str) -> None:
        """May this tenant have one more site? ``QuotaExceeded`` (the caller holds the registry's lock)."""
        limit = self.limits(username).sites
        if limit and (count := len(self._registry.names(username))) >= limit:
            raise QuotaExceeded(f"quota_sites = {limit}，已有 {count} 个站点，请先删除不用的站点")

    def check_checkpoints(self, username: str, history: History) -> None:
        """May this site have one more checkpoint? ``QuotaExceeded``."""
        limit = self.limits(username).checkpoints
        if limit and (count := len(history.checkpoints)) >= limit:
            raise QuotaExceeded(f"quota_checkpoints = {limit}，该站点已有 {count} 个检查点，请先删除不用的检查点")

    def check_upload(self, username: str, site_id: str, size: int) -> None:
        """Is there room for an upload of ``size`` bytes? ``QuotaExceeded``; nothing is said of a site that is none."""
        with suppress(SiteNotFound, SiteBroken, HistoryBroken):
            site = self._registry.get(username, site_id)
            self.check_checkpoints(username, self._histories.read(site))
            self.watch(site)(size, 0)

    def watch(self, site: Site) -> Watch:
        """For one who makes a new version of a site: ``QuotaExceeded`` as soon as it is more than there is room for."""
        limit = self.limits(site.username).bytes
        if not limit:
            return lambda _size, _files: None
        others = self._besides_live(site)

        def written(size: int, _files: int) -> None:
            _check_bytes(limit, others, size)

        return written

    @contextmanager
    def room_for(self, site: Site, history: History, size: int) -> Iterator[None]:
        """Hold the place for one more checkpoint of a site, its archive and files ``size`` bytes together.

        Nobody else of the tenant's commits meanwhile: two at once cannot both have the last place. ``QuotaExceeded``.
        The caller holds the site's lock.
        """
        self.check_checkpoints(site.username, history)
        limit = self.limits(site.username).bytes
        if not limit:
            yield
            return
        try:
            with files.lock(self._paths.quota_lock(site.username), self._lock_timeout):
                _check_bytes(limit, self._besides_live(site), size)
                yield
        except files.Busy:
            raise SiteBusy() from None

    def _besides_live(self, site: Site) -> int:
        """All that a tenant has, but the live version that a deploy of this site would replace."""
        return self.usage(site.username).bytes - self._bytes_of(site.username, site.id)[1]

    def _bytes_of(self, username: str, site_id: str) -> tuple[int, int]:
        """What a site takes: (its archives, its live version)."""
        with suppress(SiteNotFound, SiteBroken):
            site = self._registry.get(username, site_id)
            archived, live = self._histories.archived_bytes(site), 0
            with suppress(HistoryBroken):
                live = self._histories.unpacked_bytes(site, self._histories.read(site).current)
            return archived, live
        return 0, 0


def within(entries: Iterable[Entry], *watches: Watch) -> Iterator[Entry]:
    """The same entries; each watch is told how many bytes and files have come so far."""
    size = count = 0

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            size += len(chunk)
            for watch in watches:
                watch(size, count)
            yield chunk

    for entry in entries:
        count += 1
        for watch in watches:
            watch(size, count)
        yield Entry(entry.path, entry.is_folder, counted(entry.chunks), entry.mtime)


def _check_bytes(limit: int, used: int, more: int) -> None:
    if used + more > limit:
        raise QuotaExceeded(f"quota_bytes = {limit} 字节，已用 {used} 字节，此次至少还需 {more} 字节")
