"""Host names: one canonical form for a domain, wherever it comes from."""

import ipaddress
import re
from functools import lru_cache

import idna

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOTS = (".", "\u3002", "\uff0e", "\uff61")  # What UTS 46 takes for a dot.


def canonical_domain(text: str) -> str:
    """A host name in the form it is stored and looked up: lower case ASCII (IDNA, UTS 46).

    One trailing dot is dropped. Raises ``ValueError`` with the reason for anything that is not a
    host name or an IPv4 address: a port, an underscore, an empty label, over 253 characters
    (contract 3; RFC 1123, RFC 5891).
    """
    domain = text[:-1] if text.endswith(_DOTS) else text
    if not domain.isascii() or "xn--" in domain.lower():
        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError("不是有效的国际化域名") from error
    domain = domain.lower()
    if not 1 <= len(domain) <= 253:
        raise ValueError("长度必须为 1 到 253 个字符")
    labels = domain.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("不是有效的域名（不含端口、下划线、空格或通配符）")
    if labels[-1].isdigit() and not is_ipv4(domain):
        raise ValueError("不是有效的 IPv4 地址")  # No browser resolves such a name: WHATWG URL, 3.5.
    return domain


def canonical_alias(text: str) -> str:
    """The same for a further domain, which may also be ``*.`` and a host name; ``ValueError``."""
    if not text.startswith("*."):
        return canonical_domain(text)
    parent = canonical_domain(text[2:])
    if is_ipv4(parent) or len(parent) > 251:
        raise ValueError("通配符之后必须是域名")
    return f"*.{parent}"


def wildcards_of(domain: str) -> list[str]:
    """The wildcards that cover a canonical domain, the most specific first: a.b.c is in *.b.c and *.c."""
    labels = domain.split(".")
    return ["*." + ".".join(labels[first:]) for first in range(1, len(labels))]


def covers(domain: str, host: str) -> bool:
    """Does a domain or wildcard lead to this host?"""
    return domain == host or domain in wildcards_of(host)


@lru_cache(maxsize=10_000)
def host_of(netloc: str) -> str:
    """The canonical domain in a ``Host`` header's value (port stripped); ``ValueError`` if malformed.

    ``netloc`` is as WSGI gives it, Latin-1: bytes beyond ASCII are read as the UTF-8 they must be.
    """
    host, _, port = netloc.partition(":")
    if port and not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise ValueError("端口无效")
    if not host.isascii():
        host = host.encode("latin-1").decode("utf-8")
    return canonical_domain(host)


def is_ipv4(text: str) -> bool:
    """Is this the address of a machine, and no name?"""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
