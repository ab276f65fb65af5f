"""`make bench`: Pages beside what you would use instead, interleaved in one run; prints ratios.

Everything runs on loopback, in a temporary folder, and is stopped at the end. The absolute figures are
this machine's; the ratios are what counts. Serving needs wrk (Debian's package of that name).
"""

import argparse
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "tests"))

from helpers import Server, free_port, wait_until  # noqa: E402

Figures = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement; medians are printed")
    parser.add_argument("--files", type=int, default=2000, help="files in the site that is deployed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pages-bench-") as folder:
        bench = Bench(Path(folder), options.rounds, options.files)
        try:
            if shutil.which("wrk"):
                report("Serving a 10 KB page, 32 connections, requests per second", "nginx", bench.serving(), True)
            else:
                print("wrk is not installed: serving is not measured (apt-get install wrk)\n")
            report(f"Deploy of a zip, {options.files} files, seconds", "unzip + tar czf", bench.deploys(), False)
            report("Checkout, seconds", "warm, small site", bench.checkouts(), False)
        finally:
            bench.stop()


def report(title: str, base: str, figures: Figures, more_is_better: bool) -> None:
    """A table: median, the ratio to ``base`` round by round, and the ratio's spread."""
    print(f"{title} ({'more' if more_is_better else 'less'} is better)")
    for name, values in figures.items():
        ratios = [value / reference for value, reference in zip(values, figures[base], strict=True)]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"  {name:34} {statistics.median(values):10.4g}   x {statistics.median(ratios):.3f}   ({spread})")
    print()


class Bench:
    """The peers and ourselves, on one temporary folder."""

    def __init__(self, folder: Path, rounds: int, files: int) -> None:
        self._folder = folder
        self._rounds = rounds
        self._site = folder / "site"
        self._started: list[subprocess.Popen[bytes]] = []
        make_site(self._site, files)
        self._zip = folder / "site.zip"
        subprocess.run(["zip", "-qr", self._zip, "."], cwd=self._site, check=True)
        (folder / "server").mkdir()
        self._server = Server(folder / "server", {"PAGES_LOCK_TIMEOUT": "300"}).start()
        self._server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"})
        self._server.api("POST", "/_api/sites", {"id": "small", "domain": "small.localhost"})

    def stop(self) -> None:
        self._server.stop()
        for process in self._started:
            process.terminate()
            process.wait()

    def serving(self) -> Figures:
        page = self._site / "page.html"
        self._deploy(self._zip)
        peers = {
            "nginx": (self._start_nginx(), "x"),
            "naive Flask, same gunicorn": (self._start_naive(), "x"),
            "Pages (Flask)": (self._server.port, "blog.localhost"),
        }
        figures: Figures = {name: [] for name in peers}
        for _ in range(self._rounds):
            for name, (port, host) in peers.items():
                figures[name].append(requests_per_second(port, host, f"/{page.name}"))
        return figures

    def deploys(self) -> Figures:
        figures: Figures = {"unzip + tar czf": [], "unzip alone": [], "Pages, answer included": []}
        for _ in range(self._rounds):
            target = Path(tempfile.mkdtemp(dir=self._folder))
            figures["unzip alone"].append(seconds(run, "unzip", "-q", self._zip, "-d", target / "tree"))
            tar = seconds(run, "tar", "czf", target / "a.tar.gz", "-C", target / "tree", ".")
            figures["unzip + tar czf"].append(figures["unzip alone"][-1] + tar)
            figures["Pages, answer included"].append(seconds(self._deploy, self._zip))
            shutil.rmtree(target)
        return figures

    def checkouts(self) -> Figures:
        small = self._folder / "small.zip"
        run("zip", "-qj", small, self._site / "page.html")
        for _ in range(2):
            self._deploy(small, "default/small")
            self._deploy(self._zip)
        figures: Figures = {"warm, small site": [], "warm, large site": [], "cold, large site": []}
        for number in range(self._rounds):
            figures["warm, small site"].append(seconds(self._checkout, "default/small", number % 2))
            figures["warm, large site"].append(seconds(self._checkout, "default/blog", number % 2))
            trees = self._server.data / "trees/default/blog"
            live = (self._server.data / "sites/default/blog").resolve()
            for tree in trees.iterdir():
                if tree != live:
                    shutil.rmtree(tree)
            shutil.rmtree(self._server.data / "cache", ignore_errors=True)
            figures["cold, large site"].append(seconds(self._checkout, "default/blog", 1 - number % 2))
        return figures

    def _deploy(self, archive: Path, site: str = "default/blog") -> None:
        run("curl", "-sf", "-u", "admin:admin", "-F", f"file=@{archive}",
            f"{self._server.url}/_api/sites/{site}/deploy")  # fmt: skip

    def _checkout(self, site: str, index: int) -> None:
        checkpoints = self._server.api("GET", f"/_api/sites/{site}/checkpoints").json()["data"]["checkpoints"]
        reply = self._server.api("POST", f"/_api/sites/{site}/checkpoints/{checkpoints[index]['id']}/checkout")
        assert reply.status == 200, reply.body

    def _start_nginx(self) -> int:
        port, prefix = free_port(), self._folder / "nginx"
        prefix.mkdir()
        (prefix / "nginx.conf").write_text(
            f"pid {prefix}/pid; worker_processes 2; error_log {prefix}/error.log; daemon off;\n"
            + ("user root;\n" if os.geteuid() == 0 else "")
            + f"events {{}} http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; "
            f"root {self._site}; }} }}\n"
        )
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert nginx, "nginx is not installed"
        return self._start([nginx, "-c", str(prefix / "nginx.conf"), "-p", str(prefix)], port, {})

    def _start_naive(self) -> int:
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-c", "/dev/null", "-b", f"127.0.0.1:{port}", "-w", "2",
                   "-k", "gthread", "--threads", "8", "--access-logfile", "/dev/null", "naive:app"]  # fmt: skip
        return self._start(command, port, {"NAIVE_ROOT": str(self._site)})

    def _start(self, command: list[str], port: int, environment: dict[str, str]) -> int:
        process = subprocess.Popen(
            command,
            cwd=PROJECT / "bench",
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(process)
        wait_until(lambda: connects(port), f"{command[0]} listens")
        return port


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_site(folder: Path, files: int) -> None:
    """Text files of 1 to 20 KB in folders of 50, one of 10 KB at the root; the same every time."""
    chance = random.Random(1)
    words = [f"word{chance.randrange(5000)}" for _ in range(20_000)]
    folder.mkdir()
    (folder / "page.html").write_text(" ".join(words)[:10_240])
    for number in range(files):
        path = folder / f"d{number // 50}" / f"{number}.html"
        path.parent.mkdir(exist_ok=True)
        start = chance.randrange(15_000)
        path.write_text(" ".join(words[start : start + chance.randrange(100, 2000)]))


def requests_per_second(port: int, host: str, path: str) -> float:
    done = subprocess.run(
        ["wrk", "-t1", "-c32", "-d3s", "-H", f"Host: {host}", f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def seconds(action: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
