"""What happens at a time: a thread of every worker that looks once a second whether a switch is due."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from pages.model import now
from pages.work import Afterwards

log = logging.getLogger(__name__)

_SECONDS = 1.0


class Clock:
    """Calls ``run_due`` once a second, through ``afterwards``, whose work a process that ends still finishes."""

    def __init__(self, run_due: Callable[[datetime], None], afterwards: Afterwards) -> None:
        self._run_due = run_due
        self._afterwards = afterwards
        self._is_over = threading.Event()
        self._is_idle = threading.Event()
        self._is_idle.set()

    def start(self) -> None:
        """Begin, in a thread that does not keep its process alive."""
        threading.Thread(target=self._tick, name="clock", daemon=True).start()

    def stop(self) -> None:
        """No more from now on; what has begun is finished."""
        self._is_over.set()

    def _tick(self) -> None:
        while not self._is_over.is_set():
            if self._is_idle.is_set():
                self._is_idle.clear()
                self._afterwards(self._run)
            self._is_over.wait(_SECONDS)

    def _run(self) -> None:
        try:
            self._run_due(now())
        except Exception:
            log.exception("What is due cannot be done")
        finally:
            self._is_idle.set()
