"""``pages serve``: gunicorn with the settings of Pages, in this very process, from wherever Pages is installed."""

import os
import sys
from importlib.resources import files as package_files

import click

from pages.config import env_name, load_config

# A file, and no module by its name: gunicorn then runs it anew at each reload (HUP), and imports nothing of Pages.
_GUNICORN_SETTINGS = "gunicorn_conf.py"


@click.command()
@click.option("--host", help="Listen on this address instead of host in the settings.")
@click.option("--port", type=int, help="Listen on this port instead of port in the settings.")
def serve(host: str | None, port: int | None) -> None:
    """Serve, in the foreground.

    SIGTERM and Ctrl-C end it, SIGHUP reloads settings and code. gunicorn takes this process over, so that a supervisor
    has its signals, its sockets (LISTEN_FDS) and its exit status directly. Its own options come in GUNICORN_CMD_ARGS.
    """
    for key, value in (("host", host), ("port", port)):
        if value is not None:
            os.environ[env_name(key)] = str(value)
    # File names are UTF-8, whatever the locale.
    os.environ.setdefault("PYTHONUTF8", "1")
    load_config()  # To be told of a mistake in one sentence, and by nobody else.
    # gunicorn enters the folder it is started in, which this user may not be allowed to (runuser in root's own).
    if not os.access(os.curdir, os.X_OK, effective_ids=True):
        os.chdir("/")
    settings = str(package_files("pages") / _GUNICORN_SETTINGS)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", settings, "pages.wsgi:app"])  # noqa: S606
