"""The ``pages`` command: which commands there are. Each is imported when it is asked for, so that all start quickly."""

import os
import sys
from importlib import import_module

import click

from pages import __version__
from pages.client.exits import epilog
from pages.client.text import in_one_line
from pages.errors import PagesError

# Section of the help, command, where it is, its first line there (a test holds them equal).
_COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Sign in": {
        "login": ("pages.client.signing_in:login", "Sign in to a server and remember it."),
        "logout": ("pages.client.signing_in:logout", "Revoke the stored token and forget it."),
        "whoami": ("pages.client.signing_in:whoami", "Say where you are signed in, and as whom."),
        "tokens": ("pages.client.tokens:tokens", "Tokens for CI and other machines."),
    },
    "Publish": {
        "deploy": ("pages.client.deploy:deploy", "Publish a folder or an archive."),
        "checkpoints": ("pages.client.checkpoints:checkpoints", "List the versions of a site."),
        "rollback": ("pages.client.checkpoints:rollback", "Go back to an older version."),
        "checkout": ("pages.client.checkpoints:checkout", "Make another version live."),
        "confirm": ("pages.client.checkpoints:confirm", "Keep what was checked out with --confirm-within."),
        "diff": ("pages.client.insight:diff", "Show what is different in another version."),
        "preview": ("pages.client.insight:preview", "Make a link that shows one version."),
        "explain": ("pages.client.insight:explain", "Say why an address is answered as it is."),
    },
    "Sites": {
        "sites": ("pages.client.sites:sites", "List, create, change and delete sites."),
    },
    "The service": {
        "health": ("pages.client.service:health", "Say how the service is."),
        "reload": ("pages.client.service:reload", "Put records that were edited by hand in force."),
        "clear-cache": ("pages.client.service:clear_cache", "Remove what the service can make anew."),
        "restart": ("pages.client.service:restart", "Restart the service gracefully."),
        "backup": ("pages.commands:backup", "Write a backup into backup_dir."),
        "verify": ("pages.commands:verify", "Re-read everything on disk and say what is wrong."),
    },
    "This installation": {
        "init": ("pages.init:init", "Make a folder ready, with every setting explained."),
        "serve": ("pages.serve:serve", "Serve, in the foreground."),
        "doctor": ("pages.doctor:doctor", "Look for what would be found out late."),
        "check": ("pages.installation:check", "Check the settings without starting anything."),
        "hash-password": ("pages.installation:hash_password", "Make a hash to put into config.toml."),
        "maintenance": ("pages.installation:maintenance", "Ask the running service for a maintenance action."),
        "nginx-config": ("pages.installation:print_nginx_config", "Print the nginx configuration."),
        "restore": ("pages.commands:restore", "Put a backup back."),
        "settings": ("pages.installation:settings", ""),
        "start-up": ("pages.installation:start_up", ""),
    },
    "This command": {
        "completion": ("pages.client.completion:completion", "Print the shell's completion of commands."),
    },
}
_PLACES = {name: place for section in _COMMANDS.values() for name, (place, _) in section.items()}


class _Commands(click.Group):
    """Imports a command when it is used; turns our errors, and the disk's, into one sentence and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for section in _COMMANDS.values() for name, (_, told) in section.items() if told]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _PLACES:
            return super().get_command(ctx, cmd_name)
        module, _, name = _PLACES[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section, commands in _COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name, told) for name, (_, told) in commands.items() if told])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = in_one_line(error.message)  # type: ignore[misc]
            raise
        except PagesError as error:
            raise click.ClickException(in_one_line(_in_english(error))) from error
        except BrokenPipeError:
            raise  # Who read the output has gone: click knows.
        except OSError as error:
            # No permission, no such folder, no room: the user's to mend, and no trace helps with that.
            where = f"{error.filename}: " if error.filename is not None else ""
            raise click.ClickException(in_one_line(f"{where}{error.strerror or error}")) from error


def _in_english(error: PagesError) -> str:
    from pages.languages import in_english  # Not for who makes no error.

    return in_english(error)


@click.group(cls=_Commands, epilog=epilog())
@click.version_option(__version__, message="pages %(version)s")
def main() -> None:
    """Publish static sites, here and on other machines.

    What is asked of a server goes to --url, else PAGES_URL, else where you have logged in, else the installation whose
    config.toml is here. PAGES_TOKEN and PAGES_SITE (TENANT/ID) stand in for the login and for --site.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed by who started us: no file of ours may come in its place.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
