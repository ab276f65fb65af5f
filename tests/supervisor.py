"""What systemd does with deploy/pages.service and deploy/pages.socket: hold the sockets, start, stop, restart."""

import fcntl
import os
import re
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from helpers import PROJECT, Server, wait_until
from ports import free_port

SERVICE = (PROJECT / "deploy/pages.service").read_text(encoding="utf-8")
SOCKET = (PROJECT / "deploy/pages.socket").read_text(encoding="utf-8")

# In the new process: the sockets become descriptors 3, 4, …, and the variables say so (sd_listen_fds(3)).
_EXEC = """
import os, sys
inherited = [int(number) for number in sys.argv[1].split(",") if number]
for number, descriptor in enumerate(inherited, 3):
    os.dup2(descriptor, number)
    os.set_inheritable(descriptor, False)
if inherited:
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(inherited))}
os.execvp(sys.argv[2], sys.argv[2:])
"""


def setting(unit: str, name: str) -> str:
    """The last value that a unit gives a setting."""
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)[-1]


# As arguments of python -m.
START = setting(SERVICE, "ExecStart").removeprefix("/opt/pages/venv/bin/").split()


@dataclass
class Supervised(Server):
    """Pages under a supervisor.

    ``holds_sockets``: with pages.socket, whose addresses stay open between two runs. Whatever ends the master but
    ``stop`` has it started anew (Restart=always); what is left of its processes is killed first (KillMode=mixed).
    """

    holds_sockets: bool = True
    listeners: list[socket.socket] = field(default_factory=list)
    starts: int = 0
    _wanted: bool = False
    _watcher: threading.Thread | None = None

    @property
    def socket(self) -> Path:
        """Where nginx looks."""
        return self.data / f"pages-{self.port}.sock"

    def start(self, wait: bool = True) -> "Supervised":
        self.port = self.port or free_port()
        if self.holds_sockets and not self.listeners:
            self._listen()
        self._wanted = True
        self._run()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def stop(self) -> None:
        """SIGTERM to the master, and SIGKILL to what is left in the end."""
        self._wanted = False
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(int(setting(SERVICE, "TimeoutStopSec")))
        self._kill_rest()
        self.process.wait()
        assert self._watcher is not None
        self._watcher.join()

    def restart(self) -> None:
        """As ``systemctl restart``: another master."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """As ``systemctl reload``; returns when every worker is a new one."""
        assert self.process is not None
        before = self.workers()
        command = [sys.executable, "-m", "pages", "check"]
        subprocess.run(command, cwd=self.project, env=self.environment(), stdout=subprocess.DEVNULL, check=True)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.are_new(before), f"new workers:\n{self.log[-3000:]}", 90)

    def are_new(self, before: set[int]) -> bool:
        """Are there workers, and none of those of before?"""
        present = self.workers()
        return bool(present) and not present & before

    def crash(self) -> None:
        """SIGKILL to the master alone; returns when the next one is ready."""
        assert self.process is not None
        starts = self.starts
        self.process.kill()
        wait_until(lambda: self.starts > starts, f"the next start:\n{self.log[-3000:]}")

    def close(self) -> None:
        """Stop, and give the sockets up."""
        self.stop()
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    def _listen(self) -> None:
        assert setting(SOCKET, "ExecStartPre").endswith(" /var/lib/pages/data")
        self.data.mkdir(mode=0o750, parents=True, exist_ok=True)
        for family, address in ((socket.AF_UNIX, str(self.socket)), (socket.AF_INET, ("127.0.0.1", self.port))):
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(int(setting(SOCKET, "Backlog")))
            self.listeners.append(listener)
        self.socket.chmod(int(setting(SOCKET, "SocketMode"), 8))
        assert stat.S_ISSOCK(self.socket.stat().st_mode)

    def _run(self) -> None:
        """Start the master; returns when it says that it is ready (Type=notify)."""
        name = f"@pages-tests-{secrets.token_hex(8)}"
        # Numbers that are not among those they become.
        descriptors = [fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 100) for listener in self.listeners]
        with (
            open(self.folder / "log", "ab") as log,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        ):
            ready.bind(name.replace("@", "\0"))
            ready.settimeout(60)
            command = [sys.executable, "-c", _EXEC, ",".join(map(str, descriptors))]
            self.process = subprocess.Popen(
                [*command, sys.executable, "-m", *START],
                cwd=self.project,
                env={**self.environment(), "NOTIFY_SOCKET": name},
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=descriptors,
            )
            for descriptor in descriptors:
                os.close(descriptor)
            assert b"READY=1" in ready.recv(4096), self.log
        self.starts += 1

    def _watch(self) -> None:
        while self.process is not None:
            self.process.wait()
            if not self._wanted:
                return
            assert setting(SERVICE, "Restart") == "always"
            self._kill_rest()
            self._run()

    def _kill_rest(self) -> None:
        assert setting(SERVICE, "KillMode") == "mixed"
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
