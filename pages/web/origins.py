"""Whose page made a browser send this request, and which host it asked."""

import re
from urllib.parse import SplitResult, urlsplit

from flask import request

from pages.hosts import host_of

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_cross_site() -> bool:
    """Did a browser send this for a page of another origin? (curl sends neither header.)"""
    fetched_for = request.headers.get("Sec-Fetch-Site")
    if fetched_for not in (None, "none", "same-origin"):
        return True
    if "Origin" not in request.headers:
        return False
    origin = _split(request.headers["Origin"])
    if not origin.netloc or _host(origin.netloc) != asked_host():
        return True
    # A browser that says "same-origin" has looked at the port too; over plain HTTP none says anything.
    return fetched_for is None and _port(origin.netloc, origin.scheme) not in _asked_ports()


def asked_host() -> str:
    """The host in the ``Host`` header."""
    return _host(_netloc())


def _asked_ports() -> tuple[str, ...]:
    """The port in the ``Host`` header; without one, what it can have been."""
    port = _port(_netloc(), "")
    return (port,) if port else tuple(_DEFAULT_PORTS.values())


def _netloc() -> str:
    return str(request.environ.get("HTTP_HOST", ""))


def _split(origin: str) -> SplitResult:
    try:
        return urlsplit(origin)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _port(netloc: str, scheme: str) -> str:
    found = re.search(r":([0-9]+)\Z", netloc)
    return found[1] if found else _DEFAULT_PORTS.get(scheme, "")


def _host(netloc: str) -> str:
    """The host without its port; also of what can be no site's domain (``[::1]``, ``my_nas``)."""
    try:
        return host_of(netloc)
    except ValueError:
        return re.sub(r":[0-9]*\Z", "", netloc).lower()
