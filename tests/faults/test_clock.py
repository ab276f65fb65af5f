"""A wall clock that jumps while the server runs: back an hour, to 1970, ten years ahead and back, summer time.

The clock is the server's alone (``clock.c``, preloaded); the times of files stay the kernel's.
"""

import ctypes
import mmap
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers import THOROUGH, Admin, Server, tree_of, zip_of
from nginx import Nginx

SITE = "/_api/sites/default/blog"
HOUR, YEAR = 3600, 31_557_600
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


class Clock:
    """The wall clock of one server: how far it is from ours, in seconds."""

    def __init__(self, library: Path, file: Path) -> None:
        file.write_bytes(bytes(8))
        self.settings = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(file)}
        with open(file, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8)
        self._offset = ctypes.c_int64.from_buffer(self._map)

    def move(self, seconds: float) -> None:
        self._offset.value += int(seconds)

    def set(self, moment: datetime) -> None:
        self._offset.value = int(moment.timestamp() - time.time())

    def right(self) -> None:
        self._offset.value = 0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled ``clock.c``."""
    made = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    except FileNotFoundError:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("gcc is not installed")
    return made


@pytest.fixture(scope="module")
def running(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Clock]]:
    folder = tmp_path_factory.mktemp("server")
    clock = Clock(library, folder / "clock")
    server = Server(folder, {**clock.settings, "TZ": "Europe/Berlin"}).start()
    yield server, clock
    server.stop()


@pytest.fixture
def server(running: tuple[Server, Clock]) -> Iterator[Server]:
    """A server in Berlin whose clock is right at first, with a site ``default/blog``."""
    server, clock = running
    clock.right()
    create(server)
    yield server
    for site in server.api("GET", "/_api/sites").json()["data"]["sites"]:
        assert server.api("DELETE", f"/_api/sites/{site['username']}/{site['id']}").status == 200
    clock.right()


@pytest.fixture
def clock(running: tuple[Server, Clock]) -> Clock:
    return running[1]


def create(server: Server) -> Any:
    reply = server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"})
    assert reply.status == 201, reply.body
    return reply.json()["data"]


def deployed(server: Server, content: str) -> str:
    """Deploy a page, see that it is served, and return the checkpoint's id."""
    reply = server.deploy(zip_of({"index.html": content}))
    assert reply.status == 200, reply.body
    assert server.request("GET", "/", host="blog.localhost").body == content.encode()
    return str(reply.json()["data"]["checkpoint"]["id"])


def assert_in_order(server: Server, made: list[str], contents: list[str]) -> None:
    """The checkpoints are these, unique, newest first, by id and by time; each still holds what was deployed."""
    assert len(set(made)) == len(made)
    assert all(ID.fullmatch(checkpoint_id) for checkpoint_id in made)
    assert sorted(made) == made, "ids sort by age"
    told = server.api("GET", f"{SITE}/checkpoints").json()["data"]
    listed = told["checkpoints"]
    assert [checkpoint["id"] for checkpoint in listed] == made[::-1]
    assert told["current"] == made[-1]
    times = [datetime.fromisoformat(checkpoint["created_at"]) for checkpoint in listed]
    assert all(newer > older for newer, older in pairwise(times))
    archives = {path.name for path in (server.data / "sites-checkpoints/default/blog/checkpoints").iterdir()}
    assert archives == {f"{checkpoint_id}.tar.gz" for checkpoint_id in made}
    for checkpoint_id, content in zip(made, contents, strict=True):
        assert server.api("POST", f"{SITE}/checkpoints/{checkpoint_id}/checkout").status == 200
        assert server.request("GET", "/", host="blog.localhost").body == content.encode()
        assert tree_of((server.data / "sites/default/blog").resolve())["index.html"] == content.encode()


BERLIN_SUMMER_ENDS = datetime(2027, 10, 31, 1, 0, tzinfo=UTC)  # 03:00 is 02:00 again.
BERLIN_SUMMER_BEGINS = datetime(2028, 3, 26, 1, 0, tzinfo=UTC)  # There is no 02:30.

