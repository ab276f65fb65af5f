"""What all parts of a run share: the options, a folder, the processes, and chance."""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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

    def say(self, what: str) -> None:
        """Progress, on standard error."""
        print(f"  … {what}", file=sys.stderr, flush=True)


def seconds(action: Callable[..., object], *arguments: object) -> float:
    """How long a call takes."""
    start = perf_counter()
    action(*arguments)
    return perf_counter() - start
