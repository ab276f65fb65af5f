"""What all commands that ask a server have in common: their options, and what follows from them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pages.client.api import Api
from pages.client.exits import UNREACHABLE, Failed
from pages.client.output import Output
from pages.client.servers import Servers

Command = Callable[..., Any]


class Session:
    """One command's server, site and output."""

    def __init__(self, url: str | None, insecure_http: bool, as_json: bool, quiet: bool) -> None:
        self.output = Output(as_json, quiet)
        self.insecure_http = insecure_http
        self.url = url

    def api(self, folder: Path = Path()) -> Api:
        """The API that is meant; ``folder`` may hold a ``.pages.toml``."""
        return Api(Servers(folder=folder).chosen(self.url, self.insecure_http), self.output.note)

    def site(self, named: str | None, folder: Path = Path()) -> str:
        """The site that is meant, as TENANT/ID."""
        return Servers(folder=folder).site(named)


def reads_answers(command: Command) -> Command:
    """Have a command end with one sentence where a success lacks what it reads: that server is of another version."""

    @functools.wraps(command)
    def reading(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except (LookupError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            message = f"the server's answer is none that this version of pages knows ({what})"
            raise Failed(message, UNREACHABLE) from error

    return reading


def asks_a_server(command: Command) -> Command:
    """Give a command the options of all that ask, and a ``Session`` as its first argument."""

    @click.option("--url", metavar="URL", help="The server.  [else PAGES_URL, else where you are logged in]")
    @click.option("--insecure-http", is_flag=True, help="Send the token over a network unencrypted.")
    @click.option("--json", "as_json", is_flag=True, help="Print the API's data, as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Print results, warnings and errors only.")
    @functools.wraps(command)
    @reads_answers
    def asking(url: str | None, insecure_http: bool, as_json: bool, quiet: bool, **rest: Any) -> Any:
        return command(Session(url, insecure_http, as_json, quiet), **rest)

    return asking


site_option = click.option("--site", "-s", metavar="TENANT/ID", help="The site.  [else PAGES_SITE, else .pages.toml]")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
