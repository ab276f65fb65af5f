"""``pages sites``: list, create, show, change and delete them."""

import json
from collections.abc import Callable
from typing import Any

import click

from pages.client.exits import USAGE, Failed
from pages.client.options import Session, asks_a_server, yes_option
from pages.client.output import confirm

_site_argument = click.argument("site", metavar="[TENANT/ID]", required=False)


@click.group()
def sites() -> None:
    """List, create, change and delete sites."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for what a site can be set to; None is what was not said."""
    for option in reversed((
        click.option("--index", help="The index file's name."),
        click.option("--enable/--disable", "enabled", default=None, help="Serve it, or not."),
        click.option("--alias", "aliases", multiple=True, metavar="DOMAIN", help="One more domain; may be repeated."),
        click.option("--no-aliases", is_flag=True, help="No domain but --domain."),
        click.option(
            "--alias-mode",
            type=click.Choice(["redirect", "serve"]),
            help="Send visitors of the other domains on, or serve them there.",
        ),
        click.option("--clean-urls/--no-clean-urls", default=None, help="/about instead of /about.html."),
        click.option(
            "--trailing-slash",
            type=click.Choice(["auto", "always", "never"]),
            help="What addresses end with; auto: folders do, pages do not.",
        ),
        click.option("--spa/--no-spa", default=None, help="A page that is not there shows the index."),
        click.option("--not-found", metavar="FILE", help="The 404 page."),
        click.option("--cache", metavar="NAME=SECONDS,…", help="html, assets and hashed: how long copies are fresh."),
        click.option("--retention", metavar="NAME=NUMBER,…", help="count, days and bytes: which checkpoints are kept."),
        click.option("--lock/--unlock", "locked", default=None, help="Store deploys and make none of them live."),
    )):  # fmt: skip
        command = option(command)
    return command


@sites.command("list")
@click.option("--tenant", help="Only this tenant's.")
@asks_a_server
def list_sites(session: Session, tenant: str | None) -> None:
    """List the sites that you may see."""
    with session.api() as api:
        data = api.get("/_api/sites", **({"username": tenant} if tenant else {}))
    rows = [(_name(each), each["domain"], _state(each), each["updated_at"][:19]) for each in data["sites"]]
    session.output.table(data, ("SITE", "DOMAIN", "STATE", "CHANGED"), rows)


@sites.command()
@_site_argument
@asks_a_server
def show(session: Session, site: str | None) -> None:
    """Show a site with all its settings."""
    with session.api() as api:
        data = api.get(f"/_api/sites/{session.site(site)}")
    session.output.answer(data, (f"{name}: {_shown(value)}" for name, value in data.items()))


@sites.command()
@_site_argument
@click.option("--domain", required=True, help="The domain that it is on.")
@_settings
@asks_a_server
def create(session: Session, site: str | None, domain: str, **settings: Any) -> None:
    """Create a site."""
    username, _, site_id = session.site(site).partition("/")
    body = {"username": username, "id": site_id, "domain": domain, **_said(**settings)}
    with session.api() as api:
        data = api.call("POST", "/_api/sites", body=body).data
    session.output.done(data, f"Created {_name(data)} on {data['domain']}")


@sites.command()
@_site_argument
@click.option("--domain", help="The domain that it is on.")
@_settings
@asks_a_server
def update(session: Session, site: str | None, domain: str | None, **settings: Any) -> None:
    """Change a site's settings; what is not named stays."""
    body = {**({"domain": domain} if domain is not None else {}), **_said(**settings)}
    if not body:
        raise Failed("nothing to change is named", USAGE)
    with session.api() as api:
        data = api.call("PUT", f"/_api/sites/{session.site(site)}", body=body).data
    session.output.done(data, f"Changed {_name(data)}: {', '.join(body)}")


@sites.command()
@_site_argument
@click.option("--if-match", metavar="CHECKPOINT", help="Only while this checkpoint is the current one.")
@yes_option
@asks_a_server
def delete(session: Session, site: str | None, if_match: str | None, yes: bool) -> None:
    """Delete a site with all its checkpoints."""
    name = session.site(site)
    with session.api() as api:
        confirm(f"Delete {name} on {api.url}, with all its checkpoints?", yes)
        headers = {"If-Match": f'"{if_match}"'} if if_match else {}
        data = api.call("DELETE", f"/_api/sites/{name}", headers=headers).data
    session.output.done(data, f"Deleted {name}")


def _said(
    aliases: tuple[str, ...], no_aliases: bool, cache: str | None, retention: str | None, **plain: Any
) -> dict[str, Any]:
    """Those settings that the command line names, as the API takes them."""
    if aliases and no_aliases:
        raise Failed("--alias and --no-aliases exclude each other", USAGE)
    said = {name: value for name, value in plain.items() if value is not None}
    if aliases or no_aliases:
        said["aliases"] = list(aliases)
    for name, text in (("cache", cache), ("retention", retention)):
        if text is not None:
            said[name] = _numbers(name, text)
    return said


def _numbers(option: str, text: str) -> dict[str, int]:
    """``html=0,assets=3600`` as a mapping; ``Failed`` for anything else."""
    found = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise Failed(f"--{option} takes NAME=NUMBER,…, not {part!r}", USAGE)
        found[name.strip()] = int(number)
    return found


def _name(site: dict[str, Any]) -> str:
    return f"{site['username']}/{site['id']}"


def _state(site: dict[str, Any]) -> str:
    return ("enabled" if site["enabled"] else "disabled") + (", locked" if site["locked"] else "")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