JUMPS: dict[str, list[Callable[[Clock], None]]] = {
    "back an hour": [lambda c: c.move(-HOUR)],
    "back an hour, twice": [lambda c: c.move(-HOUR), lambda c: c.move(-HOUR)],
    "to 1970": [lambda c: c.set(datetime(1970, 1, 1, 0, 5, tzinfo=UTC))],
    "to 1970 and back": [lambda c: c.set(datetime(1970, 1, 1, tzinfo=UTC)), lambda c: c.right()],
    "ten years ahead and back": [lambda c: c.move(10 * YEAR), lambda c: c.move(-10 * YEAR)],
    "past 2038 and back": [lambda c: c.move(30 * YEAR), lambda c: c.move(-30 * YEAR)],
    "summer time ends": [
        lambda c: c.set(BERLIN_SUMMER_ENDS - timedelta(seconds=5)),
        lambda c: c.set(BERLIN_SUMMER_ENDS + timedelta(seconds=5)),
    ],
    "summer time begins": [
        lambda c: c.set(BERLIN_SUMMER_BEGINS - timedelta(seconds=5)),
        lambda c: c.set(BERLIN_SUMMER_BEGINS + timedelta(seconds=5)),
    ],
}


@pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS.keys())
def test_deploys_stay_in_order_whatever_the_clock_does(
    server: Server, clock: Clock, jumps: list[Callable[[Clock], None]]
) -> None:
    made, contents = [], []
    for number, jump in enumerate([lambda _: None, *jumps]):
        jump(clock)
        # Twice the same: in the same second, or one that seems to be.
        for content in (f"{number} one", f"{number} same", f"{number} same"):
            made.append(deployed(server, content))
            contents.append(content)
    assert_in_order(server, made, contents)


@pytest.mark.parametrize("year", [1970, 1971, 2000, 2037, 2039, 2100])
def test_a_site_made_when_the_clock_is_far_off_can_be_deployed_to(server: Server, clock: Clock, year: int) -> None:
    assert server.api("DELETE", SITE).status == 200
    # A machine without a battery starts in 1970, which was the year before west of Greenwich.
    clock.set(datetime(year, 1, 1, 0, 0, 10, tzinfo=UTC))
    create(server)
    first = deployed(server, "one")
    assert first.startswith(f"{year}")
    assert server.api("PUT", SITE, {"index": "start.html"}).status == 200
    assert server.api("PUT", SITE, {"index": "index.html"}).status == 200
    clock.right()
    second = deployed(server, "two")
    # After it was set right: the times before stay as they were.
    assert_in_order(server, [first, second], ["one", "two"])


def test_a_changed_page_has_other_validators_and_an_unchanged_one_the_same_when_the_clock_goes_back(
    server: Server, clock: Clock
) -> None:
    def head() -> dict[str, str]:
        reply = server.request("HEAD", "/", host="blog.localhost")
        return {name: reply.headers[name] for name in ("ETag", "Last-Modified")}

    seen: list[dict[str, str]] = []
    for number in range(4):
        deployed(server, f"v{number}")  # All of one size.
        seen.append(head())
        clock.move(-HOUR)
        deployed(server, f"v{number}")
        assert head() == seen[-1]
    for name in ("ETag", "Last-Modified"):
        assert len({each[name] for each in seen}) == len(seen)
    for validators in seen[:-1]:
        for header, value in (
            ("If-None-Match", validators["ETag"]),
            ("If-Modified-Since", validators["Last-Modified"]),
        ):
            assert server.request("GET", "/", host="blog.localhost", headers={header: value}).status == 200


