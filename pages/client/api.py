"""Asks the API: one call, tried again where that is safe, with what it answered or why it did not."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pages.client import address
from pages.client.exits import UNREACHABLE, USAGE, Failed, of_status
from pages.client.multipart import Form
from pages.client.servers import Server
from pages.client.text import in_one_line

if TYPE_CHECKING:
    import httpx2

# Pauses between tries, in seconds: for a question, and for a deploy, which outlasts a restart of the server.
BRIEF = (0.5, 1.0, 2.0)
LASTING = (0.5, 1.0, 2.0, 4.0, *(8.0,) * 6)
_BUSY_TRIES = 3  # Each has waited for `lock_timeout` on the server already.
_CUT_TRIES = 4  # Each may have sent a gigabyte. A refusal can get lost like that, on a slow line.
_LONGEST_WAIT = 120.0
CALL_SECONDS = 60.0
DEPLOY_SECONDS = 900.0  # nginx waits ten minutes.
WORK_SECONDS = 3600.0  # For what takes as long as reading all of the data.
_MOST_BYTES = 64_000_000  # Of an answer: a hundred thousand sites have room.
_REPEATABLE = ("GET", "PUT")


@dataclass(frozen=True)
class Reply:
    """A success: ``data`` of the envelope; for the maintenance API, which has none, all of the body."""

    message: str
    data: Any


class Refused(Failed):
    """The server said no; ``data`` is what it told with it."""

    def __init__(self, status: int, message: str, data: Any = None, retry_after: float | None = None) -> None:
        super().__init__(in_one_line(message), of_status(status))
        self.status = status
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        self.retry_after = retry_after
        if status == 503 and retry_after is not None:  # By who stands before a server that is down.
            self.exit_code = UNREACHABLE


class Unreached(Failed):
    """No answer came. ``is_begun``: the server may have done what it was asked; ``is_hopeless``: it never will."""

    def __init__(self, message: str, *, is_begun: bool = False, is_hopeless: bool = False) -> None:
        super().__init__(message, UNREACHABLE)
        self.is_begun = is_begun
        self.is_hopeless = is_hopeless


class Api:
    """A server's API. Used as a context manager; ``tell`` gets a sentence before each further try."""

    def __init__(
        self, server: Server, tell: Callable[[str], None] = lambda _: None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        server.check()
        self.url = server.url
        with _our_errors(self.url):
            self._client = _client(server)
        self._tell = tell
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **params: str) -> Any:
        """The data that a GET answers."""
        return self.call("GET", path, params=params).data

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Callable[[], Form] | None = None,
        pauses: tuple[float, ...] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Reply:
        """One call. ``form`` makes what is uploaded, anew for each try, and says that the call may be repeated.

        Raises ``Refused`` and ``Unreached`` when that is how the last try ended.
        """
        if not all(value.isascii() and value.isprintable() for value in (headers or {}).values()):
            raise _unsendable()
        is_repeatable = form is not None or method in _REPEATABLE
        made: Callable[[], Form | None] = form or (lambda: _json_of(body))
        tries = _Tries(BRIEF if pauses is None else pauses, is_repeatable, has_upload=form is not None)
        while True:
            try:
                return self._once(method, path, dict(params or {}), dict(headers or {}), made, seconds)
            except (Refused, Unreached) as error:
                pause = tries.pause_after(error)
                if pause is None:
                    raise
                self._tell(f"{error.message}; trying again in {pause:g} s")
                self._sleep(pause)

    def _once(
        self, method: str, path: str, params: dict[str, str], headers: dict[str, str],
        made: Callable[[], Form | None], seconds: float,
    ) -> Reply:  # fmt: skip
        with _our_errors(self.url):
            form = made()
            if form is not None:
                headers |= {"Content-Type": form.content_type}
                if form.length is not None:
                    headers["Content-Length"] = str(form.length)
            content = form.chunks if form else None
            with self._client.stream(
                method, path, params=params, headers=headers, content=content, timeout=seconds
            ) as response:
                answer = _content(response, self.url)
        return _reply(response, answer, self.url)


