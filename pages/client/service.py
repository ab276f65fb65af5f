"""``pages health``, ``reload``, ``clear-cache``, ``restart``; backup and verify, where a server is asked for them."""

from collections.abc import Iterator
from typing import Any

import click

from pages.client.api import WORK_SECONDS, Refused
from pages.client.exits import FAILED
from pages.client.options import Session, asks_a_server, reads_answers, yes_option
from pages.client.output import confirm
from pages.client.text import many, size

_MAINTENANCE = "/api/admin/maintenance"


@click.command()
@asks_a_server
def health(session: Session) -> None:
    """Say how the service is."""
    with session.api() as api:
        try:
            data = api.call("GET", "/_api/health", pauses=()).data
        except Refused as error:
            if session.output.as_json and error.data:
                session.output.answer(error.data, ())
            raise
    session.output.answer(data, _condition(data))


@click.command()
@asks_a_server
def reload(session: Session) -> None:
    """Put records that were edited by hand in force."""
    with session.api() as api:
        data = api.call("POST", "/_api/reload", seconds=WORK_SECONDS).data
    lines = [f"Reloaded: {many(data['sites_count'], 'site')} enabled"]
    session.output.answer(data, [*lines, *(f"{each['file']}: {each['reason']}" for each in data["problems"])])


@click.command("clear-cache")
@yes_option
@asks_a_server
def clear_cache(session: Session, yes: bool) -> None:
    """Remove what the service can make anew."""
    _maintain(session, "clear-cache", "Clear the cache of {}?", yes)


@click.command()
@yes_option
@asks_a_server
def restart(session: Session, yes: bool) -> None:
    """Restart the service gracefully."""
    _maintain(session, "restart", "Restart {}?", yes)


@reads_answers
def back_up(session: Session) -> None:
    """Have the server write a backup, and say its name."""
    with session.api() as api:
        data = _ask(api.call, "backup")
    session.output.answer(data, [data["backupFile"]])


@reads_answers
def verify(session: Session, site: tuple[str, str] | None, repair: bool) -> None:
    """Have the server verify itself. Exit status 1: problems are left."""
    body = {**({"site": "/".join(site)} if site else {}), **({"repair": True} if repair else {})}
    with session.api() as api:
        session.output.note("The server reads everything; that may take a while.")
        data = api.call("POST", "/_api/verify", body=body, seconds=WORK_SECONDS).data
    session.output.answer(data, _problems(data))
    if not all(problem["repaired"] for problem in data["problems"]):
        raise SystemExit(FAILED)


def _maintain(session: Session, action: str, question: str, yes: bool) -> None:
    with session.api() as api:
        confirm(question.format(api.url), yes)
        data = _ask(api.call, action)
    session.output.done(data, " ".join(filter(None, (data["message"], data.get("note")))))


def _ask(call: Any, action: str) -> Any:
    return call("POST", _MAINTENANCE, body={"action": action}, seconds=WORK_SECONDS).data


def _condition(data: dict[str, Any]) -> Iterator[str]:
    yield f"{data['status']}, {many(data['sites_count'], 'site')} enabled"
    for name, used in data.get("usage", {}).items():
        limit = data.get("quota", {}).get(name, 0)
        amount = size if name == "bytes" else str
        yield f"{name}: {amount(used)}" + (f" of {amount(limit)}" if limit else "")


def _problems(data: dict[str, Any]) -> Iterator[str]:
    for problem in data["problems"]:
        yield f"{problem['file']}: {problem['reason']}" + ("  [repaired]" if problem["repaired"] else "")
    checked = data["checked"]
    left = sum(not problem["repaired"] for problem in data["problems"])
    verdict = f"{many(left, 'problem')} left" if left else "sound"
    yield f"Checked {many(checked['sites'], 'site')}, {many(checked['checkpoints'], 'checkpoint')}: {verdict}."
