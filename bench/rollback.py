"""Going back to an earlier version: beside a small site while it is unpacked, beside ``tar xzf`` when it is not."""

import statistics
from functools import partial
from pathlib import Path

import sites
from context import Bench, seconds
from ours import Pages
from processes import Failed
from report import Table

_FLIPS = 10
_OURS = "Pages, answer included"


class _Site:
    """A site with two versions, to go back and forth between; ``folder`` holds what it is made of."""

    def __init__(self, pages: Pages, folder: Path) -> None:
        self.id = folder.name
        self._pages = pages
        pages.create(self.id)
        self._checkpoints = []
        for _ in range(2):
            archive = sites.zip_of(folder, folder.with_suffix(".zip"), 0)
            self._checkpoints.append(pages.deploy(self.id, archive))
            archive.unlink()
            sites.second_version(folder)

    def flip(self) -> float:
        """Check out the version that is not live; how long that takes."""
        took = seconds(self._pages.checkout, self.id, self._checkpoints[0])
        self._checkpoints.reverse()
        return took

    def flips(self) -> float:
        """The median of several."""
        return statistics.median(self.flip() for _ in range(_FLIPS))


def measure(bench: Bench) -> list[Table]:
    """Warm: large sites, and sites of many files, beside a small one. Cold: beside ``tar xzf`` of the same archive."""
    folder = bench.folder / "rollback"
    folder.mkdir()
    large = 1024 if bench.options.full else 256
    pages = Pages(bench.processes, folder / "pages", {"PAGES_MAX_UPLOAD_BYTES": str(2 << 30)}).start()
    bench.say(f"Rollback: making and deploying a site of {large} MB, twice")
    sites.make_media_site(folder / "small", 1)
    sites.make_media_site(folder / "large", large)
    many = _Site(pages, sites.copy_of(bench.text_site(), folder / "many"))
    warm = {
        "Pages, 1 MB in 2 files": _Site(pages, folder / "small"),
        f"Pages, {large:,} MB in {large + 1:,} files": _Site(pages, folder / "large"),
        f"Pages, {bench.text_size}": many,
    }
    pages.rest()
    bench.say("Rollback")
    tables = [_measure_warm(bench, folder, warm), _measure_cold(bench, pages, many)]
    bench.processes.stop_all()
    return tables


def _measure_warm(bench: Bench, folder: Path, warm: dict[str, _Site]) -> Table:
    title = "Checkout of a checkpoint that is kept unpacked"
    table = Table(title, "milliseconds", next(iter(warm)), in_picture=True)
    table.figures = {name: [] for name in warm}
    for name in bench.rounds(list(warm)):
        sites.settle(folder)
        table.add(name, 1000 * warm[name].flips())
    return table


def _measure_cold(bench: Bench, pages: Pages, site: _Site) -> Table:
    table = Table(f"Checkout of a checkpoint to be unpacked, {bench.text_size}", "seconds", "tar xzf", in_picture=True)
    table.figures = {"tar xzf": [], _OURS: []}
    archive = next((pages.data / f"sites-checkpoints/default/{site.id}/checkpoints").glob("*.tar.gz"))
    actions = {"tar xzf": partial(_untar, bench, archive), _OURS: partial(_flip_cold, bench, pages, site)}
    for name in bench.rounds(list(actions)):
        table.add(name, actions[name]())
    return table


def _untar(bench: Bench, archive: Path) -> float:
    target = bench.new_folder()
    sites.settle(target)
    return seconds(sites.run, "tar", "xzf", archive, "-C", target)


def _flip_cold(bench: Bench, pages: Pages, site: _Site) -> float:
    """Put aside what is unpacked and not live: the cache, and the tree that was live before."""
    live = (pages.data / "sites/default" / site.id).resolve()
    versions = (pages.data / "trees/default" / site.id).iterdir()
    unpacked = [version for version in versions if not live.is_relative_to(version)]
    if not unpacked:
        raise Failed("a version that is unpacked and not live is not where it was expected")
    aside = bench.new_folder()
    for number, folder in enumerate([*unpacked, *(pages.data / "cache").iterdir()]):
        folder.rename(aside / str(number))
    sites.settle(aside)
    took = site.flip()
    pages.rest()
    return took
