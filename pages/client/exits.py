"""How a command ends: its exit status, and the sentence when it failed."""

import click

DONE, FAILED, USAGE, DENIED, NOT_FOUND, CONFLICT, UNREACHABLE = range(7)

MEANINGS = {
    DONE: "done",
    FAILED: "refused or failed",
    USAGE: "the command is not used like that",
    DENIED: "not logged in, or not allowed",
    NOT_FOUND: "there is no such thing",
    CONFLICT: "not while things are as they are: somebody else's change, a name that is taken",
    UNREACHABLE: "no answer from the server",
}
_BY_STATUS = {
    **dict.fromkeys((401, 403), DENIED),
    404: NOT_FOUND,
    **dict.fromkeys((409, 412, 422), CONFLICT),
    **dict.fromkeys((502, 504), UNREACHABLE),
}


class Failed(click.ClickException):
    """A command that cannot do what it was asked: a sentence for people, a status for scripts."""

    exit_code: int = FAILED  # type: ignore[misc]

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def of_status(status: int) -> int:
    """The exit status for a server's refusal."""
    return _BY_STATUS.get(status, FAILED)


def epilog() -> str:
    """What ``pages --help`` says about exit statuses."""
    return "\b\nExit status:\n" + "\n".join(f"  {status}  {meaning}" for status, meaning in MEANINGS.items())
