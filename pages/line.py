"""Calls made by a thread of their own, one after another, while the caller goes on."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

_WAITING_CALLS = 4


class Line:
    """A thread for the block of a ``with``: it never outlives it.

    ``call`` waits when too many calls are waiting already, so what they hold in memory is bounded. What goes
    wrong in a call is raised by the next one, or by ``finish``; calls after it are not made.
    """

    def __init__(self, name: str) -> None:
        self._given: queue.Queue[tuple[Callable[..., object], tuple[Any, ...]] | None] = queue.Queue(_WAITING_CALLS)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have ``function`` called when all earlier calls are over; raises what went wrong in those."""
        if self._error is not None:
            raise self._error
        self._given.put((function, arguments))

    def finish(self) -> None:
        """Wait until all calls are over; raises what went wrong. Nothing can be called any more."""
        self._given.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._given.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            # After an error it goes on taking, so that nobody waits for room for ever.
            if self._error is None:
                try:
                    given[0](*given[1])
                except Exception as error:
                    self._error = error
