"""Reloads, restarts, crashes and upgrades under a supervisor, behind real nginx, while everybody goes on asking."""

import fcntl
import gzip
import http.client
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import PROJECT, THOROUGH, Reply, Server, basic, wait_until, zip_of
from nginx import Nginx, Visitors
from ports import free_port
from supervisor import Supervised

PUBLIC = b"<h1>served by nginx</h1>" * 10
HOME = b"<h1>served by Pages</h1>" * 10
UPLOADERS = 20 if THOROUGH else 4
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

    def is_under_way(self) -> bool:
        """Has Pages taken an upload that it has not answered?"""
        return bool(os.listdir(self.server.data / "work"))


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
            except (OSError, ValueError, http.client.HTTPException) as error:
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


def all_of(*events: Callable[[], None]) -> list[Callable[[], None]]:
    """The events once, or fifty of them in an order by chance."""
    return random.Random(7).choices(events, k=50) if THOROUGH else list(events)


# --- Nobody notices -----------------------------------------------------------------------------


def test_nobody_notices_reloads_and_restarts(make_installation: Callable[..., Installation]) -> None:
    installation = make_installation()
    server = installation.server
    with Crowd(installation) as crowd:
        for event in all_of(server.reload, server.restart):
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


def test_a_crash_costs_only_answers_that_had_begun_and_the_answers_to_changes(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation()
    server = installation.server
    with Crowd(installation) as crowd:
        for event in all_of(kill_a_worker(server), server.crash):
            event()
            crowd.wait_for_more()
    # Nobody can ask for the rest of an answer; what had not begun is asked for again.
    failed = [failure for failures in crowd.failed_reads.values() for failure in failures]
    assert [failure for failure in failed if not failure.startswith("IncompleteRead")] == []
    assert "a site that nginx serves" not in crowd.failed_reads
    # A change is not sent twice: whoever was just being answered is told that it broke off.
    assert [(reply.status, reply.json()) for _, _, reply in crowd.refused if reply.status != 502] == []
    assert all(reply.json() == UNREACHABLE for _, _, reply in crowd.refused)
    assert [trouble for trouble in crowd.trouble if "IncompleteRead" not in trouble] == []
    server.restart()  # Clears what the last crash left.
    crowd.assert_nothing_is_torn()


thorough = pytest.mark.skipif(not THOROUGH, reason="make faults runs it: PAGES_TEST_THOROUGH=1")


# --- New code -----------------------------------------------------------------------------------


def copy_of_the_code(folder: Path) -> Path:
    """A checkout of its own, to be upgraded."""
    folder.mkdir()
    for name in ("wsgi.py", "gunicorn.conf.py"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "pages", folder / "pages", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def publish_version(project: Path, version: str) -> None:
    """As ``git pull``: from now on its code answers health with this."""
    file = project / "pages/web/status.py"
    text = (PROJECT / "pages/web/status.py").read_text(encoding="utf-8")
    beside = file.with_suffix(".new")
    beside.write_text(text.replace('success({"status": "healthy"})', f'success({{"status": "{version}"}})'))
    beside.rename(file)


@thorough
@pytest.mark.parametrize("way", ["reload", "restart"])
def test_nobody_notices_an_upgrade(make_installation: Callable[..., Installation], tmp_path: Path, way: str) -> None:
    project = copy_of_the_code(tmp_path / "checkout")
    publish_version(project, "version one")
    installation = make_installation(project=project)
    with Crowd(installation, uploaders=2) as crowd:
        assert installation.api("GET", "/_api/healthz").json()["data"]["status"] == "version one"
        publish_version(project, "version two")
        getattr(installation.server, way)()
        assert installation.api("GET", "/_api/healthz").json()["data"]["status"] == "version two"
        crowd.wait_for_more()
    assert (crowd.failed_reads, crowd.refused, crowd.trouble) == ({}, [], [])
    crowd.assert_nothing_is_torn()


@thorough
def test_code_that_cannot_be_loaded_is_not_reloaded_and_nobody_notices(
    make_installation: Callable[..., Installation], tmp_path: Path
) -> None:
    project = copy_of_the_code(tmp_path / "checkout")
    installation = make_installation(project=project)
    server = installation.server
    assert server.process is not None
    before = server.workers()
    with Crowd(installation, uploaders=1) as crowd:
        (project / "pages/app.py").write_text("import nothing_of_that_name\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Not reloaded" in server.log, "the reload is refused")
        crowd.wait_for_more()
    assert server.workers() == before
    assert (crowd.failed_reads, crowd.refused, crowd.trouble) == ({}, [], [])


# --- The maintenance API's restart --------------------------------------------------------------

PRODUCTION = {"PAGES_ENVIRONMENT": "production", "PAGES_ADMIN_PASS": "secret"}


@thorough
def test_a_restart_asked_for_twice_under_load_is_one_that_nobody_notices(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation(settings=PRODUCTION)
    server = installation.server
    before = server.workers()
    with Crowd(installation, uploaders=3) as crowd:
        replies = [installation.maintenance("restart") for _ in range(2)]
        wait_until(lambda: server.are_new(before), "new workers")
        crowd.wait_for_more()
    assert [reply.status for reply in replies] == [200, 200]
    assert server.log.count("Handling signal: hup") == 1
    assert (crowd.failed_reads, crowd.refused, crowd.trouble) == ({}, [], [])
    crowd.assert_nothing_is_torn()


def test_a_deploy_under_way_finishes_over_a_restart_however_long_it_takes(
    make_installation: Callable[..., Installation],
) -> None:
    # Longer than gunicorn waits at a stop, and than it lets a worker be silent.
    patience = {"GUNICORN_CMD_ARGS": "--graceful-timeout 1 --timeout 2"}
    installation = make_installation(settings={**PRODUCTION, **patience})
    server = installation.server
    installation.create("slow")
    before = server.workers()
    with ThreadPoolExecutor(1) as pool:
        with installation.held("slow"):
            deploy = pool.submit(installation.deploy, "slow", {"index.html": "slow"})
            wait_until(installation.is_under_way, "the deploy is under way")
            assert installation.maintenance("restart").status == 200
            wait_until(lambda: len(server.workers() - before) == 2, "new workers")
            (old,) = wait_for_one(lambda: server.workers() & before)
            silent_since = time.monotonic()
            wait_until(lambda: time.monotonic() > silent_since + 5, "a silent worker would have been killed")
            assert server.workers() & before == {old}
        assert deploy.result().status == 200
    assert installation.get("slow").body == b"slow"
    wait_until(lambda: not server.workers() & before, "the old worker ends")


def wait_for_one(found: Callable[[], set[int]]) -> set[int]:
    wait_until(lambda: len(found()) == 1, "one is left")
    return found()


# --- Stops that cannot wait ---------------------------------------------------------------------


def test_a_deploy_that_outlasts_a_stop_is_cut_off_and_changes_nothing(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation(settings={"GUNICORN_CMD_ARGS": "--graceful-timeout 1"})
    with ThreadPoolExecutor(1) as pool:
        with installation.held("home"):
            deploy = pool.submit(installation.deploy, "home", {"home.html": "never"})
            wait_until(installation.is_under_way, "the deploy is under way")
            installation.server.restart()
        reply = deploy.result()
    # It is not known to nginx what was done: no word of when to repeat it.
    assert (reply.status, reply.json(), reply.headers["Retry-After"]) == (502, UNREACHABLE, None)
    assert installation.get("home").body == HOME
    checkpoints = installation.api("GET", "/_api/sites/default/home/checkpoints").json()["data"]
    assert checkpoints["total"] == 1
    assert os.listdir(installation.server.data / "work") == []
    assert installation.deploy("home", {"home.html": "again"}).status == 200
    assert installation.get("home").body == b"again"


def test_without_the_socket_unit_a_stop_leaves_public_sites_and_an_honest_word(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation(holds_sockets=False)
    with Visitors(installation.nginx.port, PUBLIC, "public.localhost") as visitors:
        installation.server.stop()
        assert not installation.server.socket.exists()
        page, api = installation.get("home"), installation.api("GET", "/_api/sites")
        upload = installation.deploy("home", {"home.html": "never"})
        assert (api.status, api.json(), api.headers["Retry-After"]) == (503, UNREACHABLE, "5")
        assert (upload.status, upload.json(), upload.headers["Retry-After"]) == (503, UNREACHABLE, "5")
        assert (page.status, page.headers["Retry-After"]) == (503, "5")
        assert "503 Service Unavailable" in page.body.decode()
        installation.server.start()
        # At once: nginx does not hold the failures against it.
        wait_until(lambda: installation.get("home").body == HOME, "Pages answers again")
        visitors.wait_for_more()
    assert visitors.failures == []


@thorough
@pytest.mark.parametrize("holds_sockets", [False, True])
def test_what_a_killed_master_left_is_in_nobodys_way(
    make_installation: Callable[..., Installation], holds_sockets: bool
) -> None:
    installation = make_installation(holds_sockets=holds_sockets)
    server = installation.server
    with installation.held("public"):  # A lock, too, dies with its holder.
        pass
    server.crash()
    assert server.socket.exists()
    assert (server.data / "gunicorn.ctl").exists()
    wait_until(lambda: installation.get("home").body == HOME, "the next one answers")
    assert installation.deploy("public", {"index.html": "after"}).status == 200
    assert installation.get("public").body == b"after"


# --- Sockets of systemd -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def activated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose sockets are the supervisor's; tests may restart it."""
    installation = Installation(tmp_path_factory.mktemp("run"))
    yield installation
    installation.close()


def test_a_stop_leaves_the_sockets_to_the_supervisor(activated: Installation) -> None:
    server = activated.server
    inode = server.socket.stat().st_ino
    server.stop()
    assert server.socket.stat().st_ino == inode
    with ThreadPoolExecutor(4) as pool:
        # Neither is refused: both wait in the queue.
        page = pool.submit(activated.get, "home")
        upload = pool.submit(activated.deploy, "home", {"home.html": HOME})
        server.start()
        assert page.result().body == HOME
        assert upload.result().status == 200
    assert server.socket.stat().st_ino == inode


def test_only_the_services_group_reaches_the_socket(activated: Installation) -> None:
    assert activated.server.socket.stat().st_mode & 0o777 == 0o660
    activated.server.reload()
    assert activated.server.socket.stat().st_mode & 0o777 == 0o660


def test_the_queue_is_as_long_as_the_unit_says(activated: Installation) -> None:
    # gunicorn must not shorten it.
    listed = subprocess.run(["ss", "-Hxl"], capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in listed.splitlines() if f" {activated.server.socket} " in line]
    limit = int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert int(line.split()[3]) == min(4096, limit)


@thorough
def test_a_second_master_ends_and_leaves_the_sockets_alone(activated: Installation) -> None:
    server = activated.server
    inode = server.socket.stat().st_ino
    second = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=PROJECT,
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert "Connection in use" in second.stderr
    assert server.socket.stat().st_ino == inode
    assert activated.get("home").body == HOME
    assert activated.deploy("public", {"index.html": PUBLIC}).status == 200


@thorough
def test_a_new_port_in_the_settings_is_no_reason_to_leave_the_sockets(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    server = Supervised(folder, {"PAGES_CONFIG": str(folder / "config.toml")})
    server.port = free_port()
    environment = server.environment()
    environment.pop("PAGES_PORT")
    server.environment = lambda: environment  # type: ignore[method-assign]
    (folder / "config.toml").write_text(f"[server]\nport = {server.port}\n")
    try:
        server.start()
        wait_until(server.answers, "it answers")
        assert "systemd listens elsewhere" not in server.log
        (folder / "config.toml").write_text(f"[server]\nport = {free_port()}\n")
        server.reload()
        assert server.request("GET", "/_api/healthz").status == 200
        server.restart()
        assert server.request("GET", "/_api/healthz").status == 200
        assert "systemd listens elsewhere than nginx is told to look" in server.log
    finally:
        server.close()


# --- Two masters --------------------------------------------------------------------------------


@thorough
def test_usr2_hands_over_to_a_new_master_where_no_supervisor_holds_the_sockets(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(start=False, PAGES_WORKERS="1")
    server.port = free_port()
    # As the unit starts it: the new master is started by the same words, and "python -m gunicorn" would not do.
    command = [Path(sys.executable).with_name("gunicorn"), "wsgi:app"]
    with open(server.folder / "log", "ab") as log:
        server.process = subprocess.Popen(command, cwd=PROJECT, env=server.environment(), stdout=log, stderr=log)
    wait_until(server.answers, "it answers")
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    assert server.deploy(zip_of({"index.html": PUBLIC})).status == 200
    with Visitors(server.port, PUBLIC) as visitors:
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: server.log.count("Booting worker") == 2, f"the second master's worker:\n{server.log}")
        # Two masters, one data folder: the locks keep the order.
        for version in ("one", "two", "three"):
            assert server.deploy(zip_of({"index.html": PUBLIC, "version": version})).status == 200
        server.process.terminate()
        assert server.process.wait(30) == 0
        visitors.wait_for_more()
    try:
        assert visitors.failures == []
        assert server.deploy(zip_of({"index.html": PUBLIC, "version": "four"})).status == 200
        listed = server.api("GET", "/_api/sites/default/blog/checkpoints").json()["data"]
        assert listed["total"] == 5
    finally:
        second = int(server.log.rpartition("Listening at: ")[2].partition("(")[2].partition(")")[0])
        os.kill(second, signal.SIGTERM)
        wait_until(lambda: "Shutting down: Master" in server.log.rpartition("promoted")[2], "the second one ends")


# --- Data of another version --------------------------------------------------------------------

# The first commit, and one after the place of unpacked versions had changed.
OLD = ["c9c6b20", "838975e"]


def code_of(commit: str, folder: Path) -> Path:
    """The code as it was; where the history is not to be had, the test is skipped."""
    folder.mkdir()
    packed = subprocess.run(["git", "archive", commit], cwd=PROJECT, capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"the history does not have {commit}")
    subprocess.run(["tar", "x"], cwd=folder, input=packed.stdout, check=True)
    return folder


def versions_of(server: Server, site: str) -> list[str]:
    """The ids of a site's checkpoints, newest first."""
    data = server.api("GET", f"/_api/sites/default/{site}/checkpoints").json()["data"]
    return [checkpoint["id"] for checkpoint in data["checkpoints"]]


@thorough
@pytest.mark.parametrize("commit", OLD)
def test_data_of_an_older_version_is_served_and_every_checkpoint_can_be_used_and_so_back(
    make_installation: Callable[..., Installation], tmp_path: Path, commit: str
) -> None:
    old = code_of(commit, tmp_path / "old")
    installation = make_installation(holds_sockets=False)
    server, nginx = installation.server, installation.nginx
    server.stop()
    shutil.rmtree(server.data)
    server.project = old
    server.start()
    wait_until(server.answers, "the old code answers")
    sites = {"public": "index.html", "home": "home.html"}
    for site, index in sites.items():
        created = {"id": site, "domain": f"{site}.localhost", "index": index}
        assert server.api("POST", "/_api/sites", created).status == 201
        for version in ("one", "two"):
            assert server.deploy(zip_of({index: version * 200}), site=f"default/{site}").status == 200
    for project in (PROJECT, old, PROJECT):
        server.stop()
        server.project = project
        server.start()
        wait_until(server.answers, "the next code answers")
        for site in sites:
            path = f"/_api/sites/default/{site}/checkpoints"
            newest, oldest = versions_of(server, site)
            # nginx is set up for the present code.
            ports = [server.port, nginx.port] if project == PROJECT else [server.port]
            for port in ports:
                for coding in ({}, {"Accept-Encoding": "gzip"}):
                    reply = server.request("GET", "/", host=f"{site}.localhost", port=port, headers=coding)
                    assert (reply.status, plain(reply)) == (200, b"two" * 200), (project, site)
            for checkpoint, version in ((oldest, b"one"), (newest, b"two")):
                assert server.api("POST", f"{path}/{checkpoint}/checkout").status == 200
                for port in ports:
                    assert plain(server.request("GET", "/", host=f"{site}.localhost", port=port)) == version * 200


def plain(reply: Reply) -> bytes:
    """The body, whatever its coding."""
    return gzip.decompress(reply.body) if reply.headers["Content-Encoding"] == "gzip" else reply.body
