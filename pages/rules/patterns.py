"""The `from` of a rule: which hosts and paths it matches, and what it takes from them."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pages.hosts import canonical_domain
from pages.rules.globs import Glob, parse_glob
from pages.rules.lines import BadLine
from pages.rules.templates import NAME, Hole, Template, decoded, fill, holes

MAX_HOLES = 16
# As many parts between slashes has no site; each is a step when a path is matched.
MAX_PARTS = 64
# Longer ones are only slow to look for.
MAX_BETWEEN = 100
_TOKEN = re.compile(r"(\*|:[A-Za-z][A-Za-z0-9_]*)")
_URL = re.compile(r"https?://([^/]*)(.*)", re.DOTALL | re.IGNORECASE)
_SPLAT = Hole("splat", crosses=True)
_LABEL_PIECE = re.compile(r"[a-z0-9-]*")


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
        return without_slash(begun) if self.names else begun

    def match(self, host: str, path: str) -> dict[str, str] | None:
        """What the holes stand for in this host and path; None when they don't match."""
        subject = path if self.host is None else host + path
        if not subject.startswith(self.beginning):
            return None
        if not self.names:
            return {} if without_slash(subject) == self.beginning else None
        found = self._host_values(host)
        taken = None if found is None else self._path_values(path)
        return None if taken is None else dict(zip(self.names, (found or []) + taken, strict=True))

    def sample(self, values: Mapping[str, str]) -> tuple[str, str]:
        """A host (empty when any will do) and a path that it matches, with these values in its holes."""
        host, path = (fill(parts, values, sys.maxsize) or "" for parts in (self.host or (), self.path))
        return host, path or "/"

    def _host_values(self, host: str) -> list[str] | None:
        return [] if self.host is None else self._globs[0].match(host)

    def _path_values(self, path: str) -> list[str] | None:
        if self.path[-1:] != (_SPLAT,):
            return self._globs[1].match(without_slash(path))
        found = self._globs[1].match(path)
        if found is None and isinstance(self.path[-2], str) and self.path[-2].endswith("/"):
            return self._globs[1].match(path + "/")  # That slash belongs to what may be missing.
        return found

    @cached_property
    def _globs(self) -> tuple[Glob, Glob]:
        return parse_glob(self.host or (), "."), parse_glob(self.path, "/")


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
    if pattern.names:
        _refuse_slow(pattern.path)
    return pattern


def without_slash(path: str) -> str:
    """A path as it is compared: without one trailing slash."""
    return path[:-1] if path.endswith("/") else path


def _template(text: str) -> Template:
    # The stars and names are found first, so that %2A is a literal star.
    parts = _TOKEN.split(text)
    if len(parts) > 2 * MAX_HOLES + 1:
        raise BadLine(f"* 和占位符超过 {MAX_HOLES} 个")
    return tuple(_hole(part) or decoded(part) for part in parts if part)


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


def _refuse_slow(path: Template) -> None:
    """``BadLine`` for what would take long to match, and is of no use."""
    if sum(part.count("/") for part in path if isinstance(part, str)) > MAX_PARTS:
        raise BadLine(f"带占位符的路径超过 {MAX_PARTS} 段")
    for part in path[1:-1]:
        if isinstance(part, str) and "/" not in part and len(part) > MAX_BETWEEN:
            raise BadLine(f"同一段里两个占位符之间的文字超过 {MAX_BETWEEN} 个字符")


def host_name(text: str) -> str:
    """A host name that an author wrote, canonical; ``BadLine`` when it is none."""
    # No longer one has a valid ASCII form, and the check's time grows with it.
    if len(text) > (253 if text.isascii() else 128):
        raise BadLine("主机名过长")
    try:
        return canonical_domain(text)
    except ValueError as error:
        raise BadLine(f"主机名无效: {error}") from error


def _host(text: str) -> Template:
    """The host of a full URL, canonical; one with placeholders in it is ASCII."""
    parts = _TOKEN.split(text)
    if len(parts) == 1:
        return (host_name(text),)
    lowered = [part if _hole(part) else part.lower() for part in parts]
    if not all(_hole(part) or all(map(_LABEL_PIECE.fullmatch, part.split("."))) for part in lowered):
        raise BadLine("主机名无效: 不能含端口，带占位符时只能是 ASCII")
    return tuple(_hole(part) or part for part in lowered if part)
