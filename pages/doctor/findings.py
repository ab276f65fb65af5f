"""What a check says: that something is as it should be, may become trouble, or is trouble; and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from pages.config import Config
from pages.paths import Paths

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Examined:
    """What is looked at: the settings in force, the time, and where nginx's configuration begins (None: nowhere)."""

    config: Config
    now: datetime
    nginx: Path | None = None
    certificates: Path | None = None

    @property
    def paths(self) -> Paths:
        return Paths(self.config.data_dir)


class Finding(NamedTuple):
    """One line. ``todo`` is empty where nothing has to be done."""

    level: Level
    message: str
    todo: str = ""


Findings: TypeAlias = Iterator[Finding]
Check: TypeAlias = Callable[[Examined], Findings]


def ok(message: str) -> Finding:
    """As it should be."""
    return Finding("ok", message)


def warning(message: str, todo: str) -> Finding:
    """It works, and may not for long."""
    return Finding("warning", message, todo)


def problem(message: str, todo: str) -> Finding:
    """It does not work."""
    return Finding("problem", message, todo)
