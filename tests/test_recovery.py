"""Crashes: kill -9 at every file-system call of every operation, and a real server killed at random moments.

Run as a program, this file is the process that dies: ``python test_recovery.py FOLDER OPERATION`` prints, as
JSON, what was found after a crash at each call. The test reads that.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from helpers import PROJECT, Server, everything_below, free_port, tree_of, zip_of

from pages import files
from pages.config import load_config
from pages.model import Site, now
from pages.services import Services, build_services

KILLS = int(os.environ.get("PAGES_TEST_KILLS", "15"))
V1: dict[str, bytes | str] = {"index.html": b"one", "a/b.txt": b"same", "1.txt": b"1"}
V2: dict[str, bytes | str] = {"index.html": b"two", "a/b.txt": b"same"}
V3: dict[str, bytes | str] = {"index.html": b"three"}

# --- What has to be so, whatever happened ---------------------------------------------------


NOT_SERVED = "what is served is not what the current archive holds"


def violations(data: Path) -> list[str]:
    """What is wrong with a data folder that nobody is changing (research, 5.5)."""
    wrong = []
    if list((data / "work").iterdir()):
        wrong.append("the work folder is not empty")
    records = {path.relative_to(data / "registry"): json.loads(path.read_bytes()) for path in _files(data / "registry")}
    domains = [record["domain"] for record in records.values()]
    if len(set(domains)) != len(domains):
        wrong.append(f"a domain has two owners: {domains}")
    links = {link.name: os.readlink(link) for link in (data / "domains").iterdir()}
    expected = {record["domain"]: f"../registry/{path}" for path, record in records.items()}
    if links != expected:
        wrong.append(f"the domains' links are {links}, not {expected}")
    sites = {str(path.with_suffix("")) for path in records}
    for folder in ("sites", "sites-checkpoints"):
        found = {str(path.relative_to(data / folder)) for path in (data / folder).glob("*/*")}
        if found != sites:
            wrong.append(f"{folder}/ has {sorted(found)}, the registry {sorted(sites)}")
    for site in sites & {str(path.relative_to(data / "sites")) for path in (data / "sites").glob("*/*")}:
        wrong += [f"{site}: {what}" for what in _site_violations(data, site)]
    return wrong


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _site_violations(data: Path, site: str) -> list[str]:
    wrong = []
    history = data / "sites-checkpoints" / site
    metadata = json.loads((history / "metadata.json").read_bytes())
    if f"{metadata['username']}/{metadata['site_id']}" != site:
        wrong.append("the metadata is another site's")
    ids = [checkpoint["id"] for checkpoint in metadata["checkpoints"]]
    if ids != sorted(set(ids), reverse=True):
        wrong.append(f"the checkpoints are not newest first: {ids}")
    stored = sorted(path.name.removesuffix(".tar.gz") for path in (history / "checkpoints").glob("*"))
    if stored != sorted(ids):
        wrong.append(f"the archives on disk are {stored}, the metadata has {ids}")
    for checkpoint in metadata["checkpoints"]:
        archive = history / "checkpoints" / f"{checkpoint['id']}.tar.gz"
        if archive.exists() and archive.stat().st_size != checkpoint["file_size"]:
            wrong.append(f"{archive.name} has another size than the metadata says")
    root = data / "sites" / site
    current = metadata["current"]
    if not root.is_dir():
        return [*wrong, "the root is no folder"]
    if root.is_symlink() and root.resolve().parent == (data / "trees" / site).resolve():
        live = root.resolve().name.partition(".")[0]
        if live != (current or "initial"):
            wrong.append(f"the root is {live}, current is {current}")
        if current is not None and tree_of(root.resolve()) != content_of(history / "checkpoints" / f"{current}.tar.gz"):
            wrong.append(NOT_SERVED)
    if current is not None and current not in ids:
        wrong.append(f"current is {current}, which is no checkpoint")
    return wrong


def content_of(archive: Path) -> dict[str, bytes]:
    """The files of a stored archive; fails when it is damaged."""
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found


def orphans(data: Path) -> list[str]:
    """Unpacked trees, and encodings, of no checkpoint that there is."""
    known = {"initial"}
    for metadata in (data / "sites-checkpoints").glob("*/*/metadata.json"):
        known |= {checkpoint["id"] for checkpoint in json.loads(metadata.read_bytes())["checkpoints"]}
    trees = [*(data / "trees").glob("*/*/*"), *(data / "cache" / "encodings").glob("*/*/*")]
    return [str(tree.relative_to(data)) for tree in trees if tree.name.partition(".")[0] not in known]


def state(data: Path) -> str:
    """What the outside sees, as one text: records, metadata, what is served."""
    seen: dict[str, Any] = {}
    for record in _files(data / "registry"):
        site = str(record.relative_to(data / "registry").with_suffix(""))
        metadata = data / "sites-checkpoints" / site / "metadata.json"
        seen[site] = {
            "record": json.loads(record.read_bytes()),
            "metadata": json.loads(metadata.read_bytes()) if metadata.exists() else None,
            "served": {path: content.decode() for path, content in tree_of((data / "sites" / site).resolve()).items()},
        }
    return json.dumps(seen, sort_keys=True)


# --- A crash at every call ------------------------------------------------------------------


@dataclass
class Scene:
    """What an operation acts on: services, the site, and its checkpoints' ids, oldest first."""

    services: Services
    uploads: Path

    @property
    def site(self) -> Site:
        return self.services.registry.get("default", "blog")

    @property
    def ids(self) -> list[str]:
        return [checkpoint.id for checkpoint in self.services.histories.read(self.site).checkpoints][::-1]

    def deploy(self, version: dict[str, bytes | str]) -> None:
        path = self.uploads / hashlib.sha256(repr(version).encode()).hexdigest()
        path.write_bytes(zip_of(version))
        self.services.publisher.deploy(self.site, path, "site.zip", "", CLOCK)

    def create(self, site_id: str) -> None:
        fields = {"id": site_id, "username": "default", "domain": f"{site_id}.localhost", "index": "index.html"}
        self.services.publisher.create({**fields, "enabled": True}, CLOCK)


