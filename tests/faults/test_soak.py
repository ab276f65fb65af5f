"""Visitors during thousands of switches, while workers and the whole server are killed: every answer is right.

Read are pages, compressed pages, ranges, heads and conditional requests, from Pages itself and through real nginx,
by processes on connections that they keep. Right is one whole version that is live, or was about to be, when the
request was under way; what one reader has seen, no reader sees the version before it any more.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soak_readers
from helpers import THOROUGH, Server, tar_of, tree_of, wait_until, zip_of
from nginx import Nginx
from soak_readers import LINES, Timeline, files_of, line_of

_KEPT_CHECKPOINTS = 10


class InDoubt(Exception):
    """A change was not answered: it may have happened, and may not."""


@dataclass
class Switcher:
    """Somebody who deploys and rolls back one site, again and again, and looks at it after each answer."""

    server: Server
    site_id: str
    timeline: Timeline
    dice: random.Random
    ids: dict[int, str] = field(default_factory=dict)
    newest: int = 0
    in_doubt: int = 0
    problems: list[str] = field(default_factory=list)
    probes: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/_api/sites/default/{self.site_id}"

    @property
    def host(self) -> str:
        return f"{self.site_id}.localhost"

    def run(self, is_over: threading.Event, switches: int) -> None:
        """Switch until it is over and this many switches were made."""
        try:
            while not (is_over.is_set() and self.timeline.answered >= switches) and not self.problems:
                self.switch()
        except Exception as error:
            self.problems.append(repr(error))
        finally:
            is_over.set() if self.problems else None

    def begin(self) -> None:
        body = {"id": self.site_id, "domain": self.host}
        assert self.server.api("POST", "/_api/sites", body).status == 201
        self.newest = 0
        for _ in range(3):
            self.deploy()
        ports = [self.server.port] * 6
        self.probes = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in ports]

    def switch(self) -> None:
        """One deploy or checkout, answered or not; its version is what is served at once, on every connection."""
        try:
            if not self.ids or self.dice.random() < 0.1:
                self.deploy()
                self.delete_old()
            else:
                # Never the one that is live: that would be no switch.
                self.checkout(self.dice.choice([v for v in self.ids if v != self.current()] or list(self.ids)))
        except InDoubt:
            self.in_doubt += 1
            self.look_up_ids()
            return
        self.probe()

    def current(self) -> int:
        return self.timeline.allowed(self.timeline.started)[0]

    def deploy(self) -> None:
        self.newest += 1
        self.timeline.begin(self.newest)
        archive = (zip_of if self.newest % 2 else tar_of)(files_of(self.newest))
        name = f"{self.newest}.zip" if self.newest % 2 else f"{self.newest}.tar.gz"
        data = self.answered(lambda: self.server.deploy(archive, name, f"default/{self.site_id}"))
        self.ids[self.newest] = data["checkpoint"]["id"]
        self.timeline.answer()

    def checkout(self, version: int) -> None:
        self.timeline.begin(version)
        self.answered(lambda: self.server.api("POST", f"{self.path}/checkpoints/{self.ids[version]}/checkout"))
        self.timeline.answer()

    def delete_old(self) -> None:
        for version in sorted(self.ids)[:-_KEPT_CHECKPOINTS]:
            if version != self.current():
                path = f"{self.path}/checkpoints/{self.ids.pop(version)}"
                self.answered(lambda path=path: self.server.api("DELETE", path))

    def answered(self, call: Any) -> Any:
        try:
            reply = call()
        except (OSError, http.client.HTTPException):
            raise InDoubt() from None
        if reply.status not in (200, 201):
            raise AssertionError(f"{reply.status} {reply.body!r}")
        return reply.json().get("data")

    def look_up_ids(self) -> None:
        """Which checkpoints there are after something was in doubt, once the server answers again."""

        def look() -> bool:
            with suppress(OSError, http.client.HTTPException):
                listed = self.server.api("GET", f"{self.path}/checkpoints").json()["data"]["checkpoints"]
                self.ids = {int(each["file_name"].partition(".")[0]): each["id"] for each in listed}
                return True
            return False

        wait_until(look, "the server answers again", 60)

    def probe(self) -> None:
        """The first requests after the answer, on connections from before it and on a new one."""
        new = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        for connection in (self.dice.choice(self.probes), self.dice.choice(self.probes), new):
            with suppress(OSError, http.client.HTTPException):  # Its worker was killed.
                connection.request("GET", "/style.css", headers={"Host": self.host})
                response = connection.getresponse()
                body = response.read()
                if (response.status, body) != (200, line_of(self.current()) * LINES["/style.css"]):
                    self.problems.append(f"after the answer: {response.status} {body[:20]!r}, not {self.current()}")
                continue
            connection.close()
        new.close()


@dataclass
class Soak:
    """A server with sites, nginx in front of it, who switches the sites and who reads them."""

    server: Server
    nginx: Nginx
    switchers: list[Switcher]
    folder: Path
    is_strict: bool = True
    readers: list[subprocess.Popen[str]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0

    def read(self, behind_nginx: bool, count: int) -> None:
        """Start so many readers; through nginx's file cache a page may be older than another until the answer."""
        for _ in range(count):
            settings = {
                "number": len(self.readers),
                "port": self.nginx.port if behind_nginx else self.server.port,
                "sites": [(each.host, str(self.folder / each.site_id)) for each in self.switchers],
                "strict": self.is_strict,
                "behind_nginx": behind_nginx,
                # gunicorn answers one request of a connection at a time.
                "depth": 8 if behind_nginx else 1,
            }
            command = [sys.executable, soak_readers.__file__, json.dumps(settings)]
            self.readers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def run(self, seconds: float, switches: int, worker_every: float, server_every: int) -> None:
        """Switch and kill for so long and so often at least: a worker now and then, each n-th time the whole server."""
        is_over = threading.Event()
        threads = [threading.Thread(target=each.run, args=(is_over, switches)) for each in self.switchers]
        for thread in threads:
            thread.start()
        try:
            self._kill_until(time.monotonic() + seconds, is_over, worker_every, server_every)
        finally:
            is_over.set()
            for thread in threads:
                thread.join(900)
            for each in self.switchers:
                each.timeline.end()
            for reader in self.readers:
                self.told.append(json.loads(reader.communicate(timeout=120)[0]))

    def _kill_until(self, end: float, is_over: threading.Event, worker_every: float, server_every: int) -> None:
        dice = random.Random(1)
        while not is_over.wait(worker_every * dice.uniform(0.5, 1.5)) and time.monotonic() < end:
            self.kills += 1
            if self.kills % server_every == 0:
                self.server.kill()
                self.server.start()
            elif workers := self.server.workers():
                with suppress(ProcessLookupError):
                    os.kill(dice.choice(sorted(workers)), signal.SIGKILL)

    def assert_right(self) -> None:
        """No answer was wrong; none was missing but those of processes that were killed."""
        assert [problem for each in self.switchers for problem in each.problems] == []
        assert [problem for told in self.told for problem in told["problems"]] == []
        for told in self.told:
            # A reader has one connection: a kill breaks one at most.
            assert told["broken"] <= self.kills, told["broken"]
            assert told["reads"] > 50
        kinds = sum((Counter(told["kinds"]) for told in self.told), Counter[str]())
        assert {"GET 200 ", "GET 200 gzip", "HEAD 200 ", "HEAD 200 gzip", "GET 206 ", "GET 304 "} <= set(kinds), kinds

    def assert_settled(self) -> None:
        """After a last start every site is what its metadata says, and nothing is left over."""
        self.server.kill()
        self.server.start()
        data = self.server.data
        wait_until(lambda: os.listdir(data / "work") == [], "what the killed ones left is cleared")
        for each in self.switchers:
            told = self.server.api("GET", f"{each.path}/checkpoints").json()["data"]
            archives = data / "sites-checkpoints/default" / each.site_id / "checkpoints"
            assert {c["id"] for c in told["checkpoints"]} == {
                p.name.removesuffix(".tar.gz") for p in archives.iterdir()
            }
            (current,) = [c for c in told["checkpoints"] if c["id"] == told["current"]]
            root = (data / "sites/default" / each.site_id).resolve()
            assert root.parent.name.startswith(told["current"])
            assert tree_of(root) == files_of(int(current["file_name"].partition(".")[0]))

    def stop(self) -> None:
        for reader in self.readers:
            reader.kill()
            reader.wait()
            assert reader.stdout is not None
            reader.stdout.close()
        for each in self.switchers:
            for connection in each.probes:
                connection.close()
        self.nginx.stop()
        self.server.stop()

    def report(self) -> str:
        reads = sum(told["reads"] for told in self.told)
        switches = sum(each.timeline.answered for each in self.switchers)
        in_doubt = sum(each.in_doubt for each in self.switchers)
        broken = sum(told["broken"] for told in self.told)
        return f"{reads} reads, {switches} switches, {self.kills} kills, {in_doubt} changes in doubt, {broken} broken"


