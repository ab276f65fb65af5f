"""Starting programs, waiting until they listen, and stopping every one of them at the end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent


class Failed(Exception):
    """Something that has to work for a measurement did not; the message says what."""


class Processes:
    """What was started; each program's log is ``{name}.log`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        port: int,
        environment: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> subprocess.Popen[bytes]:
        """Start a program in the project's folder; returns when it listens on ``port``, or raises ``Failed``.

        Its output (where access logs go) is thrown away; what it says on standard error is kept.
        """
        log = self._folder / f"{name}.log"
        with open(log, "ab") as errors:
            # A session of its own: Ctrl-C ends them by way of stop, in order, and not all at once.
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=PROJECT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._running.append(process)
        deadline = time.monotonic() + patience
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{name} does not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End one program and what it started."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process in self._running:
            self._running.remove(process)

    def stop_all(self) -> None:
        """End everything, the last started first: a proxy before what it asks."""
        for process in reversed(self._running[:]):
            self.stop(process)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Does somebody accept connections there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
