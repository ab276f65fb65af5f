"""Every request comes in here: it gets an id, and is counted when its answer begins."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, g, request

from pages import tracing
from pages.counters import Counts
from pages.tracing import REQUEST_ID
from pages.web.auth import is_console

Environ = dict[str, Any]
# What the environ keeps beside the id, which may be a trusted proxy's: whose the request is, and when it began.
FRONT, BEGAN = "pages.front", "pages.began"


class Door:
    """WSGI middleware around all else, but for what tells trusted proxies from others."""

    def __init__(self, app: Callable[..., Iterable[bytes]], counts: Counts) -> None:
        self._app = app
        self._count = counts.request

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        began = environ[BEGAN] = time.perf_counter()
        if REQUEST_ID not in environ:
            environ[REQUEST_ID] = tracing.new_id()
        tracing.begin(environ[REQUEST_ID])

        def begin(status: str, headers: Any, exc_info: Any = None) -> Any:
            front = environ.get(FRONT, "visitor")
            self._count(front, environ["REQUEST_METHOD"], status, time.perf_counter() - began)
            return start_response(status, headers, exc_info)

        return self._app(environ, begin)


def name_request(response: Response) -> Response:
    """Tell the client its request's id, and the counts whose it is; a site's answers stay as they are."""
    if g.get("is_ours"):
        response.headers["X-Request-ID"] = request.environ[REQUEST_ID]
        request.environ[FRONT] = "console" if is_console() else "api"
    return response
