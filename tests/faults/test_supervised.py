"""Reloads, restarts, crashes and upgrades under a supervisor, behind real nginx, while everybody goes on asking."""

import fcntl
import os
import random
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import THOROUGH, Reply, basic, wait_until, zip_of
from nginx import Nginx, Visitors
from supervisor import Supervised

PUBLIC = b"<h1>served by nginx</h1>" * 10
HOME = b"<h1>served by Pages</h1>" * 10
UPLOADERS = 20 if THOROUGH else 6
UNREACHABLE = {"success": False, "message": "服务暂时不可用，请稍后重试"}


class Installation:
    """Pages under a supervisor, nginx in front, and two sites: one that nginx serves, one that Pages has to."""

    def __init__(self, folder: Path, **options: object) -> None:
        for name in ("server", "nginx"):
            (folder / name).mkdir(parents=True)
        settings = options.pop("settings", {})
        self.server = Supervised(folder / "server", settings, **options)  # type: ignore[arg-type]
        self.password = settings.get("PAGES_ADMIN_PASS", "admin")  # type: ignore[attr-defined]
        self.server.start()
        self.nginx = Nginx(folder / "nginx", self.server.environment()).start()
        self.create("public")
        self.create("home", index="home.html")
        assert self.deploy("public", {"index.html": PUBLIC}).status == 200
        assert self.deploy("home", {"home.html": HOME}).status == 200

    def close(self) -> None:
        self.nginx.stop()
        self.server.close()

    def api(self, method: str, path: str, body: object = None) -> Reply:
        headers = basic("admin", self.password)
        return self.server.api(method, path, body, port=self.nginx.port, headers=headers)

    def create(self, site: str, **fields: object) -> None:
        assert self.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost", **fields}).status == 201

    def deploy(self, site: str, files: dict[str, bytes | str]) -> Reply:
        boundary = "boundary-of-this-form"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="site.zip"\r\n\r\n'
        body = head.encode() + zip_of(files) + f"\r\n--{boundary}--\r\n".encode()
        headers = {
            **basic("admin", self.password),
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        }
        path = f"/_api/sites/default/{site}/deploy"
        return self.server.request("POST", path, body, headers=headers, port=self.nginx.port)

    def get(self, site: str, path: str = "/") -> Reply:
        return self.server.request("GET", path, host=f"{site}.localhost", port=self.nginx.port)

    def maintenance(self, action: str) -> Reply:
        return self.api("POST", "/api/admin/maintenance", {"action": action})

    @contextmanager
    def held(self, site: str) -> Iterator[None]:
        """As if another deploy had the site: who deploys it meanwhile waits for its lock."""
        file = self.server.data / "locks/sites/default" / site
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
            file.unlink()

    def waits_for_a_lock(self, site: str) -> bool:
        """Has somebody but us opened the site's lock?"""
        name = str(self.server.data / "locks/sites/default" / site)
        for worker in self.server.workers():
            for descriptor in Path(f"/proc/{worker}/fd").glob("*"):
                try:
                    if os.readlink(descriptor) == name:
                        return True
                except OSError:
                    continue
        return False


@pytest.fixture
def make_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Installation]]:
    made = []

    def make(**options: object) -> Installation:
        # A short path: the kernel allows a socket's no more than 107 bytes.
        made.append(Installation(tmp_path_factory.mktemp("run"), **options))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


