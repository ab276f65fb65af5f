"""Who asks directly, from this machine or from an address in ``tls_ask_from``: it needs no credentials for some calls.

Every test here is of the connection itself. What ``trusted_proxies`` makes of a request says who asked a proxy, and a
proxy on this machine asks for anybody.
"""

import ipaddress

from flask import request

from pages.web.context import config
from pages.web.origins import asked_host
from pages.web.proxies import is_among

_LOOPBACK = ("127.0.0.0/8", "::1")
# Each says that somebody else stands behind the peer.
_OF_A_PROXY = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_OF_A_PROXY_TOO = "HTTP_X_FORWARDED_"


def is_neighbour() -> bool:
    """Is the peer on loopback or listed, and does it ask for itself? A unix socket's peer never is: nginx uses it."""
    return not _was_proxied() and is_among(_peer(), _LOOPBACK + config().tls_ask_from)


def asked_by_address() -> bool:
    """Does ``Host`` name this machine as programs on it do, and no site's or attacker's name can?"""
    return is_address(asked_host())


def is_address(host: str) -> bool:
    """Is this ``localhost`` or an IP address, by which the console is there where no ``admin_hosts`` are set?"""
    return host == "localhost" or _is_ip(host.removeprefix("[").removesuffix("]"))


def _was_proxied() -> bool:
    return any(name in _OF_A_PROXY or name.startswith(_OF_A_PROXY_TOO) for name in request.environ)


def _peer() -> str:
    """The address that the connection came from, whatever ``TrustedProxies`` has put in its place."""
    original = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    return original.get("REMOTE_ADDR") or ""


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
