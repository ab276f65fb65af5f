"""What an operator does with the data folder itself: verify and repair, back up, drill, restore.

None of it asks the running service: all of it works beside one, and without one. Only who names a server
(--url, PAGES_URL) has that one back itself up, or verify itself.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from pages import backups, database, drill
from pages.client import service
from pages.client.options import Session
from pages.client.text import in_one_line
from pages.config import Config, load_config
from pages.errors import OperationFailed, SiteNotFound
from pages.model import is_name, now
from pages.services import Services, build_services
from pages.verify import Checked, Report

_WATCHED_EVERY_SECONDS = 0.2


class _SiteName(click.ParamType):  # type: ignore[type-arg]
    """TENANT/ID as a pair."""

    name = "TENANT/ID"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str] | object:
        if not isinstance(value, str):
            return value
        username, _, site_id = value.partition("/")
        if not (is_name(username) and is_name(site_id)):
            self.fail(f"{value!r} is no TENANT/ID, as default/blog is", param, ctx)
        return username, site_id


_site = click.option("--site", type=_SiteName(), help="Only this site.")
_url = click.option("--url", envvar="PAGES_URL", help="Have this server do it, instead of here.  [else PAGES_URL]")
_insecure_http = click.option("--insecure-http", is_flag=True, help="With --url: send the token unencrypted.")
_quiet = click.option("--quiet", "-q", is_flag=True, help="With --url: print results, warnings and errors only.")


@click.command()
@_site
@click.option("--repair", is_flag=True, help="Rebuild what can be rebuilt; move the rest to data/quarantine.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API's verify returns.")
@_url
@_insecure_http
@_quiet
def verify(
    site: tuple[str, str] | None, repair: bool, as_json: bool, url: str | None, insecure_http: bool, quiet: bool
) -> None:
    """Re-read everything on disk and say what is wrong.

    Checks archives, unpacked versions, compressed twins, records, links, metadata, leftovers and backups. Runs beside a
    serving installation. Exit status 0: sound (with --repair: by now); 1: problems are left.
    """
    if url:
        service.verify(Session(url, insecure_http, as_json, quiet), site, repair)
        return
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    services = build_services(load_config())
    _require_data(services)
    progress = _Progress(sys.stderr.isatty())
    with _named(site):
        report = services.verifier.run(now(), only=site, repair=repair, progress=progress)
    progress.close()
    if as_json:
        click.echo(msgspec.json.encode({"problems": report.problems(), "checked": report.checked}).decode())
    else:
        _tell(report)
    raise SystemExit(0 if report.is_sound else 1)


@click.command()
@click.option("--full", is_flag=True, help="Registry, metadata and archives of all sites, in one tar.")
@_site
@click.option("--output", type=click.Path(path_type=Path), help="Write the full backup to this new file instead.")
@click.option("--drill", "is_drill", is_flag=True, help="Restore a backup into a temporary place, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API's backup returns, or its file at least.")
@_url
@_insecure_http
@_quiet
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def backup(
    full: bool, site: tuple[str, str] | None, output: Path | None, is_drill: bool, file: Path | None, as_json: bool,
    url: str | None, insecure_http: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write a backup into backup_dir, also while the service is down; or prove that one can be restored.

    Without an option: the database, or the registry, as the maintenance API does. With --drill: the newest
    full backup and the newest other one, or FILE. Exit status of a drill 0: it was restored; 1: it could not
    be; 3: it could only be listed.
    """
    if url:
        if full or site or output or is_drill or file:
            raise click.UsageError("a server (--url, PAGES_URL) writes its usual backup: no other option goes with it")
        service.back_up(Session(url, insecure_http, as_json, quiet))
        return
    if is_drill and (full or site or output):
        raise click.UsageError("--drill takes no other option")
    if file and not is_drill:
        raise click.UsageError("FILE is for --drill")
    if (site or output) and not full:
        raise click.UsageError("--site and --output are for --full")
    services = build_services(load_config())
    if is_drill:
        done = drill.run(services.config, file)
        for line in done.lines:
            click.echo(line)
        raise SystemExit(done.status)
    _require_data(services)
    if not full:
        written = services.upkeep.back_up()
        click.echo(json.dumps({"backupFile": written.name}) if as_json else written)
        return
    with _named(site):
        path, missing = services.full_backups.back_up(now(), site, output)
    for name in missing:
        click.echo(f"Warning: the installation lacks {name}", err=True)
    click.echo(json.dumps({"backupFile": path.name, "missing": missing}) if as_json else path)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--clean", is_flag=True, help="Replace what the database holds of the same names.")
