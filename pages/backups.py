"""Backups: a file that exists is whole; the newest are kept (contract 5).

With a database, PostgreSQL's own dump of it, or all tables as JSON where pg_dump cannot; without one,
the registry and all checkpoint metadata as JSON. Each is written aside, checked, synced and renamed.
"""

import errno
import logging
import os
import re
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pages import database, files, full_tar
from pages.config import Config
from pages.errors import BackupNotFound, OperationFailed, SiteBusy
from pages.history import Histories
from pages.model import is_name
from pages.paths import Paths
from pages.registry import Registry
from pages.work import Workshop

log = logging.getLogger(__name__)

_STAMP = r"backup-[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{3}Z"
# The kinds are pruned apart: many small ones must not push out the few full ones.
NAMES = re.compile(rf"{_STAMP}\.(?:sql|json)"), re.compile(rf"{_STAMP}\.full\.tar")
# Those of one site are no backup of the others: apart from all else, and each site's from another's.
_OF_ONE_SITE = re.compile(rf"{_STAMP}\.[^@/]+@[^@/]+\.tar")
# Gone since it was listed; a link; a socket; a folder; a pipe or a device.
_NO_BACKUP = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EINVAL)
REGISTRY_FORMAT = "pages-registry"


class _SavedSite(msgspec.Struct):
    """One site in a registry backup; what cannot be parsed is kept as its text."""

    username: str
    id: str
    record: Any
    metadata: Any


class _SavedRegistry(msgspec.Struct):
    format: str
    version: int
    created_at: str
    sites: list[_SavedSite]


class Backups:
    """The backups of one installation, in ``config.backup_dir``."""

    def __init__(self, config: Config, paths: Paths, registry: Registry) -> None:
        self._config = config
        self._paths = paths
        self._registry = registry

    def back_up(self, now: datetime) -> Path:
        """Write a new backup and let the oldest go; returns its path. Raises ``OperationFailed``."""
        folder = self._config.backup_dir
        files.make_folders(folder, 0o700)
        aside = folder / f".unfinished-{secrets.token_hex(8)}"
        try:
            extension = self._write(aside)
            with open(aside, "rb") as file:
                os.fsync(file.fileno())
            backup = give_name(aside, folder, now, extension)
            files.fsync_folder(folder)
        finally:
            aside.unlink(missing_ok=True)
        prune(folder, NAMES[0], self._config.backup_keep, keep=backup)
        self._clear_unfinished()
        return backup

    def all(self) -> list[Path]:
        """All backups of every kind, the oldest first."""
        return self._named(*NAMES, _OF_ONE_SITE)

    def open(self, untrusted_name: str) -> BinaryIO:
        """One of them, to be read; ``BackupNotFound``.

        No path is made of a name that is not in the list, and a link of such a name leads nowhere.
        """
        found = next((path for path in self.all() if path.name == untrusted_name), None)
        if found is None:
            raise BackupNotFound()
        try:
            return files.open_regular(found, os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _NO_BACKUP:
                raise BackupNotFound() from None
            raise

    def newest(self) -> list[Path]:
        """The newest full one and the newest other one, as far as there are; none of a single site."""
        return [named[-1] for form in NAMES if (named := self._named(form))]

    def check(self, backup: Path) -> str:
        """Read a backup through and return its kind; ``OperationFailed`` when it is not whole."""
        kind = kind_of(backup)
        if kind == "full":
            full_tar.check(backup)
        elif kind == "registry":
            _read_registry(backup)
        elif kind == "tables":
            database.check_export(backup)
        else:
            database.list_dump(backup, pg_restore=pg_restore_of(self._config), timeout=self._config.backup_timeout)
        return kind

    def set_aside(self, backup: Path) -> None:
        """Move a backup that is not whole to where nobody takes it for one."""
        folder = self._config.backup_dir / "quarantine"
        folder.mkdir(mode=0o700, exist_ok=True)
        os.rename(backup, folder / backup.name)
        files.fsync_folder(folder)
        files.fsync_folder(backup.parent)

    def _named(self, *forms: re.Pattern[str]) -> list[Path]:
        folder = self._config.backup_dir
        names = os.listdir(folder) if folder.is_dir() else []
        return [folder / name for name in sorted(names) if any(form.fullmatch(name) for form in forms)]

    def _write(self, aside: Path) -> str:
        url = self._config.database_url
        if not url:
            self._export_registry(aside)
            return "json"
        try:
            pg_dump = self._config.pg_dump_path or "pg_dump"
            database.dump(url, aside, pg_dump=pg_dump, timeout=self._config.backup_timeout)
            return "sql"
        except database.PgDumpUnavailable as error:
            log.warning("pg_dump cannot be used (%s): exporting every table as JSON", error)
        database.export_tables(url, aside)
        database.check_export(aside)
        return "json"

    def _export_registry(self, aside: Path) -> None:
        # All of one moment: otherwise a domain that moves meanwhile could be in it twice, or a site half.
        try:
            with self._registry.locked():
                sites = [self._saved(username, site_id) for username, site_id in self._registry.names()]
        except SiteBusy:
            raise OperationFailed("the registry is being changed all the time; try again later") from None
        created_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = msgspec.json.encode(_SavedRegistry(REGISTRY_FORMAT, 1, created_at, sites))
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.format(data, indent=1) + b"\n")
        if len(_read_registry(aside).sites) != len(sites):
            raise OperationFailed("the backup could not be read back as it was written")

    def _saved(self, username: str, site_id: str) -> _SavedSite:
        record = _json_or_text(self._paths.record(username, site_id))
        return _SavedSite(username, site_id, record, _json_or_text(self._paths.metadata(username, site_id)))

    def _clear_unfinished(self) -> None:
        for unfinished in self._config.backup_dir.glob(".unfinished-*"):
            # What a crash left; one that is being written is younger than it may take.
            with suppress(FileNotFoundError):
                if time.time() - unfinished.stat().st_mtime > self._config.backup_timeout:
                    unfinished.unlink()


