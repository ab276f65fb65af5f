"""What a command prints: results to stdout, all else to stderr; a bar on a terminal, plain lines elsewhere."""

import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from pages.client.exits import USAGE, Failed
from pages.client.text import columns, in_one_line, size

if TYPE_CHECKING:
    from rich.progress import Progress

_TOLD_FROM = 64_000_000  # Less is sent before anybody wonders.


class Output:
    """``as_json``: results are the API's data and nothing else. ``quiet``: only results, warnings and errors."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # Not every locale has letters for all names.

    def answer(self, data: Any, lines: Iterable[str]) -> None:
        """What was asked for: the data as JSON, or these lines."""
        if self.as_json:
            click.echo(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
            return
        for line in lines:
            click.echo(in_one_line(line))
        self.warn(data)

    def table(self, data: Any, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A list: a heading and a line each."""
        self.answer(data, columns([headings, *rows]))

    def done(self, data: Any, line: str) -> None:
        """What has been done, which the exit status tells as well."""
        if self.as_json or not self.quiet:
            self.answer(data, [line])
        else:
            self.warn(data)

    def note(self, line: str) -> None:
        """What is going on."""
        if not self.quiet:
            click.echo(in_one_line(line), err=True)

    def warn(self, data: Any) -> None:
        """The warnings that come with an answer."""
        for warning in data.get("warnings", ()) if isinstance(data, dict) else ():
            click.echo(f"Warning: {in_one_line(warning)}", err=True)

    def progress(self) -> "Steps":
        """How far something is, in the form that suits where stderr leads."""
        if self.quiet:
            return Steps()
        is_watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return Bars() if is_watched else Lines()


class Steps:
    """The steps of something that takes a while. Used as a context manager; this one shows nothing."""

    def step(self, what: str, total: int | None = None) -> None:
        """Begin with a step; ``total`` bytes are to come, None where nobody knows."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""

    def note(self, line: str) -> None:
        """Say something beside."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Steps):
    """A line for each step, and for each quarter of a long one."""

    def __init__(self) -> None:
        self._total = self._done = self._told = 0

    def step(self, what: str, total: int | None = None) -> None:
        self._total, self._done, self._told = total or 0, 0, 0
        self.note(what + (f": {size(total)}" if total else ""))

    def advance(self, count: int) -> None:
        self._done += count
        quarters = 4 * self._done // self._total if self._total >= _TOLD_FROM else 0
        if self._told < quarters < 4:
            self._told = quarters
            self.note(f"  {25 * quarters} %, {size(self._done)}")

    def note(self, line: str) -> None:
        click.echo(in_one_line(line), err=True)


class Bars(Steps):
    """A bar that fills, or pulses where no total is known; gone when all is done."""

    def __init__(self) -> None:
        self._bars = _new_bars()
        self._step = self._bars.add_task("", visible=False)

    def step(self, what: str, total: int | None = None) -> None:
        self._bars.remove_task(self._step)
        self._step = self._bars.add_task(in_one_line(what), total=total)

    def advance(self, count: int) -> None:
        self._bars.advance(self._step, count)

    def note(self, line: str) -> None:
        self._bars.console.print(in_one_line(line), markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


def _new_bars() -> "Progress":
    from rich.console import Console  # Only a deploy on a terminal needs it.
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), transient=True)


def is_terminal() -> bool:
    """Is there somebody who can be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, yes: bool) -> None:
    """Go on only when a person agrees, or has said so before (``yes``).

    Without a terminal nobody is asked: ``Failed`` says what to give.
    """
    if yes:
        return
    if not is_terminal():
        raise Failed(f"{question} Nobody is here to ask: --yes says so.", USAGE)
    click.confirm(question, abort=True, err=True)
