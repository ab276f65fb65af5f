"""``pages login``, ``logout``, ``whoami``: a token of one's own on this machine."""

import getpass
import os
import socket
from contextlib import suppress
from typing import Any

import click

from pages.client import address
from pages.client.api import Api, Refused
from pages.client.credentials import Credentials, Login
from pages.client.exits import DENIED, Failed
from pages.client.options import Session, asks_a_server, reads_answers
from pages.client.secrets_asked import first_line, user_and_password
from pages.client.servers import Server, Servers
from pages.client.text import Duration


@click.command()
@click.argument("url", required=False)
@click.option("--user", "-u", help="Who you are there.")
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
@click.option("--token", help="Store this token instead of making one; - takes it from standard input.")
@click.option("--expires-in", type=Duration(), help="For how long you are signed in.  [default: 90d]")
@click.option("--insecure-http", is_flag=True, help="Allow for an address without encryption, now and later.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's data, as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors only.")
@reads_answers
def login(
    url: str | None, user: str | None, password_stdin: bool, token: str | None, expires_in: int | None,
    insecure_http: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Sign in to a server and remember it.

    With your password, which is not kept: it makes a token that is, in credentials.json in $XDG_CONFIG_HOME/pages, for
    you alone to read.
    """
    if not url and (password_stdin or token is not None):
        Servers().check_pipe(None)
    there = address.parsed(url) if url else Servers().named(None)[0]
    if not there:
        raise Failed("which server? pages login URL", 2)
    session = Session(there, insecure_http, as_json, quiet)
    if token is None:
        known, name = _made(session, user or "", password_stdin, expires_in)
    else:
        known, name = _given(session, first_line("token") if token == "-" else token)  # noqa: S105
    session.output.done(known, f"Logged in to {there} as {name}")


@click.command()
@click.option("--local", is_flag=True, help="Forget the token without revoking it.")
@asks_a_server
def logout(session: Session, local: bool) -> None:
    """Revoke the stored token and forget it."""
    credentials = Credentials(os.environ)
    there, _ = Servers().named(session.url)
    stored = credentials.of(there)
    if stored is None:
        raise Failed(f"not logged in to {there}" if there else "not logged in", DENIED)
    if not local:
        with Api(Server(there, stored.token, may_be_read=stored.insecure_http)) as api:
            _revoke(api, stored.token_id)
    credentials.forget(there)
    session.output.done(None, f"Logged out of {there}")


@click.command()
@asks_a_server
def whoami(session: Session) -> None:
    """Say where you are signed in, and as whom."""
    with session.api() as api:
        data = api.get("/_api/whoami")
        session.output.answer(data, [f"{data['name']} ({data['role']}) at {api.url}", *_rights(data["token"])])


def _made(session: Session, user: str, password_stdin: bool, expires_in: int | None) -> tuple[dict[str, Any], str]:
    """Make a token with a password, and store it: (what is told of it, whose it is)."""
    server = Servers().by_password(
        session.url, session.insecure_http, lambda url, last: user_and_password(url, user or last, password_stdin)
    )
    body = {"name": _here(), "actions": ["admin"], **({"expires_in": expires_in} if expires_in else {})}
    with Api(server, session.output.note) as api:
        data = api.call("POST", "/_api/tokens", body=body).data
        text = data.pop("token")
        try:
            _store(session, Login(server.url, text, data["id"], server.user, data["expires_at"], server.may_be_read))
        except (OSError, Failed):
            with suppress(Failed):  # Nobody has it.
                _revoke(api, data["id"], is_brief=True)
            raise
    return data, server.user


def _given(session: Session, text: str) -> tuple[dict[str, Any], str]:
    """Store a token that there is, once the server has said whose it is."""
    server = Server(str(session.url), text, may_be_read=session.insecure_http)
    with Api(server, session.output.note) as api:
        data = api.get("/_api/whoami")
    record = data["token"] or {}
    ends, token_id = record.get("expires_at", ""), record.get("id", "")
    _store(session, Login(server.url, text, token_id, data["name"], ends, session.insecure_http))
    return data, data["name"]


def _store(session: Session, new: Login) -> None:
    credentials = Credentials(os.environ)
    old = credentials.of(new.url)
    credentials.store(new)
    if old and old.token_id != new.token_id:
        with suppress(Failed), Api(Server(new.url, old.token, may_be_read=new.insecure_http)) as api:
            _revoke(api, old.token_id, is_brief=True)
    session.output.note(f"The token is in {credentials.path}.")


def _revoke(api: Api, token_id: str, is_brief: bool = False) -> None:
    """Make a token void by itself; one that is over, or unknown by now, is."""
    try:
        api.call("DELETE", f"/_api/tokens/{token_id}", pauses=() if is_brief else None)
    except Refused as error:
        if error.status not in (401, 404):
            raise


def _here() -> str:
    """user@host, as a token's name has room for it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A number without a name, as in a container.
        user = str(os.getuid())
    name = f"{user}@{socket.gethostname()}"
    return "".join(sign for sign in name if sign.isprintable())[:100]


def _rights(token: dict[str, Any] | None) -> list[str]:
    if token is None:
        return []
    where = "/".join(filter(None, (token["username"] or "*", token["site"] or "*")))
    return [f"token {token['name']}: {', '.join(token['actions'])} on {where}, until {token['expires_at'][:10]}"]
