"""X-Accel-Redirect: the application decides, nginx delivers (the setting ``x_accel_redirect``).

nginx drops most headers of such an answer, makes any status 200 and judges conditions and ranges by itself: so this
is for plain answers with a large file, and for one range that nginx reads as we do. See ``location /.pages/`` in
nginx.conf.
"""

import os
import socket
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from flask import Response

from pages.paths import TREE, Paths
from pages.web.lookup import File

Environ = dict[str, Any]

# Below this the detour costs more than it saves.
_MIN_BYTES = 64 * 1024
_JUDGED_BY_NGINX_TOO = ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE")


def accelerated(sent: Environ, left: Environ, paths: Paths, file: File, etag: str) -> Response | None:
    """An answer that has nginx send the file; None when it has to be sent from here.

    ``sent`` is the request's environ; ``left`` has only the conditions and the range that are to be answered.
    """
    root = os.path.relpath(file.root, paths.trees)
    if (
        file.status.st_size < _MIN_BYTES
        or sent["REQUEST_METHOD"] != "GET"
        or not _came_through_nginx(sent)
        or any(name in sent for name in _JUDGED_BY_NGINX_TOO)
        or "HTTP_IF_NONE_MATCH" in left
        or ("HTTP_RANGE" in sent) != ("HTTP_RANGE" in left)
        or root.startswith("..")
        or os.path.basename(root) != TREE
    ):
        return None
    response = Response(mimetype=file.kind)
    response.headers["X-Accel-Redirect"] = f"/.pages/{quote(f'{root}/{file.path}')}"
    response.headers["ETag"] = f'"{etag}"'
    response.headers["Last-Modified"] = formatdate(int(file.status.st_mtime), usegmt=True)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if file.varies:
        response.headers["Vary"] = "Accept-Encoding"
    return response


def _came_through_nginx(environ: Environ) -> bool:
    """Whoever comes by the unix socket is nginx; on host and port it may be anybody, who would get no body."""
    connection = environ.get("gunicorn.socket")
    return connection is not None and connection.family == socket.AF_UNIX
