"""What happened to sites, told to who wants to know: it is counted, and waits for the webhook.

Nothing here can fail what it tells of: it is done by then.
"""

import logging
import secrets
from datetime import UTC, datetime
from typing import Any

import msgspec

from pages import tracing
from pages.counters import Counts
from pages.measures import SWITCHES, WEBHOOKS
from pages.model import Checkpoint, History, Site
from pages.outbox import Outbox

log = logging.getLogger(__name__)


class Events:
    """Tells of what happened in one data folder; with no ``outbox`` there is no webhook."""

    def __init__(self, counts: Counts, outbox: Outbox | None) -> None:
        self._counts = counts
        self._outbox = outbox

    def created(self, site: Site) -> None:
        """A site is there."""
        self._tell("site.created", site.username, site.id, {"domain": site.domain, "enabled": site.enabled})

    def deleted(self, username: str, site_id: str) -> None:
        """A site is gone."""
        self._tell("site.deleted", username, site_id, {})

    def deployed(self, site: Site, checkpoint: Checkpoint, previous: str | None, *, is_live: bool) -> None:
        """A new version is there, and goes live or does not."""
        told = {"domain": site.domain, "checkpoint": checkpoint, "previous": previous, "activated": is_live}
        self._tell("deploy.succeeded", site.username, site.id, told)

    def deploy_failed(self, username: str, site_id: str, status: int, message: str) -> None:
        """A deploy was refused or went wrong; the site is as it was."""
        self._tell("deploy.failed", username, site_id, {"status": status, "message": message})

    def switched(self, site: Site, before: History, after: History, by: str) -> None:
        """Another checkpoint is live. ``by``: "request", "plan", or "return" when nobody confirmed the one before."""
        if after.current == before.current:
            return
        # Ids sort by age.
        is_back = by == "return" or (before.current is not None and str(after.current) < before.current)
        kind = "rolled_back" if is_back else "checked_out"
        self._counts.add(SWITCHES, kind, by)
        told = {"domain": site.domain, "checkpoint_id": after.current, "previous": before.current, "by": by}
        if after.confirmation is not None:
            told["confirm_until"] = after.confirmation.until
        self._tell(f"site.{kind}", site.username, site.id, told)

    def _tell(self, kind: str, username: str, site_id: str, told: dict[str, Any]) -> None:
        if self._outbox is None:
            return
        data = {"username": username, "id": site_id, **told, "request_id": tracing.current() or None}
        event = {"id": f"msg_{secrets.token_hex(12)}", "type": kind, "timestamp": _now(), "data": data}
        try:
            is_kept = self._outbox.put(username, site_id, msgspec.json.encode(event))
        except OSError as error:
            log.warning("Site %s/%s: the webhook will not hear of %s: %s", username, site_id, kind, error)
            is_kept = False
        if not is_kept:
            self._counts.add(WEBHOOKS, "dropped")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
