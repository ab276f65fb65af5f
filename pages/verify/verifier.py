"""Goes through all parts of an installation: looks, looks again under the lock, mends, tells."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path

from pages.backups import Backups
from pages.errors import Broken, PagesError, SiteNotFound
from pages.history import Histories
from pages.paths import Paths
from pages.registry import Registry
from pages.trees import Trees
from pages.verify.checkpoints import CheckpointPart, StrayPart
from pages.verify.findings import Checked, Finding, Report
from pages.verify.leftovers import BackupPart, WorkPart, orphans
from pages.verify.links import LinksPart
from pages.verify.metadata import MetadataPart
from pages.verify.parts import Ground, Part, View, shown
from pages.verify.quarantine import Quarantine
from pages.verify.unpacked import RootPart, TreePart, TwinsPart
from pages.versions import Versions
from pages.work import Workshop

Progress = Callable[[str, Checked], None]


def _silent(what: str, checked: Checked) -> None:
    """The progress that nobody watches."""


class Verifier:
    """Verifies one installation. ``finish_abandoned`` completes what dead processes had begun."""

    def __init__(
        self,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        trees: Trees,
        versions: Versions,
        backups: Backups,
        finish_abandoned: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees
        self._versions = versions
        self._backups = backups
        self._finish_abandoned = finish_abandoned

    def run(
        self,
        now: datetime,
        *,
        only: tuple[str, str] | None = None,
        repair: bool = False,
        backups: bool = True,
        progress: Progress = _silent,
    ) -> Report:
        """Look at everything, or at ``only`` one site (username, id); ``SiteNotFound`` when there is none.

        With ``repair`` what is wrong is put right as far as that can be. ``progress`` is told of each part.
        """
        if only is not None and not self._registry.has(*only):
            raise SiteNotFound()
        report = Report()
        quarantine = Quarantine(self._paths.data, now)
        ground = Ground(
            self._paths,
            self._registry,
            self._histories,
            self._trees,
            self._versions,
            report.checked,
            quarantine,
            now,
        )
        for part in self._parts(ground, only, backups):
            progress(f"{part.username}/{part.site_id}".strip("/"), report.checked)
            found = self._seen(ground, part)
            if found:
                report.found += self._settled(part, found, repair)
        report.quarantine = quarantine.folder
        return report

    def _parts(self, ground: Ground, only: tuple[str, str] | None, backups: bool) -> Iterator[Part]:
        """Everything, each after what it is mended from."""
        if only is None:
            yield WorkPart(ground, self._finish_abandoned)
        yield LinksPart(ground, only)
        for username, site_id in [only] if only else self._registry.names():
            yield from self._parts_of(ground, View(ground, username, site_id))
        if only is None:
            yield from orphans(ground)
            for path in self._backups.all() if backups else ():
                yield BackupPart(ground, self._backups, path)

    def _parts_of(self, ground: Ground, view: View) -> Iterator[Part]:
        try:
            view.refresh()
        except (SiteNotFound, Broken):
            return  # Gone meanwhile, or told where the record is.
        ground.checked.sites += 1
        yield MetadataPart(ground, view)
        yield StrayPart(ground, view)
        for checkpoint in view.history.checkpoints if view.history else ():
            ground.checked.checkpoints += 1
            yield CheckpointPart(ground, view, checkpoint.id)
        for version in _names_in(self._paths.versions(view.username, view.site_id)):
            yield TreePart(ground, view, version)
        yield RootPart(ground, view)
        for version in _names_in(self._paths.encodings / view.username / view.site_id):
            yield TwinsPart(ground, view, version)

    def _seen(self, ground: Ground, part: Part) -> list[Finding]:
        """What looks wrong without a lock; what goes away just then is looked at again, too."""
        try:
            return list(part.look())
        except OSError as error:
            site = f"{part.username}/{part.site_id}" if part.username else None
            file = os.path.relpath(error.filename or ground.paths.data, ground.paths.data)
            return [Finding(site, shown(file), "unreadable", error.strerror or "")]

    def _settled(self, part: Part, before: list[Finding], repair: bool) -> Iterable[tuple[Finding, bool]]:
        """What is still wrong under the lock, and whether it was repaired."""
        try:
            with self._workshop.work() as work:
                with self._locked(part):
                    found = list(part.again())
                    if found and repair:
                        part.found = found
                        part.mend(work)
                if found and repair:
                    part.afterwards(work)
            if not (found and repair):
                return [(finding, False) for finding in found]
            with self._locked(part):
                left = set(part.again())
            return [*((each, each not in left) for each in found), *((each, False) for each in left - set(found))]
        except (PagesError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return [(Finding(each.site, each.file, "busy", reason), False) for each in before]

    def _locked(self, part: Part) -> AbstractContextManager[None]:
        if part.lock == "site":
            return self._registry.site_locked(part.username, part.site_id)
        return self._registry.locked() if part.lock == "registry" else nullcontext()


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
