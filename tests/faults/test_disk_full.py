"""A disk with no byte, or no file, left: sites are served, what frees space works, the rest is refused."""

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers import THOROUGH, Admin, Reply, Server, assert_failure, everything_below, tar_of, wait_until, zip_of
from nginx import Nginx

from pages import files
from pages.staging import Staging
from pages.trees import Trees
from pages.work import Work

FULL_MESSAGE = "存储空间不足，请清理后重试"
BLOG = {"id": "blog", "domain": "blog.localhost"}


class Disk:
    """A small disk of its own, that the test fills to the last byte or file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, what: str) -> None:
        with suppress(OSError):
            self._take_bytes() if what == "bytes" else self._take_files()

    def free(self) -> None:
        for path in self.folder.glob("filler*"):
            path.unlink()

    def remount(self, mode: str) -> None:
        mount("-o", f"remount,{mode}", str(self.folder))

    def _take_bytes(self) -> None:
        # Byte by byte at the end: a disk with 4 KiB left is not full.
        with open(self.folder / f"filler{len(list(self.folder.glob('filler*')))}", "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(b"x" * size):
                        os.fsync(file.fileno())

    def _take_files(self) -> None:
        for number in range(1 << 20):
            with open(self.folder / f"filler{number}", "xb"):
                pass


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of our own on this machine: {done.stderr.strip()}")


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    mounted = []

    def make(kind: str = "tmpfs", size: str = "8m", files: int = 300) -> Disk:
        folder = tmp_path / "server"
        folder.mkdir()
        if kind == "tmpfs":
            mount("-t", "tmpfs", "-o", f"size={size},nr_inodes={files}", "tmpfs", str(folder))
        else:
            image = tmp_path / "image"
            with open(image, "wb") as file:
                file.truncate(16 << 20)
            subprocess.run(["mkfs.ext4", "-qF", "-m0", "-N", "400", image], check=True)
            mount("-o", "loop", str(image), str(folder))
        mounted.append(folder)
        return Disk(folder)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def serve(make_server: Callable[..., Server], make_disk: Callable[..., Disk]) -> Callable[..., Server]:
    """A server with all it has on a small disk: two sites, one of them with two checkpoints."""

    def start(**settings: str) -> Server:
        # Everything it writes is on that disk, its log as well.
        server = make_server(PAGES_WORKERS="1", **{"PAGES_MIN_FREE_BYTES": "0", **settings})
        for name in ("blog", "other"):
            body = {"id": name, "domain": f"{name}.localhost"}
            assert server.api("POST", "/_api/sites", body).status == 201
        for text in ("one", "two"):
            assert server.deploy(zip_of({"index.html": text})).status == 200
        assert server.deploy(zip_of({"index.html": "other"}), site="default/other").status == 200
        return server

    return start


def state(server: Server) -> dict[str, str]:
    """Everything that counts; the ballast may come and go, and locks are only names."""
    found = everything_below(server.data)
    return {path: what for path, what in found.items() if not path.startswith(("ballast", "locks", "work/"))}


def refused(reply: Reply, status: int = 507, message: str = FULL_MESSAGE) -> None:
    assert (reply.status, reply.json()) == (status, {"success": False, "message": message})


def checkpoints(server: Server, site: str = "blog") -> list[str]:
    reply = server.api("GET", f"/_api/sites/default/{site}/checkpoints")
    return [found["id"] for found in reply.json()["data"]["checkpoints"]]


@pytest.mark.parametrize("what", ["bytes", "files"])
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"] if THOROUGH else ["tmpfs"])  # Filling the other takes seconds.
def test_a_full_disk_stops_nothing_but_what_needs_room_and_leaves_no_litter(
    serve: Callable[..., Server], make_disk: Callable[..., Disk], kind: str, what: str
) -> None:
    disk = make_disk(kind)
    server = serve()
    before = state(server)
    disk.fill(what)

    assert server.request("GET", "/", host="blog.localhost").body == b"two"
    assert server.api("GET", "/_api/sites").json()["data"]["total"] == 3
    assert len(checkpoints(server)) == 2

    large = zip_of({"index.html": os.urandom(200_000), **{f"{n}.txt": os.urandom(3000) for n in range(20)}})
    refused(server.deploy(large))
    refused(server.api("POST", "/_api/sites", {"id": "new", "domain": "new.localhost"}))
    refused(server.api("PUT", "/_api/sites/default/blog", {"index": "home.html"}))
    refused(server.api("POST", "/_api/sites/default/blog/checkpoints"))
    backup = server.api("POST", "/api/admin/maintenance", {"action": "backup"})
    assert (backup.status, backup.json()["error"]) == (500, "操作失败")
    assert "No space left" in backup.json()["details"]
    assert server.request("GET", "/_api/healthz").status == 503
    assert "No space left" in server.api("GET", "/_api/health").json()["message"]
    assert state(server) == before
    assert os.listdir(server.data / "work") == []
    assert not (server.folder / "backups").exists() or os.listdir(server.folder / "backups") == []

    for path in (f"blog/checkpoints/{checkpoints(server)[1]}", "other", "default"):
        disk.fill(what)  # What the one before freed.
        assert server.api("DELETE", f"/_api/sites/default/{path}").status == 200, server.log
    assert len(checkpoints(server)) == 1
    assert server.request("GET", "/", host="other.localhost").status == 404
    assert "Traceback" not in server.log

    disk.free()
    assert server.request("GET", "/_api/healthz").status == 200
    assert server.deploy(zip_of({"index.html": "three"})).status == 200
    assert server.request("GET", "/", host="blog.localhost").body == b"three"
    assert len(os.listdir(server.data / "ballast")) == 16


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_what_was_promised_can_be_taken_back_on_a_full_disk(
    serve: Callable[..., Server], make_disk: Callable[..., Disk], what: str
) -> None:
    disk = make_disk()
    server = serve()
    site = "/_api/sites/default/blog"
    second, first = checkpoints(server)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+", "%2B")
    assert server.api("POST", f"{site}/checkpoints/{first}/checkout?confirm_within=3600").status == 200
    assert server.api("POST", f"{site}/checkpoints/{second}/checkout?at={tomorrow}").status == 202
    assert server.api("POST", f"{site}/checkpoints/{second}/preview").status == 201
    before = state(server)
    disk.fill(what)
    refused(server.api("PUT", f"{site}/checkpoints/{first}", {"pinned": True}))
    refused(server.api("POST", f"{site}/checkpoints/{second}/checkout?at={tomorrow}&confirm_within=9"))
    refused(server.api("POST", f"{site}/checkpoints/{first}/preview"))
    refused(server.api("PUT", site, {"aliases": ["www.localhost"], "alias_mode": "serve"}))
    refused(server.deploy(zip_of({"index.html": os.urandom(200_000)}), site="default/blog"))
    assert state(server) == before
    for method, path in (("DELETE", "plan"), ("DELETE", "previews"), ("POST", f"checkpoints/{first}/confirm")):
        disk.fill(what)  # What the one before freed.
        assert server.api(method, f"{site}/{path}").status == 200, server.log
    assert os.listdir(server.data / "due") == []
    assert "Traceback" not in server.log


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_a_server_starts_on_a_full_disk_and_frees_it(
    serve: Callable[..., Server], make_disk: Callable[..., Disk], what: str
) -> None:
    disk = make_disk()
    server = serve()
    server.kill()
    disk.fill(what)
    server.start(wait=False)  # It will not say that it is healthy.
    wait_until(lambda: _answers(server), f"it serves; its log: {server.log}")
    disk.fill(what)
    assert server.api("DELETE", "/_api/sites/default/other").status == 200, server.log


def test_nginx_serves_and_passes_on_what_a_full_disk_refuses(
    serve: Callable[..., Server], make_disk: Callable[..., Disk], tmp_path: Path
) -> None:
    disk = make_disk()
    server = serve()
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", server.environment()).start()
    try:
        disk.fill("bytes")
        assert server.request("GET", "/", host="blog.localhost", port=nginx.port).body == b"two"
        refused(server.deploy(zip_of({"index.html": os.urandom(300_000)}), port=nginx.port))
        assert server.api("DELETE", "/_api/sites/default/other", port=nginx.port).status == 200
        assert server.request("GET", "/", host="other.localhost", port=nginx.port).status == 404
    finally:
        nginx.stop()


def test_an_upload_that_would_eat_into_the_reserve_is_refused_before_it_is_received(
    serve: Callable[..., Server], make_disk: Callable[..., Disk]
) -> None:
    make_disk(size="24m", files=3000)
    server = serve(PAGES_MIN_FREE_BYTES=str(12 << 20))
    before = state(server)
    free = os.statvfs(server.data).f_bavail * os.statvfs(server.data).f_frsize - (12 << 20)
    refused(server.deploy(zip_of({"index.html": os.urandom(free * 3 // 4)})))
    assert state(server) == before
    assert server.request("GET", "/_api/healthz").status == 200


def test_nothing_is_changed_on_a_disk_that_becomes_read_only_and_everything_goes_on_being_served(
    serve: Callable[..., Server], make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk("ext4")
    server = serve()
    before = state(server)
    (server.folder / "log").unlink()  # Open for writing, it would keep the disk from becoming read-only.
    server.stop()
    server.folder = disk.folder.parent / "elsewhere"
    server.folder.mkdir()
    server.settings |= {"PAGES_DATA_DIR": str(disk.folder / "data"), "PAGES_WORKERS": "1"}
    server.start()
    disk.remount("ro")
    data = disk.folder / "data"
    message = "存储当前为只读，暂时无法修改"
    refused(server.deploy(zip_of({"index.html": "three"})), 503, message)
    refused(server.api("DELETE", "/_api/sites/default/other"), 503, message)
    assert server.request("GET", "/", host="blog.localhost").body == b"two"
    assert server.api("GET", "/_api/sites").json()["data"]["total"] == 3
    assert server.request("GET", "/_api/healthz").status == 503
    assert "Traceback" not in server.log

    assert server.process is not None
    (worker,) = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == server.process.pid]
    os.kill(worker, 9)  # One that comes later serves what is there.
    wait_until(lambda: server.request("GET", "/", host="blog.localhost").body == b"two" or True, "served")
    wait_until(lambda: _answers(server), "a new worker serves")
    disk.remount("rw")
    assert server.deploy(zip_of({"index.html": "three"})).status == 200
    assert {path for path in everything_below(data)} >= {path for path in before if "trees" not in path}


def _answers(server: Server) -> bool:
    with suppress(OSError):
        return server.request("GET", "/", host="blog.localhost").body == b"two"
    return False


def _parent(stat: Path) -> int:
    with suppress(OSError):
        return int(stat.read_text().rpartition(")")[2].split()[1])
    return 0


def test_a_start_on_a_read_only_disk_says_so_in_one_sentence(
    make_server: Callable[..., Server], make_disk: Callable[..., Disk], tmp_path: Path
) -> None:
    disk = make_disk("ext4")
    disk.remount("ro")
    server = make_server("elsewhere", start=False, PAGES_DATA_DIR=str(disk.folder / "data"))
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(30) != 0
    assert "data_dir: " in server.log
    assert "Read-only file system" in server.log
    assert "Traceback" not in server.log


CAUSES = [
    (errno.ENOSPC, 507, FULL_MESSAGE),
    (errno.EDQUOT, 507, FULL_MESSAGE),
    (errno.EFBIG, 507, FULL_MESSAGE),
    (errno.EROFS, 503, "存储当前为只读，暂时无法修改"),
    (errno.EMFILE, 503, "服务繁忙，请稍后重试"),
    (errno.ENFILE, 503, "服务繁忙，请稍后重试"),
    (errno.EIO, 500, "服务器内部错误"),
]
PLACES = [(files, "fsync_folder"), (files, "sync_file_system"), (Work, "prepare"), (Staging, "add"), (Trees, "place")]


@pytest.mark.parametrize(("number", "status", "message"), CAUSES, ids=[errno.errorcode[cause[0]] for cause in CAUSES])
def test_what_the_system_refuses_has_its_answer_wherever_it_comes_up(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, message: str
) -> None:
    admin.deployed({"index.html": "old"})

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere")

    # The last one is the body itself, while it is received.
    archive = tar_of({"b.html": "new", "index.html": "new"})
    for owner, name in [*PLACES, (None, None)]:
        before = everything_below(data / "sites-checkpoints")
        with monkeypatch.context() as patched:
            if name is None:
                patched.setattr("pages.web.requests._LimitedFile.write", refuse)
            else:
                patched.setattr(owner, name, refuse)
            reply = admin.deploy(archive, "a.tar.gz")
        assert_failure(reply, status, message)
        assert everything_below(data / "sites-checkpoints") == before
        assert admin.visit().data == b"old"
    admin.deployed({"index.html": "new"})
    assert os.listdir(data / "work") == []  # With what could not be undone while the disk refused that as well.


def test_a_record_that_could_not_be_opened_once_is_read_again(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.deployed({"index.html": "page"})
    record = data / "registry/default/blog.json"
    text = record.read_bytes()
    record.unlink()
    record.write_bytes(text)  # Another file: nobody has read it yet.
    time.sleep(0.06)  # Old enough to be remembered.

    def no_more(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files, "read", no_more)
        assert_failure(admin.get("/_api/sites/default/blog"), 500, "站点配置损坏")
    assert admin.visit().data == b"page"
