"""One line of `_redirects`: a rule out of its words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pages.rules.lines import BadLine
from pages.rules.patterns import MAX_HOLES, Pattern, parse_pattern, without_slash
from pages.rules.targets import Target, parse_target
from pages.rules.templates import NAME

_REDIRECTING = (301, 302, 303, 307, 308)
_SERVING = (200, 404, 410)
_DEFAULT = "301"
_BLANKS = re.compile(r"[ \t]+")
_STATUS = re.compile(r"([1-9][0-9]{2})(!?)")
# Private characters: no author's pattern names them, so what they match, every value matches.
_SAMPLES = [chr(0xF0000 + number) for number in range(MAX_HOLES)]


@dataclass(frozen=True, slots=True)
class Redirect:
    """A rule. ``forced`` is true when it also goes before a file that is there.

    ``literal`` are the parameters that a query must have, ``captured`` those whose values are captured, by
    parameter; ``text`` is the whole line.
    """

    line: int
    text: str
    pattern: Pattern
    literal: Mapping[str, str]
    captured: Mapping[str, str]
    target: Target
    status: int
    forced: bool

    @property
    def is_static(self) -> bool:
        """Does it match one path, whatever the host and the query?"""
        return self.pattern.is_static and not self.literal and not self.captured

    @property
    def is_redirect(self) -> bool:
        """Does it answer with a ``Location``? Else with a file of the site."""
        return self.status in _REDIRECTING

    def values(self, host: str, path: str, parameters: Mapping[str, str]) -> dict[str, str] | None:
        """What a request captures; None when it doesn't match. A captured parameter is never empty."""
        for name, value in self.literal.items():
            if parameters.get(name) != value:
                return None
        if not all(parameters.get(name) for name in self.captured):
            return None
        values = self.pattern.match(host, path)
        return values if values is None else values | {hole: parameters[name] for name, hole in self.captured.items()}


def parse_redirect(text: str, line: int) -> Redirect:
    """The rule of a line: ``from [k=v …] to [status[!]]``; ``BadLine`` says why it is none."""
    words = _without_comment(_BLANKS.split(text))
    untrusted_query, to, tail = _divided(words)
    pattern = parse_pattern(words[0])
    literal, captured = _parameters(untrusted_query)
    status, forced = _status(tail)
    target = parse_target(_destination(words[0], to, status), _captures(pattern, captured))
    rule = Redirect(line, text, pattern, literal, captured, target, status, forced)
    if status in _SERVING and target.origin:
        raise BadLine(f"状态码 {status} 的目标只能是本站路径，不支持代理到其他主机")
    if rule.is_redirect and _is_endless(rule):
        raise BadLine("会无限重定向到自身（匹配时不看末尾的斜杠和 http/https）")
    return rule


def _without_comment(words: list[str]) -> list[str]:
    for at, word in enumerate(words):
        if word.startswith("#"):
            return words[:at]
    return words


def _divided(words: list[str]) -> tuple[list[str], str, list[str]]:
    """The words between `from` and `to`, then `to` (empty when there is none), then those after it."""
    rest = words[1:]
    if not rest:
        raise BadLine("缺少目标；写法: /路径 /目标 [状态码]")
    if _STATUS.fullmatch(rest[0]):
        return [], "", rest
    for at, word in enumerate(rest):
        if word.lower().startswith(("/", "http://", "https://")):
            return rest[:at], word, rest[at + 1 :]
    raise BadLine("目标必须以 / 或 http(s):// 开头")


def _destination(untrusted_from: str, to: str, status: int) -> str:
    """The target; a rewrite of a whole folder need not say it, and means the same path then."""
    if to:
        return to
    if status != 200 or not untrusted_from.startswith("/") or not untrusted_from.endswith("/*"):
        raise BadLine("缺少目标；只有以 /* 结尾且状态码为 200 的规则可以省略目标")
    return untrusted_from[:-1] + ":splat"


def _status(words: list[str]) -> tuple[int, bool]:
    """The status and whether it is forced, from what follows `to`."""
    for word in words:
        if "=" in word:
            raise BadLine("不支持条件（Country、Language、Role、Cookie、Sign 等），为避免无条件生效，整行不用")
    if len(words) > 1:
        raise BadLine("状态码之后有多余的内容")
    found = _STATUS.fullmatch(words[0] if words else _DEFAULT)
    status = int(found[1]) if found else 0
    if found is None or status not in _REDIRECTING + _SERVING:
        raise BadLine("状态码只能是 301、302、303、307、308、200、404、410，可加 !")
    return status, found[2] == "!"


def _parameters(words: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters that must have a certain value, and those that are captured."""
    literal: dict[str, str] = {}
    captured: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise BadLine("路径与目标之间只能是 名称=值 形式的查询参数")
        if (key := _text(name)) in literal or key in captured:
            raise BadLine("同一个查询参数写了两次")
        if hole := NAME.fullmatch(value):
            captured[key] = hole[1]
        else:
            literal[key] = _text(value)
    return literal, captured


def _text(word: str) -> str:
    return unquote_to_bytes(word.replace("+", " ")).decode("utf-8", "replace")


def _captures(pattern: Pattern, captured: Mapping[str, str]) -> frozenset[str]:
    """Everything that the target may use."""
    names = [*pattern.names, *captured.values()]
    if len(set(names)) < len(names):
        raise BadLine("同名占位符只能出现一次")
    if len(names) > MAX_HOLES:
        raise BadLine(f"占位符超过 {MAX_HOLES} 个")
    return frozenset(names)


def _is_endless(rule: Redirect) -> bool:
    """Would every request that the rule answers come back to it?

    An unforced rule can lead to a file that is there, unless it leads to the very path it came from.
    """
    if rule.target.query is not None and (rule.literal or rule.captured):
        return False  # The new query need not fulfil the condition.
    names = [*rule.pattern.names, *rule.captured.values()]
    values = dict(zip(names, _SAMPLES, strict=False))
    host, path = rule.pattern.sample(values)
    goal = rule.target.file_path(values)
    if goal is None or rule.target.origin.partition("://")[2] not in ("", host):
        return False
    if without_slash(goal) == without_slash(path):
        return True
    return rule.forced and rule.pattern.match(host, goal) is not None