CLOCK = datetime(2025, 1, 6, 16, 0, 0).astimezone()


def _nothing(scene: Scene) -> None:
    pass


def _blog(scene: Scene) -> None:
    scene.create("blog")


def _one_version(scene: Scene) -> None:
    scene.create("blog")
    scene.deploy(V1)


def _three_versions(scene: Scene) -> None:
    scene.create("blog")
    for version in (V1, V2, V3):
        scene.deploy(version)


def _three_cold_versions(scene: Scene) -> None:
    _three_versions(scene)
    scene.services.upkeep.clear_cache()


def _edited(scene: Scene) -> None:
    _one_version(scene)
    (scene.services.paths.site_root("default", "blog") / "index.html").write_bytes(b"edited")


def _operators_folder(scene: Scene) -> None:
    _one_version(scene)
    root = scene.services.paths.site_root("default", "blog")
    root.unlink()
    root.mkdir()
    (root / "index.html").write_bytes(b"by hand")


# Name: (what was there before, what crashes).
OPERATIONS: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], object]]] = {
    "create": (_nothing, lambda scene: scene.create("blog")),
    "update": (
        _blog,
        lambda scene: scene.services.publisher.update("default", "blog", {"domain": "new.localhost"}, CLOCK),
    ),
    "first deploy": (_blog, lambda scene: scene.deploy(V1)),
    "second deploy": (_one_version, lambda scene: scene.deploy(V2)),
    "fourth deploy": (_three_versions, lambda scene: scene.deploy(V1)),
    "deploy over a folder": (_operators_folder, lambda scene: scene.deploy(V2)),
    "snapshot": (_edited, lambda scene: scene.services.publisher.snapshot(scene.site, None, CLOCK)),
    "warm checkout": (
        _three_versions,
        lambda scene: scene.services.publisher.checkout(scene.site, scene.ids[0], CLOCK),
    ),
    "cold checkout": (
        _three_cold_versions,
        lambda scene: scene.services.publisher.checkout(scene.site, scene.ids[0], CLOCK),
    ),
    "delete checkpoint": (
        _three_versions,
        lambda scene: scene.services.publisher.delete_checkpoint(scene.site, scene.ids[0], CLOCK),
    ),
    "delete site": (_three_versions, lambda scene: scene.services.publisher.delete("default", "blog")),
    "clear cache": (_three_versions, lambda scene: scene.services.upkeep.clear_cache()),
    "reload": (_three_versions, lambda scene: scene.services.reload()),
}


