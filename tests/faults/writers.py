"""Processes that call the Admin API in the very same moment. Run by itself, this is one of them."""

import http.client
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

_START_SECONDS = 0.003  # Enough for all of them to have read what to do.


class Call:
    """One request of the API: ``body`` is JSON, or none."""

    def __init__(self, method: str, path: str, body: Any = None) -> None:
        self.method, self.path, self.body = method, path, body


class Writers:
    """As many processes as asked for, each with a connection of its own, while the ``with`` block lasts."""

    def __init__(self, port: int, authorization: str, count: int) -> None:
        command = [sys.executable, __file__, str(port), authorization]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        self.at_once([Call("GET", "/_api/healthz")] * count)  # Each has come up.

    def __enter__(self) -> "Writers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(60)
            process.stdout.close()

    def at_once(self, calls: list[Call]) -> list[tuple[int, Any]]:
        """Make each call in a process of its own, all at one moment; (status, JSON) of each."""
        moment = time.monotonic() + _START_SECONDS
        for process, call in zip(self._processes, calls, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps([moment, call.method, call.path, call.body]) + "\n")
            process.stdin.flush()
        replies = []
        for process in self._processes:
            assert process.stdout is not None
            status, body = json.loads(process.stdout.readline())
            replies.append((status, body))
        return replies


def _run(port: int, authorization: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    for line in sys.stdin:
        moment, method, path, body = json.loads(line)
        time.sleep(max(0.0, moment - time.monotonic()))
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        print(json.dumps([response.status, json.loads(response.read())]), flush=True)


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2])
