"""What a worker holds: after its start, after thousands of requests, and at the height of a large deploy."""

from pathlib import Path

import sites
import wrk
from context import Bench
from ours import Pages
from report import Table
from wrk import Load

_REQUESTS = 10_000


def measure(bench: Bench) -> list[Table]:
    """Megabytes of the largest worker; each step is ratio to the start of the same round."""
    folder = bench.folder / "memory"
    folder.mkdir()
    bench.say("Memory")
    small = folder / "root"
    sites.make_serving_site(small)
    archives = {f"peak of a zip of {bench.text_size}": sites.zip_of(bench.text_site(), folder / "text.zip", 1)}
    if bench.options.full:
        sites.make_media_site(folder / "media", 1024)
        archives["peak of a zip of 1 GB"] = sites.zip_of(folder / "media", folder / "media.zip", 0)
    table = Table("Memory of a worker, the largest one's", "MB", "after its start")
    for number in range(min(bench.options.rounds, 3)):
        _measure_once(bench, table, folder / f"pages-{number}", sites.zip_of(small, folder / "small.zip"), archives)
    return [table]


def _measure_once(bench: Bench, table: Table, folder: Path, small: Path, archives: dict[str, Path]) -> None:
    pages = Pages(bench.processes, folder, {"PAGES_MAX_UPLOAD_BYTES": str(2 << 30)}).start()
    table.add("after its start", megabytes(pages, "VmRSS"))
    pages.create("memory")
    pages.deploy("memory", small)
    asked = 0
    while asked < _REQUESTS:
        asked += wrk.run(Load(pages.port, "/page.html", "memory.example"), 32, 1).requests
    table.add(f"after {_REQUESTS:,} requests and more", megabytes(pages, "VmRSS"))
    for name, archive in archives.items():
        pages.deploy("memory", archive)
        pages.rest()
        table.add(name, megabytes(pages, "VmHWM"))
        table.add(name.replace("peak of", "after"), megabytes(pages, "VmRSS"))
    bench.processes.stop_all()


def megabytes(pages: Pages, field: str) -> float:
    """A figure of ``/proc``: VmRSS is what is held now, VmHWM the most there ever was."""
    return max(_field(Path(f"/proc/{pid}/status").read_text(), field) for pid in pages.workers()) / 1024


def _field(status: str, name: str) -> int:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))
