"""How long a thread waits for a client: slow ones are bounded here, where no nginx stands in front.

gunicorn gives each request under way a thread and waits on its socket without a limit. So the socket itself has one: a
request's head has to be there within ``HEAD_SECONDS``; its body has to come in at a minimum rate (``expect``); what is
sent has to be taken within ``SEND_SECONDS`` a piece. Time in which nobody waits for the client does not count.
"""

import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.workers import gthread

from pages.tracing import forget

HEAD_SECONDS = 10.0
SEND_SECONDS = 60.0
WINDOW_SECONDS = 60.0
_LINGER_SECONDS = 0.25
# A new connection that says nothing goes to where idle ones wait, which costs no thread. gunicorn's own 5 s are long
# enough for some hundred silent connections to keep everybody waiting.
_SILENT_SECONDS = 0.005
_LAST_SECONDS = 2.0


# What a process may run out of when a connection comes in; how long until it tries again, and tells again.
_OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS, _TELL_AGAIN_SECONDS = 0.05, 10.0


class ClientTooSlow(ConnectionResetError):
    """The client used up its time. To gunicorn it is one that has gone, which is not worth a traceback."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client is too slow")


class PatientSocket(socket.socket):
    """A connection that waits for its client as long as its patience lasts; bytes that come renew it."""

    def expect(self, seconds: float, rate: float = 0) -> None:
        """From now on wait this long in all; with a ``rate`` (bytes a second), what comes in renews that."""
        self._left = self._most = seconds
        self._rate = rate

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As a socket's; ``ClientTooSlow``."""
        if self._left <= 0:
            raise ClientTooSlow()
        before = self.gettimeout()
        data = self._there(size, flags) if before is None else None
        if data is None:
            data = self._awaited(size, flags, before)
        if self._rate:
            self._left = min(self._left + len(data) / self._rate, self._most)
        if self._left <= 0:
            raise ClientTooSlow()
        return data

    def _there(self, size: int, flags: int) -> bytes | None:
        """What has come already, None when nothing has: to set a limit first costs more than to read."""
        try:
            return super().recv(size, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _awaited(self, size: int, flags: int, before: float | None) -> bytes:
        self.settimeout(self._left if before is None else min(before, self._left))
        began = time.monotonic()
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise ClientTooSlow() from None
        finally:
            self._left -= time.monotonic() - began
            self.settimeout(before)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As a socket's, ``SEND_SECONDS`` at most for all of ``data``; ``ClientTooSlow``."""
        rest = memoryview(data)
        if self.gettimeout() is None:
            with suppress(BlockingIOError):
                rest = rest[super().send(rest, flags | socket.MSG_DONTWAIT) :]
        if rest:
            self._sent(super().sendall, rest, flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As a socket's, ``SEND_SECONDS`` at most between two pieces that the client takes; ``ClientTooSlow``."""
        return int(self._sent(super().sendfile, file, offset, count))

    def shutdown(self, how: int) -> None:
        """As a socket's. What follows on the same connection is only read to be thrown away."""
        super().shutdown(how)
        self.expect(_LINGER_SECONDS)

    def _sent(self, send: Any, *arguments: Any) -> Any:
        before = self.gettimeout()
        self.settimeout(SEND_SECONDS)
        try:
            return send(*arguments)
        except TimeoutError:
            raise ClientTooSlow() from None
        finally:
            self.settimeout(before)


def be_patient(worker: Any, count_busy: Callable[[int], None] = lambda _: None) -> None:
    """Have a gunicorn worker of threads bound how long it waits for its clients.

    ``count_busy`` is told of each thread that begins (1) or ends (-1) to be at a connection.
    """
    handle = worker.handle

    def bounded(connection: Any) -> Any:
        forget()  # What is logged until the next request begins is not about the last one.
        count_busy(1)
        try:
            return patiently(connection)
        finally:
            count_busy(-1)

    def patiently(connection: Any) -> Any:
        if not isinstance(connection.sock, PatientSocket):
            plain = connection.sock
            connection.sock = PatientSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        connection.sock.expect(HEAD_SECONDS)
        is_new = not connection.initialized
        if is_new and not connection.wait_for_data(_SILENT_SECONDS if worker.alive else _LAST_SECONDS):
            return gthread._DEFER
        return handle(connection)

    finish = worker.finish_request

    def finish_or_wait(connection: Any, future: Any) -> None:
        # A worker that stops would close a silent connection, whose request may be on its way.
        if not worker.alive and connection not in waited_for and _is_silent(future):
            waited_for.add(connection)
            worker.enqueue_req(connection)
        else:
            finish(connection, future)

    waited_for: set[Any] = set()
    worker.handle = bounded
    worker.finish_request = finish_or_wait
    worker.accept = _forbearing(worker.accept, worker.log)


def _is_silent(future: Any) -> bool:
    return not future.cancelled() and future.exception() is None and future.result() is gthread._DEFER


def _forbearing(accept: Callable[[Any], None], log: Any) -> Callable[[Any], None]:
    """``accept`` for a process that may run out of files: those who wait are taken later, and nobody is dropped."""
    told = -_TELL_AGAIN_SECONDS

    def patiently(listener: Any) -> None:
        nonlocal told
        try:
            accept(listener)
        except OSError as error:
            if error.errno not in _OUT_OF:
                raise
            if time.monotonic() - told > _TELL_AGAIN_SECONDS:
                told = time.monotonic()
                log.error("New connections have to wait: %s", error.strerror)
            time.sleep(_PAUSE_SECONDS)

    return patiently
