"""What tests say instead of repeating themselves: archives, an admin, a real server, assertions."""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Self

import pytest
from api_document import assert_described
from flask.testing import FlaskClient
from ports import free_port
from werkzeug.test import TestResponse

PROJECT = Path(__file__).parent.parent

# `make faults`: every fault at every point, and fuzzers for as long as it takes. `make test` runs a quick part of each.
THOROUGH = os.environ.get("PAGES_TEST_THOROUGH") == "1"


def zip_of(files: dict[str, bytes | str]) -> bytes:
    """A zip of these files; a name that ends in ``/`` is a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes | str], mtime: int = 0) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def basic(user: str = "admin", password: str = "admin") -> dict[str, str]:
    """The Authorization header of a user."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def assert_success(response: TestResponse, status: int = 200, message: str | None = None) -> Any:
    """The envelope of a success (contract 3); returns its data."""
    body = json.loads(response.data)
    assert response.status_code == status, body
    assert response.mimetype == "application/json"
    assert body["success"] is True
    assert set(body) <= {"success", "message", "data"}
    if message is not None:
        assert body["message"] == message
    return body.get("data")


def assert_failure(response: TestResponse, status: int, message: str | None = None) -> str:
    """The envelope of a refusal; returns its message."""
    body = json.loads(response.data)
    assert response.status_code == status, body
    assert response.mimetype == "application/json"
    assert body["success"] is False
    assert set(body) <= {"success", "message", "data"}
    assert body["message"]
    if message is not None:
        assert body["message"] == message
    return str(body["message"])


class Admin:
    """Somebody who uses the Admin API of an application in this process, and visits its sites."""

    def __init__(self, client: FlaskClient, user: str = "admin", password: str = "admin") -> None:
        self.client = client
        self.headers = basic(user, password)

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        reply = self.client.open(path, method=method, headers=headers, **kwargs)
        if not self.client.application.extensions["pages"].config.admin_hosts:  # Elsewhere it is a plain page.
            assert_described(method, path, reply.status_code, reply.headers, reply.data)
        return reply

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("PUT", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **kwargs)

    def create(self, site_id: str = "blog", domain: str = "", **fields: Any) -> Any:
        body = {"id": site_id, "domain": domain or f"{site_id}.localhost", **fields}
        return assert_success(self.post("/_api/sites", json=body), 201)

    def deploy(
        self, archive: bytes, file_name: str = "site.zip", site: str = "default/blog", **form: str
    ) -> TestResponse:
        data = {"file": (io.BytesIO(archive), file_name), **form}
        return self.post(f"/_api/sites/{site}/deploy", data=data)

    def deployed(self, files: dict[str, bytes | str], site: str = "default/blog", **form: str) -> Any:
        """Deploy these files and return the new checkpoint."""
        return assert_success(self.deploy(zip_of(files), site=site, **form), message="站点已部署")["checkpoint"]

    def checkpoints(self, site: str = "default/blog") -> Any:
        return assert_success(self.get(f"/_api/sites/{site}/checkpoints"))

    def checkout(self, checkpoint_id: str, site: str = "default/blog") -> TestResponse:
        return self.post(f"/_api/sites/{site}/checkpoints/{checkpoint_id}/checkout")

    def visit(self, path: str = "/", host: str = "blog.localhost", method: str = "GET", **headers: str) -> TestResponse:
        """What a visitor gets; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(path, method=method, base_url=f"http://{host}", headers=sent)


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every regular file below a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def unpacked(archive: Path, folder: Path) -> Path:
    """A new folder with what is in a tar.gz, as ``tar`` makes it: Debian 12's Python cannot be told to be careful."""
    folder.mkdir(parents=True)
    subprocess.run(["tar", "xzf", archive, "-C", folder], check=True)
    return folder


def everything_below(folder: Path) -> dict[str, str]:
    """Every name below a folder with what it is: to see that nothing has changed, nothing was left."""
    found = {}
    for top, folders, names in os.walk(folder):
        for name in folders + names:
            path = Path(top) / name
            if path.is_symlink():
                found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}"
            elif path.is_file():
                found[str(path.relative_to(folder))] = f"{path.stat().st_size} bytes, {path.read_bytes()[:4096]!r}"
            else:
                found[str(path.relative_to(folder))] = "folder"
    return found


def program(name: str) -> str:
    """A program on this machine; without it the test is skipped, but fails where CI promises it."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")
    return str(found)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Poll until something is so; fails with ``what`` when it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s: {what}"
        time.sleep(0.01)


@dataclass
class Reply:
    """What a real server answered."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """Pages under real gunicorn on a free port, with a data folder of its own.

    ``settings`` are environment variables, ``project`` is the folder with its code. ``log`` is what it wrote.
    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    project: Path = PROJECT

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PAGES_") and k != "DATABASE_URL"}
        return {
            **inherited,
            "PAGES_DATA_DIR": str(self.data),
            "PAGES_BACKUP_DIR": str(self.folder / "backups"),
            "PAGES_PORT": str(self.port),
            **self.settings,
        }

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gunicorn", "wsgi:app"]

    def start(self, wait: bool = True) -> Self:
        self.port = self.port or free_port()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.project,
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(self.answers, f"the server starts; its log:\n{self.log}")
        return self

    def workers(self) -> set[int]:
        """The workers that the master has at the moment; none while there is no master."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = set()
        with suppress(OSError):
            for child in children.read_text().split():
                with suppress(OSError):  # It has just ended.
                    if "gunicorn" in Path(f"/proc/{child}/cmdline").read_text():
                        found.add(int(child))
        return found

    def peak_memory(self) -> int:
        """The most that any of these workers ever held, in bytes."""
        told = [Path(f"/proc/{worker}/status").read_text() for worker in self.workers()]
        return max(int(status.partition("VmHWM:")[2].split()[0]) * 1024 for status in told)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server stopped:\n{self.log}"
        try:
            return self.request("GET", "/_api/healthz").status in (200, 404)
        except OSError:
            return False

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        host: str = "",
        headers: dict[str, str] | None = None,
        port: int = 0,
    ) -> Reply:
        """One request on a connection of its own; no redirect is followed."""
        sent = {**(headers or {}), **({"Host": host} if host else {})}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}", data=body, method=method, headers=sent
        )
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            response: HTTPResponse = opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read())
        with response:
            return Reply(response.status, response.headers, response.read())

    def api(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Reply:
        """A call of the Admin API with a JSON body."""
        headers = {**basic(), "Content-Type": "application/json", **kwargs.pop("headers", {})}
        data = None if body is None else json.dumps(body).encode()
        reply = self.request(method, path, data, headers=headers, **kwargs)
        if "PAGES_ADMIN_HOSTS" not in self.settings:  # Elsewhere it is a plain page.
            assert_described(method, path, reply.status, reply.headers, reply.body)
        return reply

    def deploy(self, archive: bytes, file_name: str = "site.zip", site: str = "default/blog", **kwargs: Any) -> Reply:
        boundary = "----boundary7MA4YWxkTrZu0gW"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
        body = head.encode() + archive + f"\r\n--{boundary}--\r\n".encode()
        headers = {**basic(), "Content-Type": f"multipart/form-data; boundary={boundary}"}
        reply = self.request("POST", f"/_api/sites/{site}/deploy", body, headers=headers, **kwargs)
        assert_described("POST", f"/_api/sites/{site}/deploy", reply.status, reply.headers, reply.body)
        return reply

    def kill(self) -> None:
        """End master and workers at once, as a crash would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
