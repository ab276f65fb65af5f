"""Serving one site: Pages beside servers of static files and beside what Python offers."""

from dataclasses import dataclass, replace

import peers
import sites
import wrk
from context import Bench
from ours import Pages
from report import Table
from wrk import Load

KEPT_OPEN = "Pages, nginx_file_cache on"
_HOST = "serving.example"


@dataclass(frozen=True)
class _Kind:
    """One sort of request."""

    title: str
    path: str
    size: int = 0
    status: int = 200


_KINDS = (
    _Kind("a page of 10 KB", "/page.html", 10 * sites.KILOBYTE),
    _Kind("an asset of 1 KB", "/asset.css", sites.KILOBYTE),
    _Kind("a file of 1 MB", "/large.bin", sites.MEGABYTE),
    _Kind("a miss (404)", "/there/is/none.html", status=404),
    _Kind("not modified (304)", "/page.html", status=304),
)


def measure(bench: Bench) -> list[Table]:
    """One table for each kind of request and number of connections."""
    folder = bench.folder / "serving"
    folder.mkdir()
    root = folder / "root"
    sites.make_serving_site(root)
    ports, missing = peers.start_peers(bench.processes, folder, root)
    pages = Pages(bench.processes, folder / "pages").start()
    pages.create("serving")
    pages.deploy("serving", sites.zip_of(root, folder / "site.zip"))
    ours = {
        "Pages through nginx": pages.start_front(),
        KEPT_OPEN: pages.start_front(keeps_open=True),
        "Pages, Flask alone": pages.port,
    }
    ports = {peers.NGINX: ports.pop(peers.NGINX), **ours, **ports}
    tables = []
    for kind, connections in _combinations(bench.options.connections, bench.options.full):
        title = f"Serving {kind.title}, {connections} connection{'s' * (connections > 1)}"
        table = Table(title, "answers a second", peers.NGINX, more_is_better=True, in_picture=connections == 32)
        table.notes += [f"{name}: not measured, it is not installed" for name in missing]
        loads = {name: _load(port, kind) for name, port in ports.items()}
        measure_rates(bench, table, loads, connections)
        tables.append(table)
    bench.processes.stop_all()
    return tables


def measure_x_accel(bench: Bench) -> list[Table]:
    """A file of a site that nginx cannot serve alone: the application decides, nginx sends."""
    folder = bench.folder / "x-accel"
    folder.mkdir()
    root = folder / "root"
    sites.make_serving_site(root)
    (root / "index.html").rename(root / "start.html")
    archive = sites.zip_of(root, folder / "site.zip")
    port = peers.start_plain_nginx(bench.processes, folder / "plain-nginx", root)
    kind = _KINDS[2]
    loads = {peers.NGINX: _load(port, kind)}
    for name, value in {"X-Accel-Redirect": "true", "through a proxy": "false"}.items():
        pages = Pages(bench.processes, folder / f"pages-{value}", {"PAGES_X_ACCEL_REDIRECT": value}).start()
        pages.create("serving", index="start.html")
        pages.deploy("serving", archive)
        loads[f"Pages, {name}"] = _load(pages.start_front(), kind)
    title = "Serving 1 MB of a site with an index of its own, 32 connections"
    table = Table(title, "answers a second", peers.NGINX, more_is_better=True, in_picture=True)
    measure_rates(bench, table, loads, 32)
    bench.processes.stop_all()
    return [table]


def measure_rates(bench: Bench, table: Table, loads: dict[str, Load], connections: int) -> None:
    """Fill a table: every load in every round, one after the other; rows in the order of ``loads``."""
    bench.say(table.title)
    table.figures = {name: [] for name in loads}
    for name in bench.rounds(list(loads)):
        table.add(name, wrk.measure(loads[name], connections, bench.options.seconds))


def _combinations(connections: list[int], full: bool) -> list[tuple[_Kind, int]]:
    """All of them take long: unless it is to be full, only the page is measured with every number of connections."""
    middle = connections[len(connections) // 2]
    wanted = {kind: connections if full or kind is _KINDS[0] else [middle] for kind in _KINDS}
    return [(kind, number) for kind, numbers in wanted.items() for number in numbers]


def _load(port: int, kind: _Kind) -> Load:
    load = Load(port, kind.path, _HOST, 200 if kind.status == 304 else kind.status, kind.size)
    if kind.status != 304:
        return load
    return replace(load, status=304, headers=wrk.conditional_headers(wrk.ask(load)))
