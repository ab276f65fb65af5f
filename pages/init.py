"""``pages init``: a new installation's settings, commented, and its folders."""

import json
import os
import pwd
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import click
from werkzeug.security import generate_password_hash

from pages import files
from pages.config import Config, load_config
from pages.errors import OperationFailed

# Who owns these folders and nginx's user, in that group, may enter; what is in backups is the owner's alone.
_DATA_MODE, _BACKUP_MODE, _SETTINGS_MODE = 0o750, 0o700, 0o640
_PASSWORD_BYTES = 18


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--data-dir", help="Where everything is to live.  [default: FOLDER/data]")
@click.option("--backup-dir", help="Where backups are written.  [default: FOLDER/backups]")
@click.option(
    "--admin-host", "admin_hosts", multiple=True, help="A host name for the API (admin_hosts); may be repeated."
)
@click.option("--user", help="Who is to run it: the folders become this user's, the settings readable for its group.")
def init(
    folder: Path, data_dir: str | None, backup_dir: str | None, admin_hosts: tuple[str, ...], user: str | None
) -> None:
    """Make a folder ready, with every setting explained.

    FOLDER is this one, unless it is named; it gets a config.toml and the folders for data and backups. The settings
    are those for production, with a password that is made up, shown once and kept as a hash. Nothing that is there
    already is changed.
    """
    account = _account(user)
    path = folder.absolute() / "config.toml"
    if os.path.lexists(path):
        raise OperationFailed(f"{path} is there already, and stays as it is")
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    settings: dict[str, Any] = {
        "environment": "production",
        "admin_pass": generate_password_hash(password),
        # The nginx of `pages nginx-config` comes by the unix socket, which only our group can reach.
        "trusted_proxies": ["unix"],
        "admin_hosts": list(admin_hosts) or None,
        "data_dir": data_dir and str(Path(data_dir).absolute()),
        "backup_dir": backup_dir and str(Path(backup_dir).absolute()),
    }
    config = _write(path, with_values({key: value for key, value in settings.items() if value}), account)
    _make(config.data_dir, _DATA_MODE, account)
    _make(config.backup_dir, _BACKUP_MODE, account)
    _tell(path, config, password)


def default_settings() -> str:
    """The text of config.toml with every setting at its default."""
    return (package_files("pages") / "config.toml").read_text(encoding="utf-8")


def with_values(values: Mapping[str, Any]) -> str:
    """The same text with other values for these settings: strings or lists of strings."""
    text = default_settings()
    for key, value in values.items():
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
        text, count = re.subn(rf"^{key} = .*$", lambda _, line=line: line, text, flags=re.MULTILINE)  # type: ignore[misc]
        assert count == 1, key  # noqa: S101 - a name of this module that config.toml lacks
    return text


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise OperationFailed(f"there is no user {user!r}: adduser --system --group {user}") from None


def _write(path: Path, text: str, account: pwd.struct_passwd | None) -> Config:
    """Put the settings at ``path`` once they are known to be fine; returns them. ``ConfigError``."""
    files.make_folders(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SETTINGS_MODE), "w", encoding="utf-8") as file:
            file.write(text)
        if account:
            shutil.chown(beside, group=account.pw_gid)
        load_config({"PAGES_CONFIG": str(beside)})
        os.link(beside, path)  # Unlike a rename, it replaces nothing that came meanwhile.
    finally:
        beside.unlink(missing_ok=True)
    return load_config({"PAGES_CONFIG": str(path)})


def _make(folder: Path, mode: int, account: pwd.struct_passwd | None) -> None:
    if folder.is_dir():
        return
    files.make_folders(folder, mode)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)


def _tell(path: Path, config: Config, password: str) -> None:
    click.echo(f"Settings: {path}\nData:     {config.data_dir}\nBackups:  {config.backup_dir}\n")
    click.echo(f"User {config.admin_user!r}, password (shown this once, kept as a hash):\n\n    {password}\n")
    if not config.admin_hosts:
        click.echo("Set admin_hosts before people you do not trust publish sites here.")
    named = "" if path.parent == Path.cwd() else f"PAGES_CONFIG={shlex.quote(str(path))} "
    click.echo(f"Serve:      {named}pages serve\nLook at it: {named}pages doctor")
