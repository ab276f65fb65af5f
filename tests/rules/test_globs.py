"""Matching by searches gives what a regular expression would, whatever the template and the text."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pages.rules.globs import parse_glob
from pages.rules.templates import Hole

LITERALS = st.text("ab/", max_size=3)
HOLES = st.lists(st.just(Hole("x")), max_size=4)


@st.composite
def templates(draw) -> tuple[str | Hole, ...]:
    """Texts and holes in turn, with at most one hole that crosses slashes."""
    holes = draw(HOLES)
    if draw(st.booleans()):
        holes.insert(draw(st.integers(0, len(holes))), Hole("splat", crosses=True))
    parts: list[str | Hole] = [draw(LITERALS)]
    for hole in holes:
        parts += [hole, draw(LITERALS)]
    return tuple(part for part in parts if part != "")


def expression(parts: tuple[str | Hole, ...]) -> str:
    return "".join(re.escape(p) if isinstance(p, str) else "(.*)" if p.crosses else "([^/]+)" for p in parts)


@given(templates(), st.text("ab/", max_size=12))
@example(("a", Hole("splat", crosses=True), "a"), "a")
@example((Hole("x"), "b", Hole("splat", crosses=True), "b", Hole("y")), "abab/aba")
@settings(max_examples=1000, deadline=None)
def test_a_glob_matches_and_captures_as_its_regular_expression(parts: tuple[str | Hole, ...], text: str) -> None:
    found = re.fullmatch(expression(parts), text, re.DOTALL)
    assert parse_glob(parts, "/").match(text) == (list(found.groups()) if found else None)