@_site
def restore(file: Path, clean: bool, site: tuple[str, str] | None) -> None:
    """Put a backup back: a full one, a database dump, a JSON of tables, or a JSON of the registry.

    A full backup goes onto an empty data folder, or with --site one site of it into this installation. The
    database is the one DATABASE_URL names and must be empty, unless --clean is given. A registry goes onto an empty
    data folder; put the archives of sites-checkpoints/ back before or after.
    """
    config = load_config()
    kind = backups.kind_of(file)
    if site and kind != "full":
        raise click.UsageError("--site is for full backups")
    if kind == "full":
        click.echo(f"Restored {_restore_full(config, file, site)} site(s), with all the checkpoints in the backup.")
    elif kind == "registry":
        click.echo(f"Restored the records and checkpoint metadata of {_restore_registry(config, file)} sites.")
    else:
        _restore_database(config, kind, file, clean)
        click.echo("Restored the database.")


def _restore_full(config: Config, file: Path, site: tuple[str, str] | None) -> int:
    services = _with_data(config)
    if site:
        services.full_restore.restore_site(file, *site)
    else:
        saved = services.full_restore.restore_all(file)
    services.recover()
    services.reload()
    return 1 if site else len(saved.sites)


def _restore_registry(config: Config, file: Path) -> int:
    services = _with_data(config)
    count = backups.restore_registry(file, services.workshop, services.registry, services.histories)
    services.recover()
    services.reload()
    return count


def _restore_database(config: Config, kind: str, file: Path, clean: bool) -> None:
    if not config.database_url:
        raise OperationFailed("this backup is of a database: set DATABASE_URL to the one to restore into")
    if kind == "dump":
        pg_restore = backups.pg_restore_of(config)
        database.load_dump(config.database_url, file, pg_restore=pg_restore, clean=clean, timeout=config.backup_timeout)
    else:
        database.import_tables(config.database_url, file, clean=clean)


@contextmanager
def _named(site: tuple[str, str] | None) -> Iterator[None]:
    """Say in English which site there is not."""
    try:
        yield
    except SiteNotFound:
        raise OperationFailed(f"there is no site {'/'.join(site or ())}") from None


def _with_data(config: Config) -> Services:
    config.data_dir.mkdir(parents=True, exist_ok=True)
    return build_services(config)


def _require_data(services: Services) -> None:
    if not services.paths.registry.is_dir():
        raise OperationFailed(f"there is no installation at {services.paths.data}")


class _Progress:
    """What is looked at right now, on a terminal's last line; nothing for ``is_watched`` false."""

    def __init__(self, is_watched: bool) -> None:
        self._is_watched = is_watched
        self._shown = 0.0

    def __call__(self, what: str, checked: Checked) -> None:
        """Called for each part."""
        if self._is_watched and time.monotonic() - self._shown > _WATCHED_EVERY_SECONDS:
            self._shown = time.monotonic()
            click.echo(f"\r\033[K{checked.sites} sites, {checked.bytes / 1e9:.2f} GB  {what[:60]}", nl=False, err=True)

    def close(self) -> None:
        """Clear the line."""
        if self._is_watched:
            click.echo("\r\033[K", nl=False, err=True)


def _tell(report: Report) -> None:
    for problem in report.problems():
        done = "  [repaired]" if problem.repaired else ""
        click.echo(f"{in_one_line(problem.file)}: {in_one_line(problem.reason)}{done}")
    if report.quarantine:
        click.echo(f"What was taken out of its place is in {report.quarantine}, and reasons.txt there says why.")
    checked = report.checked
    click.echo(
        f"Checked {checked.sites} sites, {checked.checkpoints} checkpoints, {checked.files} files, "
        f"{checked.bytes} bytes: {_verdict(report)}."
    )


def _verdict(report: Report) -> str:
    left = sum(not repaired for _, repaired in report.found)
    if left:
        return f"{left} problems" + (" are left" if left < len(report.found) else "")
    return f"sound, {len(report.found)} problems were repaired" if report.found else "sound"
