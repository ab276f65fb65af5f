"""Visitors who come by TLS, and say which host they want (SNI)."""

import http.client
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import Reply


@dataclass
class TlsVisits:
    """Visits of a front on loopback. ``authority`` is the file of the only CA that is believed."""

    https: int
    http: int
    authority: Path

    def certificate(self, domain: str) -> Any:
        """The certificate that a visitor of ``domain`` is shown, verified; ``ssl.SSLError`` when there is none."""
        with self.connect(domain) as connection:
            return connection.getpeercert()

    def names(self, domain: str) -> list[str]:
        """The names in it."""
        return [name for kind, name in self.certificate(domain)["subjectAltName"] if kind == "DNS"]

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

    def get(self, domain: str, path: str = "/") -> Reply:
        return self.request("GET", path, host=domain)

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
        in_chunks = body is not None and not isinstance(body, bytes)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # Refused before it is sent: the answer is there.
                connection.request(method, path, body, headers or {}, encode_chunked=in_chunks)
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


def _reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())
