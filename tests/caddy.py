"""Real Caddy for tests, with the very file that is shipped; and visitors who come by TLS."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import PROJECT, Reply, free_port, wait_until

CADDYFILE = PROJECT / "deploy" / "Caddyfile"
# Its own CA in place of a public one, which it must not make this machine believe in.
_OPTIONS = "local_certs\nskip_install_trust\ndefault_bind 127.0.0.1"


def program(name: str) -> str:
    """A program on this machine; without it the test is skipped, but fails where CI promises it."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")
    return str(found)


class Caddy:
    """Caddy on free ports in front of a Pages on ``backend``; all it keeps is in ``folder``.

    ``environment`` fills in the placeholders of the Caddyfile. ``authority`` is the certificate of its CA.
    """

    def __init__(self, folder: Path, backend: int, options: str = _OPTIONS, **environment: str) -> None:
        self.folder = folder
        self.backend = backend
        self.environment = {"CADDY_OPTIONS": options, **environment}
        self.authority = folder / "caddy/pki/authorities/local/root.crt"
        self.http = self.https = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def names_on_disk(self) -> set[str]:
        """The names that it has got certificates for."""
        return {path.stem for path in (self.folder / "caddy/certificates").glob("*/*/*.crt")}

    def start(self) -> "Caddy":
        command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
        for _ in range(5):  # Somebody may take a port between our finding it free and Caddy's binding it.
            self.http, self.https = self.http or free_port(), self.https or free_port()
            with open(self.folder / "log", "wb") as log:
                self.process = subprocess.Popen(
                    command, env=self._environment(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            wait_until(lambda: self._has_ended() or "serving initial configuration" in self.log, "Caddy starts or ends")
            if not self._has_ended():
                return self
            if "address already in use" not in self.log:
                break
            self.http = self.https = 0
        raise AssertionError(f"Caddy does not start:\n{self.log}")

    def stop(self) -> None:
        if self.process is not None and not self._has_ended():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def certificate(self, domain: str) -> Any:
        """The certificate that a visitor of ``domain`` is shown, verified; ``ssl.SSLError`` when there is none."""
        with self.connect(domain) as connection:
            return connection.getpeercert()

    def connect(self, domain: str, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A TLS connection to ``domain``, or to no name; ``source`` is our own address."""
        trust = ssl.create_default_context(cafile=self.authority)
        trust.check_hostname = bool(domain)
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=20, source_address=(source, 0))
        try:
            return trust.wrap_socket(plain, server_hostname=domain or None)
        except BaseException:
            plain.close()
            raise

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: str,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Reply:
        """One request by https; an iterator as ``body`` is sent in chunks, with no length before it."""
        connection = http.client.HTTPConnection(host)
        connection.sock = self.connect(host, source)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # Refused before it is sent: the answer is there.
                connection.request(method, path, body, headers or {}, encode_chunked=not _is_sized(body))
            return _reply(connection)
        finally:
            connection.close()

    def plain(self, path: str, host: str) -> Reply:
        """One GET by http."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            return _reply(connection)
        finally:
            connection.close()

    def _environment(self) -> dict[str, str]:
        backend = f"127.0.0.1:{self.backend}"
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "CADDY_UPSTREAM": backend,
            "CADDY_ASK": f"http://{backend}/_api/tls/allowed",
            "CADDY_HTTP_PORT": str(self.http),
            "CADDY_HTTPS_PORT": str(self.https),
            **self.environment,
        }

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


def _is_sized(body: Any) -> bool:
    return body is None or isinstance(body, bytes)


def _reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())
