"""The three maintenance actions, with no HTTP in them: clear the cache, back up, restart."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from pages import files
from pages.backups import Backups
from pages.config import Config, load_config
from pages.errors import ConfigError, OperationFailed
from pages.model import now
from pages.paths import Paths
from pages.publish import Publisher
from pages.space import Space
from pages.work import Workshop

log = logging.getLogger(__name__)

RESTART_DELAY_SECONDS = 3.0


class Upkeep:
    """Maintenance of one installation; each action is logged by the caller with who asked."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        workshop: Workshop,
        publisher: Publisher,
        backups: Backups,
        space: Space,
    ) -> None:
        self._config = config
        self._paths = paths
        self._workshop = workshop
        self._publisher = publisher
        self._backups = backups
        self._space = space

    def clear_cache(self) -> None:
        """Remove everything under ``cache/`` and older unpacked versions; every site goes on being served."""
        self._space.for_deleting(self._clear_cache)

    def _clear_cache(self) -> None:
        self._paths.cache.mkdir(exist_ok=True)
        with self._workshop.work() as work:
            for name in os.listdir(self._paths.cache):
                work.discard(self._paths.cache / name)
        self._publisher.clear_warm()

    def back_up(self) -> Path:
        """Write a backup and return its path; ``OperationFailed`` says why not."""
        return self._backups.back_up(now())

    def backups(self) -> list[Path]:
        """All backups that there are, the newest first."""
        return self._backups.all()[::-1]

    def open_backup(self, untrusted_name: str) -> BinaryIO:
        """One of these, to be read; ``BackupNotFound``."""
        return self._backups.open(untrusted_name)

    def restart(self, environ: Mapping[str, str] = os.environ) -> None:
        """In production, have gunicorn's master reload all workers gracefully in three seconds.

        In development nothing happens. Raises ``OperationFailed`` when the settings on disk would stop
        the new workers, and when no gunicorn master that gunicorn.conf.py named is our parent.
        """
        if not self._config.is_production:
            log.info("Development: the restart was asked for and is left to you")
            return
        try:
            load_config()
        except ConfigError as error:
            raise OperationFailed(f"the new settings are refused, nothing was restarted: {error}") from None
        master = os.getppid()
        if environ.get("PAGES_MASTER_PID") != str(master):
            raise OperationFailed("the service does not run under gunicorn with this gunicorn.conf.py")
        threading.Thread(target=self._reload_workers, args=[master], daemon=True).start()

    def _reload_workers(self, master: int) -> None:
        try:
            with files.lock(self._paths.restart_lock, timeout=0):
                time.sleep(RESTART_DELAY_SECONDS)
                if os.getppid() == master:
                    os.kill(master, signal.SIGHUP)
        except files.Busy:
            pass  # It has been asked for already, less than three seconds ago.
