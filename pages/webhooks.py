"""The webhook: what waits in the outbox is sent, signed, again and again for a day; never twice at once.

``run_due`` is called once a second by every worker (pages.clock), in a thread that nothing else waits for.
"""

import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from pages import files
from pages.counters import Counts
from pages.measures import WEBHOOKS
from pages.outbox import Entry, Outbox
from pages.paths import Paths
from pages.webhook_keys import signature

log = logging.getLogger(__name__)

# After each attempt that failed, in seconds; then the last again until the event is a day old.
_PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
_DAY = 86400
# So often an event that fails holds up the later ones of its site, which may depend on it.
_PATIENT_ATTEMPTS = 4
_CONNECT_SECONDS, _ATTEMPT_SECONDS = 5.0, 15.0
_GONE = 410


class Answer(NamedTuple):
    """What the receiver said; ``retry_after`` in seconds, 0 when it did not say."""

    status: int
    retry_after: int = 0


# An address, headers and a body in; ``OSError`` or ``HTTPException`` when there was no answer.
Post = Callable[[str, dict[str, str], bytes], Answer]


class _Named(msgspec.Struct):
    id: str


class Webhooks:
    """Sends the events of one data folder to ``url``; without one there is nothing to do."""

    def __init__(
        self, paths: Paths, outbox: Outbox, counts: Counts, url: str, secret: str, post: Post | None = None
    ) -> None:
        self._lock = paths.webhooks_lock
        self._outbox = outbox
        self._counts = counts
        self._url = url
        self._secret = secret
        self._post = post or send

    def run_due(self, now: datetime) -> None:
        """Send what is due by now, the oldest first, unless another process is at it."""
        if not self._url or not self._outbox.entries():
            return
        with suppress(files.Busy), files.lock(self._lock, timeout=0):
            self._outbox.clear_unfinished()
            self._send_due(int(now.timestamp()))

    def _send_due(self, now: int) -> None:
        waiting: set[tuple[str, str]] = set()
        for entry in self._outbox.entries():
            site = entry.username, entry.site_id
            if site in waiting:
                continue
            if now < entry.due <= now + _DAY:  # No pause is longer: a clock that was ahead has written a later one.
                if entry.attempts <= _PATIENT_ATTEMPTS:
                    waiting.add(site)
            elif not self._arrives(entry, now):
                return  # Whatever ails the receiver, the next one would meet it too: another second.

    def _arrives(self, entry: Entry, now: int) -> bool:
        """Send one event; False when that failed, and it waits for another time or is given up."""
        try:
            body = self._outbox.read(entry)
            answer = self._post(self._url, self._headers(body, now), body)
        except (OSError, http.client.HTTPException) as error:
            return self._failed(entry, now, str(error) or type(error).__name__, 0)
        except msgspec.MsgspecError:  # Somebody's own file.
            log.error("data/webhooks/%s is no event and is removed", entry.name)
            self._outbox.remove(entry)
            return True
        if answer.status == _GONE:
            log.error("The webhook's receiver wants no more events (410): none are sent until webhook_url changes")
            self._outbox.stop()
            return False
        if not 200 <= answer.status < 300:
            return self._failed(entry, now, f"status {answer.status}", answer.retry_after)
        self._outbox.remove(entry)
        self._counts.add(WEBHOOKS, "delivered")
        return True

    def _failed(self, entry: Entry, now: int, reason: str, retry_after: int) -> bool:
        pause = max(_PAUSES[min(entry.attempts, len(_PAUSES) - 1)], min(retry_after, _DAY))
        age = now - entry.happened_ns // 10**9
        self._counts.add(WEBHOOKS, "failed")
        what = f"Site {entry.username}/{entry.site_id}: an event for the webhook"
        if age + pause > _DAY:
            log.error("%s is given up after %d attempts: %s", what, entry.attempts + 1, reason)
            self._counts.add(WEBHOOKS, "dropped")
            self._outbox.remove(entry)
        else:
            log.warning("%s did not arrive and is sent again in %d s: %s", what, pause, reason)
            self._outbox.put_off(entry, now + pause)
        return False

    def _headers(self, body: bytes, now: int) -> dict[str, str]:
        event_id = msgspec.json.decode(body, type=_Named).id
        return {
            "Content-Type": "application/json",
            "User-Agent": "Pages-Webhook",
            "webhook-id": event_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._secret, event_id, now, body),
        }


def send(url: str, headers: dict[str, str], body: bytes) -> Answer:
    """POST to an address, within ``_ATTEMPT_SECONDS``; redirects are not followed, and no answer's body is read."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, str(parts.hostname), parts.port)
    connection.connect()
    connection.sock.settimeout(_ATTEMPT_SECONDS)
    watchdog = threading.Timer(_ATTEMPT_SECONDS, _cut_off, [connection.sock])  # Also one that answers byte by byte.
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        after = response.headers.get("Retry-After", "")
        return Answer(response.status, int(after) if after.isascii() and after.isdigit() and len(after) < 9 else 0)
    finally:
        watchdog.cancel()
        connection.close()


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=context)
    return http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
