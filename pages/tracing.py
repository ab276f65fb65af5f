"""Which request is this thread at? Its id stands in every line that the log gets meanwhile."""

import re
import secrets
from contextvars import ContextVar
from itertools import count

# nginx's $request_id is 32 hexadecimal digits; other proxies send UUIDs and the like.
_ID = re.compile(r"[0-9A-Za-z._-]{8,64}")
# Where WSGI's environ has it.
REQUEST_ID = "pages.request_id"
_current: ContextVar[str] = ContextVar("request_id", default="")
_process = secrets.token_hex(6)  # Drawn in each process: workers load this after they were forked.
_numbers = count(1)


def new_id() -> str:
    """An id that no other request has."""
    return f"{_process}{next(_numbers):08x}"


def judged(untrusted_id: str) -> str:
    """The id that a proxy gave a request; empty when it is none that a line of the log could hold."""
    return untrusted_id if _ID.fullmatch(untrusted_id) else ""


def begin(request_id: str) -> None:
    """From now on this thread is at this request."""
    _current.set(request_id)


def forget() -> None:
    """This thread is at no request."""
    _current.set("")


def current() -> str:
    """The id of the request that this thread is at; empty for none."""
    return _current.get()
