"""Whether a text fits a template, and what stands in its holes: in a time that no template can make long.

Regular expressions would do the same, but the time of Python's can grow exponentially with a hostile pattern, and
that of RE2, linear in the text as it is, came to eight seconds for a hundred long patterns and one long path. Here
each hole is settled by one search that is never repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pages.rules.templates import Hole, Template


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands between two separators: literal texts and, between them, holes.

    ``inner`` are the literals between the holes from the last to the first, each backwards; ``least`` says,
    in the same order, how many characters a hole holds at least.
    """

    begin: str
    end: str
    inner: tuple[str, ...]
    least: tuple[int, ...]

    def match(self, text: str) -> list[str] | None:
        """What the holes hold: as in a regular expression each as much as it can, the first one first.

        The literals are looked for backwards: Python's search for the first occurrence takes linear time,
        the one for the last does not.
        """
        if not self.least:
            return [] if text == self.begin else None
        length = len(text) - len(self.begin) - len(self.end)
        if length < 0 or not text.startswith(self.begin) or not text.endswith(self.end):
            return None
        return self._held(text[len(self.begin) :][:length][::-1])

    def _held(self, backwards: str) -> list[str] | None:
        values: list[str] = []
        place = 0
        for literal, least in zip(self.inner, self.least[:-1], strict=True):
            at = backwards.find(literal, place + least)
            if at < 0:
                return None
            values.append(backwards[place:at][::-1])
            place = at + len(literal)
        values.append(backwards[place:][::-1])
        return values[::-1] if len(values[-1]) >= self.least[-1] else None


@dataclass(frozen=True, slots=True)
class _Middle:
    """The part with the hole that crosses separators: as it is on one part of a text, and its two ends on several."""

    whole: _Part
    begin: _Part
    end: _Part

    def match(self, text: str, separator: str) -> list[str] | None:
        first, found, rest = text.partition(separator)
        if not found:
            return self.whole.match(text)
        between, found, last = rest.rpartition(separator)
        begun, ended = self.begin.match(first), self.end.match(last)
        if begun is None or ended is None:
            return None
        crossed = separator.join([begun[-1], between, ended[0]] if found else [begun[-1], ended[0]])
        return [*begun[:-1], crossed, *ended[1:]]


@dataclass(frozen=True, slots=True)
class Glob:
    """A template cut at a separator. A hole holds one character or more of one part; the one that ``crosses`` is in
    ``middle``, and holds any characters, or none."""

    separator: str
    before: tuple[_Part, ...]
    middle: _Middle | None
    after: tuple[_Part, ...]

    def match(self, text: str) -> list[str] | None:
        """What the holes hold, in order; None when the text does not fit."""
        parts = text.split(self.separator, len(self.before))
        if self.middle is None:
            return _all(self.before, parts)
        if len(parts) <= len(self.before):
            return None
        ends = parts.pop().rsplit(self.separator, len(self.after))
        first, last = _all(self.before, parts), _all(self.after, ends[1:])
        if first is None or last is None:
            return None
        inner = self.middle.match(ends[0], self.separator)
        return None if inner is None else first + inner + last


def parse_glob(parts: Template, separator: str) -> Glob:
    """The template cut at the separators of its literal text; at most one hole of it crosses them."""
    cut: list[list[str | Hole]] = [[]]
    for part in parts:
        if isinstance(part, Hole):
            cut[-1].append(part)
            continue
        first, *others = part.split(separator)
        cut[-1].append(first)
        cut.extend([other] for other in others)
    at = next((at for at, pieces in enumerate(cut) if _crossing(pieces) >= 0), len(cut))
    middle = _middle(cut[at]) if at < len(cut) else None
    return Glob(separator, tuple(map(_part, cut[:at])), middle, tuple(map(_part, cut[at + 1 :])))


def _crossing(pieces: Sequence[str | Hole]) -> int:
    """Where among the pieces the hole is that crosses separators; -1 when there is none."""
    return next((at for at, piece in enumerate(pieces) if isinstance(piece, Hole) and piece.crosses), -1)


def _middle(pieces: Sequence[str | Hole]) -> _Middle:
    at = _crossing(pieces)
    return _Middle(_part(pieces), _part(pieces[: at + 1]), _part(pieces[at:]))


def _part(pieces: Sequence[str | Hole]) -> _Part:
    least: list[int] = []
    literals = [""]
    for piece in pieces:
        if isinstance(piece, Hole):
            least.append(0 if piece.crosses else 1)
            literals.append("")
        else:
            literals[-1] += piece
    inner = tuple(literal[::-1] for literal in reversed(literals[1:-1]))
    return _Part(literals[0], literals[-1], inner, tuple(reversed(least)))


def _all(parts: Sequence[_Part], texts: Sequence[str]) -> list[str] | None:
    """What the holes of all parts hold, when there are as many texts and each fits."""
    if len(parts) != len(texts):
        return None
    found: list[str] = []
    for part, text in zip(parts, texts, strict=True):
        if (values := part.match(text)) is None:
            return None
        found += values
    return found
