"""A deploy, from the first byte sent to the answer, beside what one would do by hand on the same disk."""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import sites
from context import Bench, seconds
from ours import Pages
from report import Table

_OURS, _UNDURABLE = "Pages, answer included", "Pages with nothing made durable"


def measure(bench: Bench) -> list[Table]:
    """A zip beside ``unzip`` and ``tar czf``; a clean tar.gz beside ``tar xzf``."""
    folder = bench.folder / "deploys"
    folder.mkdir()
    site = bench.text_site()
    archives = {"zip": sites.zip_of(site, folder / "site.zip"), "tar.gz": sites.tar_of(site, folder / "site.tar.gz")}
    tables = {
        "zip": Table(f"Deploy of a zip, {bench.text_size}", "seconds", "unzip + tar czf", in_picture=True),
        "tar.gz": Table(f"Deploy of a tar.gz, {bench.text_size}", "seconds", "tar xzf", in_picture=True),
    }
    bench.say("Deploys")
    ours = Pages(bench.processes, folder / "pages").start()
    undurable = Pages(bench.processes, folder / "undurable", application="undurable:app").start()
    actions: list[Callable[[], None]] = [
        partial(_unzip, bench, archives["zip"], tables["zip"]),
        partial(_untar, bench, archives["tar.gz"], tables["tar.gz"]),
    ]
    for kind, archive in archives.items():
        actions.append(partial(_deploy, ours, archive, tables[kind], _OURS))
        actions.append(partial(_deploy, undurable, archive, tables[kind], _UNDURABLE))
    for action in bench.rounds(actions):
        sites.settle(folder)
        action()
    for table in tables.values():
        table.figures = dict(sorted(table.figures.items(), key=lambda row: row[0].startswith("Pages")))
        table.notes.append(_cost_of_durability(table))
    bench.processes.stop_all()
    return list(tables.values())


def _unzip(bench: Bench, archive: Path, table: Table) -> None:
    """By hand: unpack, and keep an archive to go back to."""
    target = bench.new_folder()
    unzip = seconds(sites.run, "unzip", "-q", archive, "-d", target / "tree")
    tar = seconds(sites.tar_of, target / "tree", target / "kept.tar.gz")
    table.add("unzip + tar czf", unzip + tar)
    table.add("unzip + tar czf, then sync", unzip + tar + seconds(sites.settle, target))
    table.add("unzip alone", unzip)


def _untar(bench: Bench, archive: Path, table: Table) -> None:
    """By hand, with an archive that can be kept as it is."""
    target = bench.new_folder()
    tar = seconds(sites.run, "tar", "xzf", archive, "-C", target)
    table.add("tar xzf", tar)
    table.add("tar xzf, then sync", tar + seconds(sites.settle, target))


def _deploy(pages: Pages, archive: Path, table: Table, target: str) -> None:
    """The first version of a new site: nothing of it is there already."""
    site_id = f"new-{len(table.figures.get(target, []))}-{archive.suffix[1:]}"
    pages.create(site_id)
    sites.settle(pages.folder)
    began = perf_counter()
    pages.deploy(site_id, archive)
    table.add(target, perf_counter() - began)
    # What it does after its answer is not to slow down whoever is next.
    done = pages.rest()
    if target == _OURS:
        table.add("Pages, until its workers rest", done - began)


def _cost_of_durability(table: Table) -> str:
    pairs = zip(table.figures[_OURS], table.figures[_UNDURABLE], strict=True)
    ratios = [durable / not_durable for durable, not_durable in pairs]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"durable to not durable: x {statistics.median(ratios):.2f} ({spread})"
