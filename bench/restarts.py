"""What a reload and a restart cost those who ask meanwhile, through nginx: python bench/restarts.py [TIMES]

Three set-ups: pages.socket holding the addresses; gunicorn listening by itself; and gunicorn behind an nginx that
simply passes everything on. Four visitors of a site that Pages answers, and two uploaders, ask without a pause.
"""

import http.client
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT)]

from helpers import zip_of  # noqa: E402
from nginx import Nginx  # noqa: E402
from supervisor import Supervised  # noqa: E402

_PAUSE = 1.0


class PlainNginx(Nginx):
    """As it is mostly done: one upstream, kept connections for all requests."""

    def _write_configuration(self) -> None:
        super()._write_configuration()
        file = self.folder / "pages.conf"
        text, count = re.subn(
            r"(    server \S+) max_fails=0;\n(?:    server .*\n)*", r"\1;\n", file.read_text(), count=1
        )
        assert count == 1
        file.write_text(text.replace("default pages_changes;", "default pages_reads;"))


class Crowd:
    """Visitors and uploaders; counts their requests, failures and the longest wait in seconds."""

    def __init__(self, server: Supervised, port: int) -> None:
        self.requests = self.failures = 0
        self.longest = 0.0
        self._server, self._port = server, port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(self._visitor(n % 2 == 0),)) for n in range(4)]
        self._threads += [threading.Thread(target=self._repeat, args=(self._uploader(n),)) for n in range(2)]

    def run(self, event: object, times: int) -> None:
        for thread in self._threads:
            thread.start()
        for _ in range(times):
            time.sleep(_PAUSE)
            event()  # type: ignore[operator]
        time.sleep(_PAUSE)
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, ask: object) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            try:
                good = ask()  # type: ignore[operator]
            except (OSError, http.client.HTTPException):
                good = False
            self.requests += 1
            self.failures += not good
            self.longest = max(self.longest, time.perf_counter() - began)

    def _visitor(self, keep: bool) -> object:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)

        def ask() -> bool:
            headers = {"Host": "home.localhost"} | ({} if keep else {"Connection": "close"})
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status == 200

        return ask

    def _uploader(self, number: int) -> object:
        archive = zip_of({"index.html": "page"})
        return lambda: self._server.deploy(archive, site=f"default/up{number}", port=self._port).status == 200


def measure(holds_sockets: bool, front: type[Nginx], event: str, times: int) -> Crowd:
    """One set-up and one kind of event."""
    folder = Path(tempfile.mkdtemp(prefix="pages-restarts-"))
    (folder / "nginx").mkdir()
    server = Supervised(folder, holds_sockets=holds_sockets).start()
    nginx = front(folder / "nginx", server.environment())
    try:
        nginx.start()
        for site in ("home", "up0", "up1"):
            index = "home.html" if site == "home" else "index.html"
            server.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost", "index": index})
        server.deploy(zip_of({"home.html": "page" * 500}), site="default/home")
        crowd = Crowd(server, nginx.port)
        crowd.run(getattr(server, event), times)
        return crowd
    finally:
        nginx.stop()
        server.close()
        shutil.rmtree(folder)


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{times} times each, through nginx\n")
    print("set-up                             event    requests  failed  share      longest wait")
    for name, holds, front in (
        ("pages.socket", True, Nginx),
        ("no pages.socket", False, Nginx),
        ("no pages.socket, plain proxy_pass", False, PlainNginx),
    ):
        for event in ("reload", "restart"):
            crowd = measure(holds, front, event, times)
            share = crowd.failures / crowd.requests
            row = f"{name:34} {event:8} {crowd.requests:8,} {crowd.failures:7,} {share:9.4%} {crowd.longest:8.2f} s"
            print(row, flush=True)


if __name__ == "__main__":
    main()
