"""A site's `_redirects`: which rule answers a request, and with what."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pages.rules.lines import CHARACTERS_OF_WEIGHT, BadLine, Ignored, Ignoring, meaningful_lines
from pages.rules.patterns import without_slash
from pages.rules.redirect_line import Redirect, parse_redirect

REDIRECTS = "_redirects"
MAX_STATIC, MAX_DYNAMIC = 2000, 100
_MAX_PARAMETERS = 1000


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that answers. ``target`` is, for the statuses 200, 404 and 410, the decoded path within the
    site, beginning with ``/``; else the whole ``Location``, printable ASCII. ``query`` is the target's, or
    for a path within the site the request's own."""

    rule: Redirect
    target: str
    query: str


class Redirects:
    """The rules of one ``_redirects``, in the order of the file, and its lines that have no effect."""

    def __init__(self, rules: tuple[Redirect, ...], ignored: tuple[Ignored, ...]) -> None:
        self.rules = rules
        self.ignored = ignored
        self._static = {rule.pattern.beginning: (at, rule) for at, rule in enumerate(rules) if rule.is_static}
        self._asks_query = any(rule.literal or rule.captured for rule in rules)
        self._dynamic = [(at, rule) for at, rule in enumerate(rules) if not rule.is_static]

    @property
    def weight(self) -> int:
        """Roughly how much memory the rules take, for a cache's budget: 1 or 2 for a usual one, at least 1."""
        return max(1, sum(1 + len(rule.text) // CHARACTERS_OF_WEIGHT for rule in self.rules))

    def match(self, host: str, path: str, query: str) -> Match | None:
        """The answer of the first rule that matches; None when none does.

        ``host`` is canonical, ``path`` decoded and begins with ``/``, ``query`` raw, as WSGI gives it. A rule
        whose target would be too long, or would climb by a ``..`` of the request, does not match.
        """
        at, static = self._static.get(without_slash(path)) or (len(self.rules), None)
        parameters = _parameters(query) if self._asks_query else {}
        for place, rule in self._dynamic:
            if place > at:
                break
            if found := _answer(rule, host, path, query, parameters):
                return found
        return _answer(static, host, path, query, parameters) if static else None


def parse_redirects(data: bytes) -> Redirects:
    """The rules of a ``_redirects`` file, whatever it holds; of more than ``MAX_FILE_BYTES`` the beginning counts."""
    ignoring = Ignoring(REDIRECTS)
    rules: list[Redirect] = []
    seen: dict[str, int] = {}
    for number, text in meaningful_lines(data, ignoring):
        try:
            rule = parse_redirect(text, number)
            _refuse_surplus(rule, seen, len(rules))
        except BadLine as reason:
            ignoring.add(number, reason, text)
            continue
        rules.append(rule)
        if rule.is_static:
            seen[rule.pattern.beginning] = number
    return Redirects(tuple(rules), ignoring.all())


def _refuse_surplus(rule: Redirect, seen: Mapping[str, int], rules: int) -> None:
    """``BadLine`` for a rule that an earlier one hides, and for one over the limits."""
    if not rule.is_static:
        if rules - len(seen) >= MAX_DYNAMIC:
            raise BadLine(f"带 *、占位符、主机名或查询参数的规则超过 {MAX_DYNAMIC} 条")
        return
    if first := seen.get(rule.pattern.beginning):
        raise BadLine(f"路径与第 {first} 行相同，永远轮不到这一行")
    if len(seen) >= MAX_STATIC:
        raise BadLine(f"固定路径的规则超过 {MAX_STATIC} 条")


def _answer(rule: Redirect, host: str, path: str, query: str, parameters: Mapping[str, str]) -> Match | None:
    values = rule.values(host, path, parameters)
    if values is None:
        return None
    if rule.is_redirect:
        found = rule.target.location(values, query)
        return Match(rule, *found) if found else None
    file = rule.target.file_path(values)
    return Match(rule, file, query) if file else None


def _parameters(query: str) -> dict[str, str]:
    """The first value of each parameter of a raw query."""
    found: dict[str, str] = {}
    for pair in query.split("&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]:
        name, _, value = pair.partition("=")
        found.setdefault(_parameter_text(name), _parameter_text(value))
    return found


def _parameter_text(text: str) -> str:
    if text.isascii():
        text = text.replace("+", " ")
        return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text
    octets = text.encode("latin-1", "replace").replace(b"+", b" ")
    return unquote_to_bytes(octets).decode("utf-8", "replace")
