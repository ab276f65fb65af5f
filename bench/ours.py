"""Pages, started as in production: gunicorn with its own settings, and nginx in front."""

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nginx import start_nginx
from processes import PROJECT, Failed, Processes, free_port

_AUTHORIZATION = "Basic " + base64.b64encode(b"admin:admin").decode()
# A start looks at every site.
_PATIENCE = 900.0
# Seconds without work after which a worker has nothing left to do.
_IDLE = 0.5
_BOUNDARY = "bench-7d1c9a40e2"


class Pages:
    """One installation in ``folder``. ``settings`` are environment variables, ``application`` what gunicorn serves."""

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        settings: dict[str, str] | None = None,
        application: str = "wsgi:app",
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._processes = processes
        self._application = application
        self._connection: http.client.HTTPConnection | None = None
        self._settings = settings or {}

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which it runs: the defaults, with folders and a port of its own."""
        return {
            "PAGES_CONFIG": str(self.folder / "config.toml"),
            "PAGES_DATA_DIR": str(self.data),
            "PAGES_BACKUP_DIR": str(self.folder / "backups"),
            "PAGES_PORT": str(self.port),
            "PAGES_LOCK_TIMEOUT": "300",
            "PYTHONPATH": str(PROJECT / "bench/apps"),
            **self._settings,
        }

    def start(self) -> "Pages":
        """Start it; returns when it answers."""
        (self.folder / "config.toml").touch()
        command = [sys.executable, "-m", "gunicorn", self._application]
        self.process = self._processes.start(self.folder.name, command, self.port, self.environment, _PATIENCE)
        # gunicorn listens before its workers are there.
        self.call("GET", "/_api/health")
        return self

    def hang_up(self) -> None:
        """Close the connection that is kept, before it is left idle for so long that the server would."""
        if self._connection is not None:
            self._connection.close()

    def stop(self) -> None:
        self.hang_up()
        if self.process is not None:
            self._processes.stop(self.process)

    def start_front(self, keeps_open: bool = False) -> int:
        """nginx in front, set up as Pages says (``keeps_open``: with nginx_file_cache); its port."""
        port = free_port()
        environment = {**self.environment, "PAGES_NGINX_FILE_CACHE": str(keeps_open).lower()}
        command = [sys.executable, "-m", "pages", "nginx-config", "--listen", f"127.0.0.1:{port}"]
        done = subprocess.run(
            command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"pages nginx-config: {done.stderr[-500:]}")
        start_nginx(self._processes, self.folder / f"{self.folder.name}-nginx-{port}", port, done.stdout)
        return port

    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        assert self.process is not None
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def rest(self) -> float:
        """Wait until the workers have done what no answer waits for; the moment they had (``perf_counter``)."""
        worked = time.perf_counter()
        ticks = self._ticks()
        while time.perf_counter() - worked < _IDLE:
            time.sleep(0.05)
            # A tick now and then is the workers' heartbeat.
            if (now := self._ticks()) > ticks + 1:
                worked, ticks = time.perf_counter(), now
        return worked

    def _ticks(self) -> int:
        """The processor time of all workers, in hundredths of a second."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.workers()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats)

    # --- The calls of the API that are measured ----------------------------------------------

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call with a JSON body, on a connection that is kept; its ``data``."""
        sent = None if body is None else json.dumps(body).encode()
        return self._send(method, path, sent, {"Content-Type": "application/json"})

    def create(self, site_id: str, **fields: Any) -> None:
        self.call("POST", "/_api/sites", {"id": site_id, "domain": f"{site_id}.example", **fields})

    def delete(self, site_id: str) -> None:
        self.call("DELETE", f"/_api/sites/default/{site_id}")

    def deploy(self, site_id: str, archive: Path) -> str:
        """Upload an archive and wait for the answer; the id of the new checkpoint."""
        return self._deploy(site_id, {"file": archive})

    def deploy_difference(self, site_id: str, manifest: Path, archive: Path) -> str:
        """The same with an archive of what is new, and a manifest of all."""
        return self._deploy(site_id, {"manifest": manifest, "file": archive})

    def missing(self, site_id: str, digests: Path) -> list[str]:
        """Which of the digests in a file, as the API wants them, the server lacks."""
        path, headers = f"/_api/sites/default/{site_id}/deploy/missing", {"Content-Type": "application/json"}
        return list(self._send("POST", path, digests.read_bytes(), headers)["missing"])

    def _deploy(self, site_id: str, files: dict[str, Path]) -> str:
        heads = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n\r\n'.encode()
            for name, file in files.items()
        ]
        tail = f"--{_BOUNDARY}--\r\n".encode()
        length = sum(len(head) + file.stat().st_size + 2 for head, file in zip(heads, files.values(), strict=True))
        headers = {
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Content-Length": str(length + len(tail)),
        }
        body = _parts(zip(heads, files.values(), strict=True), tail)
        data = self._send("POST", f"/_api/sites/default/{site_id}/deploy", body, headers)
        return str(data["checkpoint"]["id"])

    def checkout(self, site_id: str, checkpoint_id: str) -> None:
        self.call("POST", f"/_api/sites/default/{site_id}/checkpoints/{checkpoint_id}/checkout")

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        self._connection.request(method, path, body, {"Authorization": _AUTHORIZATION, **headers})
        response = self._connection.getresponse()
        reply = json.loads(response.read())
        if not reply.get("success"):
            raise Failed(f"{method} {path}: {response.status} {reply}")
        return reply.get("data")


def _parts(files: Iterable[tuple[bytes, Path]], tail: bytes) -> Iterator[bytes]:
    for head, path in files:
        yield head
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                yield part
        yield b"\r\n"
    yield tail
