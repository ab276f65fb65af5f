"""What a run goes through: parts, each of which can be looked at and mended by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pages.errors import Broken, HistoryBroken, SiteNotFound
from pages.history import Histories
from pages.model import History, Site
from pages.paths import Paths
from pages.registry import Registry
from pages.trees import Trees
from pages.verify.findings import Checked, Finding
from pages.verify.quarantine import Quarantine
from pages.versions import Versions
from pages.work import Work


@dataclass(frozen=True)
class Ground:
    """What parts stand on: one installation, and the counters and quarantine of one run."""

    paths: Paths
    registry: Registry
    histories: Histories
    trees: Trees
    versions: Versions
    checked: Checked
    quarantine: Quarantine
    now: datetime

    def relative(self, path: Path) -> str:
        """A path as it is told: relative to the data folder."""
        return shown(path.relative_to(self.paths.data))


class View:
    """One site as it was when ``refresh`` was called last; ``history`` is None when it cannot be read."""

    def __init__(self, ground: Ground, username: str, site_id: str) -> None:
        self._ground = ground
        self.username, self.site_id = username, site_id
        self.history: History | None = None
        self.reason = ""

    @property
    def name(self) -> str:
        return f"{self.username}/{self.site_id}"

    def refresh(self) -> None:
        """Read record and metadata anew: ``SiteNotFound`` when the site is gone, ``SiteBroken``."""
        self.site: Site = self._ground.registry.get(self.username, self.site_id)
        try:
            self.history, self.reason = self._ground.histories.read(self.site), ""
        except HistoryBroken as error:
            self.history, self.reason = None, error.reason.partition(": ")[2] or error.reason


class Part:
    """One thing that is right or wrong by itself.

    ``lock`` says under whose lock it is looked at again and mended.
    """

    lock: Literal["site", "registry", "none"] = "none"

    def __init__(self, ground: Ground, username: str = "", site_id: str = "") -> None:
        self.ground = ground
        self.username, self.site_id = username, site_id
        self.found: list[Finding] = []

    def look(self) -> Iterable[Finding]:
        """What is wrong with it."""
        raise NotImplementedError

    def again(self) -> Iterable[Finding]:
        """``look``, under the lock: nothing known from before counts."""
        return self.look()

    def mend(self, work: Work) -> None:
        """Put right what ``found`` says, as far as that can be; the lock is held."""

    def afterwards(self, work: Work) -> None:
        """What is left to do when the lock is free again."""


class SitePart(Part):
    """A part of a site that has a record."""

    lock = "site"

    def __init__(self, ground: Ground, view: View) -> None:
        super().__init__(ground, view.username, view.site_id)
        self.view = view

    def again(self) -> Iterable[Finding]:
        try:
            self.view.refresh()
        except (SiteNotFound, Broken):
            return []
        return self.look()

    def finding(self, path: Path, kind: str, detail: str = "") -> Finding:
        return Finding(self.view.name, self.ground.relative(path), kind, detail)


def shown(path: object) -> str:
    """A path that every terminal and JSON can hold."""
    return str(path).encode("utf-8", "backslashreplace").decode()