def soak(folder: Path, sites: int, **settings: str) -> Soak:
    """A server of four workers with so many sites, behind nginx."""
    for name in ("server", "nginx"):
        (folder / name).mkdir()
    server = Server(folder / "server", {"PAGES_WORKERS": "4", "PAGES_TRUSTED_PROXIES": "unix", **settings}).start()
    front = Nginx(folder / "nginx", server.environment()).start()
    switchers = []
    for number in range(sites):
        timeline = Timeline(folder / f"s{number}", create=True)
        switchers.append(Switcher(server, f"s{number}", timeline, random.Random(number)))
    made = Soak(server, front, switchers, folder)
    threads = [threading.Thread(target=each.begin) for each in switchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return made


@pytest.fixture
def soaks(tmp_path: Path) -> Iterator[list[Soak]]:
    made: list[Soak] = []
    yield made
    for each in made:
        each.stop()


def test_no_reader_gets_a_wrong_answer_during_switches_and_kills(
    soaks: list[Soak], tmp_path: Path, record_property: Any
) -> None:
    made = soak(tmp_path, sites=1)
    soaks.append(made)
    made.read(behind_nginx=False, count=2)
    made.read(behind_nginx=True, count=3 if THOROUGH else 2)
    if THOROUGH:
        made.run(seconds=240, switches=10_000, worker_every=2.0, server_every=8)
    else:
        made.run(seconds=6, switches=20, worker_every=1.2, server_every=4)
    record_property("soak", made.report())
    print(made.report())
    made.assert_right()
    made.assert_settled()


def test_no_reader_behind_nginx_with_its_file_cache_gets_an_old_version_after_the_answer(
    soaks: list[Soak], tmp_path: Path, record_property: Any
) -> None:
    made = soak(tmp_path, sites=12 if THOROUGH else 4, PAGES_NGINX_FILE_CACHE="true")
    soaks.append(made)
    # Until the answer nginx may have one file from before and another one of now.
    made.is_strict = False
    made.read(behind_nginx=True, count=2)
    if THOROUGH:
        made.run(seconds=120, switches=60, worker_every=4.0, server_every=8)
    else:
        made.run(seconds=3, switches=2, worker_every=2.0, server_every=10)
    record_property("soak", made.report())
    print(made.report())
    made.assert_right()
    made.assert_settled()
