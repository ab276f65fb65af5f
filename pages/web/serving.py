"""The catch-all: host, to site, to file (contract 4).

Resolve, then respond: ``lookup`` finds the file, and the answer streams through werkzeug's
``send_from_directory``. A request stays on the tree that the root named when it came, so a deploy in between
cannot mix two versions. ``VisitorsFirst`` answers the plain requests of visitors before Flask sees them, and
the route answers all others, both by ``answer``.
"""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound, RequestedRangeNotSatisfiable
from werkzeug.routing import PathConverter
from werkzeug.utils import send_from_directory

from pages.errors import SiteNotFound
from pages.hosts import host_of
from pages.model import Site
from pages.services import Services
from pages.web.accel import accelerated
from pages.web.conditions import Conditions, is_conditional
from pages.web.context import services
from pages.web.lookup import File, Folder, best_variant, file_at, look_up
from pages.web.replies import method_not_allowed_page, not_found_page, page
from pages.web.whole_file import WholeFile

log = logging.getLogger(__name__)

blueprint = Blueprint("serving", __name__)

Environ = dict[str, Any]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_ERROR_PAGE = "404.html"


class SitePath(PathConverter):
    """Any path but the Admin API's: the route that matches decides whose a request is."""

    regex = r"(?!_api(?:/|\Z))[\s\S]*?"


@blueprint.route("/<site_path:path>", methods=_METHODS, provide_automatic_options=False)
def serve(path: str) -> Response:  # noqa: ARG001 - read undecoded, from the environ
    """Answer a visitor."""
    return answer(request.environ, services())


class VisitorsFirst:
    """WSGI middleware: a visitor's plain GET or HEAD needs no routing, and nothing else that Flask does.

    What might be anybody else's, by the widest reading of its path, goes on to ``app``.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], services: Services) -> None:
        self._app = app
        self._services = services

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if not is_plainly_a_visitors(environ):
            return self._app(environ, start_response)
        try:
            response = answer(environ, self._services)
        except Exception:  # Told by the application, as any other failure is.
            return self._app(environ, start_response)
        return response(environ, start_response)


def is_plainly_a_visitors(environ: Environ) -> bool:
    """Is this a GET or HEAD without a body, of a path that no route but the catch-all can match?"""
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and environ["PATH_INFO"].startswith("/")
        and not environ["PATH_INFO"].lstrip("/").startswith("_api")
        and "HTTP_TRANSFER_ENCODING" not in environ
        and environ.get("CONTENT_LENGTH", "0") in ("", "0")
        and not environ.get("SCRIPT_NAME")
    )


def answer(environ: Environ, services: Services) -> Response:
    """The answer to a visitor's request."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return method_not_allowed_page()
    try:
        site = services.registry.owner_of(host_of(environ.get("HTTP_HOST", "")))
    except (SiteNotFound, ValueError):
        return not_found_page()
    if not site.enabled:
        return not_found_page()
    before = None
    while (tree := services.trees.served(site)) is not None:
        try:
            return _from_tree(environ, services, tree, site)
        except PermissionError as error:
            log.error("%s cannot be served: %s", error.filename, error.strerror)
            return not_found_page()
        except (FileNotFoundError, NotFound):
            # The tree, or a compressed twin, went away under a slow request: answer from what is there now.
            if tree == before:
                break
            before = tree
    return not_found_page()


def _from_tree(environ: Environ, services: Services, tree: str, site: Site) -> Response:
    found = look_up(tree, environ.get("PATH_INFO", ""), site.index)
    if isinstance(found, Folder):
        return _redirect_to_folder(found.path, environ.get("QUERY_STRING", ""))
    if found is not None:
        return _send(environ, services, best_variant(found, environ), site)
    missing = file_at(tree, [_ERROR_PAGE])
    if missing is None:
        if not os.path.isdir(tree):
            raise FileNotFoundError(tree)
        return not_found_page()
    return _send_error_page(environ, missing)


def _redirect_to_folder(path: str, query: str) -> Response:
    response = page(301, "Moved Permanently")
    # The path has no empty part, so this never begins with "//", which would name another host.
    response.headers["Location"] = f"/{quote(path)}/" + (f"?{query}" if query else "")
    return response


def _send(environ: Environ, services: Services, file: File, site: Site) -> Response:
    etag = f"{file.status.st_mtime_ns:x}-{file.status.st_size:x}"
    conditions = Conditions(environ, etag, int(file.status.st_mtime), file.status.st_size, site.updated_at)
    if conditions.failed():
        return page(412, "Precondition Failed")
    left = conditions.environ()
    if services.config.x_accel_redirect and (by_nginx := accelerated(environ, left, services.paths, file, etag)):
        return by_nginx  # type: ignore[return-value]
    try:
        return _stream(file, left, conditional=True, etag=etag)
    except RequestedRangeNotSatisfiable as error:
        response = page(416, "Range Not Satisfiable")
        response.headers["Content-Range"] = f"bytes */{error.length}"
        return response


def _send_error_page(environ: Environ, file: File) -> Response:
    """The site's own 404 page: whole, whatever conditions the request had on the missing file."""
    response = _stream(file, environ, conditional=False, etag=False)
    del response.headers["Last-Modified"]
    response.headers.pop("Vary", None)
    response.status_code = 404
    return response


def _stream(file: File, environ: Environ, *, conditional: bool, etag: str | bool) -> Response:
    whole = conditional and not is_conditional(environ)
    response = send_from_directory(
        file.root,
        file.path,
        environ,
        mimetype=file.kind,
        download_name="-",  # For Content-Disposition, which is taken out again.
        conditional=conditional and not whole,
        etag=etag,
        last_modified=int(file.status.st_mtime),
        response_class=WholeFile if whole else Response,
    )
    headers = response.headers
    headers.pop("Content-Disposition", None)  # A page is shown, not offered under its own name.
    headers["X-Content-Type-Options"] = "nosniff"
    if file.varies:
        headers["Vary"] = "Accept-Encoding"
    if file.encoding:
        headers["Content-Encoding"] = file.encoding
        headers.pop("Accept-Ranges", None)
    elif whole:
        headers["Accept-Ranges"] = "bytes"
    return response  # type: ignore[return-value]
