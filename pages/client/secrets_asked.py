"""Passwords and tokens as a person gives them: typed and not shown, or from a pipe; never on the command line."""

import sys

import click

from pages.client.exits import USAGE, Failed
from pages.client.output import is_terminal


def first_line(what: str) -> str:
    """The first line of standard input, without its end; ``Failed`` when it is empty or no UTF-8."""
    line = sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise Failed(f"no {what} on standard input", USAGE)
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Failed(f"the {what} is not UTF-8", USAGE) from None


def user_and_password(url: str, user: str, from_stdin: bool) -> tuple[str, str]:
    """Who one is at ``url``, and the password; ``Failed`` where it takes a question and nobody is there."""
    if not is_terminal() and not (user and from_stdin):
        raise Failed("nobody is here to ask: give --user and --password-stdin", USAGE)
    user = user or click.prompt(f"User at {url}", err=True)
    if from_stdin:
        return user, first_line("password")
    return user, click.prompt(f"Password of {user} at {url}", hide_input=True, err=True)
