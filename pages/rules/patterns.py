"""The `from` of a rule: which hosts and paths it matches, and what it takes from them."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import re2

from pages.hosts import canonical_domain
from pages.rules.lines import BadLine
from pages.rules.templates import NAME, Hole, Template, decoded, fill, holes

# Every hole costs RE2 time on each octet of a path, and so much that a hundred in one rule are felt.
MAX_HOLES = 16
_MAX_HOST_CHARACTERS = 253
_TOKEN = re.compile(r"(\*|:[A-Za-z][A-Za-z0-9_]*)")
_URL = re.compile(r"https?://([^/]*)(.*)", re.DOTALL | re.IGNORECASE)
_SPLAT = Hole("splat", crosses=True)
_LABEL_PIECE = re.compile(r"[a-z0-9-]*")

# RE2 takes time in proportion to the path, whatever the pattern; the memory is what each rule may take for that.
_OPTIONS = re2.Options()
_OPTIONS.max_mem = 1024 * 1024
_OPTIONS.dot_nl = True
_OPTIONS.log_errors = False


@dataclass(frozen=True)
class Pattern:
    """What a rule asks of a request's host and path.

    ``host`` and ``path`` are templates of decoded text; the hole of ``*`` is ``splat``, ``host`` is None
    when any will do. One trailing slash is ignored, of the pattern and of the path. ``/docs/*`` matches
    ``/docs`` too. Whether anything matches is decided in time linear in the path.
    """

    host: Template | None
    path: Template

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What a match captures, in order."""
        return (*holes(self.host or ()), *holes(self.path))

    @property
    def is_static(self) -> bool:
        """Does it match one path only, on any host?"""
        return self.host is None and not self.names

    @cached_property
    def beginning(self) -> str:
        """What every match begins with: for a pattern without holes, all but a trailing slash."""
        begun = ""
        for part in (*(self.host or ()), *self.path):
            if isinstance(part, Hole):
                break
            begun += part
        return without_slash(begun)

    def match(self, host: str, path: str) -> dict[str, str] | None:
        """What the holes stand for in this host and path; None when they don't match."""
        subject = path if self.host is None else host + path
        if not subject.startswith(self.beginning):
            return None
        if not self.names:
            return {} if without_slash(subject) == self.beginning else None
        found = self._compiled.fullmatch(subject)
        return found and {name: value or "" for name, value in zip(self.names, found.groups(), strict=True)}

    def sample(self, values: Mapping[str, str]) -> tuple[str, str]:
        """A host (empty when any will do) and a path that it matches, with these values in its holes."""
        host, path = (fill(parts, values, sys.maxsize) or "" for parts in (self.host or (), self.path))
        return host, path or "/"

    @cached_property
    def _compiled(self) -> Any:
        """Compiled at the first path that begins right: a hundred long patterns take 30 ms."""
        host = "".join(_expression(part, "[^/.]+", "[^/]*") for part in self.host or ())
        return re2.compile(host + _path_expression(self.path), _OPTIONS)


def parse_pattern(text: str) -> Pattern:
    """The pattern that a line's first word says; ``BadLine`` when it is none."""
    url = _URL.fullmatch(text)
    untrusted_host, path = url.groups() if url else (None, text)
    if not (path or "/").startswith("/"):
        raise BadLine("路径必须以 / 开头，或者是 http(s):// 开头的完整地址")
    if "?" in path or "#" in path:
        raise BadLine("路径不能含 ? 或 #；查询参数请写成 /path 名称=值 /目标")
    host = None if untrusted_host is None else _host(untrusted_host)
    pattern = Pattern(host, _without_last_slash(_template(path or "/")))
    _refuse_repeated(pattern.names)
    return pattern


def without_slash(path: str) -> str:
    """A path as it is compared: without one trailing slash."""
    return path[:-1] if path.endswith("/") else path


def _template(text: str) -> Template:
    # The stars and names are found first, so that %2A is a literal star.
    return tuple(_hole(part) or decoded(part) for part in _TOKEN.split(text) if part)


def _hole(part: str) -> Hole | None:
    if part == "*":
        return _SPLAT
    return Hole(part[1:]) if NAME.fullmatch(part) else None


def _without_last_slash(path: Template) -> Template:
    """The path as it is compared, which for the root is nothing at all."""
    last = path[-1]
    if isinstance(last, Hole):
        return path
    return (*path[:-1], without_slash(last)) if without_slash(last) else path[:-1]


def _refuse_repeated(names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names):
        raise BadLine("* 只能出现一次（它就是 :splat），同名占位符也只能出现一次")
    if len(names) > MAX_HOLES:
        raise BadLine(f"占位符超过 {MAX_HOLES} 个")


def _host(text: str) -> Template:
    """The host of a full URL, canonical; a label with a placeholder in it is ASCII."""
    parts = _TOKEN.split(text) if len(text) <= _MAX_HOST_CHARACTERS else []
    try:
        if len(parts) == 1:
            return (canonical_domain(text),)
    except ValueError as error:
        raise BadLine(f"主机名无效: {error}") from error
    lowered = [part if _hole(part) else part.lower() for part in parts]
    if not parts or not all(_hole(part) or all(map(_LABEL_PIECE.fullmatch, part.split("."))) for part in lowered):
        raise BadLine("主机名无效: 不能含端口，带占位符时只能是 ASCII")
    return tuple(_hole(part) or part for part in lowered if part)


def _expression(part: str | Hole, name: str, splat: str) -> str:
    if isinstance(part, str):
        return str(re2.escape(part))
    return f"({splat if part.crosses else name})"


def _path_expression(path: Template) -> str:
    if path and path[-1] == _SPLAT:
        # The slash before a last star belongs to what may be missing.
        before = path[-2] if len(path) > 1 else ""
        if isinstance(before, str) and before.endswith("/"):
            return _joined((*path[:-2], before[:-1])) + "(?:/(.*))?"
        return _joined(path)
    return _joined(path) + "/?"


def _joined(path: Template) -> str:
    return "".join(_expression(part, "[^/]+", ".*") for part in path)
