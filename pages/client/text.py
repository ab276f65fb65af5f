"""What is shown to people: sizes, times, and names that neither begin a line nor steer the terminal."""

import re
import unicodedata
from collections.abc import Sequence

import click

_UNITS = ("B", "kB", "MB", "GB", "TB")
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def in_one_line(text: object) -> str:
    """A text from elsewhere, printable whatever it is."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text))


def size(count: int) -> str:
    """A number of bytes, as people say it."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def many(count: int, one: str, more: str = "") -> str:
    """A number of things: ``1 file``, ``1,000 files``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def columns(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows in columns as wide as they need to be; a Chinese character takes two places."""
    cells = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    return lines


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else not unicodedata.combining(sign) for sign in text)


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds, also written ``10m``, ``2h``, ``30d``."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = _DURATION.fullmatch(str(value))
        if match is None or not int(match[1]):  # None at all would be taken for none given.
            self.fail(f"{value!r} is no duration, as 90, 10m, 2h and 30d are", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]
