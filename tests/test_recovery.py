"""Starting after a crash, and a real server killed at random moments. (A fault at every call: tests/faults.)"""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest
from faults.invariants import violations
from helpers import PROJECT, Server, everything_below, tree_of, zip_of
from ports import free_port

from pages.config import load_config
from pages.model import now
from pages.services import Services, build_services

KILLS = int(os.environ.get("PAGES_TEST_KILLS", "15"))


def _services(folder: Path) -> Services:
    return build_services(load_config({"PAGES_DATA_DIR": str(folder / "data"), "PAGES_LOCK_TIMEOUT": "5"}))


# --- Starting -------------------------------------------------------------------------------


def start_up(folder: Path) -> subprocess.Popen[str]:
    """What gunicorn runs before its first worker."""
    environment = Server(folder, {"PAGES_LOCK_TIMEOUT": "20"}, port=free_port()).environment()
    command = [sys.executable, "-m", "pages", "start-up"]
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)


def test_several_processes_that_start_at_once_make_one_welcome_site(tmp_path: Path) -> None:
    starting = [start_up(tmp_path) for _ in range(4)]
    for process in starting:
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
    assert violations(tmp_path / "data") == []
    assert [path.name for path in (tmp_path / "data/sites").glob("*/*")] == ["default"]
    assert (tmp_path / "data/sites/default/default/index.html").exists()


def test_work_that_another_process_has_in_hand_is_left_to_it(tmp_path: Path) -> None:
    services = _services(tmp_path)
    services.recover()
    with services.workshop.work(note="default/default") as work:
        (work.path / "upload").write_bytes(b"on its way")
        process = start_up(tmp_path)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        assert (work.path / "upload").read_bytes() == b"on its way"


@pytest.mark.parametrize(
    "name", ["file", "0123456789abcdef/upload", "0123456789abcdef/tree/a/b", ".hidden", "0123456789abcdef/note"]
)
def test_what_lies_in_the_work_folder_at_a_start_is_cleared(tmp_path: Path, name: str) -> None:
    _services(tmp_path).recover()
    path = tmp_path / "data/work" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left")
    _services(tmp_path).recover()
    assert list((tmp_path / "data/work").iterdir()) == []


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\0" * 20,
        b"a/b/c",
        b"default/nowhere",
        b"x" * 5_000,
        pytest.param(b"\xff"),
        pytest.param(b"/"),
        pytest.param(b"../.."),
        pytest.param(b"../registry"),
        pytest.param(b"../sites-checkpoints"),
        pytest.param(b"a\0/b"),
    ],
)
def test_a_strange_note_in_the_work_folder_neither_stops_a_start_nor_harms_anything(
    tmp_path: Path, note: bytes
) -> None:
    _services(tmp_path).recover()
    before = everything_below(tmp_path / "data")
    folder = tmp_path / "data/work/0123456789abcdef"
    folder.mkdir()
    (folder / "note").write_bytes(note)
    _services(tmp_path).recover()
    after = {path: what for path, what in everything_below(tmp_path / "data").items() if not path.startswith("locks")}
    assert after == {path: what for path, what in before.items() if not path.startswith("locks")}


def test_a_site_that_cannot_be_recovered_does_not_stop_a_start(tmp_path: Path) -> None:
    services = _services(tmp_path)
    services.recover()
    for site_id in ("broken", "fine"):
        fields = {"id": site_id, "username": "default", "domain": f"{site_id}.localhost", "index": "index.html"}
        services.publisher.create({**fields, "enabled": True}, now())
        folder = tmp_path / "data/work" / site_id
        folder.mkdir()
        (folder / "note").write_text(f"default/{site_id}")
    (tmp_path / "data/sites-checkpoints/default/broken/metadata.json").write_bytes(b"{")
    process = start_up(tmp_path)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "broken" in log
    assert list((tmp_path / "data/work").iterdir()) == []


def test_what_a_busy_site_keeps_from_being_finished_is_left_for_the_next_start(tmp_path: Path) -> None:
    _services(tmp_path).recover()
    services = build_services(dataclasses.replace(_services(tmp_path).config, lock_timeout=0.0))
    fields = {"id": "blog", "username": "default", "domain": "blog.localhost", "index": "index.html", "enabled": True}
    services.publisher.create(fields, now())
    folder = tmp_path / "data/work/0123456789abcdef"
    folder.mkdir()
    (folder / "note").write_text("default/blog")
    (folder / "intent").write_text("20260101-000000-01234567")
    orphan = services.paths.archive("default", "blog", "20260101-000000-01234567")
    orphan.parent.mkdir()
    orphan.write_bytes(b"of a deploy that was not committed")
    with services.registry.site_locked("default", "blog"):
        services.recover()
    assert orphan.exists()
    services.recover()
    assert not orphan.exists()
    assert not folder.exists()


# --- A real server, killed at random moments ------------------------------------------------


@dataclass
class Story:
    """What somebody did to ``default/blog``, what was acknowledged, and what was under way."""

    versions: dict[str, str] = field(default_factory=dict)  # checkpoint id -> what its index.html says
    current: str | None = None
    exists: bool = True
    under_way: tuple[str, str] | None = None  # (kind, checkpoint id or version)
    done: int = 0


