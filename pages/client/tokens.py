"""``pages tokens``: what programs sign in with. No token manages tokens, so these ask for the password."""

from collections.abc import Callable
from typing import Any

import click

from pages.client.api import Api
from pages.client.options import Session, asks_a_server, yes_option
from pages.client.output import confirm
from pages.client.secrets_asked import user_and_password
from pages.client.servers import Servers, checked_site
from pages.client.text import Duration


@click.group()
def tokens() -> None:
    """Tokens for CI and other machines.

    No token manages tokens: these commands ask for your password.
    """


def _by_password(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--password-stdin", is_flag=True, help="Take the password from standard input."),
        click.option("--user", "-u", help="Who you are there."),
    ):
        command = option(command)
    return command


@tokens.command("list")
@_by_password
@asks_a_server
def list_tokens(session: Session, user: str | None, password_stdin: bool) -> None:
    """List your tokens; for the admin, everybody's."""
    with _api(session, user, password_stdin) as api:
        data = api.get("/_api/tokens")
    rows = [
        (each["id"], each["name"], each["owner"], ",".join(each["actions"]), _scope(each),
         each["expires_at"][:10], (each["last_used_at"] or "never")[:10])
        for each in data["tokens"]
    ]  # fmt: skip
    session.output.table(data, ("ID", "NAME", "OWNER", "ACTIONS", "FOR", "UNTIL", "USED"), rows)


@tokens.command()
@click.argument("name")
@click.option(
    "--action", "actions", multiple=True, type=click.Choice(["deploy", "read", "admin"]), default=("deploy",),
    show_default=True, help="What it may do; may be repeated.",
)  # fmt: skip
@click.option("--site", "-s", metavar="TENANT/ID", help="Only this site.")
@click.option("--tenant", help="Only this tenant's sites.")
@click.option("--expires-in", type=Duration(), help="For how long it is good.  [default: 90d]")
@_by_password
@asks_a_server
def create(
    session: Session, name: str, actions: tuple[str, ...], site: str | None, tenant: str | None, expires_in: int | None,
    user: str | None, password_stdin: bool,
) -> None:  # fmt: skip
    """Make a token, and print it: it is shown this once."""
    username, _, site_id = checked_site(site).partition("/") if site else (tenant, "", "")
    scope = {"username": username, "site": site_id, "expires_in": expires_in}
    body = {"name": name, "actions": list(actions), **{key: value for key, value in scope.items() if value}}
    with _api(session, user, password_stdin) as api:
        data = api.call("POST", "/_api/tokens", body=body).data
    session.output.note(f"Token {data['id']} until {data['expires_at']}; it is shown this once:")
    session.output.answer(data, [data["token"]])


@tokens.command()
@click.argument("token_id", metavar="ID")
@yes_option
@_by_password
@asks_a_server
def revoke(session: Session, token_id: str, yes: bool, user: str | None, password_stdin: bool) -> None:
    """Make a token void at once."""
    confirm(f"Revoke the token {token_id}?", yes)
    with _api(session, user, password_stdin) as api:
        data = api.call("DELETE", f"/_api/tokens/{token_id}").data
    session.output.done(data, f"Revoked {token_id}")


def _api(session: Session, user: str | None, password_stdin: bool) -> Api:
    if password_stdin:
        Servers().check_pipe(session.url)
    server = Servers().by_password(
        session.url, session.insecure_http, lambda url, last: user_and_password(url, user or last, password_stdin)
    )
    return Api(server, session.output.note)


def _scope(token: dict[str, Any]) -> str:
    return f"{token['username'] or '*'}/{token['site'] or '*'}"
