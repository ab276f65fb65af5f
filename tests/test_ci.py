"""Pipelines: the script that deploys under several shells, and every step of the examples, run with plain sh."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from helpers import PROJECT, THOROUGH, Server, wait_until
from ports import free_port

SCRIPT = PROJECT / "deploy" / "ci" / "pages-deploy"
DONE, FAILED, USAGE, DENIED, NOT_FOUND, CONFLICT, UNREACHABLE = range(7)
SHELLS = ("dash", "busybox sh", "bash --posix")
# A title that a careless pipeline would run, or send as something else.
TITLE = """Say "hello" & $(touch pwned) `touch pwned` '; touch pwned; @x <y é页"""
MESSAGE = f"{TITLE}\n\nwith more\n"
DOCUMENT = (PROJECT / "docs" / "ci.md").read_text(encoding="utf-8")


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Place(NamedTuple):
    """A real server with a site, and a token that may deploy it."""

    server: Server
    token: str

    def live(self) -> bytes:
        return self.server.request("GET", "/", host="blog.localhost").body

    def checkpoints(self) -> Any:
        return self.server.api("GET", "/_api/sites/alice/blog/checkpoints").json()["data"]["checkpoints"]

    def settings(self) -> dict[str, str]:
        return {"PAGES_URL": self.server.url, "PAGES_TOKEN": self.token, "PAGES_SITE": "alice/blog"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = Server(tmp_path_factory.mktemp("ci")).start()
    try:
        record = {"id": "blog", "username": "alice", "domain": "blog.localhost"}
        assert server.api("POST", "/_api/sites", record).status == 201
        yield Place(server, made(server, "deploy"))
    finally:
        server.stop()


def made(server: Server, *actions: str) -> str:
    """A token of the site with these actions."""
    body = {"name": "ci", "actions": actions, "username": "alice", "site": "blog"}
    return str(server.api("POST", "/_api/tokens", body).json()["data"]["token"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository whose job has built a site into ``public``."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text(f"built for {tmp_path.name}")
    return tmp_path


def run(command: list[str], folder: Path, settings: dict[str, str]) -> Ran:
    """Run a command in a folder with these variables alone."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder.parent), "PAGES_RETRIES": "0", **settings}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return Ran(done.returncode, done.stdout, done.stderr)


def deploy(folder: Path, settings: dict[str, str], shell: str = "sh") -> Ran:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"{shell} is not installed")
    return run([*shell.split(), str(SCRIPT)], folder, settings)


def checkpoint_of(ran: Ran) -> str:
    assert ran.status == DONE, ran
    found = re.search(r"^checkpoint: (\S+) \((live|stored, not live)\)$", ran.out, re.MULTILINE)
    assert found, ran
    return found[1]


# --- The examples ---------------------------------------------------------------------------


class Job(NamedTuple):
    """What a service would run: the lines, and the variables that it would set."""

    lines: list[str]
    settings: dict[str, str]


def read(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def action(place: Place, folder: Path) -> Job:
    """The composite action, with the expressions in it filled in as the service does."""
    action = read("action.yml")
    (step,) = action["runs"]["steps"]
    given = {"url": place.server.url, "token": place.token, "site": "alice/blog"}
    inputs = {name: given.get(name, declared.get("default", "")) for name, declared in action["inputs"].items()}
    inputs["message"] = MESSAGE
    settings = {name: inputs[re.fullmatch(r"\$\{\{ inputs\.(\S+) }}", value)[1]] for name, value in step["env"].items()}  # type: ignore[index]
    service = {"GITHUB_ACTION_PATH": str(PROJECT), "GITHUB_OUTPUT": str(folder / "output"), "GITHUB_SHA": "c0ffee"}
    assert step["shell"] == "sh"
    return Job([step["run"]], {**settings, **service})


def gitlab(place: Place, folder: Path) -> Job:
    job = read("deploy/ci/gitlab-ci.yml")["deploy"]
    service = {"CI_COMMIT_TITLE": TITLE, "CI_COMMIT_SHA": "c0ffee"}
    return Job(job["before_script"] + job["script"], {**job["variables"], **service, **place.settings()})


def woodpecker(place: Place, folder: Path) -> Job:
    (step,) = read("deploy/ci/woodpecker.yml")["steps"]
    assert step["environment"].pop("PAGES_TOKEN") == {"from_secret": "pages_token"}
    service = {"CI_COMMIT_MESSAGE": MESSAGE, "CI_COMMIT_SHA": "c0ffee"}
    return Job(step["commands"], {**step["environment"], **service, **place.settings()})


JOBS = [action, gitlab, woodpecker]


def run_job(job: Job, folder: Path, **settings: str) -> Ran:
    """As the services do: all lines in one sh that ends at the first that fails. apk is none here."""
    (folder / "ci").mkdir(exist_ok=True)
    shutil.copy(SCRIPT, folder / "ci" / "pages-deploy")
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "apk").write_text("#!/bin/sh\n")
    (folder / "bin" / "apk").chmod(0o755)
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return run(["sh", "-e", "-c", "\n".join(job.lines)], folder, {**job.settings, **path, **settings})


@pytest.mark.parametrize("make", JOBS)
def test_the_steps_of_an_example_put_the_site_live(
    place: Place, folder: Path, make: Callable[[Place, Path], Job]
) -> None:
    ran = run_job(make(place, folder), folder)
    made = checkpoint_of(ran)
    assert place.live() == f"built for {folder.name}".encode()
    newest = place.checkpoints()[0]
    assert (newest["id"], newest["description"]) == (made, TITLE)
    assert not list(folder.rglob("pwned"))
    assert ran.err == "" or "not https" in ran.err


@pytest.mark.parametrize(("make", "told"), [(action, "output"), (gitlab, "pages.env")])
def test_an_example_hands_the_checkpoint_on(
    place: Place, folder: Path, make: Callable[[Place, Path], Job], told: str
) -> None:
    ran = run_job(make(place, folder), folder)
    assert (folder / told).read_text() == f"checkpoint={checkpoint_of(ran)}\n"


@pytest.mark.parametrize("make", JOBS)
def test_an_example_fails_with_a_wrong_token(place: Place, folder: Path, make: Callable[[Place, Path], Job]) -> None:
    ran = run_job(make(place, folder), folder, PAGES_TOKEN=f"pages_{'0' * 16}_{'0' * 64}")
    assert ran.status == DENIED
    assert f"PAGES_TOKEN is not accepted by {place.server.url}" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("make", JOBS)
def test_an_example_fails_where_no_server_is(place: Place, folder: Path, make: Callable[[Place, Path], Job]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ran = run_job(make(place, folder), folder, PAGES_URL=url)
    assert ran.status == UNREACHABLE
    assert f"{url} does not answer" in ran.err


def test_every_input_of_the_action_is_used_and_only_as_a_variable() -> None:
    action = read("action.yml")
    (step,) = action["runs"]["steps"]
    assert {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]} == set(step["env"].values())
    # What is written into the script is run as a part of it.
    assert "${{" not in step["run"]
    assert action["outputs"]["checkpoint"]["value"] == f"${{{{ steps.{step['id']}.outputs.checkpoint }}}}"


# --- The script -----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_publishes_and_tells_the_warnings(place: Place, folder: Path, shell: str) -> None:
    (folder / "public" / "_redirects").write_text('/a "x","y"\n/b /c 999\n')
    for name in (".git/config", "a.git/x", ".github/y", "..odd/z"):
        (folder / "public" / name).parent.mkdir()
        (folder / "public" / name).write_text("x")
    ran = deploy(folder, place.settings(), shell)
    made = checkpoint_of(ran)
    warnings = ran.out.splitlines()[:-1]
    assert len(warnings) == 2
    assert all(line.startswith("warning: ") and "_redirects" in line for line in warnings)
    assert '/a "x","y"' in warnings[0]
    assert place.live() == f"built for {folder.name}".encode()
    held = place.server.data / f"sites-checkpoints/alice/blog/checkpoints/{made}.tar.gz"
    names = subprocess.run(["tar", "tzf", held], capture_output=True, text=True, check=True).stdout.split()
    assert {name.removeprefix("./") for name in names if not name.endswith("/")} == {
        "index.html", "_redirects", "a.git/x", ".github/y", "..odd/z",
    }  # fmt: skip
    assert list(folder.parent.glob("pages-deploy.*")) == []


def test_the_tools_of_a_small_image_are_enough(place: Place, folder: Path) -> None:
    # As on Alpine: curl, and busybox for all the rest.
    busybox, curl = shutil.which("busybox"), shutil.which("curl")
    if busybox is None or curl is None:
        pytest.skip("busybox or curl is not installed")
    small = folder / "bin"
    small.mkdir()
    for tool in ("sh", "tar", "gzip", "find", "sha256sum", "sort", "sed", "grep", "head", "tr", "mktemp", "cp", "rm"):
        (small / tool).symlink_to(busybox)
    (small / "curl").symlink_to(curl)
    (folder / "public" / ".git").touch()
    ran = run([str(small / "sh"), str(SCRIPT)], folder, {**place.settings(), "PATH": str(small), "GITHUB_SHA": "1"})
    checkpoint_of(ran)
    assert place.live() == f"built for {folder.name}".encode()


@pytest.mark.parametrize("name", ["site.tar.gz", "-odd;name,1.tgz"])
def test_an_archive_may_be_given_whatever_its_name(place: Place, folder: Path, name: str) -> None:
    subprocess.run(["tar", "-czf", f"./{name}", "-C", "public", "."], cwd=folder, check=True)
    checkpoint_of(deploy(folder, {**place.settings(), "PAGES_DIR": name}))
    assert place.live() == f"built for {folder.name}".encode()


@pytest.mark.parametrize("name", ["a b;type=x", 'a,b"c\\d'])
@pytest.mark.parametrize("is_relative", [False, True])
def test_temporary_files_may_be_anywhere(place: Place, folder: Path, name: str, is_relative: bool) -> None:
    (folder / name).mkdir()
    where = name if is_relative else str(folder / name)
    checkpoint_of(deploy(folder, {**place.settings(), "TMPDIR": where}))
    assert list((folder / name).iterdir()) == []


@pytest.mark.parametrize("variable", ["GITHUB_SHA", "CI_COMMIT_SHA", ""])
def test_a_job_that_is_run_again_publishes_once(place: Place, folder: Path, variable: str) -> None:
    settings = {**place.settings(), **({variable: f"c-{folder.name}"} if variable else {})}
    first = checkpoint_of(deploy(folder, settings))
    if variable:  # It was built anew.
        os.utime(folder / "public" / "index.html", (1, 1))
    count = len(place.checkpoints())
    assert checkpoint_of(deploy(folder, settings)) == first
    assert len(place.checkpoints()) == count


def test_another_commit_or_content_is_published_and_an_older_one_is_not_by_running_it_again(
    place: Place, folder: Path
) -> None:
    def of(commit: str, content: str) -> Ran:
        (folder / "public" / "index.html").write_text(content)
        return deploy(folder, {**place.settings(), "GITHUB_SHA": f"{folder.name}-{commit}"})

    made = [checkpoint_of(of(*version)) for version in (("a", "one"), ("a", "built otherwise"), ("b", "one"))]
    assert len(set(made)) == 3
    checkpoint_of(of("c", "two"))
    again = of("a", "one")
    assert checkpoint_of(again) == made[0]
    assert "(stored, not live)" in again.out
    assert "warning: this version is not live" in again.out
    assert place.live() == b"two"


def test_it_may_store_without_going_live_and_go_live_later(place: Place, folder: Path) -> None:
    settings = {**place.settings(), "GITHUB_SHA": folder.name}
    before = place.live()
    stored = deploy(folder, {**settings, "PAGES_ACTIVATE": "false"})
    checkpoint_of(stored)
    assert stored.out.endswith("(stored, not live)\n")
    assert place.live() == before
    checkpoint_of(deploy(folder, settings))
    assert place.live() == f"built for {folder.name}".encode()


def test_a_dry_run_publishes_nothing(place: Place, folder: Path) -> None:
    before = place.checkpoints()
    ran = deploy(folder, {**place.settings(), "PAGES_DRY_RUN": "true"})
    assert (ran.status, ran.out) == (DENIED, "")  # A deploy token is told nothing of what is there.
    settings = {**place.settings(), "PAGES_TOKEN": made(place.server, "deploy", "read"), "PAGES_DRY_RUN": "true"}
    ran = deploy(folder, settings)
    assert (ran.status, ran.out.partition(":")[0]) == (DONE, "Nothing was published")
    assert place.checkpoints() == before


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PAGES_URL": ""}, "PAGES_URL"), ({"PAGES_URL": "pages.example.com"}, "PAGES_URL"),
        ({"PAGES_URL": "https://u:p@pages.example.com"}, "PAGES_URL"),
        ({"PAGES_URL": "https://x/\nurl=y"}, "PAGES_URL"),
        ({"PAGES_TOKEN": ""}, "PAGES_TOKEN"), ({"PAGES_TOKEN": 'x"\nurl = "http://evil'}, "PAGES_TOKEN"),
        ({"PAGES_TOKEN": "pages_x\n"}, "PAGES_TOKEN"), ({"PAGES_SITE": ""}, "PAGES_SITE"),
        ({"PAGES_SITE": "blog"}, "PAGES_SITE"), ({"PAGES_SITE": "alice/blog/x"}, "PAGES_SITE"),
        ({"PAGES_SITE": "alice/.."}, "PAGES_SITE"), ({"PAGES_SITE": "../x"}, "PAGES_SITE"),
        ({"PAGES_SITE": "alice/b?x"}, "PAGES_SITE"), ({"PAGES_DIR": "dist"}, "PAGES_DIR=dist is not there"),
        ({"PAGES_DIR": "empty"}, "PAGES_DIR=empty holds no files"), ({"PAGES_DIR": "notes.txt"}, "PAGES_DIR=notes.txt"),
        ({"PAGES_DRY_RUN": "yes"}, "PAGES_DRY_RUN"), ({"PAGES_ACTIVATE": "0"}, "PAGES_ACTIVATE"),
        ({"PAGES_RETRIES": "-1"}, "PAGES_RETRIES"), ({"PAGES_KEY": "a\nb"}, "PAGES_KEY"), ({"PATH": "/none"}, "curl"),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_said_before_anything_is_sent(
    folder: Path, settings: dict[str, str], named: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "notes.txt").touch()
    good = {"PAGES_URL": "http://127.0.0.1:1", "PAGES_TOKEN": "pages_x_y", "PAGES_SITE": "alice/blog"}
    ran = run(["/bin/sh", str(SCRIPT)], folder, {**good, **settings})
    assert ran.status == USAGE
    assert named in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "status", "told"),
    [
        ({"PAGES_SITE": "alice/other"}, DENIED, "Permission denied"),
        ({"PAGES_SITE": "bob/blog"}, DENIED, "Permission denied"),
        ({"PAGES_DIR": "linked"}, FAILED, "symlinks are not allowed: ./link"),
        ({"PAGES_KEY": "once"}, CONFLICT, "Idempotency-Key"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_servers_words(
    place: Place, folder: Path, settings: dict[str, str], status: int, told: str
) -> None:
    (folder / "linked").mkdir()
    (folder / "linked" / "link").symlink_to("/etc/passwd")
    (folder / "linked" / "index.html").touch()
    deploy(folder, {**place.settings(), "PAGES_KEY": "once", "PAGES_DIR": "public"})
    (folder / "public" / "index.html").write_text("another")
    before = place.checkpoints()
    ran = deploy(folder, {**place.settings(), **settings})
    assert (ran.status, ran.out) == (status, "")
    assert told in ran.err
    assert place.checkpoints() == before


def test_no_program_has_the_token_in_its_arguments_or_environment_and_no_trace_shows_it(
    place: Place, folder: Path
) -> None:
    seen = folder / "seen"
    (folder / "bin").mkdir()
    for tool in ("curl", "tar", "find", "sed", "mktemp"):
        stub = folder / "bin" / tool
        stub.write_text(f'#!/bin/sh\necho "{tool} $*" >>{seen}\nenv >>{seen}\nexec {shutil.which(tool)} "$@"\n')
        stub.chmod(0o755)
    settings = {**place.settings(), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    ran = run(["sh", "-x", str(SCRIPT)], folder, settings)
    checkpoint_of(ran)
    recorded = seen.read_text()
    assert "curl -q" in recorded
    assert place.token[-64:] not in recorded + ran.out + ran.err


# --- Servers that are not well --------------------------------------------------------------

GOOD = b'{"success":true,"message":"x","data":{"checkpoint":{"id":"20250106-160000-c3d4e5f6","file_size":1}}}\n'


class Fake(ThreadingHTTPServer):
    """Answers each request with the next of some (status, body); keeps what came."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.came: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(dict(self.headers))
        status, body = self.server.answers.pop(0)
        if not status:  # As a server that is killed.
            return
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("first", [(503, b"<h1>down</h1>"), (0, b"")], ids=["503", "broken"])
def test_it_is_tried_again_with_the_same_key(folder: Path, first: tuple[int, bytes]) -> None:
    with Fake(first, (200, GOOD)) as fake:
        url = f"http://127.0.0.1:{fake.server_port}"
        settings = {"PAGES_URL": url, "PAGES_TOKEN": "pages_x_y", "PAGES_SITE": "a/b", "PAGES_RETRIES": "2"}
        ran = deploy(folder, settings)
    assert checkpoint_of(ran) == "20250106-160000-c3d4e5f6"
    assert [headers["Authorization"] for headers in fake.came] == ["Bearer pages_x_y"] * 2
    assert len({headers["Idempotency-Key"] for headers in fake.came}) == 1


@pytest.mark.parametrize(
    ("status", "body", "ends", "told"),
    [
        (200, b"<h1>hello</h1>", FAILED, "is not Pages"), (200, b'{"success":true,"data":{}}', FAILED, "is not Pages"),
        (301, b"", FAILED, "leads elsewhere (301)"), (404, b"<h1>Not Found</h1>", NOT_FOUND, "not by Pages"),
        (404, '{"success":false,"message":"站点不存在"}'.encode(), NOT_FOUND, "站点不存在"),
        (409, '{"success":false,"message":"站点正忙，请稍后重试"}'.encode(), CONFLICT, "站点正忙"),
        (413, b'{"success":false,"message":"too \\"big\\"","data":{}}', FAILED, '(413): too "big".'),
        (502, b"", UNREACHABLE, "cannot be reached"), (507, b"", FAILED, "(507)"),
    ],
)  # fmt: skip
def test_every_other_answer_ends_as_what_it_is(folder: Path, status: int, body: bytes, ends: int, told: str) -> None:
    with Fake((status, body)) as fake:
        url = f"http://127.0.0.1:{fake.server_port}"
        ran = deploy(folder, {"PAGES_URL": url, "PAGES_TOKEN": "pages_x_y", "PAGES_SITE": "a/b"})
    assert (ran.status, ran.out) == (ends, "")
    assert told in ran.err
    assert len(fake.came) == 1


@pytest.mark.skipif(not THOROUGH, reason="make faults: it waits for a start")
def test_a_server_that_restarts_meanwhile_has_the_site_in_the_end(place: Place, folder: Path) -> None:
    place.server.stop()
    command = ["sh", str(SCRIPT)]
    settings = {"PATH": os.environ["PATH"], **place.settings(), "PAGES_RETRIES": "6"}
    job = subprocess.Popen(command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    place.server.start()
    out, err = job.communicate(timeout=60)
    assert job.returncode == DONE, err
    wait_until(lambda: place.live() == f"built for {folder.name}".encode(), "the site is live", 5)
    assert b"(live)" in out


# --- The document ---------------------------------------------------------------------------


def test_the_document_names_every_variable_and_exit_status() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    named = set(re.findall(r"PAGES_[A-Z_]+", script))
    assert {name for name in named if f"`{name}`" not in DOCUMENT} == set()
    statuses = {int(status) for status in re.findall(r"fail (\d)", script)} | {DONE}
    assert {int(status) for status in re.findall(r"^\| (\d) \|", DOCUMENT, re.MULTILINE)} == statuses


def test_the_document_names_every_input_and_output_of_the_action() -> None:
    action = read("action.yml")
    assert [name for name in (*action["inputs"], *action["outputs"]) if f"`{name}`" not in DOCUMENT] == []
