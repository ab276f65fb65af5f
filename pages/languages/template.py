"""How a finished message is told by its template, and said in another language.

An entry of a table is a message with ``{name}`` for what varies, and its English with the same names. After a colon
stands what a part may be, so that a file name that looks like a message changes nothing but itself:

- ``{name}``: any text, up to the last place where what follows stands (``{name:first}``: up to the first);
- ``{count:number}``: digits; ``{error:ascii}``: ASCII, as the system's own words are; ``{field:word}``: ASCII without
  blanks; ``{names:list}``: words with ``、`` between;
- ``{reason:message}``: a message itself, which is translated too.

A brace that is only itself is written twice. A name that stands twice in a row at the end is the same text twice.
Only plain searches are made: the time grows with the length of a message, whatever is in it.
"""

from collections.abc import Iterator, Mapping
from string import Formatter

# How many messages stand within one another: "字段 aliases *.x: 不是有效的域名…" are three.
_DEEPEST = 4
# The Chinese comma in a list, and ours.
_LISTED, _COMMA = "、", ", "
# A message in the middle may itself hold what follows it, but not often.
_TRIES = 3


class Template:
    """One message with parts that vary."""

    def __init__(self, chinese: str, english: str) -> None:
        self._literals = [""]
        self._holes: list[tuple[str, str]] = []
        for literal, name, kind, _ in Formatter().parse(chinese):
            self._literals[-1] += literal
            if name is not None:
                self._holes.append((name, kind or ""))
                self._literals.append("")
        self._english = english

    @property
    def start(self) -> str:
        """What every such message begins with."""
        return self._literals[0]

    @property
    def varies(self) -> bool:
        return bool(self._holes)

    @property
    def fixed(self) -> tuple[int, int]:
        """How much of it does not vary, at its start and in all: what says more is tried first."""
        return len(self.start), sum(map(len, self._literals))

    def filled(self, message: str, inner: "_Inner") -> str | None:
        """The English of a message of this template; None when it is none, or ``inner`` refuses a part."""
        start, end = self._literals[0], self._literals[-1]
        if len(message) < len(start) + len(end) or not (message.startswith(start) and message.endswith(end)):
            return None
        parts: dict[str, str] = {}
        rest = message[len(start) : len(message) - len(end)]
        for number, (name, kind) in enumerate(self._holes):
            for text, after in self._splits(number, rest):
                if (said := inner.said(kind, text)) is not None and parts.get(name, said) == said:
                    parts[name], rest = said, after
                    break
            else:
                return None
        return self._english.format_map(parts)

    def _splits(self, number: int, rest: str) -> Iterator[tuple[str, str]]:
        """What a hole may hold and what is left then, the likeliest first."""
        if number + 1 == len(self._holes):
            yield rest, ""
            return
        (name, kind), literal = self._holes[number], self._literals[number + 1]
        if number + 2 == len(self._holes) and self._holes[-1][0] == name:
            half = (len(rest) - len(literal)) // 2
            if half >= 0 and rest.startswith(literal, half):
                yield rest[:half], rest[half + len(literal) :]
            return
        at = rest.find(literal) if kind else rest.rfind(literal)
        for _ in range(_TRIES if kind == "message" else 1):
            if at < 0:
                return
            yield rest[:at], rest[at + len(literal) :]
            at = rest.find(literal, at + 1)


class Catalogue:
    """All messages of some tables in one other language."""

    def __init__(self, *tables: Mapping[str, str]) -> None:
        self._fixed: dict[str, str] = {}
        self._by_start: dict[str, list[Template]] = {}
        for chinese, english in (entry for table in tables for entry in table.items()):
            template = Template(chinese, english)
            if not template.varies:
                self._fixed[template.start] = english.format()
                continue
            self._by_start.setdefault(_start(template.start), []).append(template)
        for templates in self._by_start.values():
            templates.sort(key=lambda template: template.fixed, reverse=True)

    def translated(self, message: str) -> str:
        """A finished message; what is not known stays as it is, also within another message."""
        if message.isascii():
            return message
        return self.known(message, _Inner(self, 1)) or self.known(message, _Inner(self, 1, lenient=True)) or message

    def known(self, message: str, inner: "_Inner") -> str | None:
        """A message that a table holds; None for another one."""
        if message in self._fixed:
            return self._fixed[message]
        start = _start(message)
        for key in (start, "") if start else ("",):
            for template in self._by_start.get(key, ()):
                if (said := template.filled(message, inner)) is not None:
                    return said
        return None


class _Inner:
    """What is said of the parts of a message, so many messages deep."""

    def __init__(self, catalogue: Catalogue, depth: int, lenient: bool = False) -> None:
        self._catalogue = catalogue
        self._depth = depth
        self._lenient = lenient

    def said(self, kind: str, text: str) -> str | None:
        """A part in the other language; None when it is none of its kind."""
        if kind == "message":
            return self._message(text)
        if kind == "number":
            return text if text.isascii() and text.isdigit() else None
        if kind == "word":
            return text if text.isascii() and text and " " not in text else None
        if kind == "ascii":
            return text if text.isascii() else None
        if kind == "list":
            listed = text.replace(_LISTED, _COMMA)
            return listed if listed.isascii() else None
        return text

    def _message(self, text: str) -> str | None:
        deeper = _Inner(self._catalogue, self._depth + 1, self._lenient)
        known = self._catalogue.known(text, deeper) if self._depth < _DEEPEST else None
        return text if known is None and self._lenient else known


def _start(text: str) -> str:
    """By which templates are looked up; empty for one that begins with a part of its own."""
    return text[:2] if len(text) >= 2 else ""
