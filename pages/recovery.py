"""Starting: finish or clear what a crash cut short; on a first start, put up the welcome site."""

import logging
from contextlib import suppress
from datetime import datetime
from importlib.resources import files as package_files

from pages import files
from pages.errors import ConfigError, SiteExists
from pages.paths import FOLDERS, PRIVATE_FOLDERS, Paths
from pages.publish import Publisher
from pages.settling import Settler
from pages.work import Workshop

log = logging.getLogger(__name__)

_WAIT_SECONDS = 600.0
_WELCOME = {"id": "default", "username": "default", "domain": "localhost", "index": "index.html", "enabled": True}


def recover(paths: Paths, workshop: Workshop, settler: Settler, publisher: Publisher, now: datetime) -> None:
    """Make the data folder ready to serve; run by every process before its first request.

    The work grows with what was under way at a crash, not with the number of sites. Several
    processes may start at once: one recovers, the others wait for it.
    """
    with files.lock(paths.recovery_lock, _WAIT_SECONDS):
        is_new = paths.first_start.exists() or not (paths.registry.exists() or any(paths.histories.glob("*/*")))
        for folder in FOLDERS:
            if folder != "registry":
                files.make_folders(paths.data / folder, 0o700 if folder in PRIVATE_FOLDERS else 0o777)
        _check_one_file_system(paths)
        workshop.clear_abandoned(settler.finish_abandoned)
        if is_new:
            paths.first_start.touch()  # Until all of it is done.
            files.fsync_folder(paths.first_start.parent)
            _put_up_welcome(paths, workshop, publisher, now)
            paths.first_start.unlink()
        files.make_folders(paths.registry)


def _check_one_file_system(paths: Paths) -> None:
    """Switching is renaming, and nothing can be renamed to another disk (``cache/`` may be on one)."""
    device = paths.data.stat().st_dev
    for folder in FOLDERS:
        path = paths.data / folder
        if folder != "cache" and path.exists() and path.stat().st_dev != device:
            raise ConfigError(f"data_dir: {path} is on another file system than {paths.data}; all must be on one.")


def finish_abandoned(paths: Paths, workshop: Workshop, settler: Settler) -> None:
    """Finish or clear what dead processes had begun, at any time; whoever starts meanwhile waits."""
    with files.lock(paths.recovery_lock, _WAIT_SECONDS):
        workshop.clear_abandoned(settler.finish_abandoned)


def _put_up_welcome(paths: Paths, workshop: Workshop, publisher: Publisher, now: datetime) -> None:
    with suppress(SiteExists):  # A first start that was cut short came this far.
        publisher.create(dict(_WELCOME), now)
    page = (package_files("pages") / "welcome.html").read_bytes()
    with workshop.work() as work:
        work.write(paths.site_root("default", "default") / "index.html", page)
    log.info("First start: the welcome site is put up, for the domain localhost")
