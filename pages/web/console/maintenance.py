"""Maintenance in the console: each action is asked for twice, as the second seed demands; backups are handed out."""

import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from flask import Blueprint, Response, g, request, send_file
from werkzeug.exceptions import NotFound

from pages.model import timestamp
from pages.web.auth import CONSOLE, admin_only
from pages.web.console.answers import go, show
from pages.web.console.language import language
from pages.web.console.texts import text
from pages.web.context import config, services
from pages.web.replies import success

PAGE = f"{CONSOLE}/maintenance"
blueprint = Blueprint("console_maintenance", __name__, url_prefix=PAGE)

RESTART = "RESTART"  # What has to be typed, in every language.
# When this process began to answer: another time, and it is another process.
_BEGAN = time.time()


@blueprint.get("", provide_automatic_options=False)
@admin_only
def show_maintenance() -> Response:
    """How it goes, what can be done, and the backups there are."""
    disk = shutil.disk_usage(services().paths.data)
    return show(
        "maintenance.html",
        actions=list(_ACTIONS), backups=_backups(), disk=disk, config=config(),
        why_unhealthy=services().why_unhealthy(), enabled=services().registry.enabled_count(),
    )  # fmt: skip


@blueprint.get("/state", provide_automatic_options=False)
@admin_only
def state() -> Response:
    """For the page that waits for a restart: since when the process that answers has been there."""
    return success({"began": _BEGAN})


@blueprint.post("/backups/<name>", provide_automatic_options=False)
@admin_only
def download(name: str) -> Response:
    """Hand a backup out. Only to a form of ours, so that no link does it, and into the log as changes are."""
    file = services().upkeep.open_backup(name)
    response = send_file(
        file, "application/octet-stream", as_attachment=True, download_name=name, conditional=False, etag=False
    )
    response.content_length = os.fstat(file.fileno()).st_size
    g.outcome = text("backup_sent", "en")
    return response


@blueprint.get("/<action>", provide_automatic_options=False)
@admin_only
def ask(action: str) -> Response:
    """What an action will do, and whether it is meant."""
    return _question(action)


@blueprint.post("/<action>", provide_automatic_options=False)
@admin_only
def act(action: str) -> Response:
    """Do it, where the second confirmation came with it; else ask for that."""
    if action not in _ACTIONS:
        raise NotFound()
    confirmed = request.form.get("confirmed", "")
    if confirmed != (RESTART if action == "restart" else "yes"):
        problem = text("typed_wrong", language(), wanted=RESTART) if confirmed else ""
        return _question(action, 400 if confirmed else 200, problem)
    g.action = "confirmed"
    return _ACTIONS[action]()


def _question(action: str, status: int = 200, problem: str = "") -> Response:
    if action not in _ACTIONS:
        raise NotFound()
    return show("maintenance_ask.html", status, action=action, problem=problem, word=RESTART, config=config())


def _reload() -> Response:
    problems = services().reload()
    lines = [f"{problem.file}: {problem.reason}" for problem in problems]
    return go(PAGE, "reloaded", *lines, n=services().registry.enabled_count())


def _clear_cache() -> Response:
    services().upkeep.clear_cache()
    return go(PAGE, "cache_cleared")


def _back_up() -> Response:
    return go(PAGE, "backed_up", name=services().upkeep.back_up().name)


def _restart() -> Response:
    asked_at = time.time()
    services().upkeep.restart()
    if not config().is_production:
        return go(PAGE, "restart_is_yours")
    g.outcome = text("restart_sent", "en")
    return show("restarting.html", asked_at=asked_at)


_ACTIONS: dict[str, Callable[[], Response]] = {
    "clear-cache": _clear_cache,
    "backup": _back_up,
    "restart": _restart,
    "reload": _reload,
}


def _backups() -> list[dict[str, object]]:
    """The backups as the page shows them, the newest first."""
    told = []
    for path in services().upkeep.backups():
        with suppress(FileNotFoundError):  # It has just gone: one too many.
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                continue
            made = timestamp(datetime.fromtimestamp(found.st_mtime, UTC))
            told.append({"name": path.name, "bytes": found.st_size, "made": made})
    return told
