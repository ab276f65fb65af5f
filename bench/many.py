"""Serving many sites, chosen as visitors do, beside plain nginx over the same files in one root."""

from pathlib import Path

import crowds
import peers
import serving
import sites
from context import Bench
from report import Table
from wrk import Load

_DRAWS = 50_000
_CONNECTIONS = 32
_PLAIN = "nginx, the same files in one root"


def measure(bench: Bench) -> list[Table]:
    """For each number of sites a table of hits, one of misses and one of hosts that nobody has."""
    return [table for count in bench.options.sites for table in _measure(bench, count)]


def _measure(bench: Bench, count: int) -> list[Table]:
    folder = bench.folder / f"many-{count}"
    folder.mkdir()
    pages = crowds.make_crowd(bench, count).start()
    front, caching_front = pages.start_front(), pages.start_front(keeps_open=True)
    root = crowds.make_flat_root(pages, folder / "root", count)
    plain = peers.start_plain_nginx(bench.processes, folder / "plain-nginx", root)
    names = [crowds.id_of(number) for number in crowds.zipf(bench.chance, count, _DRAWS)]
    few = f"{count:,} site{'s' * (count > 1)}"
    tables = []
    for title, status, suffix, path in (
        ("A page of 10 KB", 200, ".example", "/page.html"),
        ("A miss (404)", 404, ".example", "/none.html"),
        ("A host that nobody has (404)", 404, ".unknown", "/page.html"),
    ):
        hosts = [name + suffix for name in names]
        loads = {
            _PLAIN: _load(plain, folder / f"plain-{len(tables)}", status, [("x", f"/{host}{path}") for host in hosts]),
            "Pages through nginx": _load(front, folder / f"ours-{len(tables)}", status, [(h, path) for h in hosts]),
            serving.KEPT_OPEN: _load(
                caching_front, folder / f"caching-{len(tables)}", status, [(h, path) for h in hosts]
            ),
        }
        table = Table(f"{title}, of {few}", "answers a second", _PLAIN, more_is_better=True, in_picture=status == 200)
        serving.measure_rates(bench, table, loads, _CONNECTIONS)
        tables.append(table)
    bench.processes.stop_all()
    return tables


def _load(port: int, choices: Path, status: int, requests: list[tuple[str, str]]) -> Load:
    choices.write_text("".join(f"{host} {path}\n" for host, path in requests))
    size = 10 * sites.KILOBYTE if status == 200 else 0
    return Load(port, status=status, size=size, choices=choices)
