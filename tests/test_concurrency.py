"""Many at once against one real server: deploys, checkouts, deletions, readers; and what memory it takes."""

import http.client
import json
import os
import shutil
import struct
import tarfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Reply, Server, assert_failure, basic, tar_of, tree_of, wait_until, zip_of

from pages.history import Histories
from pages.lookup import File, best_variant
from pages.model import History, Site
from pages.web import respond

LARGE = os.environ.get("PAGES_TEST_LARGE") == "1"
SITE = "/_api/sites/default/blog"
MIB = 1024 * 1024
# Long enough that a reader that is given two versions in one answer would be seen.
REPEATS = 8_000


def page_of(version: int) -> dict[str, bytes | str]:
    return {"index.html": f"{version:06d}\n" * REPEATS, "copy.html": f"{version:06d}", f"only-{version}.txt": b""}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for most of these tests: starting it takes longer than most of them."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """That server with a new site ``default/blog``; all sites go after the test."""
    assert create(running).status == 201
    yield running
    for site in running.api("GET", "/_api/sites").json()["data"]["sites"]:
        assert running.api("DELETE", f"/_api/sites/{site['username']}/{site['id']}").status == 200


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Start all of these in the same moment; their results in order."""
    barrier = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        barrier.wait(60)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result(120) for future in [pool.submit(act, action) for action in actions]]


def create(server: Server, site_id: str = "blog", domain: str = "", username: str = "default") -> Reply:
    body = {"id": site_id, "domain": domain or f"{site_id}.localhost", "username": username}
    return server.api("POST", "/_api/sites", body)


def deployed(server: Server, version: int, site: str = "default/blog") -> str:
    reply = server.deploy(zip_of(page_of(version)), site=site)
    assert reply.status == 200, reply.body
    return str(reply.json()["data"]["checkpoint"]["id"])


def checkpoints(server: Server, site: str = "default/blog") -> Any:
    return server.api("GET", f"/_api/sites/{site}/checkpoints").json()["data"]


def checkout(server: Server, checkpoint_id: str) -> Reply:
    return server.api("POST", f"{SITE}/checkpoints/{checkpoint_id}/checkout")


def clear_cache(server: Server) -> Reply:
    return server.api("POST", "/api/admin/maintenance", {"action": "clear-cache"})


def served_version(server: Server) -> int:
    """The version that the site's folder holds; fails when it is not exactly one."""
    tree = tree_of((server.data / "sites/default/blog").resolve())
    version = int(tree["copy.html"])
    assert tree == {path: _bytes(content) for path, content in page_of(version).items()}
    return version


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def archives_of(server: Server, site: str = "default/blog") -> set[str]:
    folder = server.data / "sites-checkpoints" / site / "checkpoints"
    return {path.name.removesuffix(".tar.gz") for path in folder.iterdir()}


def litter_of(server: Server) -> list[str]:
    return [path.name for path in (server.data / "work").iterdir()]


# --- Readers during switches ----------------------------------------------------------------


@dataclass
class Switches:
    """Which versions a reader may see: those from the last acknowledged one on."""

    started: list[int]
    acknowledged: int = 0  # How many of ``started`` are surely live or past.
    problems: list[str] = field(default_factory=list)
    reads: int = 0
    is_over: bool = False

    def switch(self, version: int, action: Callable[[], None]) -> None:
        self.started.append(version)
        action()
        self.acknowledged = len(self.started) - 1

    def read(self, get: Callable[[str], tuple[int, bytes]]) -> None:
        """Poll until it is over; note every answer that is no version that may be live."""
        while not self.is_over:
            first = self.acknowledged
            status, body = get("/")
            allowed = set(self.started[first:])
            lines = set(body.split(b"\n")[:-1]) if status == 200 else set()
            if status != 200 or len(lines) != 1 or len(body) != 7 * REPEATS:
                self.problems.append(f"status {status}, {len(body)} bytes, {sorted(lines)[:3]}")
            elif int(lines.pop()) not in allowed:
                self.problems.append(f"version {body[:6]!r}, allowed were {sorted(allowed)}")
            self.reads += 1


