"""Chunks made by a thread of their own, a few ahead of who uses them."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_CHUNKS_AHEAD = 4


class Ahead:
    """The chunks of ``source`` in their order, and then what it raised, if anything.

    Used as a context manager: the thread runs inside the block and never outlives it.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._made: queue.Queue[bytes | Exception | None] = queue.Queue(_CHUNKS_AHEAD)
        self._is_over = False
        self._is_unwanted = False
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_unwanted = True
        while not self._is_over:  # The thread may be waiting for room.
            self._is_over = not isinstance(self._made.get(), bytes)
        self._thread.join()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        made = self._made.get()
        if isinstance(made, bytes):
            return made
        self._is_over = True
        raise made or StopIteration

    def _run(self) -> None:
        end = None
        try:
            for chunk in self._source:
                self._made.put(chunk)
                if self._is_unwanted:
                    break
        except Exception as error:
            end = error
        self._made.put(end)