def page_of(version: str) -> dict[str, bytes | str]:
    return {"index.html": version, "copy/index.html": version, f"{version}.txt": version * 2_000}


SITE = "/_api/sites/default/blog"


def act(server: Server, story: Story, chance: random.Random) -> None:
    """One random change; raises ``OSError`` or ``HTTPException`` when the server dies under it."""
    others = [checkpoint_id for checkpoint_id in story.versions if checkpoint_id != story.current]
    kind = chance.choice(["deploy"] * 4 + ["checkout"] * 3 + ["delete checkpoint"] * 2 + ["delete"])
    if not story.exists:
        story.under_way = ("create", "")
        assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
        story.exists = True
    elif kind == "delete" and story.done % 5 == 4:
        story.under_way = ("delete", "")
        assert server.api("DELETE", SITE).status == 200
        story.versions, story.current, story.exists = {}, None, False
    elif kind == "checkout" and others:
        wanted = chance.choice(others)
        story.under_way = ("checkout", wanted)
        assert server.api("POST", f"{SITE}/checkpoints/{wanted}/checkout").status == 200
        story.current = wanted
    elif kind == "delete checkpoint" and others:
        wanted = chance.choice(others)
        story.under_way = ("delete checkpoint", wanted)
        assert server.api("DELETE", f"{SITE}/checkpoints/{wanted}").status == 200
        del story.versions[wanted]
    else:
        version = f"version-{chance.randrange(10**9)}"
        story.under_way = ("deploy", version)
        reply = server.deploy(zip_of(page_of(version)))
        assert reply.status == 200, reply.body
        story.current = reply.json()["data"]["checkpoint"]["id"]
        story.versions[story.current] = version
    story.under_way = None
    story.done += 1


def check(server: Server, story: Story) -> None:
    """After a restart: the last that was acknowledged, or that and what was under way; the story goes on there."""
    assert violations(server.data) == []
    kind, what = story.under_way or ("", "")
    exists = server.api("GET", SITE).status == 200
    if exists != story.exists:
        assert kind == ("delete" if story.exists else "create")
        story.exists, story.versions, story.current = exists, {}, None
    if exists:
        told = server.api("GET", f"{SITE}/checkpoints").json()["data"]
        ids = {checkpoint["id"] for checkpoint in told["checkpoints"]}
        new, gone = ids - set(story.versions), set(story.versions) - ids
        assert not gone or (kind == "delete checkpoint" and gone == {what}), f"lost: {gone}, under way: {kind} {what}"
        assert not new or (kind == "deploy" and len(new) == 1), f"never made: {new}, under way: {kind} {what}"
        story.versions = {c: story.versions.get(c, what) for c in ids}
        if told["current"] != story.current:
            expected = new if kind == "deploy" else {what} if kind == "checkout" else set()
            assert {told["current"]} == expected, f"current is {told['current']}, under way: {kind} {what}"
            story.current = told["current"]
        visit = server.request("GET", "/", host="blog.localhost")
        if story.current is None:
            assert visit.status == 404
        else:
            version = story.versions[story.current]
            assert visit.body == version.encode()
            served = {path: content.decode() for path, content in tree_of(server.data / "sites/default/blog").items()}
            assert served == page_of(version)
    story.under_way = None


def test_a_server_killed_at_random_moments_loses_nothing_that_it_acknowledged(
    make_server: Callable[..., Server],
) -> None:
    chance = random.Random(os.environ.get("PAGES_TEST_SEED", "kills"))
    server = make_server()
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    story, cut_short = Story(), 0
    for _ in range(KILLS):
        stop = threading.Event()
        failure: list[BaseException] = []

        def work(stop: threading.Event = stop, failure: list[BaseException] = failure) -> None:
            try:
                while not stop.is_set():
                    act(server, story, chance)
            except (OSError, HTTPException):
                pass  # The server is dead.
            except BaseException as error:
                failure.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(chance.uniform(0.0, 0.3))  # The moment of the crash is what is drawn here.
        server.kill()
        stop.set()
        worker.join(60)
        assert not worker.is_alive()
        if failure:
            raise failure[0]
        cut_short += story.under_way is not None
        server.start()
        check(server, story)
    assert story.done > 0
    assert cut_short > 0, "no operation was cut short: the test shows nothing"


def test_a_worker_killed_during_a_deploy_takes_nothing_with_it(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_WORKERS="2")
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    story, chance = Story(), random.Random("workers")
    for _ in range(4):
        act(server, story, chance)
    assert server.process is not None
    stop = threading.Event()
    lost: list[str] = []
    versions: list[str] = []

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(OSError, HTTPException):
                reply = server.deploy(zip_of(page_of(f"n{number}")))
                if reply.status == 200:
                    versions.append(reply.json()["data"]["checkpoint"]["id"])
                else:
                    lost.append(str(reply.status))

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(3):
        time.sleep(chance.uniform(0.05, 0.2))
        for child in server.workers():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    stop.set()
    worker.join(60)
    assert lost == []
    reply = server.api("GET", f"{SITE}/checkpoints").json()["data"]
    assert set(versions) <= {checkpoint["id"] for checkpoint in reply["checkpoints"]}
    server.kill()
    server.start()
    assert violations(server.data) == []
