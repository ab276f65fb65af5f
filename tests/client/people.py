"""Somebody at a terminal, or a script: runs ``pages`` in this process against an application that is really served."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wsgi import get_input_stream

from pages.cli import main


@dataclass
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Person:
    """Runs commands in a folder of their own, with nothing of this machine's settings."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def credentials(self) -> Path:
        return self.folder / "config/pages/credentials.json"

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            **self.settings,
        }

    def run(self, *arguments: object, stdin: str | None = None, **settings: str | None) -> Done:
        unset = {name: None for name in os.environ if name.startswith("PAGES_") or name == "DATABASE_URL"}
        os.chdir(self.folder)
        done = CliRunner().invoke(
            main, [str(each) for each in arguments], input=stdin, env={**unset, **self.environment(), **settings}
        )
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def ok(self, *arguments: object, **more: Any) -> Done:
        done = self.run(*arguments, **more)
        assert done.status == 0, done.err
        return done

    def made(self, files: dict[str, bytes | str], name: str = "site") -> Path:
        """A folder with these files; a name that ends in ``/`` is a folder."""
        for path, content in files.items():
            place = self.folder / name / path
            (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.folder / name


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """The application on a free port, which is told."""

    def with_an_end(environ: Any, start_response: Any) -> Any:
        """As under gunicorn: who reads on after a body's end gets nothing, instead of waiting."""
        environ["wsgi.input"] = get_input_stream(environ)
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, with_an_end, threaded=True, request_handler=_Silent)
    with _in_a_thread(server.serve_forever, server.shutdown, server.server_close):
        yield server.server_port


@dataclass
class Asked:
    """A request that a ``Script`` was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes] | None


class Script:
    """A server that answers what it is told to, one answer after the other; None: it closes the connection."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.asked: list[Asked] = []
        self._answers = iter(answers)
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = (
                    self._chunked()
                    if "chunked" in self.headers.get("Transfer-Encoding", "")
                    else self.rfile.read(int(self.headers.get("Content-Length", 0)))
                )
                script.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                reply = next(script._answers)
                if reply is not None:
                    self.send_response(reply[0])
                    for name, value in {"Content-Length": str(len(reply[2])), **reply[1]}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply[2])
                self.close_connection = True

            def _chunked(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Script":
        self._running = _in_a_thread(self.server.serve_forever, self.server.shutdown, self.server.server_close)
        self._running.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)


@contextmanager
def _in_a_thread(*steps: Callable[[], None]) -> Iterator[None]:
    serve, shut_down, close = steps
    thread = threading.Thread(target=lambda: serve(**{"poll_interval": 0.01}))  # type: ignore[call-arg]
    thread.start()
    try:
        yield
    finally:
        shut_down()
        thread.join()
        close()


def told(status: int, message: str = "", data: Any = None, **headers: str) -> Answer:
    """An answer in the API's envelope."""
    body = {"success": status < 400, "message": message, **({"data": data} if data is not None else {})}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **named}, json.dumps(body).encode()
