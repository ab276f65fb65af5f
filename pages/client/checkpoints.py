"""``pages checkpoints``, ``rollback``, ``checkout``, ``confirm``: the versions of a site, and which one is live."""

from collections.abc import Iterator
from typing import Any

import click

from pages.client.api import Api
from pages.client.exits import CONFLICT, NOT_FOUND, Failed
from pages.client.options import Session, asks_a_server, site_option
from pages.client.text import Duration, columns, size

_within = click.option(
    "--confirm-within", type=Duration(), help="What was live comes back after this time, unless `confirm` comes before."
)


@click.command()
@site_option
@asks_a_server
def checkpoints(session: Session, site: str | None) -> None:
    """List the versions of a site.

    The newest is first; * marks the one that is live.
    """
    with session.api() as api:
        found = _checkpoints(api, session.site(site))
    session.output.answer(found, _listed(found))


@click.command()
@click.argument("checkpoint", required=False)
@site_option
@_within
@asks_a_server
def rollback(session: Session, checkpoint: str | None, site: str | None, confirm_within: int | None) -> None:
    """Go back to an older version.

    Without CHECKPOINT: to the one before the current one in the list. It is refused when another version went live
    meanwhile.
    """
    name = session.site(site)
    with session.api() as api:
        if checkpoint is None:
            found = _checkpoints(api, name)
            current, checkpoint = found["current"], _before_current(found)
            headers = {"If-Match": f'"{current}"'}
        else:
            headers = {}
        _check_out(session, api, name, checkpoint, _params(confirm_within, None), headers)


@click.command()
@click.argument("checkpoint")
@site_option
@_within
@click.option("--at", metavar="TIME", help="Not now but then: ISO 8601, as 2026-12-01T08:00.")
@click.option("--if-match", metavar="CHECKPOINT", help="Only while this checkpoint is the current one.")
@asks_a_server
def checkout(
    session: Session,
    checkpoint: str,
    site: str | None,
    confirm_within: int | None,
    at: str | None,
    if_match: str | None,
) -> None:
    """Make another version live."""
    headers = {"If-Match": f'"{if_match}"'} if if_match else {}
    with session.api() as api:
        _check_out(session, api, session.site(site), checkpoint, _params(confirm_within, at), headers)


@click.command()
@click.argument("checkpoint", required=False)
@site_option
@asks_a_server
def confirm(session: Session, checkpoint: str | None, site: str | None) -> None:
    """Keep what was checked out with --confirm-within.

    Without CHECKPOINT: the one that waits for it.
    """
    name = session.site(site)
    with session.api() as api:
        if checkpoint is None:
            waiting = _checkpoints(api, name).get("confirmation")
            if waiting is None:
                raise Failed("nothing waits for a confirmation", CONFLICT)
            checkpoint = waiting["checkpoint"]
        data = api.call("POST", f"/_api/sites/{name}/checkpoints/{checkpoint}/confirm").data
    session.output.done(data, f"Confirmed: {name} stays at checkpoint {data['checkpoint_id']}")


def _checkpoints(api: Api, site: str) -> Any:
    return api.get(f"/_api/sites/{site}/checkpoints")


def _before_current(found: dict[str, Any]) -> str:
    """The one before the current one in the list; ``Failed`` when it is the oldest."""
    ids = [each["id"] for each in found["checkpoints"]]
    if found["current"] not in ids:
        raise Failed("no checkpoint is live", NOT_FOUND)
    older = ids[ids.index(found["current"]) + 1 :]
    if not older:
        raise Failed("there is no older checkpoint", NOT_FOUND)
    return str(older[0])


def _params(confirm_within: int | None, at: str | None) -> dict[str, str]:
    return {**({"confirm_within": str(confirm_within)} if confirm_within else {}), **({"at": at} if at else {})}


def _check_out(
    session: Session, api: Api, site: str, checkpoint: str, params: dict[str, str], headers: dict[str, str]
) -> None:
    path = f"/_api/sites/{site}/checkpoints/{checkpoint}/checkout"
    data = api.call("POST", path, params=params, headers=headers).data
    session.output.done(data, _told(site, data))


def _told(site: str, data: dict[str, Any]) -> str:
    if "at" in data:
        return f"Planned: {site} goes to checkpoint {data['checkpoint_id']} at {data['at']}"
    line = f"Live: {site} at checkpoint {data['checkpoint_id']}"
    if "confirm_until" in data:
        line += f", back to {data['back_to']} at {data['confirm_until']} unless confirmed"
    return line


def _listed(found: dict[str, Any]) -> Iterator[str]:
    rows = [("", "CHECKPOINT", "MADE", "SIZE", "DESCRIPTION")]
    for each in found["checkpoints"]:
        mark = ("*" if each["id"] == found["current"] else "") + ("p" if each["pinned"] else "")
        rows.append((mark, each["id"], each["created_at"], size(each["file_size"]), each["description"]))
    yield from columns(rows)
    if waiting := found.get("confirmation"):
        yield f"{waiting['checkpoint']} waits for `pages confirm`, else {waiting['back_to']} is back {waiting['until']}"
    if plan := found.get("plan"):
        yield f"{plan['checkpoint']} goes live at {plan['at']}"
