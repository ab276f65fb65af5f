"""What Prometheus is told: what all workers have counted, and what can be seen now. Laid out by prometheus-client.

What takes longer with more sites is looked at once in a while, in the background, and told as it was then.
"""

import logging
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pages import __version__
from pages.backups import Backups
from pages.config import Config
from pages.counters import Counts
from pages.due import Due
from pages.errors import Broken, SiteNotFound
from pages.history import Histories
from pages.measures import BUSY, FAMILIES, INFINITE, SUM, Counter, Histogram, Key
from pages.outbox import Outbox
from pages.registry import Registry
from pages.work import Afterwards

log = logging.getLogger(__name__)

_SITES_SECONDS = 300.0
# Of so many sites with a switch to come it is looked whether it waits for a confirmation.
_MOST_DUE = 1000
_FULL = ".full.tar"
_WRITTEN = re.compile(r"backup-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)-(\d{3})Z")


class Metrics(Collector):
    """All metrics of one installation."""

    def __init__(
        self,
        config: Config,
        registry: Registry,
        histories: Histories,
        due: Due,
        backups: Backups,
        outbox: Outbox,
        counts: Counts,
        afterwards: Afterwards,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._registry = registry
        self._histories = histories
        self._due = due
        self._backups = backups
        self._outbox = outbox
        self._counts = counts
        self._clock = clock
        self._sites = _Seldom(self._look_at_sites, _SITES_SECONDS, afterwards)

    def collect(self) -> Iterator[Metric]:
        """Every metric with its value now."""
        totals = self._counts.memory.totals()
        for family in FAMILIES:
            yield _counter(family, totals) if isinstance(family, Counter) else _histogram(family, totals)
        yield from self._of_the_process(totals)
        yield from self._sites.last()
        yield from self._of_disks()
        yield from self._of_backups()
        yield from self._of_switches()
        yield from self._of_webhooks()

    def _of_the_process(self, totals: dict[Key, float]) -> Iterator[Metric]:
        info = GaugeMetricFamily("pages_build_info", "Always 1; which version this is.", labels=["version", "python"])
        info.add_metric([__version__, platform.python_version()], 1)
        yield info
        living = self._counts.memory.living()
        threads = living * self._config.threads
        started = self._counts.memory.started
        yield _gauge("pages_start_time_seconds", "When the counters began, with gunicorn's master.", started)
        yield _gauge("pages_workers", "Worker processes, with those that finish requests after a reload.", living)
        yield _gauge("pages_threads", "Threads for requests, in all workers.", threads)
        yield _gauge("pages_threads_busy", "Threads that are at a request, or wait for its head.", totals[BUSY])

    def _look_at_sites(self) -> list[Metric]:
        sites = GaugeMetricFamily("pages_sites", "Sites, as of the last look.", labels=["state"])
        counts = {"enabled": 0, "disabled": 0, "broken": 0}
        checkpoints = size = 0
        for username, site_id in self._registry.names():
            try:
                site = self._registry.get(username, site_id)
                known = self._histories.read(site).checkpoints
            except SiteNotFound:
                continue
            except (Broken, OSError):
                counts["broken"] += 1
                continue
            counts["enabled" if site.enabled else "disabled"] += 1
            checkpoints += len(known)
            size += sum(checkpoint.file_size for checkpoint in known)
        for state, count in counts.items():
            sites.add_metric([state], count)
        return [
            sites,
            _gauge("pages_checkpoints", "Checkpoints of all sites, as of the last look.", checkpoints),
            _gauge("pages_checkpoint_bytes", "Size of all checkpoints' archives, as of the last look.", size),
            _gauge("pages_sites_looked_at_seconds", "When the last look at all sites was.", self._clock()),
        ]

    def _of_disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("pages_disk_free_bytes", "Free bytes on the disk of a folder.", labels=["folder"])
        size = GaugeMetricFamily("pages_disk_size_bytes", "Size of the disk of a folder.", labels=["folder"])
        for folder, path in (("data", self._config.data_dir), ("backup", self._config.backup_dir)):
            with suppress(OSError):
                found = os.statvfs(path)
                free.add_metric([folder], found.f_bavail * found.f_frsize)
                size.add_metric([folder], found.f_blocks * found.f_frsize)
        yield free
        yield size

    def _of_backups(self) -> Iterator[Metric]:
        when = GaugeMetricFamily(
            "pages_backup_last_timestamp_seconds", "When the newest backup was made.", labels=["kind"]
        )
        size = GaugeMetricFamily("pages_backup_last_size_bytes", "Size of the newest backup.", labels=["kind"])
        with suppress(OSError):
            for backup in self._backups.newest():
                kind = "full" if backup.name.endswith(_FULL) else "data"
                when.add_metric([kind], _written(backup))
                size.add_metric([kind], backup.stat().st_size)
        yield when
        yield size

    def _of_switches(self) -> Iterator[Metric]:
        entries = self._due.all()
        overdue = max(0.0, self._clock() - entries[0].time) if entries else 0.0
        until = self._confirmations({(entry.username, entry.site_id) for entry in entries[:_MOST_DUE]})
        yield _gauge("pages_switches_waiting", "Times at which something is due for a site.", len(entries))
        yield _gauge("pages_switches_overdue_seconds", "For how long the oldest of them is over.", overdue)
        yield _gauge("pages_confirmations_waiting", "Checkouts that wait to be confirmed.", len(until))
        if until:
            help_text = "When the first of them goes back unless it is confirmed."
            yield _gauge("pages_confirmation_next_timestamp_seconds", help_text, min(until))

    def _confirmations(self, names: set[tuple[str, str]]) -> list[float]:
        until = []
        for username, site_id in names:
            with suppress(SiteNotFound, Broken, OSError):
                waiting = self._histories.read(self._registry.get(username, site_id)).confirmation
                if waiting is not None:
                    until.append(datetime.fromisoformat(waiting.until).timestamp())
        return until

    def _of_webhooks(self) -> Iterator[Metric]:
        waiting = self._outbox.entries()
        age = max(0.0, self._clock() - waiting[0].happened_ns / 1e9) if waiting else 0.0
        yield _gauge("pages_webhook_queue", "Events that wait for the webhook.", len(waiting))
        yield _gauge("pages_webhook_oldest_seconds", "Age of the oldest of them.", age)


class _Seldom:
    """What takes long to find out: as it was found last. After ``seconds`` it is found anew, in the background."""

    def __init__(self, look: Callable[[], list[Metric]], seconds: float, afterwards: Afterwards) -> None:
        self._look = look
        self._seconds = seconds
        self._afterwards = afterwards
        self._found: list[Metric] = []
        self._next = 0.0
        self._lock = threading.Lock()

    def last(self) -> list[Metric]:
        """Nothing before the first look is over."""
        with self._lock:
            is_time = time.monotonic() >= self._next
            self._next = time.monotonic() + self._seconds if is_time else self._next
        if is_time:
            self._afterwards(self._look_again)
        return self._found

    def _look_again(self) -> None:
        try:
            self._found = self._look()
        except Exception:
            log.exception("All sites cannot be looked at for the metrics")


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _counter(family: Counter, totals: dict[Key, float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=[name for name, _ in family.labels])
    for key in family.places():
        metric.add_metric(key[1:], totals.get(key, 0.0))
    return metric


def _histogram(family: Histogram, totals: dict[Key, float]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=[name for name, _ in family.labels])
    for labels in sorted({key[1:-1] for key in family.places()}):
        buckets, below = [], 0.0
        for bound in family.bounds:
            below += totals.get((family.name, *labels, bound), 0.0)
            buckets.append((bound, below))
        assert buckets[-1][0] == INFINITE  # noqa: S101 - what prometheus-client takes for the count
        metric.add_metric(labels, buckets, totals.get((family.name, *labels, SUM), 0.0))
    return metric


def _written(backup: Path) -> float:
    """When a backup was made, in seconds since 1970, by its name: a copy has another time."""
    match = _WRITTEN.match(backup.name)
    if match is None:
        return backup.stat().st_mtime
    return datetime.strptime(match[1], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC).timestamp() + int(match[2]) / 1000
