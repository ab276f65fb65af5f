"""Graceful reloads of every worker under load: no request may fail."""

import os
import signal
import threading

import sites
import wrk
from context import Bench
from ours import Pages
from report import Table
from wrk import Counts, Load

_RELOADS = 20
_PAUSE = 1.0
_CONNECTIONS = 16


def measure(bench: Bench) -> list[Table]:
    """Requests through nginx while gunicorn reloads: for a site that only the application can serve."""
    folder = bench.folder / "reloads"
    folder.mkdir()
    root = folder / "root"
    sites.make_serving_site(root)
    (root / "index.html").rename(root / "start.html")
    pages = Pages(bench.processes, folder / "pages").start()
    pages.create("reloads", index="start.html")
    pages.deploy("reloads", sites.zip_of(root, folder / "site.zip"))
    load = Load(pages.start_front(), "/page.html", "reloads.example")
    bench.say(f"{_RELOADS} reloads")
    before = set(pages.workers())
    counts = _under_load(load, pages)
    left = before & set(pages.workers())
    table = Table(f"Requests through nginx during {_RELOADS} reloads, {_CONNECTIONS} connections", "requests")
    table.add("answered with the page", counts.requests - counts.failed)
    table.add("refused or answered with an error", counts.failed)
    table.add("broken off", counts.broken)
    if left:
        table.notes.append(f"{len(left)} workers of before are still there: not every reload was done")
    bench.processes.stop_all()
    return [table]


def _under_load(load: Load, pages: Pages) -> Counts:
    assert pages.process is not None
    counts: list[Counts] = []
    length = round(_RELOADS * _PAUSE) + 4
    visitors = threading.Thread(target=lambda: counts.append(wrk.run(load, _CONNECTIONS, length)))
    visitors.start()
    enough = threading.Event()
    for _ in range(_RELOADS):
        enough.wait(_PAUSE)
        os.kill(pages.process.pid, signal.SIGHUP)
    visitors.join()
    return counts[0]
