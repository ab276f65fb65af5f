"""``pages diff``, ``preview``, ``explain``: look before, and ask why."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import click

from pages.client.api import Api
from pages.client.exits import NOT_FOUND, USAGE, Failed
from pages.client.options import Session, asks_a_server, site_option
from pages.client.text import Duration, many, size

_SHOWN = 50  # Of one kind; --json has more.


@click.command()
@click.argument("before", required=False)
@click.argument("after", required=False)
@site_option
@asks_a_server
def diff(session: Session, before: str | None, after: str | None, site: str | None) -> None:
    """Show what is different in another version.

    Files and addresses that differ between the checkpoints BEFORE and AFTER. Without AFTER: from the current one to
    the one named; without both: from the current one to the newest, or to it from the one before.
    """
    name = session.site(site)
    with session.api() as api:
        if before is None or after is None:
            before, after = _pair(api.get(f"/_api/sites/{name}/checkpoints"), before)
        data = api.get(f"/_api/sites/{name}/checkpoints/{before}/diff/{after}")
    session.output.answer(data, _differences(data))


@click.command()
@click.argument("checkpoint", required=False)
@site_option
@click.option("--expires-in", type=Duration(), help="For how long.  [default: 1d]")
@asks_a_server
def preview(session: Session, checkpoint: str | None, site: str | None, expires_in: int | None) -> None:
    """Make a link that shows one version.

    Whoever has the link sees the site as CHECKPOINT has it; without one, as the newest has it.
    """
    name = session.site(site)
    with session.api() as api:
        if checkpoint is None:
            checkpoint = _newest(api.get(f"/_api/sites/{name}/checkpoints"))
        body = {"expires_in": expires_in} if expires_in else {}
        data = api.call("POST", f"/_api/sites/{name}/checkpoints/{checkpoint}/preview", body=body).data
    lines = [data["url"], *([data["host_url"]] if "host_url" in data else ())]
    session.output.answer(data, lines)


@click.command()
@click.argument("address", metavar="URL")
@site_option
@click.option("--checkpoint", help="Ask this version instead of the one that is live.")
@asks_a_server
def explain(session: Session, address: str, site: str | None, checkpoint: str | None) -> None:
    """Say why an address is answered as it is.

    URL is a path of the site, or a whole address; for the latter, the site is found by its domain.
    """
    with session.api() as api:
        host = _host_of(address)
        name = _site_on(api, host) if site is None and host else session.site(site)
        asked = {"url": address, **({"checkpoint": checkpoint} if checkpoint else {})}
        data = api.get(f"/_api/sites/{name}/explain", **asked)
    session.output.answer(data, _reasons(data))


def _pair(found: dict[str, Any], named: str | None) -> tuple[str, str]:
    """The two checkpoints to compare where not both are named."""
    ids, current = [each["id"] for each in found["checkpoints"]], found["current"]
    if current not in ids:
        raise Failed("no checkpoint is live: name two", NOT_FOUND)
    if named is not None:
        return current, named
    if ids[0] != current:
        return current, ids[0]
    if len(ids) == 1:
        raise Failed("there is one checkpoint only", NOT_FOUND)
    return ids[1], current


def _newest(found: dict[str, Any]) -> str:
    if not found["checkpoints"]:
        raise Failed("there is no checkpoint", NOT_FOUND)
    return str(found["checkpoints"][0]["id"])


def _host_of(address: str) -> str:
    """The host of a whole address, "" of a path."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        raise Failed(f"{address!r} is no address", USAGE) from None


def _site_on(api: Api, host: str) -> str:
    for site in api.get("/_api/sites")["sites"]:
        if host in (site["domain"], *site["aliases"]):
            return f"{site['username']}/{site['id']}"
    raise Failed(f"no site is on {host}: name it with --site", NOT_FOUND)


def _differences(data: dict[str, Any]) -> Iterator[str]:
    yield f"From {data['before']} to {data['after']}:"
    for sign, name in (("+", "added"), ("-", "removed"), ("~", "changed")):
        for each in data[name]["items"][:_SHOWN]:
            sizes = f"{size(each['before'])} → {size(each['after'])}" if sign == "~" else size(each["size"])
            yield f"{sign} {each['path']}  ({sizes})"
        if (more := data[name]["total"] - min(_SHOWN, len(data[name]["items"]))) > 0:
            yield f"{sign} … {more:,} more"
    files = sum(data[name]["total"] for name in ("added", "removed", "changed"))
    yield f"{many(files, 'file')} and {many(data['urls']['total'], 'address', 'addresses')} differ" + (
        "." if data["complete"] else " of those that were looked at."
    )


def _reasons(data: dict[str, Any]) -> Iterator[str]:
    yield f"{data['status']} for {data['host']}{data['path']}, answered by {data['answered_by']}"
    if rule := data.get("rule"):
        yield f"{rule['file']} line {rule['line']}: {rule['text']}"
    for each in data["candidates"]:
        yield f"  looked for {each['path']}: {'found' if each['found'] else 'not there'}"
    if data.get("file"):
        yield f"file {data['file']} of checkpoint {data['checkpoint']}" + (", an older one" if data["is_older"] else "")
    for each in data.get("header_rules", ()):
        yield f"{each['file']} line {each['line']}: {each['text']}"
    for header in data["headers"]:
        yield f"{header['name']}: {header['value']}"