def test_deploys_and_checkouts_go_on_while_the_clock_jumps_about(server: Server, clock: Clock) -> None:
    made: list[str] = []
    contents: list[str] = []
    jumps = (-HOUR, 7, -1, 10 * YEAR, -10 * YEAR, HOUR, -3 * HOUR, 1, 2 * HOUR)
    for number in range(400 if THOROUGH else 30):
        clock.move(jumps[number % len(jumps)])
        content = f"{number // 2}"
        made.append(deployed(server, content))
        contents.append(content)
        if number % 3 == 2:
            clock.move(jumps[(number * 7) % len(jumps)])
            wanted = (number * 5) % len(made)
            assert server.api("POST", f"{SITE}/checkpoints/{made[wanted]}/checkout").status == 200
            assert server.request("GET", "/", host="blog.localhost").body == contents[wanted].encode()
        if number % 5 == 4:  # A deleted one's second is not given out again.
            gone = made.pop(number % (len(made) - 1))
            reply = server.api("DELETE", f"{SITE}/checkpoints/{gone}")
            if reply.status == 409:
                made = sorted([*made, gone])
            else:
                assert reply.status == 200
                contents.pop(number % len(contents[:-1]))
    assert deployed(server, "the last") > max(made)


def test_a_new_site_of_an_old_name_starts_empty_when_the_clock_went_back(server: Server, clock: Clock) -> None:
    deployed(server, "old")
    for _ in range(3):
        assert server.api("DELETE", SITE).status == 200
        clock.move(-HOUR)
        create(server)
        assert server.api("GET", f"{SITE}/checkpoints").json()["data"]["total"] == 0
        assert server.request("GET", "/", host="blog.localhost").status == 404
        deployed(server, "new")


def test_a_restart_while_the_clock_is_wrong_serves_and_deploys(library: Path, tmp_path: Path) -> None:
    clock = Clock(library, tmp_path / "clock")
    server = Server(tmp_path, {**clock.settings, "TZ": "America/New_York"})
    try:
        made = []
        jumps = (0, -HOUR, 10 * YEAR, -10 * YEAR, -56 * YEAR) if THOROUGH else (0, -HOUR)
        for number, jump in enumerate(jumps):
            clock.move(jump)
            server.start()
            if number == 0:
                create(server)
            else:
                assert server.request("GET", "/", host="blog.localhost").body == b"%d" % (number - 1)
            made.append(deployed(server, f"{number}"))
            server.kill() if number % 2 else server.stop()
        clock.set(datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC))
        server.start()
        assert_in_order(server, made, [f"{number}" for number in range(len(jumps))])
        assert server.api("DELETE", SITE).status == 200
        create(server)
        assert deployed(server, "in another year than in Greenwich").startswith("1969")
    finally:
        server.stop()


def test_the_version_just_replaced_stays_unpacked_when_others_seem_newer(admin: Admin, data: Path) -> None:
    for number in range(5):
        admin.deployed({"index.html": f"{number}"})
    live = (data / "sites/default/blog").resolve().parent
    for version in live.parent.iterdir():
        if version != live:  # Replaced before the clock went back.
            os.utime(version, (time.time() + HOUR,) * 2)
    admin.deployed({"index.html": "newest"})
    assert (live / "site/index.html").read_text() == "4"


def test_nginx_serves_no_old_file_when_the_clock_goes_back(library: Path, tmp_path: Path) -> None:
    clock = Clock(library, tmp_path / "clock")
    server = Server(tmp_path, dict(clock.settings))
    (tmp_path / "nginx").mkdir()
    before = {name: os.environ.get(name) for name in clock.settings}
    try:
        create(server.start())
        os.environ.update(clock.settings)  # nginx looks at the same clock.
        front = Nginx(tmp_path / "nginx", server.environment()).start()
        try:
            for number in range(6):
                deployed(server, f"v{number}")
                reply = server.request("GET", "/", host="blog.localhost", port=front.port)
                assert (reply.status, reply.body) == (200, b"v%d" % number)
                clock.move((-HOUR, 10 * YEAR, -10 * YEAR)[number % 3])
        finally:
            front.stop()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        server.stop()
