"""Counts that survive the process that made them, and end with gunicorn's master: no file, no lock between processes.

The master makes the memory and gives each worker a slot of it (gunicorn.conf.py); a worker adds in its own slot only.
When a worker has ended, the master adds its slot to the first one. So whoever adds up all slots finds everything that
was ever counted, however workers ended, and that takes no longer after a thousand reloads.

The memory: a head (``_HEAD``), then for each slot the length of its names, then the slots. A slot has its names as
JSON, so that code of two versions can count side by side in a reload, and a double for each name.
"""

import json
import struct
import threading
import time
from bisect import bisect_left
from collections import defaultdict

from pages.measures import (
    BUSY,
    FRONTS,
    METHODS,
    REQUEST_SECONDS,
    REQUESTS,
    SUM,
    Counter,
    Histogram,
    Key,
    all_keys,
)

# How often the master has begun or finished to add a slot to the first: odd while it does. Bytes of a slot, how many
# slots there are, and when the master made the memory, in seconds since 1970.
_HEAD = struct.Struct("=QQQd")
_LENGTHS = 64
_SLOTS_AT = 4096
_MAX_LOOKS = 10_000

_AT = {key: at for at, key in enumerate(all_keys())}
_BUSY_AT = _AT[BUSY]
_METHODS = dict.fromkeys(("GET", "HEAD", "OPTIONS"), "read")
_BOUNDS = REQUEST_SECONDS.buckets
_SUM_AT = len(_BOUNDS) + 1
# Where a request is counted, and the first bucket of its time, by front, method and the first digit of the status.
_PLACES = {
    (front, method, digit): (
        _AT[REQUESTS.name, front, method, f"{digit}xx" if digit in "234" else "5xx"],
        _AT[REQUEST_SECONDS.name, front, REQUEST_SECONDS.bounds[0]],
    )
    for front in FRONTS
    for method in METHODS
    for digit in "12345"
}


class Memory:
    """All slots, as every process sees them."""

    def __init__(self, buffer: "memoryview[int]") -> None:
        self._buffer = buffer
        self._versions = buffer[:8].cast("Q")
        _, self._slot_bytes, self._count, self.started = _HEAD.unpack_from(buffer)
        self._lengths = buffer[_LENGTHS : _LENGTHS + 8 * self._count].cast("Q")

    def claim(self, number: int, keys: list[Key]) -> "memoryview[float]":
        """Name the places of a slot; returns them. What is there under the same names stays."""
        names = json.dumps(keys).encode()
        start = _SLOTS_AT + number * self._slot_bytes
        if self._lengths[number] != len(names):
            self._buffer[start : start + len(names)] = names
            self._lengths[number] = len(names)  # Last: nobody reads the names before.
        return self._places(number, len(names), len(keys))

    def _places(self, number: int, length: int, count: int) -> "memoryview[float]":
        at = _SLOTS_AT + number * self._slot_bytes + (length + 7) // 8 * 8
        return self._buffer[at : at + 8 * count].cast("d")

    def totals(self) -> dict[Key, float]:
        """Everything that was counted, of dead and living; of what is so only now, that of the living."""
        for look in range(_MAX_LOOKS):
            before = self._versions[0]
            if before % 2 == 0:
                totals = self._added_up()
                if self._versions[0] == before:
                    return totals
            time.sleep(0 if look < 10 else 0.001)
        raise TimeoutError("the counts are never at rest")

    def living(self) -> int:
        """How many processes have a slot now."""
        return sum(length > 0 for length in self._lengths[1:])

    def _added_up(self) -> dict[Key, float]:
        totals: dict[Key, float] = defaultdict(float)
        for number, length in enumerate(self._lengths):
            start = _SLOTS_AT + number * self._slot_bytes
            try:
                names = [tuple(name) for name in json.loads(bytes(self._buffer[start : start + length]) or b"[]")]
                counted = list(zip(names, self._places(number, length, len(names)), strict=True))
            except (
                ValueError,
                TypeError,
                RecursionError,
            ):  # The master is at it, as the version will tell; or rubbish.
                continue
            for name, value in counted:
                totals[name] += value
        return totals


class Counts:
    """What this process counts; safe between threads."""

    def __init__(self, memory: Memory, number: int) -> None:
        self.memory = memory
        self._values = memory.claim(number, list(_AT))
        self._lock = threading.Lock()

    def add(self, counter: Counter, *labels: str) -> None:
        """One more."""
        at = _AT[counter.name, *labels]
        with self._lock:
            self._values[at] += 1

    def observe(self, histogram: Histogram, value: float, *labels: str) -> None:
        """One more of this size."""
        end = _AT[histogram.name, *labels, SUM]
        at = end - len(histogram.buckets) - 1 + bisect_left(histogram.buckets, value)
        with self._lock:
            self._values[at] += 1
            self._values[end] += value

    def request(self, front: str, method: str, status: str, seconds: float) -> None:
        """A request that is being answered; ``status`` is the line that begins the answer.

        Called for each, so it looks nothing up twice.
        """
        values = self._values
        at, first = _PLACES[front, _METHODS.get(method, "change"), status[0]]
        bucket = first + bisect_left(_BOUNDS, seconds)
        with self._lock:
            values[at] += 1
            values[bucket] += 1
            values[first + _SUM_AT] += seconds

    def busy(self, change: int) -> None:
        """So many threads more are at work; with a minus, fewer."""
        with self._lock:
            self._values[_BUSY_AT] += change


_attached: Counts | None = None


def attach(buffer: "memoryview[int]", number: int) -> Counts:
    """Count in the master's memory from now on; for gunicorn.conf.py, in a new worker."""
    global _attached
    _attached = Counts(Memory(buffer), number)
    return _attached


def counts_in_force() -> Counts:
    """What this process counts in: the master's memory, else its own."""
    return _attached or Counts(Memory(_own_memory()), 1)


def _own_memory() -> "memoryview[int]":
    slot_bytes = 64 * 1024
    buffer = memoryview(bytearray(_SLOTS_AT + 2 * slot_bytes))
    _HEAD.pack_into(buffer, 0, 0, slot_bytes, 2, time.time())
    return buffer