class Crowd:
    """Readers of both sites and of the API, and uploaders with a site each, all without a pause."""

    def __init__(self, installation: Installation, uploaders: int = UPLOADERS) -> None:
        self.installation = installation
        port = installation.nginx.port
        record = installation.api("GET", "/_api/sites/default/home").body
        authorization = basic("admin", installation.password)
        self.readers = {
            "a site that nginx serves": Visitors(port, PUBLIC, "public.localhost", 2),
            "a site that Pages serves": Visitors(port, HOME, "home.localhost", 4),
            "the API": Visitors(port, record, "localhost", 2, "/_api/sites/default/home", authorization),
        }
        self.acknowledged: dict[str, list[tuple[str, int]]] = {f"upload-{n}": [] for n in range(uploaders)}
        self.refused: list[tuple[str, int, Reply]] = []
        self.trouble: list[str] = []
        for site in self.acknowledged:
            installation.create(site)
        self._enough = threading.Event()
        self._uploaders = [threading.Thread(target=self._upload, args=[site]) for site in self.acknowledged]
        self._stack = ExitStack()

    def __enter__(self) -> "Crowd":
        for thread in self._uploaders:
            thread.start()
        for visitors in self.readers.values():
            self._stack.enter_context(visitors)
        self.wait_for_more()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        for thread in self._uploaders:
            thread.join()
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    @property
    def uploads(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    @property
    def failed_reads(self) -> dict[str, list[str]]:
        return {what: visitors.failures for what, visitors in self.readers.items() if visitors.failures}

    def wait_for_more(self) -> None:
        """Wait until everybody has had some answers."""
        enough = self.uploads + len(self.acknowledged)
        for visitors in self.readers.values():
            visitors.wait_for_more(5)
        wait_until(lambda: self.uploads >= enough, "uploads are answered", 120)

    def assert_nothing_is_torn(self) -> None:
        """What was acknowledged is there, whole, in its order; and what is served is a version that was sent."""
        for site, sent in self.acknowledged.items():
            listed = self.installation.api("GET", f"/_api/sites/default/{site}/checkpoints").json()["data"]
            ids = [checkpoint["id"] for checkpoint in reversed(listed["checkpoints"])]
            assert [checkpoint for checkpoint, _ in sent if checkpoint not in ids] == []
            archives = self.installation.server.data / "sites-checkpoints/default" / site / "checkpoints"
            assert sorted(path.name for path in archives.iterdir()) == sorted(f"{each}.tar.gz" for each in ids)
            versions = {each: version_in(archives / f"{each}.tar.gz") for each in ids}
            assert [versions[checkpoint] for checkpoint, _ in sent] == [version for _, version in sent]
            served = int(self.installation.get(site).body)
            assert served == versions[listed["current"]] >= sent[-1][1]
        work = self.installation.server.data / "work"
        wait_until(lambda: not os.listdir(work), "nothing is left in the work folder")

    def _upload(self, site: str) -> None:
        version = 0
        while not self._enough.is_set():
            version += 1
            noise = random.Random(version).randbytes(50_000)
            files: dict[str, bytes | str] = {"index.html": str(version), "noise": noise, "z.txt": str(version)}
            try:
                reply = self.installation.deploy(site, files)
                if reply.status != 200:
                    self.refused.append((site, version, reply))
                    continue
                self.acknowledged[site].append((reply.json()["data"]["checkpoint"]["id"], version))
                if (served := self.installation.get(site).body) != str(version).encode():
                    self.trouble.append(f"{site}: {served[:50]!r} is served, {version} was acknowledged")
            except (OSError, ValueError) as error:
                self.trouble.append(f"{site}: {error!r}")


def version_in(archive: Path) -> int:
    """What a version's archive holds; fails when its files are of two versions."""
    with tarfile.open(archive) as members:
        files = {member.name: members.extractfile(member) for member in members if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    version = int(content["index.html"])
    assert content == {
        "index.html": str(version).encode(),
        "z.txt": str(version).encode(),
        "noise": random.Random(version).randbytes(50_000),
    }
    return version


def all_of(events: list[Callable[[], None]]) -> list[Callable[[], None]]:
    """The events once, or fifty of them in an order by chance."""
    return random.Random(7).choices(events, k=50) if THOROUGH else events


# --- Nobody notices -----------------------------------------------------------------------------


def test_nobody_notices_reloads_and_restarts(make_installation: Callable[..., Installation]) -> None:
    installation = make_installation()
    server = installation.server
    with Crowd(installation) as crowd:
        for event in all_of([server.reload, server.restart, server.restart, server.reload]):
            event()
            crowd.wait_for_more()
    assert crowd.failed_reads == {}
    assert crowd.refused == []
    assert crowd.trouble == []
    crowd.assert_nothing_is_torn()


def kill_a_worker(server: Supervised) -> Callable[[], None]:
    def kill() -> None:
        before = server.workers()
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(server.workers()) == 2 and server.workers() != before, "a new worker")

    return kill


def test_a_crash_costs_readers_nothing_and_uploads_only_their_answer(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation()
    server = installation.server
    with Crowd(installation) as crowd:
        for event in all_of([kill_a_worker(server), server.crash]):
            event()
            crowd.wait_for_more()
    assert crowd.failed_reads == {}
    # A change is not sent twice: whoever was just being answered is told that it broke off.
    assert [(reply.status, reply.json()) for _, _, reply in crowd.refused if reply.status != 502] == []
    assert all(reply.json() == UNREACHABLE for _, _, reply in crowd.refused)
    assert crowd.trouble == []
    server.restart()  # Clears what the last crash left.
    crowd.assert_nothing_is_torn()
