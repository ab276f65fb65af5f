"""Which checkpoints are kept: the newest so many, and those younger than so many days, in at most so many bytes.

With no limit all are. Whatever the limits say, these stay: the current one, pinned ones, those that are being
previewed, and those that a switch to come needs.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pages import history
from pages.errors import CheckpointAwaited, CheckpointInUse, CheckpointNotFound, CheckpointPinned
from pages.history import Histories
from pages.model import Checkpoint, History, Retention, Site, now
from pages.previews import previewed
from pages.publish import Publisher
from pages.registry import Registry
from pages.work import Workshop

log = logging.getLogger(__name__)

_NONE = Retention()


@dataclass(frozen=True)
class Pruned:
    """The checkpoints that went, or would go, and the bytes of their archives."""

    checkpoints: list[Checkpoint]
    bytes: int


class Pruner:
    """Deletes what is not to be kept; ``defaults`` hold for a site that says nothing else."""

    def __init__(
        self,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        publisher: Publisher,
        defaults: Retention,
    ) -> None:
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._publisher = publisher
        self._defaults = defaults

    def limits_of(self, site: Site, own: Retention = _NONE) -> Retention:
        """The limits in force: ``own`` ones, else the site's, else the configuration's."""

        def first(name: str) -> int:
            found = (getattr(source, name) for source in (own, site.retention, self._defaults))
            return next((limit for limit in found if limit is not None), 0)

        return Retention(*(first(name) for name in Retention.__struct_fields__))

    def prune(self, site: Site, limits: Retention, time: datetime, *, dry_run: bool = False) -> Pruned:
        """Delete what these limits do not keep; ``dry_run`` only tells."""
        doomed = superfluous(self._histories.read(site), limits, time)
        if not dry_run:
            doomed = [checkpoint for checkpoint in doomed if self._delete(site, limits, checkpoint, time)]
        return Pruned(doomed, sum(checkpoint.file_size for checkpoint in doomed))

    def prune_later(self, site: Site) -> None:
        """Delete what the limits in force do not keep, when nobody waits for it; they are asked then."""
        if _limits_anything(self.limits_of(site)):
            self._workshop.afterwards(partial(self._prune_now, site))

    def _prune_now(self, site: Site) -> None:
        pruned = self.prune(site, self.limits_of(self._registry.get(site.username, site.id)), now())
        if pruned.checkpoints:
            log.info("Site %s/%s: %d old checkpoints deleted", site.username, site.id, len(pruned.checkpoints))

    def _delete(self, site: Site, limits: Retention, checkpoint: Checkpoint, time: datetime) -> bool:
        def is_needed(known: History) -> bool:
            return all(doomed.id != checkpoint.id for doomed in superfluous(known, limits, time))

        # Something has come to need it since: there may be minutes between the first and the last of many.
        with suppress(CheckpointNotFound, CheckpointInUse, CheckpointPinned, CheckpointAwaited):
            self._publisher.delete_checkpoint(site, checkpoint.id, time, is_needed=is_needed)
            return True
        return False


def superfluous(known: History, limits: Retention, time: datetime) -> list[Checkpoint]:
    """The checkpoints that the limits do not keep, the oldest first."""
    if not _limits_anything(limits):
        return []
    needed = {known.current, *known.pinned, *previewed(known, time), *history.awaited(known)}
    left = (limits.bytes or 0) - sum(c.file_size for c in known.checkpoints if c.id in needed)
    doomed = []
    for place, checkpoint in enumerate(known.checkpoints):
        if checkpoint.id in needed:
            continue
        is_kept = _is_kept(limits, place, checkpoint, time)
        if is_kept and limits.bytes:
            left -= checkpoint.file_size
            is_kept = left >= 0
        if not is_kept:
            doomed.append(checkpoint)
    return doomed[::-1]


def _limits_anything(limits: Retention) -> bool:
    return any((limits.count, limits.days, limits.bytes))


def _is_kept(limits: Retention, place: int, checkpoint: Checkpoint, time: datetime) -> bool:
    """By number or age; by neither where neither is limited."""
    if not (limits.count or limits.days):
        return True
    is_young = bool(limits.days) and datetime.fromisoformat(checkpoint.created_at) > time - timedelta(
        days=limits.days or 0
    )
    return place < (limits.count or 0) or is_young
