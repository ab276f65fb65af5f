"""Load, made by wrk on one thread; every answer's status is accounted for."""

import http.client
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nginx import find_program
from processes import Failed

_SCRIPT = Path(__file__).with_name("load.lua")
# Far more than a head, far less than the page whose body a 304 leaves out.
_LARGEST_HEAD = 1000


@dataclass(frozen=True)
class Answer:
    """What one request got: enough to see whether it is still the same afterwards."""

    status: int
    size: int
    etag: str
    last_modified: str


@dataclass(frozen=True)
class Load:
    """What to ask for: a path with headers, or, with ``choices``, a file of ``host path`` lines, one after the other.

    ``status`` is what every answer must have, ``size`` the least that a body must have.
    """

    port: int
    path: str = "/"
    host: str = "localhost"
    status: int = 200
    size: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    choices: Path | None = None


@dataclass(frozen=True)
class Counts:
    """What wrk counted. ``failed`` are answers of status 400 and above, ``broken`` requests without an answer."""

    requests: int
    seconds: float
    bytes: int
    failed: int
    broken: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def is_installed() -> bool:
    """Without wrk nothing can be said about serving."""
    return find_program("wrk") is not None


def ask(load: Load) -> Answer:
    """One request."""
    connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=30)
    try:
        connection.request("GET", load.path, headers={"Host": load.host, **load.headers})
        response = connection.getresponse()
        size = len(response.read())
        return Answer(response.status, size, response.headers["ETag"] or "", response.headers["Last-Modified"] or "")
    finally:
        connection.close()


def conditional_headers(answer: Answer) -> dict[str, str]:
    """What a browser that has this answer already sends."""
    headers = {"If-None-Match": answer.etag, "If-Modified-Since": answer.last_modified}
    return {name: value for name, value in headers.items() if value}


def measure(load: Load, connections: int, seconds: int) -> float:
    """Answers per second; raises ``Failed`` when one was not as it had to be."""
    if load.choices is not None:
        return _checked(load, run(load, connections, seconds)).rate
    before = ask(load)
    if before.status != load.status or before.size < load.size:
        raise Failed(f"{load.path} on {load.host}: {before} instead of status {load.status}")
    counts = _checked(load, run(load, connections, seconds))
    if ask(load) != before:
        raise Failed(f"{load.path} on {load.host}: first {before}, then {ask(load)}")
    return counts.rate


def run(load: Load, connections: int, seconds: int) -> Counts:
    """wrk, for so many seconds; whatever the answers are."""
    headers = {"Host": load.host, **load.headers}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT)]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command += [f"http://127.0.0.1:{load.port}{load.path}"]
    if load.choices is not None:
        command += ["--", str(load.choices)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^counted (\d+) (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if not found:
        raise Failed(f"wrk: {(done.stdout + done.stderr)[-500:]}")
    requests, microseconds, size, failed, broken = map(int, found.groups())
    return Counts(requests, microseconds / 1e6, size, failed, broken)


def _checked(load: Load, counts: Counts) -> Counts:
    wanted = counts.requests if load.status >= 400 else 0
    each = counts.bytes / max(counts.requests, 1)
    # wrk tells apart only what is below 400 and what is not: a 304 for a 200 shows in the bytes.
    fits = each <= _LARGEST_HEAD if load.status == 304 else each >= load.size
    if not counts.requests or counts.failed != wanted or counts.broken or not fits:
        raise Failed(f"{load.path} on port {load.port}: {counts}; every status had to be {load.status}")
    return counts
