"""When a switch is due: an empty file for each, named after its time and its site; the metadata says which switch.

So nobody has to look through all sites to find what is due. A file too many is harmless: the metadata knows better.
"""

import os
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from pages import files
from pages.model import Site, is_name
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
        # A part of a second later than it says is soon enough; earlier is not.
        path = self._folder / Entry(int(time.timestamp()) + 1, site.username, site.id).name
        if not path.exists():
            path.touch()
            files.fsync_folder(self._folder)

    def until(self, now: datetime) -> list[Entry]:
        """What is due by now, the earliest first."""
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        entries = [entry for name in names if (entry := _entry(name))]
        return [entry for entry in entries if entry.time <= now.timestamp()]

    def remove(self, entry: Entry) -> None:
        """It was looked at. Not durably: it would only be looked at again."""
        with suppress(FileNotFoundError):
            (self._folder / entry.name).unlink()


def _entry(name: str) -> Entry | None:
    time, _, rest = name.partition(",")
    username, _, site_id = rest.partition(",")
    if time.isdigit() and is_name(username) and is_name(site_id):
        return Entry(int(time), username, site_id)
    return None
