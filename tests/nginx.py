"""Real nginx for tests, with the configuration that the product prints; and visitors who never stop asking."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from helpers import PROJECT, program, wait_until
from ports import free_port

_MAIN = """
{modules}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 512; }}
http {{
    # As in Debian's nginx.conf.
    gzip on;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/pages.conf;
}}
"""


def pages_command(*arguments: str, environment: dict[str, str]) -> str:
    """What the ``pages`` command prints, with these settings."""
    command = [sys.executable, "-m", "pages", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


class Nginx:
    """nginx on a free port, with what ``pages nginx-config`` prints for a server's ``environment``.

    ``backend`` is a port that stands in for the server's unix socket; ``modules`` are files to load. With
    ``certificates`` it listens for TLS on ``port`` and for http on ``plain``. ``patience`` is how long it waits for an
    answer of Pages ("50ms"), where that is not to take minutes.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        backend: int | None = None,
        modules: tuple[str, ...] = (),
        certificates: Path | None = None,
        patience: str = "",
    ) -> None:
        self.folder = folder
        self.environment = environment
        self.backend = backend
        self.modules = modules
        self.certificates = certificates
        self.patience = patience
        self.plain = 0
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it reported as errors."""
        file = self.folder / "error.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def start(self) -> "Nginx":
        binary = program("nginx")
        for _ in range(5):  # Somebody may take the port between our finding it free and nginx's binding it.
            self.port = free_port()
            self._write_configuration()
            self.process = subprocess.Popen(
                [binary, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"],
                stdin=subprocess.DEVNULL,
            )
            wait_until(lambda: self._has_ended() or self._answers(), "nginx answers, or ends")
            if not self._has_ended():
                return self
            if "Address already in use" not in self.log:
                break
        raise AssertionError(f"nginx does not start:\n{self.log}")

    def stop(self) -> None:
        if self.process is not None and not self._has_ended():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def _write_configuration(self) -> None:
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        if self.certificates:
            self.plain = free_port()
            listen += ["--certificates", str(self.certificates), "--listen-plain", f"127.0.0.1:{self.plain}"]
        text = pages_command("nginx-config", *listen, environment=self.environment)
        if self.backend is not None:
            text, count = re.subn(r"server unix:\S+?sock", f"server 127.0.0.1:{self.backend}", text)
            assert count > 1
        if self.patience:
            text = re.sub(r"proxy_read_timeout \d+s;", f"proxy_read_timeout {self.patience};", text)
        (self.folder / "pages.conf").write_text(text, encoding="utf-8")
        # Its workers would otherwise be a user who may not enter a test's folder.
        modules = "\n".join(f"load_module {path};" for path in self.modules)
        main = _MAIN.format(modules=modules, folder=self.folder, user="user root;" if os.geteuid() == 0 else "")
        (self.folder / "nginx.conf").write_text(main, encoding="utf-8")

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.plain or self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Visitors:
    """Browsers that ask for one page without a pause, while the ``with`` block lasts.

    Half of them keep their connection, half open a new one for every request. ``failures`` is every
    answer that was not the page, and every request without an answer. ``headers`` are sent as well.
    """

    def __init__(
        self,
        port: int,
        page: bytes,
        host: str = "blog.localhost",
        count: int = 4,
        path: str = "/",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._port, self._page, self._host = port, page, host
        self._path, self._headers = path, headers or {}
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(number % 2 == 0,)) for number in range(count)]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.wait_for_more()
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, requests: int = 20) -> None:
        """Wait until this many more requests have had their answer, or one failed."""
        enough = self.answered + requests
        wait_until(lambda: self.answered >= enough or self.failures, "visitors are answered")

    def _visit(self, keep: bool) -> None:
        connection, used = self._new_connection(), False
        while not self._enough.is_set():
            try:
                used = self._ask(connection, keep)
            except (OSError, http.client.HTTPException) as error:
                # Closed while it was idle, just as we asked: a client asks again on a new one (RFC 9112, 9.3.1).
                if not (used and isinstance(error, (ConnectionResetError, BrokenPipeError))):
                    self.failures.append(repr(error))
                used = False
            if not used:
                connection.close()
                connection = self._new_connection()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, keep: bool) -> bool:
        """One request; False when the connection cannot be used for another one."""
        headers = {"Host": self._host, **self._headers} | ({} if keep else {"Connection": "close"})
        connection.request("GET", self._path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        if (response.status, body) == (200, self._page):
            self.answered += 1
        else:
            self.failures.append(f"{response.status} {body[:100]!r}")
        return keep and not response.will_close

    def _new_connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
