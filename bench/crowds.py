"""Installations with many sites, made in minutes: one site is published through the API, the others are copies.

A copy is the published site's files, folders and links in the data folder with the site's name replaced,
wherever it stands: what the API would have left there, without its syncs.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import sites
from context import Bench
from ours import Pages

_MODEL = "model-site"
# Where nothing belongs to a site for good.
_PASSING = ("locks", "work", "cache")


def id_of(number: int) -> str:
    """The id of a copy; its domain is this with ``.example``."""
    return f"site-{number}"


def make_crowd(bench: Bench, count: int) -> Pages:
    """Pages, not started, with ``count`` sites of a 10 KB ``page.html`` each; the data folder is made once in a run."""
    folder = bench.folder / f"crowd-{count}"
    pages = Pages(bench.processes, folder)
    if not pages.data.exists():
        bench.say(f"Making {count:,} sites")
        pages.start()
        _publish_model(pages, bench.folder / f"model-{count}")
        pages.stop()
        entries = list(_entries_of_model(pages.data))
        for number in range(count):
            _copy(pages.data, entries, id_of(number))
        sites.settle(folder)
    return pages


def make_flat_root(pages: Pages, root: Path, count: int) -> Path:
    """The same files for a server of one root: ``{domain}/page.html``, links to those that Pages serves."""
    for number in range(count):
        domain = root / f"{id_of(number)}.example"
        domain.mkdir(parents=True)
        os.link(os.path.realpath(pages.data / "sites/default" / id_of(number)) + "/page.html", domain / "page.html")
    return root


def zipf(chance: random.Random, count: int, draws: int) -> list[int]:
    """Sites as visitors choose them: the second half as often as the first, the third a third as often, and so on."""
    ranked = chance.sample(range(count), count)
    return chance.choices(ranked, [1 / rank for rank in range(1, count + 1)], k=draws)


def _publish_model(pages: Pages, root: Path) -> None:
    sites.make_serving_site(root)
    for name in ("large.bin", "asset.css"):
        (root / name).unlink()
    pages.create(_MODEL)
    pages.deploy(_MODEL, sites.zip_of(root, root.with_suffix(".zip")))


def _entries_of_model(data: Path) -> Iterator[tuple[str, str, os.stat_result, bytes]]:
    """Everything of the model: path below the data folder, kind, status, and content or a link's target."""
    pending = [data / name for name in sorted(os.listdir(data)) if name not in _PASSING]
    for path in pending:
        status, below = path.lstat(), str(path.relative_to(data))
        if path.is_symlink():
            entry = ("link", os.fsencode(os.readlink(path)))
        elif path.is_dir():
            pending += sorted(path.iterdir())
            entry = ("folder", b"")
        else:
            entry = ("file", path.read_bytes() if _MODEL in below else b"")
        if _MODEL in below:
            yield below, entry[0], status, entry[1]


def _copy(data: Path, entries: list[tuple[str, str, os.stat_result, bytes]], name: str) -> None:
    for below, kind, status, content in entries:
        path = f"{data}/{below.replace(_MODEL, name)}"
        if kind == "folder":
            os.mkdir(path)
        elif kind == "link":
            os.symlink(content.replace(_MODEL.encode(), name.encode()), os.fsencode(path))
        else:
            with open(path, "wb") as file:
                file.write(content if below.endswith(".gz") else content.replace(_MODEL.encode(), name.encode()))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
