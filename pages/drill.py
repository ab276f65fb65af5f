"""A drill: restore a backup into a temporary place and compare. The live installation is only read.

What differs from the live installation is named and no failure: it went on since.
"""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pages import backups, database
from pages.backups import Backups
from pages.config import Config
from pages.errors import OperationFailed, PagesError
from pages.full_tar import Saved
from pages.model import Site, now
from pages.services import Services, build_services
from pages.verify.content import file_digest
from pages.work import Workshop

RESTORED, FAILED, ONLY_LISTED = 0, 1, 3


@dataclass
class Drill:
    """How a drill ended: what to tell, and the exit status."""

    lines: list[str] = field(default_factory=list)
    status: int = RESTORED

    def fail(self, line: str) -> None:
        self.lines.append(line)
        self.status = FAILED

    def only_list(self, line: str) -> None:
        self.lines.append(line)
        self.status = self.status or ONLY_LISTED


def run(config: Config, source: Path | None) -> Drill:
    """Try the newest full backup and the newest other one, or ``source``; ``OperationFailed`` when there is none."""
    live = build_services(config)
    found = [source] if source else Backups(config, live.paths, live.registry).newest()
    if not found:
        raise OperationFailed(f"there is no backup in {config.backup_dir}")
    drill = Drill()
    for backup in found:
        _try(drill, config, live, backup)
    return drill


def _try(drill: Drill, config: Config, live: Services, backup: Path) -> None:
    drill.lines.append(f"Drill of {backup.name}")
    try:
        kind = backups.kind_of(backup)
        if kind in ("full", "registry"):
            _drill_files(drill, config, live, backup, kind)
        else:
            _drill_database(drill, config, backup, kind)
    except (PagesError, OSError) as error:
        drill.fail(f"It could not be restored: {error}")


# --- Files ----------------------------------------------------------------------------------


def _drill_files(drill: Drill, config: Config, live: Services, backup: Path, kind: str) -> None:
    with _temporary(config) as folder:
        copy = build_services(dataclasses.replace(config, data_dir=folder, database_url=""))
        if kind == "full":
            saved = copy.full_restore.restore_all(backup)
            copy.reload()
            drill.lines.append(f"Restored {len(saved.sites)} sites, {len(saved.members)} files.")
            _compare_with_manifest(drill, copy, saved)
            _verify(drill, copy)
        else:
            count = backups.restore_registry(backup, copy.workshop, copy.registry, copy.histories)
            drill.lines.append(f"Restored the records and metadata of {count} sites.")
            _read_all(drill, copy)
        drill.lines += _differences(_summary(copy), _summary(live))


@contextmanager
def _temporary(config: Config) -> Iterator[Path]:
    """A folder beside the backups, for which there must be room; what a killed drill left goes first."""
    base = config.backup_dir / ".drill"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    workshop = Workshop(base)
    workshop.clear_abandoned(lambda _: None)
    with workshop.work() as work:
        folder = work.path / "data"
        folder.mkdir()
        yield folder


def _compare_with_manifest(drill: Drill, copy: Services, saved: Saved) -> None:
    for name, file in saved.members.items():
        path = copy.paths.data / name
        if name.split("/")[0] not in ("registry", "sites-checkpoints"):
            continue
        if not os.path.lexists(path):
            drill.fail(f"{name}: is missing after the restore")
        elif not _is_rewritten(name) and file_digest(path) != (file.size, file.sha256):
            drill.fail(f"{name}: is not what was backed up")


def _is_rewritten(name: str) -> bool:
    """A manifest that an archive was backed up without is made anew when it is unpacked."""
    return "/manifests/" in name


def _verify(drill: Drill, copy: Services) -> None:
    report = copy.verifier.run(now(), backups=False)
    for problem in report.problems():
        drill.fail(f"{problem.file}: {problem.reason}")
    if report.is_sound:
        drill.lines.append(f"Verified {report.checked.files} files: sound.")


def _read_all(drill: Drill, copy: Services) -> None:
    """A registry backup holds no archives: its records and metadata have to be readable."""
    for username, site_id in copy.registry.names():
        try:
            copy.histories.read(copy.registry.get(username, site_id))
        except PagesError as error:
            drill.fail(f"{username}/{site_id}: {getattr(error, 'reason', error)}")


def _summary(services: Services) -> dict[str, tuple[object, object]]:
    """Of each site its record and its checkpoints; None for what cannot be read."""
    found: dict[str, tuple[object, object]] = {}
    for username, site_id in services.registry.names():
        record: Site | None = None
        history = None
        try:
            record = services.registry.get(username, site_id)
            history = services.histories.read(record)
        except PagesError:
            pass
        ids = history and (history.current, tuple(checkpoint.id for checkpoint in history.checkpoints))
        found[f"{username}/{site_id}"] = (record, ids)
    return found


def _differences(saved: dict[str, tuple[object, object]], live: dict[str, tuple[object, object]]) -> list[str]:
    lines = [f"{name}: only in the backup" for name in sorted(saved.keys() - live.keys())]
    lines += [f"{name}: only live, not in the backup" for name in sorted(live.keys() - saved.keys())]
    for name in sorted(saved.keys() & live.keys()):
        what = [text for text, a, b in zip(("record", "checkpoints"), saved[name], live[name], strict=True) if a != b]
        lines += [f"{name}: the live {' and '.join(what)} differ from the backup's"] if what else []
    return lines or ["Nothing differs from what is live."]


# --- Database -------------------------------------------------------------------------------


def _drill_database(drill: Drill, config: Config, backup: Path, kind: str) -> None:
    url = config.database_url
    if not url:
        raise OperationFailed("this backup is of a database: set DATABASE_URL to one on whose server it may be tried")
    with database.temporary_database(url) as copy:
        if copy is None:
            _list(drill, config, backup, kind)
            return
        if kind == "dump":
            pg_restore = backups.pg_restore_of(config)
            database.load_dump(copy, backup, pg_restore=pg_restore, timeout=config.backup_timeout)
        else:
            database.import_tables(copy, backup)
        restored, live = database.row_counts(copy), database.row_counts(url)
    drill.lines.append(f"Restored {len(restored)} tables, {sum(restored.values())} rows.")
    names = sorted({*restored, *live})
    differing = [
        f"{name}: {_rows(restored, name)}, live {_rows(live, name)}"
        for name in names
        if restored.get(name) != live.get(name)
    ]
    drill.lines += differing or ["Nothing differs from what is live."]


def _rows(counts: dict[str, int], name: str) -> str:
    return f"{counts[name]} rows" if name in counts else "no such table"


def _list(drill: Drill, config: Config, backup: Path, kind: str) -> None:
    if kind == "dump":
        database.list_dump(backup, pg_restore=backups.pg_restore_of(config), timeout=config.backup_timeout)
    else:
        database.check_export(backup)
    drill.only_list("It could only be listed: the database's user may create no database to restore it into.")
