"""What rules cost: the site that has them, and other sites while it is asked."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import serving
import sites
import wrk
from context import Bench
from ours import Pages
from report import Table
from wrk import Load

_CONNECTIONS, _BESIDE = 32, 2
_PLAIN = "no rules, nginx alone"
_SETTING = "no rules, spa"

_USUAL = {
    "_redirects": "".join(f"/old/{n} /page.html\n" for n in range(20))
    + "/blog/* /news/:splat\n/:year/:slug /posts/:slug\n",
    "_headers": "/*\n  X-Frame-Options: DENY\n  Referrer-Policy: same-origin\n/assets/*\n  Cache-Control: max-age=60\n",
}
# As much as is read (docs/rules.md, "Limits").
_MOST = {
    "_redirects": "".join(f"/old/{n} /page.html\n" for n in range(2000))
    + "".join(f"/{n}/:a/*/:b /page.html\n" for n in range(100)),
    "_headers": "".join(f"/*\n  A: {n}\n  B: {n}\n  C: {n}\n  D: {n}\n  E: {n}\n" for n in range(100)),
}


def measure(bench: Bench) -> list[Table]:
    """A table of sites with and without rules, and one of a site beside others that are asked."""
    folder = bench.folder / "rules"
    folder.mkdir()
    pages = Pages(bench.processes, folder / "pages").start()
    rules: dict[str, tuple[dict[str, bool], dict[str, str]]] = {
        _PLAIN: ({}, {}),
        _SETTING: ({"spa": True}, {}),
        "22 redirects, 3 headers": ({}, _USUAL),
        "2,100 redirects, 500 headers": ({}, _MOST),
    }
    hosts = {}
    for number, (name, (settings, files)) in enumerate(rules.items()):
        pages.create(f"rules-{number}", **settings)
        pages.deploy(f"rules-{number}", _archive(folder / str(number), files))
        hosts[name] = f"rules-{number}.example"
    tables = [_alone(bench, pages, hosts), _beside(bench, pages, hosts)]
    bench.processes.stop_all()
    return tables


def _archive(folder: Path, files: dict[str, str]) -> Path:
    sites.make_serving_site(folder)
    for name, text in files.items():
        (folder / name).write_text(text)
    archive = sites.zip_of(folder, folder.with_suffix(".zip"))
    shutil.rmtree(folder)
    return archive


def _alone(bench: Bench, pages: Pages, hosts: dict[str, str]) -> Table:
    front = pages.start_front()
    table = Table(
        f"A page of 10 KB through nginx, {_CONNECTIONS} connections", "answers a second", _SETTING, more_is_better=True
    )
    serving.measure_rates(bench, table, {name: _load(front, host) for name, host in hosts.items()}, _CONNECTIONS)
    return table


def _beside(bench: Bench, pages: Pages, hosts: dict[str, str]) -> Table:
    """A site that only Flask serves, while others are asked of the same workers."""
    title = f"A page of a site without rules, Flask alone, while another one is asked by {_BESIDE} more connections"
    table = Table(title, "answers a second", f"beside: {_SETTING}", more_is_better=True)
    bench.say(table.title)
    loads = {f"beside: {name}": _load(pages.port, host) for name, host in hosts.items() if name != _PLAIN}
    table.figures = {name: [] for name in loads}
    mine, seconds = _load(pages.port, hosts[_PLAIN]), bench.options.seconds
    for name in bench.rounds(list(loads)):
        with ThreadPoolExecutor(1) as beside:
            other = beside.submit(wrk.measure, loads[name], _BESIDE, seconds)
            table.add(name, wrk.measure(mine, _CONNECTIONS, seconds))
            other.result()
    return table


def _load(port: int, host: str) -> Load:
    return Load(port, "/page.html", host, size=10 * sites.KILOBYTE)
