"""The operator's small commands: check the settings, print nginx's, hash a password, ask for maintenance."""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

import click
from werkzeug.security import generate_password_hash

from pages import passwords
from pages.config import Config, as_json, load_config
from pages.errors import OperationFailed
from pages.logs import set_up_logging
from pages.nginx import nginx_config
from pages.nginx_tls import Tls
from pages.services import build_services


@click.command()
def check() -> None:
    """Check the settings without starting anything."""
    load_config()
    path = Path(os.environ.get("PAGES_CONFIG", "config.toml")).absolute()
    where = str(path) if path.is_file() else f"all defaults: there is no {path}"
    click.echo(f"The settings are fine ({where}, and the environment).")


@click.command(hidden=True)
def settings() -> None:
    """Write the settings, passwords included, as gunicorn.conf.py reads them."""
    click.echo(as_json(load_config()))


@click.command("start-up", hidden=True)
def start_up() -> None:
    """Recover the data folder and put edits made by hand in force (gunicorn runs this)."""
    config = load_config()
    set_up_logging(config.log_format)
    services = build_services(config)
    services.recover()
    services.reload()


@click.command("nginx-config")
@click.option("--listen", help="nginx's port, or address and port.  [default: 80; with --certificates 443]")
@click.option("--certificates", type=click.Path(path_type=Path), help="Serve by TLS with what is in this folder.")
@click.option("--listen-plain", default="80", show_default=True, help="With --certificates: the port for http.")
def print_nginx_config(listen: str | None, certificates: Path | None, listen_plain: str) -> None:
    """Print the nginx configuration for this installation.

    It belongs into nginx's http block: write it to /etc/nginx/conf.d/pages.conf. How certificates come
    into their folder stands in docs/tls.md.
    """
    tls = Tls(certificates.absolute(), listen_plain) if certificates else None
    click.echo(nginx_config(load_config(), listen or ("443" if tls else "80"), tls), nl=False)


@click.command("hash-password")
def hash_password() -> None:
    """Make a hash to put into config.toml instead of the password."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = _first_line(sys.stdin.buffer)
    if not password:
        raise OperationFailed("a password must not be empty")
    click.echo(generate_password_hash(password))


def _first_line(stream: BinaryIO) -> str:
    """The password in a pipe, without the end of its line, from Windows too; UTF-8, whatever the locale."""
    try:
        return stream.readline().removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise OperationFailed("the password is not UTF-8, which is how browsers and curl send it") from None


@click.command()
@click.argument("action", type=click.Choice(["backup", "clear-cache", "restart"]))
def maintenance(action: str) -> None:
    """Ask the running service for a maintenance action, with the configured credentials."""
    reply = _ask(load_config(), action)
    click.echo(json.dumps(reply, ensure_ascii=False, indent=2))
    if not reply.get("success"):
        raise SystemExit(1)


def _ask(config: Config, action: str) -> dict[str, object]:
    """POST to the maintenance API of this installation; its reply, also when it is an error."""
    if passwords.is_hash(config.admin_pass):
        raise OperationFailed("admin_pass is a hash: give the password itself in PAGES_ADMIN_PASS for this command")
    request = urllib.request.Request(
        f"http://{config.address}/api/admin/maintenance",
        data=json.dumps({"action": action}).encode(),
        headers={"Content-Type": "application/json", "Authorization": _basic(config)},
    )
    if config.admin_hosts:
        request.add_header("Host", config.admin_hosts[0])
    try:
        with urllib.request.urlopen(request, timeout=config.backup_timeout) as response:  # noqa: S310
            body = response.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError as error:
        raise OperationFailed(f"no answer from http://{config.address}: {error}. Is it running?") from None
    try:
        reply: dict[str, object] = json.loads(body)
    except ValueError:
        raise OperationFailed(f"http://{config.address} did not answer as Pages does") from None
    return reply


def _basic(config: Config) -> str:
    pair = f"{config.admin_user}:{config.admin_pass}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")
