"""The ratios as horizontal bars, in an SVG of our own."""

import statistics
from html import escape
from pathlib import Path

from report import Table

_WIDTH = 860
_LABELS = 330  # Where the bars begin.
_LONGEST = 400  # A bar of the table's largest ratio.
_LINE = 22
_GAP = 18
_COLOURS = {True: "#2563eb", False: "#9aa4b2"}  # Ourselves, and everybody else.


def write_picture(file: Path, tables: list[Table]) -> None:
    """Draw the tables that are meant for the picture, one below the other."""
    parts, y = [], _GAP
    for table in tables:
        if table.in_picture and table.base in table.figures:
            parts += _chart(table, y)
            y += _LINE * (len(table.figures) + 1) + _GAP
    # A panel of its own: dark text on white is readable whatever the page's background is.
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2933">\n'
        f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" height="{y - 1}" rx="8" fill="#ffffff" stroke="#d0d7de"/>'
    )
    file.write_text("\n".join([head, *parts, "</svg>"]) + "\n", encoding="utf-8")


def _chart(table: Table, y: int) -> list[str]:
    """One table from ``y`` down: a title, a bar for each target, a line where the base is."""
    medians = {target: statistics.median(table.ratios(target)) for target in table.figures}
    scale = _LONGEST / max(medians.values())
    better = "longer" if table.more_is_better else "shorter"
    title = f"{escape(table.title)} <tspan font-weight='400' fill='#52606d'>({better} is better)</tspan>"
    parts = [f'<text x="{_GAP}" y="{y + 14}" font-weight="600">{title}</text>']
    for number, (target, ratio) in enumerate(medians.items(), start=1):
        parts += _bar(target, ratio, ratio * scale, y + number * _LINE)
    x, top, bottom = _LABELS + scale, y + _LINE, y + _LINE * (len(medians) + 1)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom - 4}" stroke="#52606d" stroke-dasharray="2 3"/>'
    return [*parts, line]


def _bar(target: str, ratio: float, length: float, y: int) -> list[str]:
    colour = _COLOURS[target.startswith("Pages")]
    return [
        f'<text x="{_LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(target)}</text>',
        f'<rect x="{_LABELS}" y="{y + 2}" width="{max(length, 1):.1f}" height="{_LINE - 8}" rx="2" fill="{colour}"/>',
        f'<text x="{_LABELS + length + 8:.1f}" y="{y + 13}">{ratio:.2f}</text>',
    ]