def connection_to(server: Server) -> Callable[[str], tuple[int, bytes]]:
    """GET on one connection that is kept open."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def get(path: str) -> tuple[int, bytes]:
        try:
            connection.request("GET", path, headers={"Host": "blog.localhost"})
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.RemoteDisconnected:  # An idle connection may be closed at any time.
            connection.close()
            return get(path)

    return get


def test_readers_never_see_a_gap_a_mixture_or_an_old_version_during_switches(server: Server) -> None:
    ids = {version: deployed(server, version) for version in range(6)}
    switches = Switches([5])
    readers = [threading.Thread(target=switches.read, args=(connection_to(server),)) for _ in range(3)]
    for reader in readers:
        reader.start()

    def deploy(version: int) -> None:
        ids[version] = deployed(server, version)

    try:
        for number in range(200):
            if number % 5 == 4:
                version = 1_000 + number
                switches.switch(version, lambda version=version: deploy(version))
            else:
                # Some of these are warm and some are not.
                version = (number * 7) % 6
                switches.switch(version, lambda version=version: _accepted(checkout(server, ids[version])))
            if number % 20 == 10:
                _accepted(clear_cache(server))
    finally:
        switches.is_over = True
        for reader in readers:
            reader.join(60)
    assert switches.problems == []
    assert switches.reads > 100


def _accepted(reply: Reply) -> None:
    assert reply.status == 200, reply.body


# --- Deploys at once ------------------------------------------------------------------------


def test_of_deploys_at_once_each_has_its_checkpoint_and_the_last_to_commit_is_live(server: Server) -> None:
    replies = at_once(*(lambda n=n: server.deploy(zip_of(page_of(n)), f"{n}.zip") for n in range(8)))
    assert [reply.status for reply in replies] == [200] * 8
    made = {reply.json()["data"]["checkpoint"]["id"]: n for n, reply in enumerate(replies)}
    told = checkpoints(server)
    listed = [checkpoint["id"] for checkpoint in told["checkpoints"]]
    assert len(made) == 8
    assert set(listed) == set(made) == archives_of(server)
    assert listed == sorted(listed, reverse=True)
    assert told["current"] == listed[0]
    assert served_version(server) == made[listed[0]]
    assert litter_of(server) == []


def test_each_of_many_deploys_at_once_can_be_checked_out_as_what_it_was(server: Server) -> None:
    replies = at_once(*(lambda n=n: server.deploy(zip_of(page_of(n))) for n in range(6)))
    _accepted(clear_cache(server))
    for version, reply in enumerate(replies):
        _accepted(checkout(server, reply.json()["data"]["checkpoint"]["id"]))
        assert served_version(server) == version


def test_deploys_of_the_same_content_at_once_each_have_an_id(server: Server) -> None:
    replies = at_once(*(lambda: server.deploy(zip_of(page_of(1))) for _ in range(8)))
    assert len({reply.json()["data"]["checkpoint"]["id"] for reply in replies}) == 8
    assert served_version(server) == 1


def test_deploys_to_different_sites_at_once_keep_to_their_sites(server: Server) -> None:
    for site_id in ("a", "b", "c", "d"):
        assert create(server, site_id, username="user1").status == 201
    sites = ["user1/a", "user1/b", "user1/c", "user1/d"] * 2
    at_once(*(lambda n=n, site=site: deployed(server, n, site) for n, site in enumerate(sites)))
    for number, site in enumerate(sites[:4]):
        assert checkpoints(server, site)["total"] == 2
        version = int((server.data / "sites" / site / "copy.html").read_text())
        assert version % 4 == number


def test_all_changes_of_a_site_at_once_leave_one_consistent_version(server: Server) -> None:
    ids = [deployed(server, version) for version in range(4)]
    for attempt in range(5):
        replies = at_once(
            lambda n=attempt: server.deploy(zip_of(page_of(100 + n))),
            lambda n=attempt: server.deploy(zip_of(page_of(200 + n))),
            lambda: checkout(server, ids[0]),
            lambda: checkout(server, ids[1]),
            lambda: server.api("POST", f"{SITE}/checkpoints"),
            lambda: server.api("DELETE", f"{SITE}/checkpoints/{ids[2]}"),
            lambda: clear_cache(server),
            lambda n=attempt: server.api("PUT", SITE, {"index": f"index{n}.html"}),
        )
        statuses = [reply.status for reply in replies]
        assert statuses[:5] == [200, 200, 200, 200, 201]
        assert statuses[5] == (200 if attempt == 0 else 404)
        assert statuses[6:] == [200, 200]
        told = checkpoints(server)
        assert {checkpoint["id"] for checkpoint in told["checkpoints"]} == archives_of(server)
        root = (server.data / "sites/default/blog").resolve()
        assert root.parent.name.startswith(told["current"])
        assert served_version(server) in {*range(4), 100 + attempt, 200 + attempt, *range(100, 105), *range(200, 205)}
    assert litter_of(server) == []


def test_a_checkpoint_deleted_while_it_is_checked_out_is_either(server: Server) -> None:
    for attempt in range(10):
        first, second = deployed(server, 2 * attempt), deployed(server, 2 * attempt + 1)
        checked_out, deleted = at_once(
            lambda wanted=first: checkout(server, wanted),
            lambda wanted=first: server.api("DELETE", f"{SITE}/checkpoints/{wanted}"),
        )
        told = checkpoints(server)
        is_listed = first in {checkpoint["id"] for checkpoint in told["checkpoints"]}
        if checked_out.status == 200:
            assert (deleted.status, told["current"], is_listed) == (409, first, True)
            assert served_version(server) == 2 * attempt
        else:
            assert (checked_out.status, deleted.status) == (404, 200)
            assert (told["current"], is_listed) == (second, False)
            assert served_version(server) == 2 * attempt + 1


# --- Clear the cache ------------------------------------------------------------------------


def test_clearing_the_cache_harms_no_deploy_and_no_checkout(server: Server) -> None:
    ids = {version: deployed(server, version) for version in range(5)}
    is_over = threading.Event()
    problems: list[str] = []

    def clear() -> None:
        while not is_over.is_set():
            reply = clear_cache(server)
            if reply.status != 200:
                problems.append(str(reply.body))

    clearing = [threading.Thread(target=clear) for _ in range(2)]
    for thread in clearing:
        thread.start()
    try:
        for number in range(40):
            if number % 4 == 3:
                deployed(server, 100 + number)
                assert served_version(server) == 100 + number
            else:
                version = (number * 3) % 5
                _accepted(checkout(server, ids[version]))
                assert served_version(server) == version
    finally:
        is_over.set()
        for thread in clearing:
            thread.join(60)
    assert problems == []
    # What a clearing took away is deleted after its answer.
    wait_until(lambda: litter_of(server) == [], "what was cleared is deleted")


def test_a_twin_that_is_cleared_away_under_a_request_costs_the_visitor_nothing(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.deployed({"index.html": "<p>compressed</p>" * 1000})
    found: list[str | None] = []

    def found_and_gone(file: File, environ: dict[str, Any]) -> File:
        variant = best_variant(file, environ)
        found.append(variant.encoding)
        shutil.rmtree(data / "cache" / "encodings", ignore_errors=True)
        return variant

    monkeypatch.setattr(respond, "best_variant", found_and_gone)
    reply = admin.visit(accept_encoding="gzip")
    assert (reply.status_code, reply.data) == (200, b"<p>compressed</p>" * 1000)
    assert found == ["gzip", None]


# --- Creators and deleters ------------------------------------------------------------------


def test_of_eight_creators_of_one_id_exactly_one_succeeds(server: Server) -> None:
    for attempt in range(5):
        replies = at_once(*(lambda n=n, a=attempt: create(server, f"s{a}", f"d{a}-{n}.localhost") for n in range(8)))
        assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}
        assert {reply.json()["message"] for reply in replies if reply.status == 409} == {"站点已存在"}
        (made,) = [reply.json()["data"] for reply in replies if reply.status == 201]
        assert server.api("GET", f"/_api/sites/default/s{attempt}").json()["data"] == made
        domains = [path.name for path in (server.data / "domains").iterdir() if path.name.startswith(f"d{attempt}-")]
        assert domains == [made["domain"]]


def test_of_eight_creators_of_one_domain_exactly_one_succeeds(server: Server) -> None:
    spellings = ["shop{}.localhost", "Shop{}.Localhost", "SHOP{}.LOCALHOST.", "shop{}.localhost."]
    for attempt in range(5):
        replies = at_once(
            *(
                lambda n=n, a=attempt: create(server, f"s{a}-{n}", spellings[n % 4].format(a), f"user{n}")
                for n in range(8)
            )
        )
        assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}
        assert {reply.json()["message"] for reply in replies if reply.status == 409} == {"域名已被占用"}
        (made,) = [reply.json()["data"] for reply in replies if reply.status == 201]
        link = os.readlink(server.data / "domains" / f"shop{attempt}.localhost")
        assert link == f"../registry/{made['username']}/{made['id']}.json"


def test_of_two_sites_that_take_one_domain_at_once_one_gets_it(server: Server) -> None:
    assert create(server, "other").status == 201
    for attempt in range(10):
        replies = at_once(
            *(
                lambda site=site, a=attempt: server.api("PUT", f"/_api/sites/default/{site}", {"domain": f"n{a}.test"})
                for site in ("blog", "other")
            )
        )
        assert sorted(reply.status for reply in replies) == [200, 409]


def test_of_eight_deleters_exactly_one_succeeds(server: Server) -> None:
    deployed(server, 1)
    replies = at_once(*(lambda: server.api("DELETE", SITE) for _ in range(8)))
    assert Counter(reply.status for reply in replies) == {200: 1, 404: 7}
    assert litter_of(server) == []


def test_a_site_deleted_during_deploys_is_gone_and_leaves_nothing(server: Server) -> None:
    for attempt in range(6):
        if attempt:
            assert create(server).status == 201
        deployed(server, 0)
        replies = at_once(
            *(lambda n=n: server.deploy(zip_of(page_of(n))) for n in range(1, 4)),
            lambda: server.api("DELETE", SITE),
        )
        assert replies[-1].status == 200
        assert {reply.status for reply in replies[:-1]} <= {200, 404}
        assert server.api("GET", SITE).status == 404
        assert server.request("GET", "/", host="blog.localhost").status == 404
        left = [
            str(path.relative_to(server.data))
            for path in server.data.rglob("*blog*")
            if path.relative_to(server.data).parts[0] not in ("locks", "work")
        ]
        assert left == []
        assert litter_of(server) == []


def test_a_site_created_anew_during_deploys_never_gets_the_old_one_s(server: Server) -> None:
    for _ in range(6):
        *replies, renewed = at_once(
            *(lambda n=n: server.deploy(zip_of(page_of(n))) for n in range(3)),
            lambda: (server.api("DELETE", SITE).status, create(server).status),
        )
        assert renewed == (200, 201)
        told = checkpoints(server)
        listed = {checkpoint["id"] for checkpoint in told["checkpoints"]}
        made = {reply.json()["data"]["checkpoint"]["id"] for reply in replies if reply.status == 200}
        assert {reply.status for reply in replies} <= {200, 404}
        assert listed == archives_of(server) if listed else told["current"] is None
        assert listed <= made


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_site_deleted_while_its_checkpoints_are_listed_is_not_shown_without_any(
    app: Flask, admin: Admin, monkeypatch: pytest.MonkeyPatch, is_made_anew: bool
) -> None:
    made = admin.deployed({"index.html": "1"})
    read = Histories.read

    def read_late(self: Histories, site: Site) -> History:
        monkeypatch.setattr(Histories, "read", read)
        other = Admin(app.test_client())
        assert other.delete(SITE).status_code == 200
        if is_made_anew:
            other.create("blog")
        return read(self, site)

    for path in (f"{SITE}/checkpoints", f"{SITE}/checkpoints/{made['id']}"):
        monkeypatch.setattr(Histories, "read", read_late)
        assert_failure(admin.get(path), 404, "站点不存在")
        if not is_made_anew:
            admin.create("blog")


# --- Reload and backup ------------------------------------------------------------------------


def repeated_until(is_over: threading.Event, action: Callable[[], None]) -> threading.Thread:
    """A started thread that does something again and again."""

    def repeat() -> None:
        while not is_over.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    return thread


def test_reloading_while_sites_are_written_finds_every_record_whole_and_every_site_served(server: Server) -> None:
    deployed(server, 1)
    is_over, problems = threading.Event(), []

    def reload() -> None:
        reply = server.api("POST", "/_api/reload")
        if reply.status != 200 or reply.json()["data"]["problems"]:
            problems.append(str(reply.body))

    def visit() -> None:
        reply = server.request("GET", "/copy.html", host="blog.localhost")
        if (reply.status, reply.body) != (200, b"000001"):
            problems.append(f"{reply.status} {reply.body!r}")

    threads = [repeated_until(is_over, action) for action in (reload, reload, visit)]
    try:
        for number in range(15):
            assert create(server, "other", f"o{number}.localhost").status == 201
            for body in ({"domain": f"p{number}.localhost"}, {"index": "start.html"}, {"enabled": number % 2 == 0}):
                assert server.api("PUT", "/_api/sites/default/other", body).status == 200
            assert server.api("PUT", SITE, {"index": "index.html"}).status == 200
            assert server.api("DELETE", "/_api/sites/default/other").status == 200
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    assert problems == []
    for folder in ("domains", "public"):
        assert set(os.listdir(server.data / folder)) - {"localhost"} == {"blog.localhost"}


def test_a_backup_made_during_changes_is_of_one_moment(server: Server) -> None:
    for site_id, domain in (("a", "one.localhost"), ("z", "two.localhost")):
        assert create(server, site_id, domain).status == 201
        deployed(server, 1, f"default/{site_id}")
    for number in range(20):  # What is read between the two.
        assert create(server, f"m{number}").status == 201
    is_over, problems = threading.Event(), []

    def move(site_id: str, domain: str) -> None:
        if (reply := server.api("PUT", f"/_api/sites/default/{site_id}", {"domain": domain})).status != 200:
            problems.append(str(reply.body))

    def change() -> None:
        for first, second in (("one.localhost", "two.localhost"), ("two.localhost", "one.localhost")):
            move("a", "between.localhost")
            move("z", first)
            move("a", second)

    def renew() -> None:
        server.api("DELETE", "/_api/sites/default/z9")
        create(server, "z9")
        server.deploy(zip_of({"index.html": "z9"}), site="default/z9")

    threads = [repeated_until(is_over, action) for action in (change, renew)]
    backups = []
    try:
        for _ in range(60):
            reply = server.api("POST", "/api/admin/maintenance", {"action": "backup"})
            assert reply.status == 200, reply.body
            backups.append(json.loads((server.folder / "backups" / reply.json()["backupFile"]).read_bytes()))
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    assert problems == []
    for backup in backups:
        domains = Counter(site["record"]["domain"] for site in backup["sites"])
        assert max(domains.values()) == 1, domains
        for site in backup["sites"]:
            ids = [checkpoint["id"] for checkpoint in site["metadata"]["checkpoints"]]
            assert site["metadata"]["current"] in ids or not ids


# --- Two servers ------------------------------------------------------------------------------


def test_two_servers_on_one_data_folder_keep_order_and_outlive_each_other(
    server: Server, make_server: Callable[..., Server]
) -> None:
    deployed(server, 0)
    second = make_server(PAGES_DATA_DIR=str(server.data))
    both = (server, second)
    for attempt in range(5):
        replies = at_once(
            *(lambda at=at, n=n: at.deploy(zip_of(page_of(n))) for n, at in enumerate(both * 2)),
            *(lambda at=at, n=n, a=attempt: create(at, f"s{a}", f"d{a}-{n}.test") for n, at in enumerate(both * 2)),
            *(lambda at=at: at.api("POST", "/_api/reload") for at in both),
            *(lambda at=at: clear_cache(at) for at in both),
        )
        assert [reply.status for reply in replies[:4]] == [200] * 4
        assert sorted(reply.status for reply in replies[4:8]) == [201, 409, 409, 409]
        assert [reply.status for reply in replies[8:]] == [200] * 4
        version = served_version(server)
        for at in both:
            assert at.request("GET", "/copy.html", host="blog.localhost").body == b"%06d" % version
            assert checkpoints(at)["total"] == 1 + 4 * (attempt + 1)
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(second.deploy, zip_of(page_of(n))) for n in (50, 51)]
        second.kill()
        version = 60
        deployed(server, version)
        for outcome in under_way:
            outcome.exception(60)
    assert served_version(server) in (50, 51, 60)
    deployed(server, 61)
    assert served_version(server) == 61
    second.start()
    assert second.request("GET", "/copy.html", host="blog.localhost").body == b"000061"
    assert {checkpoint["id"] for checkpoint in checkpoints(server)["checkpoints"]} == archives_of(server)
    wait_until(lambda: litter_of(server) == [], "what the killed one left is cleared")


# --- Memory ---------------------------------------------------------------------------------


def upload(server: Server, path: Path, file_name: str) -> Any:
    """Deploy a file that is streamed from the disk and never held."""
    boundary = "----boundary7MA4YWxkTrZu0gW"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'.encode()
    end = f"\r\n--{boundary}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        with open(path, "rb") as file:
            while chunk := file.read(MIB):
                yield chunk
        yield end

    headers = {
        **basic(),
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + path.stat().st_size + len(end)),
    }
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)) as connection:
        connection.request("POST", f"{SITE}/deploy", body=body(), headers=headers)
        response = connection.getresponse()
        reply = json.loads(response.read())
    assert response.status == 200, reply
    return reply["data"]["checkpoint"]


def write_stored_zip(path: Path, name: bytes, size: int) -> None:
    """A zip of one file of zeros, not compressed: most of it is a hole in the file."""
    crc, rest = 0, size
    while rest:
        crc = zlib.crc32(bytes(min(rest, 16 * MIB)), crc)
        rest -= min(rest, 16 * MIB)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0x21, crc, size, size, len(name), 0) + name
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0x21, crc, size, size, len(name), 0, 0, 0, 0, 0, 0)
    directory = central + name
    with open(path, "wb") as file:
        file.write(local)
        file.seek(size, os.SEEK_CUR)
        file.write(directory)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(local) + size, 0))


@pytest.fixture
def alone(make_server: Callable[..., Server]) -> Server:
    """A server of one worker that has had its first deploys, so that its memory is what it is."""
    server = make_server(PAGES_WORKERS="1", PAGES_MAX_UPLOAD_BYTES=str(2 * 1024 * MIB))
    assert create(server).status == 201
    for archive, name in ((zip_of(page_of(1)), "a.zip"), (tar_of({"index.html": bytes(3 * MIB)}), "a.tar.gz")):
        assert server.deploy(archive, name).status == 200
    return server


def test_a_large_upload_takes_little_memory(alone: Server, tmp_path: Path) -> None:
    size = (1024 if LARGE else 200) * MIB
    path = tmp_path / "large.zip"
    write_stored_zip(path, b"video.mp4", size)
    before = alone.peak_memory()
    made = upload(alone, path, "large.zip")
    assert alone.peak_memory() - before < 64 * MIB
    assert (alone.data / "sites/default/blog/video.mp4").stat().st_size == size
    assert (alone.data / "sites-checkpoints/default/blog/checkpoints" / f"{made['id']}.tar.gz").exists()


def test_a_large_tar_gz_and_its_cold_checkout_take_little_memory(alone: Server, tmp_path: Path) -> None:
    size = (1024 if LARGE else 200) * MIB
    path = tmp_path / "large.tar.gz"
    write_stored_tar_gz(path, "video.mp4", size)
    before = alone.peak_memory()
    made = upload(alone, path, "large.tar.gz")
    for version in (1, 2, 3):
        deployed(alone, version)
    _accepted(clear_cache(alone))
    _accepted(checkout(alone, made["id"]))
    assert alone.peak_memory() - before < 64 * MIB
    assert (alone.data / "sites/default/blog/video.mp4").stat().st_size == size


def write_stored_tar_gz(path: Path, name: str, size: int) -> None:
    """A tar.gz of one file of zeros, hardly compressed in time that counts."""
    info = tarfile.TarInfo(name)
    info.size = size
    with open(path, "wb") as file:
        compress = zlib.compressobj(1, wbits=31)
        file.write(compress.compress(info.tobuf(tarfile.PAX_FORMAT)))
        for _ in range(size // MIB):
            file.write(compress.compress(bytes(MIB)))
        file.write(compress.compress(bytes(1024)) + compress.flush())


def test_a_large_download_takes_little_memory(alone: Server) -> None:
    assert alone.deploy(zip_of({"index.html": bytes(100 * MIB)})).status == 200
    before = alone.peak_memory()
    with closing(http.client.HTTPConnection("127.0.0.1", alone.port, timeout=600)) as connection:
        connection.request("GET", "/", headers={"Host": "blog.localhost"})
        response = connection.getresponse()
        total = 0
        while chunk := response.read(MIB):
            total += len(chunk)
    assert total == 100 * MIB
    assert alone.peak_memory() - before < 32 * MIB


def test_a_refused_upload_is_answered_and_not_reset(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_MAX_UPLOAD_BYTES=str(MIB))
    assert create(server).status == 201
    reply = server.deploy(os.urandom(8 * MIB))
    assert reply.status == 413
    assert "max_upload_bytes" in reply.json()["message"]


# --- Slow and broken clients ----------------------------------------------------------------


def test_a_client_that_breaks_off_leaves_nothing(server: Server) -> None:
    archive = zip_of({"index.html": os.urandom(4 * MIB)})
    for cut in (0, 100, MIB, len(archive) - 1):
        boundary = "b"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'.encode()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", f"{SITE}/deploy")
        for name, value in {**basic(), "Content-Type": f"multipart/form-data; boundary={boundary}"}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(head) + len(archive) + 10))
        connection.endheaders(head + archive[:cut])
        connection.close()
    wait_until(lambda: not litter_of(server), "the work folder is empty")
    assert checkpoints(server)["total"] == 0
