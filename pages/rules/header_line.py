"""One line of a block in `_headers`: a header to set or to remove."""

import re
from dataclasses import dataclass

from pages.rules.lines import BadLine, shown
from pages.rules.templates import Template, template

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]+")
_REMOVAL = re.compile(r"![ \t]+([^ \t:]+)")
# What belongs to the server: the connection, the body's framing and identity, and where a redirect leads.
_DENIED = frozenset(
    {
        "accept-ranges",
        "age",
        "allow",
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "location",
        "server",
        "set-cookie",
        "status",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    }
)
# What nginx would obey, and what Pages tells nginx.
_DENIED_BEGINNINGS = ("proxy-", "x-accel-", "x-pages-", "x-sendfile")
# Without Vary caches would hand a compressed file to clients that cannot read it; without a type browsers guess.
_KEPT = frozenset(["vary", "content-type"])


@dataclass(frozen=True, slots=True)
class Operation:
    """Set the header ``name`` to ``value``; or remove it, when ``value`` is None. ``key`` is the name in lower case."""

    key: str
    name: str
    value: Template | None

    @property
    def length(self) -> int:
        """About as many characters as the line has."""
        return len(self.name) + sum(len(part) if isinstance(part, str) else 1 for part in self.value or ())


def parse_operation(text: str, names: frozenset[str]) -> Operation:
    """What a line in a block does; ``BadLine`` says why it does nothing. Values may use the holes ``names``."""
    if removal := _REMOVAL.fullmatch(text):
        return _removal(removal[1])
    untrusted_name, colon, value = text.partition(":")
    name = _allowed_name(untrusted_name.rstrip(" \t"), colon)
    value = value.strip(" \t").replace("\t", " ")
    if not value:
        raise BadLine(f"{name} 没有值；要去掉一个头部请写 ! {name}")
    if not _VALUE.fullmatch(value):
        raise BadLine("头部的值只能是可打印的 ASCII 字符")
    return Operation(name.lower(), name, template(value, names, str))


def _removal(untrusted_name: str) -> Operation:
    name = _allowed_name(untrusted_name, ":")
    if name.lower() in _KEPT:
        raise BadLine(f"{name} 不能去掉（缓存和浏览器要靠它），但可以设置")
    return Operation(name.lower(), name, None)


def _allowed_name(untrusted_name: str, colon: str) -> str:
    if not colon or not untrusted_name:
        raise BadLine("应为 名称: 值，或 ! 名称")
    if not _NAME.fullmatch(untrusted_name):
        raise BadLine("头部名称只能是字母、数字和 !#$%&'*+-.^_`|~，不含空格")
    if untrusted_name.lower() in _DENIED or untrusted_name.lower().startswith(_DENIED_BEGINNINGS):
        raise BadLine(f"{shown(untrusted_name)} 由服务器管理，不能设置或去掉")
    return untrusted_name
