"""Events on their way to the webhook: a file each, named after when it happened, when it is sent next, and its site.

So nothing has to be rewritten to try again later, which needs no room on a full disk; and every process sees all.
"""

import logging
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple

from pages import files
from pages.model import is_name
from pages.paths import Paths

log = logging.getLogger(__name__)

MOST = 1000
_STOPPED = ".stopped"  # Holds the digest of an address that wants no more.
_UNFINISHED_SECONDS = 3600
_ENTRY = re.compile(r"(\d{20}),(\d{2}),(\d{11}),([^,]+),([^,]+)\.json")


class Entry(NamedTuple):
    """One event: when it happened, in nanoseconds since 1970; attempts so far; when the next is due, in seconds."""

    happened_ns: int
    attempts: int
    due: int
    username: str
    site_id: str

    @property
    def name(self) -> str:
        return f"{self.happened_ns:020d},{self.attempts:02d},{self.due:011d},{self.username},{self.site_id}.json"


class Outbox:
    """The events that wait, of all sites; ``url`` is who gets them. ``clock`` tells nanoseconds since 1970."""

    def __init__(self, paths: Paths, url: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = paths.webhooks
        self._address = sha256(url.encode()).hexdigest()
        self._clock = clock

    def put(self, username: str, site_id: str, body: bytes) -> bool:
        """Add an event; the caller holds the site's lock, which keeps them in order. Raises ``OSError``.

        When there are too many one goes (``_least_missed``). False when that was so, or nobody wants events any more.
        """
        if self.is_stopped():
            return False
        self._folder.mkdir(exist_ok=True)
        before = self.entries()
        happened_ns = max([self._clock(), *(entry.happened_ns + 1 for entry in before[-1:])])
        new = Entry(happened_ns, 0, 0, username, site_id)
        aside = self._folder / f".{secrets.token_hex(8)}"
        try:
            aside.write_bytes(body)
            os.rename(aside, self._folder / new.name)
        except OSError:
            with suppress(OSError):
                aside.unlink()
            raise
        waiting = [*before, new]
        while len(waiting) > MOST:
            waiting.remove(gone := _least_missed(waiting))
            self.remove(gone)
        return len(before) < MOST

    def entries(self) -> list[Entry]:
        """All that wait, the oldest first."""
        return [entry for name in sorted(self._names()) if (entry := _entry(name))]

    def read(self, entry: Entry) -> bytes:
        """An event's body; ``OSError``."""
        return files.read(self._folder / entry.name)

    def put_off(self, entry: Entry, due: int) -> None:
        """An attempt has failed, the next is due then."""
        later = entry._replace(attempts=min(entry.attempts + 1, 99), due=due)
        with suppress(FileNotFoundError):  # It was one too many meanwhile.
            os.rename(self._folder / entry.name, self._folder / later.name)

    def remove(self, entry: Entry) -> None:
        """It has arrived, or never will."""
        with suppress(FileNotFoundError):
            (self._folder / entry.name).unlink()

    def stop(self) -> None:
        """Nobody at this address wants events any more: none waits, and none comes."""
        (self._folder / _STOPPED).write_text(self._address, encoding="ascii")
        for entry in self.entries():
            self.remove(entry)

    def is_stopped(self) -> bool:
        """Does nobody at this address want events? Another address, or no such file, and it goes on."""
        try:
            return files.read(self._folder / _STOPPED, 100).decode("ascii", "replace").strip() == self._address
        except OSError:
            return False

    def clear_unfinished(self) -> None:
        """Remove what a crash left while an event was written."""
        for name in self._names():
            path = self._folder / name
            with suppress(OSError):
                is_unfinished = name.startswith(".") and name != _STOPPED
                if is_unfinished and self._clock() / 1e9 - path.stat().st_mtime > _UNFINISHED_SECONDS:
                    path.unlink()

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return []


def _least_missed(waiting: list[Entry]) -> Entry:
    """The oldest of the tenant that has the most: whoever floods the outbox pushes out nobody else's."""
    (username, _), *_ = Counter(entry.username for entry in waiting).most_common(1)
    return next(entry for entry in waiting if entry.username == username)


def _entry(name: str) -> Entry | None:
    match = _ENTRY.fullmatch(name)
    if match and is_name(match[4]) and is_name(match[5]):
        return Entry(int(match[1]), int(match[2]), int(match[3]), match[4], match[5])
    return None
