"""The command: run the checks, tell each finding in a line, and end with 1 when something does not work."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from pages.config import load_config
from pages.doctor import front, nginx_files, running, settings, storage
from pages.doctor.findings import Check, Examined, Finding, Level, ok, problem, warning
from pages.errors import ConfigError
from pages.model import now

CHECKS: dict[str, Check] = {
    "password": settings.password,
    "admin hosts": settings.admin_hosts,
    "data folder": storage.data_folder,
    "file system": storage.one_file_system,
    "room": storage.room,
    "clock": storage.clock,
    "open files": storage.descriptors,
    "restore": storage.restore,
    "service": running.service,
    "nginx": front.nginx,
    "nginx's access": front.access,
    "certificates": front.certificates,
    "database": running.dumps,
    "backup": running.newest_backup,
}
_COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "problem": "red"}


class _Told(NamedTuple):
    check: str
    finding: Finding


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--only", type=click.Choice(["settings", *CHECKS]), multiple=True, help="Only this check; may be repeated."
)
@click.option("--strict", is_flag=True, help="End with 1 for warnings too.")
@click.option("--nginx-conf", type=click.Path(dir_okay=False, path_type=Path), help="nginx's main configuration file.")
@click.option("--certificates", type=click.Path(file_okay=False, path_type=Path), help="As for nginx-config.")
def doctor(
    as_json: bool, only: tuple[str, ...], strict: bool, nginx_conf: Path | None, certificates: Path | None
) -> None:
    """Look for what would be found out late.

    Changes nothing. Each line is ok, a warning or a problem, with what to do about it. Exit status 0: no problems;
    1: there are.
    """
    told = [item for item in _all(nginx_conf, certificates, only) if not only or item.check in only]
    if as_json:
        click.echo(json.dumps(_as_json(told), ensure_ascii=False, separators=(",", ":")))
    else:
        _print(told)
    bad: tuple[Level, ...] = ("problem", "warning") if strict else ("problem",)
    sys.exit(any(finding.level in bad for _, finding in told))


def _all(nginx_conf: Path | None, certificates: Path | None, only: tuple[str, ...]) -> Iterator[_Told]:
    heard = _Heard()
    logging.getLogger("pages").addHandler(heard)
    try:
        config = load_config()
    except ConfigError as error:
        yield _Told("settings", problem(str(error), "nothing else can be looked at before that"))
        return
    finally:
        logging.getLogger("pages").removeHandler(heard)
    yield from (_Told("settings", warning(line, "see config.toml for those that there are")) for line in heard.lines)
    yield _Told("settings", ok(str(settings.settings_file() or "all defaults: there is no config.toml here")))
    examined = Examined(config, now(), nginx_conf or _main_file(), certificates)
    for name, check in CHECKS.items():
        if not only or name in only:
            yield from (_Told(name, finding) for finding in _safely(check, examined))


def _safely(check: Check, examined: Examined) -> Iterator[Finding]:
    try:
        yield from check(examined)
    except (OSError, ConfigError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        yield warning(f"cannot be looked at: {reason}", "ask as a user who may (root may all)")


def _main_file() -> Path | None:
    program = nginx_files.program()
    return Path(nginx_files.built_in(program).get("conf-path", "/etc/nginx/nginx.conf")) if program else None


def _print(told: list[_Told]) -> None:
    for check, (level, message, todo) in told:
        click.echo(f"{click.style(f'{level:<8}', fg=_COLOURS[level])} {check}: {message}")
        if todo:
            click.echo(f"         > {todo}")
    problems = sum(finding.level == "problem" for _, finding in told)
    warnings = sum(finding.level == "warning" for _, finding in told)
    click.echo(f"{problems} problems, {warnings} warnings.")


def _as_json(told: list[_Told]) -> dict[str, object]:
    sound = not any(finding.level == "problem" for _, finding in told)
    return {"ok": sound, "findings": [{"check": check, **finding._asdict()} for check, finding in told]}


class _Heard(logging.Handler):
    """What reading the settings warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
