"""A server's address: read once, and judged whether a secret may be sent there."""

import ipaddress
import socket
from urllib.parse import urlsplit

from pages.client.exits import USAGE, Failed


def parsed(text: str) -> str:
    """An address as a person writes it, as ``scheme://host[:port]``; ``Failed`` for what is none.

    Without a scheme it is https, but http on this machine.
    """
    given = text if "://" in text else f"//{text}"
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Failed(f"{text!r} is no address of a server", USAGE) from None
    if "@" in parts.netloc:
        raise Failed("the address of a server holds no user and no password", USAGE)
    if not host or not all(sign.isalnum() or sign in "-._:" for sign in host):  # It is shown, too.
        raise Failed(f"{text!r} is no address of a server", USAGE)
    if parts.scheme not in ("", "http", "https") or parts.path.strip("/") or parts.query or parts.fragment:
        raise Failed(f"{text!r} is no address of a server, as https://pages.example.com is", USAGE)
    shown = f"[{host}]" if ":" in host else host
    scheme = parts.scheme or ("http" if is_on_this_machine(host) else "https")
    return f"{scheme}://{shown}" + (f":{port}" if port else "")


def host_of(url: str) -> str:
    """The host of a parsed address."""
    return urlsplit(url).hostname or ""


def is_on_this_machine(host: str) -> bool:
    """Does what is sent to this host never leave the machine?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def can_be_listened_on(host: str) -> bool:
    """Is this, by name or number, an address of this very machine?"""
    try:
        for family, kind, _, _, there in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as ours:
                ours.bind(there)
    except (OSError, UnicodeError):
        return False
    return True


def is_readable_on_the_way(url: str) -> bool:
    """Could others read what is sent there?"""
    return url.startswith("http:") and not is_on_this_machine(host_of(url))