def form_of_site(username: str, site_id: str) -> re.Pattern[str]:
    """How the full backups of this one site are named."""
    return re.compile(rf"{_STAMP}\.{re.escape(f'{username}@{site_id}')}\.tar")


def pg_restore_of(config: Config) -> str:
    """The program that reads dumps: beside the pg_dump of the settings, or on PATH."""
    return str(Path(config.pg_dump_path).with_name("pg_restore")) if config.pg_dump_path else "pg_restore"


def prune(folder: Path, form: re.Pattern[str], count: int, keep: Path) -> None:
    """Delete all but the newest ``count`` backups of one kind, by the time in their names; no other file."""
    for name in sorted(filter(form.fullmatch, os.listdir(folder)), reverse=True)[count:]:
        if name != keep.name:
            with suppress(FileNotFoundError):  # Another backup is pruning as well.
                (folder / name).unlink()


def restore_registry(source: Path, workshop: Workshop, registry: Registry, histories: Histories) -> int:
    """Put a registry backup's records and metadata onto an empty data folder; returns how many sites.

    Raises ``OperationFailed`` when the file is no such backup or the folder has sites already.
    """
    saved = _read_registry(source)
    if registry.names():
        raise OperationFailed("the data folder has sites already; restore onto an empty one (set PAGES_DATA_DIR)")
    sites = []
    for item in saved.sites:
        if not (is_name(item.username) and is_name(item.id)):
            raise OperationFailed(f"the backup names an impossible site: {item.username!r}/{item.id!r}")
        sites.append((item, _bytes(item.record), _bytes(item.metadata)))
    with workshop.work() as work:
        with registry.locked():
            for item, record, metadata in sites:
                if metadata is not None:
                    histories.restore(work, item.username, item.id, metadata)
                if record is not None:
                    registry.restore(work, item.username, item.id, record)
        registry.sync(work)
    return len(sites)


def kind_of(source: Path) -> str:
    """The kind of a backup by how it begins: dump, tables, registry or full; ``OperationFailed`` for none of them."""
    with open(source, "rb") as file:
        beginning = file.read(2048)
    for mark, kind in ((b"PGDMP", "dump"), (b'"pages-tables"', "tables"), (b'"pages-registry"', "registry")):
        if mark in beginning[:300]:
            return kind
    if beginning.startswith(full_tar.HEADER.encode() + b"\0"):
        return "full"
    raise OperationFailed(f"{source} is no backup made by Pages")


def _read_registry(source: Path) -> _SavedRegistry:
    try:
        saved = msgspec.json.decode(source.read_bytes(), type=_SavedRegistry)
    except msgspec.MsgspecError as error:
        raise OperationFailed(f"{source.name} is not a whole registry backup: {error}") from None
    if saved.format != REGISTRY_FORMAT or saved.version != 1:
        raise OperationFailed(f"{source.name} is not a registry backup of a version this program knows")
    return saved


def _json_or_text(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return data.decode("utf-8", "replace")


def _bytes(saved: Any) -> bytes | None:
    if saved is None:
        return None
    if isinstance(saved, str):
        return saved.encode()
    return msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n"


def give_name(aside: Path, folder: Path, now: datetime, extension: str) -> Path:
    """Give the finished file its name: the time, or the next free millisecond after it."""
    time = now.astimezone(UTC)
    while True:
        stamp = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        backup = folder / f"backup-{re.sub('[:.]', '-', stamp)}.{extension}"
        others = (folder / backup.name.replace(extension, other) for other in ("sql", "json", "full.tar"))
        if not any(path.exists() for path in others):
            try:
                os.link(aside, backup)
                return backup
            except FileExistsError:  # Another backup was faster.
                pass
        time += timedelta(milliseconds=1)