class _Tries:
    """How often one call is tried, and how long is waited each time."""

    def __init__(self, pauses: tuple[float, ...], is_repeatable: bool, has_upload: bool) -> None:
        self._pauses: Iterator[float] = iter(pauses)
        self._is_repeatable = is_repeatable
        self._busy_left = _BUSY_TRIES if has_upload and pauses else 0
        self._cut_left = _CUT_TRIES if is_repeatable else 0

    def pause_after(self, error: Refused | Unreached) -> float | None:
        """The seconds to wait after this, None for no further try."""
        if not self._is_worth_it(error):
            return None
        pause = next(self._pauses, None)
        if pause is None or not isinstance(error, Refused) or error.retry_after is None:
            return pause
        return error.retry_after if error.retry_after <= _LONGEST_WAIT else None

    def _is_worth_it(self, error: Refused | Unreached) -> bool:
        if isinstance(error, Unreached):
            self._cut_left -= error.is_begun
            return not error.is_hopeless and (self._cut_left >= 0 or not error.is_begun)
        if error.status == 409 and "missing" not in error.data:
            self._busy_left -= 1
            return self._busy_left >= 0
        if error.status in (429, 503):  # Neither was begun.
            return True
        return error.status in (502, 504) and self._is_repeatable


class _our_errors:
    """Turns what httpx2 raises into ``Unreached``; what is raised while a body is read stays what it is."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import httpx2

        if isinstance(error, httpx2.InvalidURL | UnicodeEncodeError):
            raise _unsendable() from None
        if isinstance(error, httpx2.DecodingError):
            raise _unlike(self._url) from None
        if not isinstance(error, httpx2.TransportError):
            return
        is_begun = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        is_hopeless = isinstance(error, httpx2.ReadTimeout) or any(map(_is_for_good, _causes(error)))
        reason = in_one_line(error) or type(error).__name__
        raise Unreached(f"no answer from {self._url}: {reason}", is_begun=is_begun, is_hopeless=is_hopeless) from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_for_good(error: BaseException) -> bool:
    """A name that nobody has, a certificate that is not good: the next try finds the same."""
    return isinstance(error, ssl.SSLError) or (
        isinstance(error, socket.gaierror) and error.errno in (socket.EAI_NONAME, socket.EAI_FAIL)
    )


def _client(server: Server) -> "httpx2.Client":
    import httpx2  # Takes a tenth of a second: only for who asks a server.

    headers = {"Accept": "application/json", "Accept-Language": "en", "User-Agent": "pages-cli"}
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    if server.host:
        headers["Host"] = server.host
    auth = None if server.token else httpx2.BasicAuth(server.user, server.password)
    try:
        return httpx2.Client(
            base_url=server.url,
            headers=headers,
            auth=auth,
            follow_redirects=False,  # The token is for this server alone.
            limits=httpx2.Limits(max_keepalive_connections=0),  # A server that restarts closes what is kept.
            trust_env=not address.is_on_this_machine(address.host_of(server.url)),  # No proxy on the way to ourselves.
        )
    except (ValueError, ImportError, httpx2.InvalidURL):  # Not why: a proxy's address may hold a password.
        raise Failed("the proxy that the environment names cannot be used; one with http:// can", USAGE) from None


def _json_of(body: Mapping[str, Any] | None) -> Form | None:
    if body is None:
        return None
    content = json.dumps(body, ensure_ascii=False).encode()
    return Form("application/json", iter([content]), len(content))


def _content(response: "httpx2.Response", url: str) -> bytes:
    """What is answered; ``Failed`` for what has no end."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > _MOST_BYTES:
            raise _unlike(url)
    return bytes(content)


def _reply(response: "httpx2.Response", content: bytes, url: str) -> Reply:
    if response.is_redirect:
        there = in_one_line(response.headers.get("Location", ""))
        raise Failed(f"{url} leads to {there}: give that server's address instead", UNREACHABLE)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not ("success" in body or "error" in body):
        raise _foreign(response, url)
    if response.is_success and body.get("success"):
        return Reply(str(body.get("message", "")), body["data"] if "data" in body else _without_envelope(body))
    message = str(body.get("message") or body.get("error") or response.reason_phrase)
    if details := body.get("details"):
        message = f"{message}: {details}"
    raise Refused(response.status_code, message, body.get("data"), _retry_after(response))


def _without_envelope(body: dict[str, Any]) -> Any:
    """A body of the maintenance API, which is its own; None for an envelope with a message alone."""
    return body if "timestamp" in body else None


def _foreign(response: "httpx2.Response", url: str) -> Failed:
    """Somebody else's answer: who stands before the server, or another server altogether."""
    status = response.status_code
    if status in (429, 502, 503, 504):
        return Refused(status, f"{url} answered {status} {response.reason_phrase}", None, _retry_after(response))
    return _unlike(url, f" ({status})")


def _unlike(url: str, status: str = "") -> Failed:
    return Failed(f"{url} did not answer as Pages does{status}: is it the address of its API?", UNREACHABLE)


def _unsendable() -> Failed:
    """Without what it is, which may be a secret."""
    return Failed("what was given holds characters that cannot be sent", USAGE)


def _retry_after(response: "httpx2.Response") -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
