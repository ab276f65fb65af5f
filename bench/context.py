"""What all parts of a run share: the options, a folder, the processes, and chance."""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import TypeVar

import sites
from processes import Processes

_Target = TypeVar("_Target")


class Bench:
    """One run. ``folder`` is temporary, on the disk that is measured."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.processes = Processes(folder)
        self.chance = random.Random(4)
        self._began = perf_counter()

    def rounds(self, targets: Sequence[_Target]) -> Iterator[_Target]:
        """Every target in every round, in another order each time."""
        for _ in range(self.options.rounds):
            yield from self.chance.sample(targets, len(targets))

    @property
    def text_size(self) -> str:
        """What ``text_site`` is, in words."""
        return f"{self.options.megabytes} MB in {self.options.files:,} files"

    def text_site(self) -> Path:
        """Many small pages; made once, and not to be changed."""
        site = self.folder / "text-site"
        if not site.exists():
            sites.make_text_site(site, self.options.files, self.options.megabytes)
        return site

    def new_folder(self) -> Path:
        """An empty folder, to be left as it is until the end of the run.

        Nothing large is deleted between two measurements: for minutes afterwards ext4 passes over every inode
        that was just freed, which makes ten thousand new files ten times as slow.
        """
        return Path(mkdtemp(dir=self.folder))

    def say(self, what: str) -> None:
        """Progress, on standard error, with the seconds since the beginning."""
        print(f"  {perf_counter() - self._began:5.0f} s  {what}", file=sys.stderr, flush=True)


def seconds(action: Callable[..., object], *arguments: object) -> float:
    """How long a call takes."""
    start = perf_counter()
    action(*arguments)
    return perf_counter() - start
