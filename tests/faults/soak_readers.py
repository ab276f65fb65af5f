"""Visitors of the soak test, who know which versions they may be given. Run by itself, this is one of them.

Every file of a version says nothing but its version, line after line, so that a mixture shows. What was switched
to, and what has been answered, stands in a file that all processes map: a ``Timeline`` for each site.
"""

import gzip
import json
import mmap
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINE_BYTES = 10
LINES = {"/": 400, "/style.css": 60, "/data.bin": 20_000}
MAX_READERS = 32
_STARTED, _ANSWERED, _OVER, _SEEN, _VERSIONS = 0, 1, 2, 8, 8 + MAX_READERS
_CELLS = 100_000
_REQUESTS_A_CONNECTION = 900  # nginx closes after a thousand.
_PATIENCE_SECONDS = 60.0


def line_of(version: int) -> bytes:
    return b"v%08d\n" % version


def files_of(version: int) -> dict[str, bytes | str]:
    """What a version deploys: each file is one line, many times."""
    names = {"/": "index.html", "/style.css": "style.css", "/data.bin": "data.bin"}
    return {names[path]: line_of(version) * count for path, count in LINES.items()}


class Timeline:
    """The versions of one site in the order they were switched to, in memory that processes share.

    ``started`` and ``answered`` count switches: the last that was begun, and the last whose answer has come.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(8 * _CELLS))
        with open(path, "r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 8 * _CELLS)).cast("q")

    @property
    def started(self) -> int:
        return self._cells[_STARTED]

    @property
    def answered(self) -> int:
        return self._cells[_ANSWERED]

    @property
    def is_over(self) -> bool:
        return self._cells[_OVER] != 0

    def end(self) -> None:
        self._cells[_OVER] = 1

    def begin(self, version: int) -> None:
        """The next switch begins: from now on its version may be seen."""
        self._cells[_VERSIONS + self.started + 1] = version
        self._cells[_STARTED] = self.started + 1

    def answer(self) -> None:
        """The switch is answered: from now on no version from before may be seen."""
        self._cells[_ANSWERED] = self.started

    def oldest(self, strict: bool) -> int:
        """The oldest switch whose version a request that begins now may be given.

        ``strict``: what one reader has seen, no reader sees the version before it any more.
        """
        seen = max(self._cells[_SEEN : _SEEN + MAX_READERS].tolist()) if strict else 0
        return max(self.answered, seen)

    def find(self, version: int, oldest: int) -> int | None:
        """The first switch from ``oldest`` on that was to this version."""
        for index in range(oldest, self.started + 1):
            if self._cells[_VERSIONS + index] == version:
                return index
        return None

    def allowed(self, oldest: int) -> list[int]:
        return [self._cells[_VERSIONS + index] for index in range(oldest, self.started + 1)]

    def see(self, reader: int, index: int) -> None:
        self._cells[_SEEN + reader] = max(self._cells[_SEEN + reader], index)


@dataclass(frozen=True)
class Request:
    """One request and what it was about, to judge the answer by."""

    path: str
    method: str = "GET"
    gzip: bool = False
    etag: str = ""  # If-None-Match
    start: int = -1  # Range, in bytes
    if_range: str = ""

    def sent(self, host: str) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        if self.gzip:
            lines.append("Accept-Encoding: gzip")
        if self.etag:
            lines.append(f"If-None-Match: {self.etag}")
        if self.start >= 0:
            lines.append(f"Range: bytes={self.start}-{self.start + 10 * LINE_BYTES - 1}")
        if self.if_range:
            lines.append(f"If-Range: {self.if_range}")
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Head:
    status: int
    length: int
    etag: str
    encoding: str
    range: str


class Broken(Exception):
    """The connection ended before the answer did."""


class Connection:
    """Requests on one connection that is kept, several on their way at once; a new one when it broke or is old."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._left = 0
        self._heads: dict[bytes, Head] = {}

    def ask(self, requests: list[Request], host: str) -> Iterator[tuple[Head, bytes]]:
        """The answers in order; ``Broken`` when the connection ends before the last one's end."""
        if self._left < len(requests):
            self.close()
        try:
            if self._socket is None:
                self._connect()
            assert self._socket is not None
            self._left -= len(requests)
            self._socket.sendall(b"".join(request.sent(host) for request in requests))
            for request in requests:
                head = self._head()
                no_body = request.method == "HEAD" or head.status == 304
                yield head, b"" if no_body else self._take(head.length)
        except OSError as error:
            self.close()
            raise Broken(repr(error)) from None
        except Broken:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer, self._left = None, b"", 0

    def _connect(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._socket is None:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE_SECONDS)
            except ConnectionRefusedError:  # The whole server is down.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self._left = _REQUESTS_A_CONNECTION

    def _more(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise Broken("closed")
        self._buffer += piece

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _head(self) -> Head:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        raw = self._take(end + 4)
        if raw not in self._heads:  # The same for all answers of one kind within a second.
            if len(self._heads) > 500:
                self._heads.clear()
            self._heads[raw] = _parsed(raw)
        return self._heads[raw]


def _parsed(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Head(
        int(first.split(" ")[1]),
        int(headers.get("content-length", "0")),
        headers.get("etag", ""),
        headers.get("content-encoding", ""),
        headers.get("content-range", ""),
    )


@dataclass
class Reader:
    """One visitor of several sites: judges every answer, and keeps what is wrong."""

    number: int
    port: int
    sites: list[tuple[str, Timeline]]  # Host names with what may be seen there.
    strict: bool
    behind_nginx: bool
    depth: int
    reads: int = 0
    broken: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    # What each validator stood for: it must never stand for two versions, nor a version have two of them.
    versions: dict[str, int] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        connection = Connection(self.port)
        turn = self.number
        while not all(timeline.is_over for _, timeline in self.sites) and len(self.problems) < 20:
            host, timeline = self.sites[turn % len(self.sites)]
            requests = [self._request(turn * self.depth + n, host) for n in range(self.depth)]
            oldest = timeline.oldest(self.strict)
            done = 0
            try:
                for request, (head, body) in zip(requests, connection.ask(requests, host), strict=True):
                    self._judge(request, head, body, host, timeline, oldest)
                    done += 1
            except Broken as error:
                self.broken += 1
                if self.behind_nginx:
                    self.problems.append(f"no answer to {requests[done]}: {error}")
            self.reads += done
            turn += 1
        connection.close()

    def _request(self, turn: int, host: str) -> Request:
        kind = (turn * 7 + self.number) % 16
        if kind < 5:
            return Request("/", gzip=True)
        if kind < 8:
            return Request("/")
        if kind < 10:
            return Request("/style.css", "HEAD", gzip=kind == 9)
        if kind < 12:
            return Request("/style.css", etag=self.etags.get(f"{host}/style.css last", ""))
        if kind < 14:
            etag = self.etags.get(f"{host}/data.bin last", "") if kind == 13 else ""
            return Request("/data.bin", start=(turn * 37 % 19_000) * LINE_BYTES, if_range=etag)
        if kind == 14 and turn % 5 == 0:
            return Request("/data.bin")
        return Request("/style.css", gzip=True)

    def _judge(self, request: Request, head: Head, body: bytes, host: str, timeline: Timeline, oldest: int) -> None:
        """Is this the answer to the request, whole, and of one version that may be live?"""
        what = f"{host}{request.path} {head.encoding}"
        kind = f"{request.method} {head.status} {head.encoding}"
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        version = self._version(request, head, body, what)
        if version is None:
            self.problems.append(f"{request} got {head} with {body[:40]!r}, {len(body)} bytes")
            return
        if version < 0:
            return
        index = timeline.find(version, oldest)
        if index is None:
            allowed = timeline.allowed(oldest)
            self.problems.append(f"{request} got version {version}, allowed were {allowed} from switch {oldest} on")
            return
        if self.strict:
            timeline.see(self.number, index)
        self._note(what, head.etag, version, request, host)

    def _version(self, request: Request, head: Head, body: bytes, what: str) -> int | None:
        """The one version that an answer is of; None for a wrong answer."""
        if head.encoding not in ("", "gzip") or (head.encoding and not request.gzip):
            return None
        if head.status == 304:
            return self.versions.get(f"{what} {head.etag}") if head.etag == request.etag else None
        size = LINES[request.path] * LINE_BYTES
        if head.status == 206 and request.start >= 0:
            whole = f"bytes {request.start}-{request.start + 10 * LINE_BYTES - 1}/{size}"
            known = self.versions.get(f"{what} {head.etag}")
            version = _of_lines(body, 10) if head.range == whole else None
            if request.if_range and request.if_range != head.etag:
                return None
            return version if known in (None, version) else None
        if head.status != 200 or (request.etag and head.etag == request.etag):
            return None
        if request.if_range and head.etag == request.if_range:
            return None
        if request.method == "HEAD":
            if not head.encoding and head.length != size:
                return None
            # Told by its validator, if that was met; else it tells nothing.
            return self.versions.get(f"{what} {head.etag}", -1)
        try:
            plain = gzip.decompress(body) if head.encoding else body
        except (OSError, EOFError):
            return None
        return _of_lines(plain, LINES[request.path])

    def _note(self, what: str, etag: str, version: int, request: Request, host: str) -> None:
        if self.versions.setdefault(f"{what} {etag}", version) != version:
            self.problems.append(f"{what}: {etag} stood for {self.versions[f'{what} {etag}']} and for {version}")
        if self.etags.setdefault(f"{what} {version}", etag) != etag:
            self.problems.append(f"{what}: version {version} had {self.etags[f'{what} {version}']} and {etag}")
        if not request.gzip:
            self.etags[f"{host}{request.path} last"] = etag


_LINE = re.compile(rb"v([0-9]{8})\n")


def _of_lines(body: bytes, count: int) -> int | None:
    """The version of a body that is so many lines of it; None if it is anything else."""
    if len(body) != count * LINE_BYTES or not (found := _LINE.match(body)):
        return None
    return int(found[1]) if body == found[0] * count else None


def _main(settings: dict[str, Any]) -> None:
    os.nice(5)  # Who switches goes first: what counts is how often they meet.
    sites = [(host, Timeline(Path(path))) for host, path in settings.pop("sites")]
    reader = Reader(sites=sites, **settings)
    reader.run()
    told = {name: getattr(reader, name) for name in ("reads", "broken", "kinds", "problems", "versions")}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
