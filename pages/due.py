"""When a switch is due: an empty file for each, named after its time and its site; the metadata says which switch.

So nobody has to look through all sites to find what is due. A file too many is harmless: the metadata knows better.
"""

import os
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from pages import files
from pages.model import History, Site, is_name
from pages.paths import Paths


class Entry(NamedTuple):
    """Something is due for a site at ``time``, in seconds since 1970."""

    time: int
    username: str
    site_id: str

    @property
    def name(self) -> str:
        return f"{self.time:011d},{self.username},{self.site_id}"


class Due:
    """The switches to come, of all sites."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.due

    def add(self, site: Site, time: datetime) -> None:
        """Have a site looked at again at a time; durable before the metadata speaks of it."""
        files.make_folders(self._folder)
        (self._folder / _entry_at(site, time).name).touch()
        files.fsync_folder(self._folder)  # Also where it is there already: the sync that it came with may have failed.

    def until(self, now: datetime) -> list[Entry]:
        """What is due by now, the earliest first."""
        end = f"{int(now.timestamp()) + 1:011d}"  # Every worker asks once a second: only what is due is taken apart.
        try:
            names = sorted(name for name in os.listdir(self._folder) if name < end)
        except FileNotFoundError:
            return []
        return [entry for name in names if (entry := _entry(name))]

    def all(self) -> list[Entry]:
        """What is to come or due, the earliest first."""
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        return [entry for name in names if (entry := _entry(name))]

    def remove(self, entry: Entry) -> None:
        """It was looked at; the caller holds the site's lock, so that nobody needs it anew meanwhile.

        Not durably: it would only be looked at again.
        """
        with suppress(OSError):
            (self._folder / entry.name).unlink()

    def forget(self, site: Site, before: History, after: History | None = None) -> None:
        """Remove what ``before`` needed and ``after``, its metadata from now on, does not need any more."""
        needed = set() if after is None else {_entry_at(site, time) for time in times_of(after)}
        for entry in {_entry_at(site, time) for time in times_of(before)} - needed:
            self.remove(entry)


def times_of(known: History) -> list[datetime]:
    """When switches of a site are due."""
    times = [known.confirmation.until] if known.confirmation else []
    times += [known.plan.at] if known.plan else []
    return [datetime.fromisoformat(time) for time in times]


def _entry_at(site: Site, time: datetime) -> Entry:
    # A part of a second later than it says is soon enough; earlier is not.
    return Entry(max(0, int(time.timestamp())) + 1, site.username, site.id)


def _entry(name: str) -> Entry | None:
    time, _, rest = name.partition(",")
    username, _, site_id = rest.partition(",")
    if time.isdigit() and is_name(username) and is_name(site_id):
        return Entry(int(time), username, site_id)
    return None
