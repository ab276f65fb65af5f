"""A site's `_headers`: what is added to its answers, and what is taken from them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pages.rules.header_line import Operation, parse_operation
from pages.rules.lines import CHARACTERS_OF_WEIGHT, BadLine, Ignored, Ignoring, meaningful_lines
from pages.rules.patterns import Pattern, parse_pattern
from pages.rules.templates import Template, fill, holes, in_header

HEADERS = "_headers"
MAX_BLOCKS, MAX_OPERATIONS = 100, 50
MAX_ALL_OPERATIONS = 500  # In a file: each may be for every answer.
# All that the rules may add to one answer: names, values and what stands between them.
MAX_ADDED = 16 * 1024
_PATH_LINE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://")

Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A block: what is done to the headers of every answer whose host and path match. ``text`` is its path line."""

    line: int
    text: str
    pattern: Pattern
    operations: tuple[Operation, ...]


class Headers:
    """The blocks of one ``_headers``, in the order of the file, and its lines that have no effect."""

    def __init__(self, rules: tuple[HeaderRule, ...], ignored: tuple[Ignored, ...]) -> None:
        self.rules = rules
        self.ignored = ignored

    @property
    def weight(self) -> int:
        """Roughly how much memory the blocks take, for a cache's budget: 1 or 2 for a usual header, at least 1."""
        lengths = [len(rule.text) for rule in self.rules]
        lengths += [operation.length for rule in self.rules for operation in rule.operations]
        return max(1, sum(1 + length // CHARACTERS_OF_WEIGHT for length in lengths))

    def matching(self, host: str, path: str) -> list[HeaderRule]:
        """The blocks that apply to this canonical host and decoded path, in the order of the file."""
        return [rule for rule, _ in self._matches(host, path)]

    def apply(self, host: str, path: str, headers: Fields) -> Fields:
        """``headers``, which would be sent without rules, as every matching block in turn changes them.

        A block removes first, from ``headers`` and from what earlier blocks set; what it sets then replaces the
        header of ``headers`` (but is added to the members of ``Vary``), and is joined to what blocks set before.
        What would be over ``MAX_ADDED`` octets, and all further, is not added.
        """
        changes = _Changes()
        for rule, values in self._matches(host, path):
            changes.take(rule.operations, values)
        return changes.of(headers)

    def _matches(self, host: str, path: str) -> Iterator[tuple[HeaderRule, dict[str, str]]]:
        for rule in self.rules:
            values = rule.pattern.match(host, path)
            if values is not None:
                yield rule, values


def parse_headers(data: bytes) -> Headers:
    """The blocks of a ``_headers`` file, whatever it holds; of more than ``MAX_FILE_BYTES`` the beginning counts."""
    ignoring = Ignoring(HEADERS)
    blocks = [_Block(0, "")]
    for number, text in meaningful_lines(data, ignoring):
        try:
            if _PATH_LINE.match(text):
                blocks[-1].close(ignoring)
                blocks.append(_Block(number, text))
                blocks[-1].open(sum(1 for block in blocks if block.pattern))
            else:
                if sum(len(block.operations) for block in blocks) >= MAX_ALL_OPERATIONS:
                    raise BadLine(f"文件中超过 {MAX_ALL_OPERATIONS} 个头部")
                blocks[-1].add(text)
        except BadLine as reason:
            ignoring.add(number, reason, text)
    blocks[-1].close(ignoring)
    return Headers(tuple(rule for block in blocks if (rule := block.rule())), ignoring.all())


class _Block:
    """A block while its lines are read; line 0 is what stands before any path.

    One whose path is bad is told of once, and not again for each of its lines.
    """

    def __init__(self, line: int, text: str) -> None:
        self.line = line
        self.text = text
        self.pattern: Pattern | None = None
        self.operations: list[Operation] = []

    def open(self, others: int) -> None:
        if others >= MAX_BLOCKS:
            raise BadLine(f"超过 {MAX_BLOCKS} 个路径，此路径及其头部不生效")
        if not self.text.startswith(("/", "https://")):
            raise BadLine("完整地址只能以 https:// 开头（对 http 也生效），此路径及其头部不生效")
        self.pattern = parse_pattern(self.text)

    def add(self, text: str) -> None:
        if not self.line:
            raise BadLine("头部之前要先有一行路径（以 / 或 https:// 开头）")
        if self.pattern is None:
            return
        if len(self.operations) >= MAX_OPERATIONS:
            raise BadLine(f"一个路径下超过 {MAX_OPERATIONS} 个头部")
        self.operations.append(parse_operation(text, frozenset(self.pattern.names)))

    def close(self, ignoring: Ignoring) -> None:
        if self.pattern and not self.operations:
            ignoring.add(self.line, "此路径下没有有效的头部", self.text)

    def rule(self) -> HeaderRule | None:
        if self.pattern is None or not self.operations:
            return None
        return HeaderRule(self.line, self.text, self.pattern, tuple(self.operations))


class _Changes:
    """What the blocks do to one answer's headers."""

    def __init__(self) -> None:
        self._removed: set[str] = set()
        self._set: dict[str, tuple[str, list[str]]] = {}
        self._left = MAX_ADDED

    def take(self, operations: Iterable[Operation], values: Mapping[str, str]) -> None:
        """One block's operations, removals first."""
        for operation in operations:
            if operation.value is None:
                self._removed.add(operation.key)
                self._set.pop(operation.key, None)
        for operation in operations:
            if operation.value is not None and self._left > 0:
                self._add(operation, _filled(operation.value, values, self._left))

    def _add(self, operation: Operation, value: str | None) -> None:
        self._left -= len(operation.name) + len(": \r\n") + len(value or "")
        if value is None or self._left < 0:
            self._left = 0
            return
        self._set.setdefault(operation.key, (operation.name, []))[1].append(value)

    def of(self, headers: Fields) -> Fields:
        """``headers`` with these changes."""
        if "vary" in self._set:
            name, values = self._set["vary"]
            told = [value for header, value in headers if header.lower() == "vary"]
            self._set["vary"] = (name, _members(told + values))
        gone = self._removed | self._set.keys()
        kept = [(name, value) for name, value in headers if name.lower() not in gone]
        return kept + [(name, ", ".join(values)) for name, values in self._set.values()]


def _filled(parts: Template, values: Mapping[str, str], most: int) -> str | None:
    used: dict[str, str] = {}
    for name in set(holes(parts)):
        if (value := in_header(values[name], most)) is None:
            return None
        used[name] = value
    return fill(parts, used, most)


def _members(values: Iterable[str]) -> list[str]:
    """The members of several lists, each once."""
    members = [member.strip() for value in values for member in value.split(",")]
    found: dict[str, str] = {}
    for member in filter(None, members):
        found.setdefault(member.lower(), member)
    return list(found.values())
