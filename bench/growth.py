"""What a call costs as the number of registered sites grows: nothing of it may grow with them."""

import http.client
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import crowds
import sites
from context import Bench, seconds
from memory import megabytes
from ours import Pages
from processes import Failed
from report import Table

_READS, _WRITES, _DEPLOYS = 200, 30, 10


def measure(bench: Bench) -> list[Table]:
    """One table for each call: the median of many, in each round, with each number of sites."""
    counts = bench.options.registered
    names = {count: f"Pages, {count:,} sites" for count in counts}
    archive = _tiny_archive(bench.folder / "tiny")
    start = Table("Starting, until the first answer", "seconds", names[counts[0]])
    crowd = {}
    for count in counts:
        pages = crowds.make_crowd(bench, count)
        start.add(names[count], seconds(pages.start))
        crowd[count] = _Crowd(pages, count, archive, bench.chance)
    bench.say("Growth")
    tables = {what: Table(f"Cost of {what}", "milliseconds", names[counts[0]]) for what in crowd[counts[0]].calls}
    for table in tables.values():
        table.figures = {name: [] for name in names.values()}
    for what, count in bench.rounds([(what, count) for what in tables for count in counts]):
        tables[what].add(names[count], 1000 * crowd[count].cost(what))
    held = Table("Memory of a worker after these calls, the largest one's", "MB", names[counts[0]])
    for count in counts:
        held.add(names[count], megabytes(crowd[count].pages, "VmRSS"))
    bench.processes.stop_all()
    return [start, *tables.values(), held]


def _tiny_archive(folder: Path) -> Path:
    folder.mkdir()
    (folder / "index.html").write_text("<h1>Tiny</h1>")
    return sites.zip_of(folder, folder.with_suffix(".zip"))


class _Crowd:
    """One installation with so many sites, and the calls that are measured there."""

    def __init__(self, pages: Pages, count: int, archive: Path, chance: random.Random) -> None:
        self.pages = pages
        self._count = count
        self._archive = archive
        self._chance = chance
        self._visitor = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=60)
        self._number = 0
        self.calls: dict[str, tuple[int, Callable[[], float]]] = {
            "creating a site": (_WRITES, self._create),
            "updating a site": (_WRITES, partial(self._timed, self._update)),
            "deleting a site": (_WRITES, self._delete),
            "deploying one small file": (_DEPLOYS, self._deploy),
            "looking up a site": (_READS, partial(self._timed, self._look_up)),
            "listing 50 sites": (_DEPLOYS, partial(self._timed, self._list)),
            "a page, through Flask": (_READS, partial(self._timed, self._visit)),
        }

    def cost(self, what: str) -> float:
        """Seconds: the median of many calls."""
        repeats, call = self.calls[what]
        return statistics.median(call() for _ in range(repeats))

    def _timed(self, call: Callable[[str], object]) -> float:
        """A call about any of the sites."""
        return seconds(call, crowds.id_of(self._chance.randrange(self._count)))

    def _update(self, site_id: str) -> None:
        self._number += 1
        fields = {"index": "index.html" if self._number % 2 else "index.htm"}
        self.pages.call("PUT", f"/_api/sites/default/{site_id}", fields)

    def _look_up(self, site_id: str) -> None:
        self.pages.call("GET", f"/_api/sites/default/{site_id}")

    def _list(self, _site_id: str) -> None:
        self.pages.call("GET", "/_api/sites?limit=50")

    def _visit(self, site_id: str) -> None:
        self._visitor.request("GET", "/page.html", headers={"Host": f"{site_id}.example"})
        response = self._visitor.getresponse()
        if len(response.read()) < 10 * sites.KILOBYTE:
            raise Failed(f"a page of {site_id}: status {response.status}")

    def _create(self) -> float:
        took = seconds(self.pages.create, self._new())
        self.pages.delete(self._newest())
        return took

    def _delete(self) -> float:
        self.pages.create(self._new())
        return seconds(self.pages.delete, self._newest())

    def _deploy(self) -> float:
        self.pages.create(self._new())
        took = seconds(self.pages.deploy, self._newest(), self._archive)
        self.pages.delete(self._newest())
        return took

    def _new(self) -> str:
        self._number += 1
        return self._newest()

    def _newest(self) -> str:
        return f"new-{self._number}"
