"""Believing a proxy: ``X-Forwarded-*`` and ``X-Request-ID`` count only from an address in the settings."""

import ipaddress
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from pages.tracing import REQUEST_ID, judged

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class TrustedProxies:
    """WSGI middleware: ``trusted`` holds addresses, networks and ``"unix"`` (a unix socket's peer)."""

    def __init__(self, app: WSGIApp, trusted: tuple[str, ...]) -> None:
        self._app = app
        self._proxied = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._unix = "unix" in trusted
        self._networks = tuple(item for item in trusted if item != "unix")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not self._is_trusted(environ.get("REMOTE_ADDR", "")):
            return self._app(environ, start_response)
        if request_id := judged(environ.get("HTTP_X_REQUEST_ID", "")):
            environ[REQUEST_ID] = request_id
        return self._proxied(environ, start_response)

    def _is_trusted(self, peer: str) -> bool:
        return is_among(peer, self._networks) if peer else self._unix


def is_among(peer: str, networks: tuple[str, ...]) -> bool:
    """Is a peer's address one of these, or in one of these networks? What is no address is in none."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # On a socket for both versions.
    return any(address in network for network in _parsed(networks))


@cache
def _parsed(networks: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(item) for item in networks]
