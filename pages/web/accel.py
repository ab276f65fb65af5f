"""X-Accel-Redirect: the application decides, nginx delivers (the setting ``x_accel_redirect``).

nginx drops most headers of such an answer, makes any status 200 and judges conditions and ranges by itself: so this
is for plain answers with a large file, and for one range that nginx reads as we do. See ``location /.pages/`` in
nginx.conf.
"""

import socket
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from werkzeug.utils import get_content_type

from pages.lookup import File
from pages.nginx import CARRIED_BY_ITSELF, CARRIED_BY_NAME
from pages.paths import TREE, Paths

Environ = dict[str, Any]
ApplyRules = Callable[[list[tuple[str, str]]], list[tuple[str, str]]]

# Below this the detour costs more than it saves.
_MIN_BYTES = 64 * 1024
_CARRIED = frozenset(name.lower() for name in (*CARRIED_BY_ITSELF, *CARRIED_BY_NAME))
_JUDGED_BY_NGINX_TOO = frozenset(("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE"))


class Accelerated:
    """A WSGI answer without a body, which nginx replaces by a file."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self._headers = headers

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:  # noqa: ARG002 - WSGI
        start_response("200 OK", self._headers)
        return ()


def accelerated(
    sent: Environ,
    left: Environ,
    paths: Paths,
    file: File,
    etag: str,
    extra: dict[str, str],
    apply: ApplyRules | None,
) -> Accelerated | None:
    """An answer that has nginx send the file; None when it has to be sent from here.

    ``sent`` is the request's environ; ``left`` has only the conditions and the range that are to be answered. ``extra``
    are headers of this answer, and ``apply`` puts the site's rules on all of them.
    """
    trees = f"{paths.trees}/"
    if (
        file.status.st_size < _MIN_BYTES
        or sent["REQUEST_METHOD"] != "GET"
        or not _came_through_nginx(sent)
        or not _JUDGED_BY_NGINX_TOO.isdisjoint(sent)
        or "HTTP_IF_NONE_MATCH" in left
        or ("HTTP_RANGE" in sent) != ("HTTP_RANGE" in left)
        or not file.root.startswith(trees)
        or not file.root.endswith(f"/{TREE}")
    ):
        return None
    headers = [
        ("Content-Type", get_content_type(file.kind, "utf-8")),
        ("ETag", f'"{etag}"'),
        ("Last-Modified", formatdate(int(file.status.st_mtime), usegmt=True)),
        *extra.items(),
    ]
    headers = headers if apply is None else apply(headers)
    if any(name.lower() not in _CARRIED for name, _ in headers):
        return None
    own = [
        ("Content-Length", "0"),  # Of what is sent from here: else nginx does not use the connection again.
        ("X-Accel-Redirect", f"/.pages/{quote(f'{file.root.removeprefix(trees)}/{file.path}')}"),
    ]
    return Accelerated(headers + own)


def _came_through_nginx(environ: Environ) -> bool:
    """Whoever comes by the unix socket is nginx; on host and port it may be anybody, who would get no body."""
    connection = environ.get("gunicorn.socket")
    return connection is not None and connection.family == socket.AF_UNIX
