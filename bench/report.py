"""What was measured, as text and as JSON: medians, and ratios round by round with their spread."""

import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nginx import find_program


@dataclass
class Table:
    """One measurement of several targets, round by round.

    ``base`` is the target that counts as 1.00; a ratio is taken within its round, so that what slows the
    whole machine down cancels out. Without a base there are only figures.
    """

    title: str
    unit: str
    base: str = ""
    more_is_better: bool = False
    in_picture: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, target: str, figure: float) -> None:
        self.figures.setdefault(target, []).append(figure)

    def ratios(self, target: str) -> list[float]:
        """The target's ratio to the base in each round; empty without a base."""
        base = self.figures.get(self.base, [])
        return [figure / against for figure, against in zip(self.figures[target], base, strict=False) if against]

    def text(self) -> str:
        direction = f", {'more' if self.more_is_better else 'less'} is better" if self.base else ""
        lines = [f"{self.title} ({self.unit}{direction})"]
        lines += [self._row(target) for target in self.figures]
        return "\n".join(lines + [f"  {note}" for note in self.notes]) + "\n"

    def as_json(self) -> dict[str, Any]:
        rows = {
            target: {
                "median": statistics.median(figures),
                "ratio": statistics.median(self.ratios(target)) if self.ratios(target) else None,
                "figures": figures,
            }
            for target, figures in self.figures.items()
        }
        about = {"title": self.title, "unit": self.unit, "base": self.base, "more_is_better": self.more_is_better}
        return {**about, "targets": rows, "notes": self.notes}

    def _row(self, target: str) -> str:
        row = f"  {target:44} {_short(statistics.median(self.figures[target])):>10}"
        if ratios := self.ratios(target):
            row += f"   x {statistics.median(ratios):.3f}   ({min(ratios):.3f} to {max(ratios):.3f})"
        return row


def heading() -> str:
    """What it ran on: absolute figures are this machine's, ratios are what counts."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    return f"{os.cpu_count()} cores, {versions}\n"


def write_json(file: Path, tables: list[Table]) -> None:
    about = {"cores": os.cpu_count(), "versions": _versions()}
    text = json.dumps({**about, "tables": [table.as_json() for table in tables]}, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def _short(figure: float) -> str:
    """Three or four digits that count, without an exponent."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.4g}"


def _versions() -> dict[str, str]:
    """Which programs were measured."""
    asked = {"nginx": "-v", "caddy": "version", "lighttpd": "-v"}
    found = {"Python": platform.python_version()}
    for name, option in asked.items():
        if program := find_program(name):
            done = subprocess.run([program, option], capture_output=True, text=True, check=False)
            words = (done.stdout + done.stderr).replace("/", " ").split()
            found[name] = next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "?")
    return found
