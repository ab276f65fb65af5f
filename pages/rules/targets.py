"""The `to` of a redirect rule: where a matched request is sent, safely."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pages.rules.lines import BadLine
from pages.rules.patterns import host_name
from pages.rules.templates import (
    Template,
    decoded,
    fill,
    holes,
    in_path,
    in_query,
    raw_query,
    template,
    url_literal,
)

# As much as servers and browsers take as a header; what a request carries can be written many times into one target.
MAX_LOCATION = 8192
# Stands for what a request will give, when a target is judged before there is one.
_ANYTHING = "x"
_URL = re.compile(r"(https?)://([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
# A port is digits only: a hole would begin with a colon and a letter.
_AUTHORITY = re.compile(r"([^:@]*)(:\d{1,5})?")
_LEADING_SLASHES = re.compile(r"^[/\\]+")


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target: ``origin`` is empty for a place in the site itself.

    ``path``, ``query`` and ``fragment`` are written as in a URL; ``file`` is the path as text, decoded.
    """

    origin: str
    path: Template
    query: Template | None
    fragment: Template | None
    file: Template

    def file_path(self, values: Mapping[str, str]) -> str | None:
        """The path within the site, decoded; None when it is too long or what was captured would climb."""
        path = fill(self.file, values, MAX_LOCATION)
        if path is None or _has_dot_parts(path):
            return None
        return "/" + path.lstrip("/")

    def location(self, values: Mapping[str, str], asked_query: str) -> tuple[str, str] | None:
        """The ``Location`` and its query: printable ASCII, and on no other host than the rule's author wrote.

        A target without a query keeps the one asked for, unless that is over ``MAX_LOCATION``: half a query
        could say something else than the whole. None when ``file_path`` is, or the URL is too long.
        """
        if self.file_path(values) is None:
            return None
        path = self._encoded(self.path, values, in_path)
        query = self._query(values, asked_query)
        fragment = self._encoded(self.fragment or (), values, in_query)
        if path is None or query is None or fragment is None:
            return None
        # Browsers take a leading // and /\ for the name of another host.
        url = self.origin + _LEADING_SLASHES.sub("/", path) + (query and "?" + query)
        return url + (fragment and "#" + fragment), query

    def _query(self, values: Mapping[str, str], asked_query: str) -> str | None:
        if self.query is not None:
            return self._encoded(self.query, values, in_query)
        query = raw_query(asked_query) if len(asked_query) <= MAX_LOCATION else ""
        return query if len(query) <= MAX_LOCATION else ""

    @staticmethod
    def _encoded(parts: Template, values: Mapping[str, str], encode: Callable[[str, int], str | None]) -> str | None:
        used: dict[str, str] = {}
        for name in set(holes(parts)):
            if (value := encode(values[name], MAX_LOCATION)) is None:
                return None
            used[name] = value
        return fill(parts, used, MAX_LOCATION)


def parse_target(text: str, names: frozenset[str]) -> Target:
    """The target that a line says, with holes for those ``names`` that the line's `from` captures.

    ``BadLine`` for one that is neither a path nor an http(s) URL, one whose host would come from the
    request (everybody could redirect to anywhere then), and one with ``.`` or ``..`` parts.
    """
    origin, rest = _origin(text)
    rest, has_fragment, fragment = rest.partition("#")
    path, has_query, query = rest.partition("?")
    target = Target(
        origin,
        template(path, names, url_literal),
        template(query, names, url_literal) if has_query else None,
        template(fragment, names, url_literal) if has_fragment else None,
        template(path, names, decoded),
    )
    if target.location(dict.fromkeys(names, _ANYTHING), "") is None:
        raise BadLine("目标路径不能含 . 或 .. 部分，也不能过长")
    return target


def _origin(text: str) -> tuple[str, str]:
    """The origin, empty for the site's own, and the rest, which begins with a slash."""
    url = _URL.fullmatch(text)
    if url is None:
        _check_own(text)
        return "", text
    scheme, authority, rest = url.groups()
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadLine("目标的主机部分只能是主机名和端口，不能含占位符或用户名")
    origin = f"{scheme.lower()}://{host_name(found[1])}{found[2] or ''}"
    return origin, rest if rest.startswith("/") else "/" + rest


def _check_own(text: str) -> None:
    if not text.startswith("/"):
        raise BadLine("目标必须以 / 或 http(s):// 开头")
    if text.startswith(("//", "/\\")):
        raise BadLine("目标不能以 // 或 /\\ 开头（会被浏览器当作其他主机）；其他主机请写完整的 https:// 地址")


def _has_dot_parts(path: str) -> bool:
    return not {".", ".."}.isdisjoint(path.split("/"))
