"""Going back to an earlier version: beside a small site while it is kept unpacked, beside ``tar xzf`` when it is not."""

import statistics
from functools import partial
from pathlib import Path

import sites
from context import Bench, seconds
from ours import Pages
from report import Table

_SMALL, _LARGE = "Pages, site of 1 MB", "Pages, site of 1 GB"
_FLIPS = 10
_MORE_THAN_A_GIGABYTE = str(2 << 30)


def measure(bench: Bench) -> list[Table]:
    """Warm: a large site beside a small one. Cold: beside ``tar xzf`` of the same archive."""
    folder = bench.folder / "rollback"
    folder.mkdir()
    settings = {"PAGES_MAX_UPLOAD_BYTES": _MORE_THAN_A_GIGABYTE}
    pages = Pages(bench.processes, folder / "pages", settings).start()
    bench.say("Checkout, warm: making and deploying a site of 1 GB, twice")
    versions = {
        _SMALL: _two_versions(pages, "small", _media_site(folder, "small", 1), folder),
        _LARGE: _two_versions(pages, "large", _media_site(folder, "large", 1024), folder),
    }
    warm = Table("Checkout of a checkpoint that is kept unpacked", "milliseconds", _SMALL, in_picture=True)
    warm.figures = {name: [] for name in versions}
    for name in bench.rounds(list(versions)):
        site_id = "small" if name == _SMALL else "large"
        sites.settle(folder)
        warm.add(name, 1000 * statistics.median(_flip(pages, site_id, versions[name]) for _ in range(_FLIPS)))
    for site_id in ("small", "large"):
        pages.delete(site_id)
    cold = _measure_cold(bench, pages, folder)
    bench.processes.stop_all()
    return [warm, cold]


def _media_site(folder: Path, name: str, megabytes: int) -> Path:
    sites.make_media_site(folder / name, megabytes)
    return folder / name


def _two_versions(pages: Pages, site_id: str, site: Path, folder: Path) -> list[str]:
    """Deploy a site, then another version of it; the ids of the checkpoints, the one that is not live first."""
    pages.create(site_id)
    checkpoints = []
    for _ in range(2):
        archive = sites.zip_of(site, folder / f"{site_id}.zip", 0)
        checkpoints.append(pages.deploy(site_id, archive))
        archive.unlink()
        sites.second_version(site)
    sites.discard(site)
    return checkpoints


def _flip(pages: Pages, site_id: str, checkpoints: list[str]) -> float:
    """Check out the checkpoint that is not live; it takes its place in the list."""
    took = seconds(pages.checkout, site_id, checkpoints[0])
    checkpoints.reverse()
    return took


def _measure_cold(bench: Bench, pages: Pages, folder: Path) -> Table:
    bench.say("Checkout, cold")
    table = Table(f"Checkout of a checkpoint to be unpacked, {bench.text_size}", "seconds", "tar xzf", in_picture=True)
    site = sites.copy_of(bench.text_site(), folder / "text")
    checkpoints = _two_versions(pages, "text", site, folder)
    table.figures = {table.base: [], "Pages, answer included": []}
    for action in bench.rounds([partial(_untar, pages, folder, table), partial(_cold, pages, checkpoints, table)]):
        sites.settle(folder)
        action()
    return table


def _untar(pages: Pages, folder: Path, table: Table) -> None:
    archive = next((pages.data / "sites-checkpoints/default/text/checkpoints").glob("*.tar.gz"))
    target = folder / "by-hand"
    target.mkdir()
    table.add("tar xzf", seconds(sites.run, "tar", "xzf", archive, "-C", target))
    sites.discard(target)


def _cold(pages: Pages, checkpoints: list[str], table: Table) -> None:
    """Take away what is unpacked and not live: the cache, and the tree that was live before."""
    live = (pages.data / "sites/default/text").resolve()
    for tree in (pages.data / "trees/default/text").iterdir():
        if tree != live:
            sites.discard(tree)
    sites.discard(pages.data / "cache")
    sites.settle(pages.folder)
    table.add("Pages, answer included", _flip(pages, "text", checkpoints))