def _in_child(action: Callable[[], None]) -> int:
    """Do something in a process of its own; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


_CHANGING = {"os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.remove", "os.utime", "os.truncate"}


def _die_at(number: int, data: Path) -> None:
    """From now on: SIGKILL before the N-th call that changes something below the data folder, and count them all."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in _CHANGING or writes:
            path = arguments[0]
            # What removes a tree names its parts by their folder's descriptor.
            if not isinstance(path, int) and (not os.path.isabs(path) or Path(os.fsdecode(path)).is_relative_to(data)):
                step()

    def durable(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            step()
            return real(*arguments)

        return counted

    os.fsync = durable(os.fsync)
    files.sync_file_system = durable(files.sync_file_system)
    files.exchange = durable(files.exchange)
    sys.addaudithook(hook)


def _services(folder: Path) -> Services:
    return build_services(load_config({"PAGES_DATA_DIR": str(folder / "data"), "PAGES_LOCK_TIMEOUT": "5"}))


def _start_up(folder: Path) -> None:
    services = _services(folder)
    services.recover()
    services.reload()


def _crash_everywhere(folder: Path, name: str) -> dict[str, Any]:
    """Crash the operation at its first call, its second, … until it gets through; recover after each."""
    os.chdir(folder)
    # Killing a process loses nothing that it wrote: no need to wait for the disk.
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    files.sync_file_system = lambda path: None
    before, operation = OPERATIONS[name]
    scene = Scene(_services(folder), folder / "uploads")
    scene.uploads.mkdir()
    scene.services.recover()
    before(scene)
    template, data = folder / "template", folder / "data"
    shutil.copytree(data, template, symlinks=True)
    old = state(data)
    operation(scene)
    new = state(data)
    chance = random.Random(name)

    def restore() -> None:
        shutil.rmtree(data)
        shutil.copytree(template, data, symlinks=True)

    def crash(number: int, action: Callable[[], object]) -> bool:
        def act() -> None:
            _die_at(number, data)
            action()

        status = _in_child(act)
        assert status in (0, -signal.SIGKILL), f"call {number}: exit status {status}"
        return status != 0

    found: dict[str, Any] = {"calls": 0, "wrong": [], "orphans": []}
    for number in range(1, 1_000):
        restore()
        is_dead = crash(number, lambda: operation(Scene(_services(folder), scene.uploads)))
        if is_dead and chance.random() < 0.5:  # The recovery may be cut short as well.
            crash(chance.randint(1, 12), lambda: _start_up(folder))
        where = f"call {number}: "
        if _in_child(lambda: _start_up(folder)) != 0:
            found["wrong"].append(where + "the start fails")
            continue
        # Before a snapshot, an edit by hand is not what the current archive holds: that is what it is for.
        wrong = [what for what in violations(data) if before is not _edited or not what.endswith(NOT_SERVED)]
        found["wrong"] += [where + what for what in wrong]
        found["orphans"] += [where + what for what in orphans(data)]
        outcome = state(data)
        if outcome not in (old, new):
            found["wrong"].append(where + f"neither old nor new: {outcome}")
        if not is_dead:
            if outcome != new:
                found["wrong"].append("what was acknowledged is lost")
            return found
        found["calls"] = number
        if number % 3 == 1 and _in_child(lambda: _goes_on(folder)) != 0:
            found["wrong"].append(where + "the site cannot be gone on with")
    raise AssertionError("there is no end to its calls")


def _goes_on(folder: Path) -> None:
    """After a recovery another one changes nothing, and everything works: create, deploy, check out, delete."""
    once = everything_below(folder / "data")
    _start_up(folder)
    assert everything_below(folder / "data") == once
    scene = Scene(_services(folder), folder / "uploads")
    if not scene.services.paths.record("default", "blog").exists():
        scene.create("blog")
    scene.deploy({"index.html": b"after"})
    for checkpoint_id in scene.ids:
        scene.services.publisher.checkout(scene.site, checkpoint_id, CLOCK)
    scene.services.publisher.delete("default", "blog")
    assert violations(scene.services.paths.data) == []


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, Any]]]:
    """What was found after a crash of an operation at each of its calls; two are worked on at once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])}

    def crash(operation: str) -> dict[str, Any]:
        command = [sys.executable, __file__, str(tmp_path_factory.mktemp("crash")), operation]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "log": done.stderr[-3000:]}

    with ThreadPoolExecutor(2) as pool:
        found = {operation: pool.submit(crash, operation) for operation in OPERATIONS}
        yield lambda operation: found[operation].result()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_crash_at_any_call_leaves_old_or_new_and_nothing_between(
    crashed: Callable[[str], dict[str, Any]], operation: str
) -> None:
    found = crashed(operation)
    assert found["calls"] >= 3, "the calls were not seen"
    assert found["wrong"] == [], found["log"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_crash_at_any_call_leaves_no_tree_of_a_checkpoint_that_is_none(
    crashed: Callable[[str], dict[str, Any]], operation: str
) -> None:
    assert crashed(operation)["orphans"] == []


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
        for child in workers_of(server):
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


def workers_of(server: Server) -> list[int]:
    assert server.process is not None
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


if __name__ == "__main__":
    print(json.dumps(_crash_everywhere(Path(sys.argv[1]), sys.argv[2])))
