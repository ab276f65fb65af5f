"""From what a request comes to, to the answer: a file streams through werkzeug's ``send_from_directory``."""

import os
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers as ResponseHeaders
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.utils import send_from_directory

from pages.lookup import File, best_variant, decoded
from pages.model import Site
from pages.resolve import Asked, Resolution, Tried, not_told
from pages.services import Services
from pages.web.accel import ApplyRules, accelerated
from pages.web.caching import cache_control
from pages.web.conditions import Conditions, is_conditional
from pages.web.replies import not_found_page, page
from pages.web.whole_file import WholeFile

Environ = dict[str, Any]


def respond(
    environ: Environ,
    services: Services,
    site: Site,
    tree: str,
    asked: Asked,
    tried: Tried = not_told,
    *,
    by_nginx: bool = True,
) -> Response:
    """The answer to a request for a site, from one of its trees; a large file ``by_nginx``, where it can and may.

    Raises ``FileNotFoundError`` or ``NotFound`` when the tree went away meanwhile, ``OSError`` if it cannot be read.
    """
    resolution = services.resolver.resolve(site, tree, asked, tried)
    rules = services.rule_files.headers(tree)
    path = decoded(asked.path_info)
    if rules is None or path is None:
        return _answer(environ, services, site, tree, resolution, None, by_nginx)
    apply = partial(rules.apply, asked.host, path)
    response = _answer(environ, services, site, tree, resolution, apply, by_nginx)
    if isinstance(response, Response):
        response.headers = ResponseHeaders(apply(response.headers.to_wsgi_list()))
    return response


def _answer(
    environ: Environ,
    services: Services,
    site: Site,
    tree: str,
    resolution: Resolution,
    apply: ApplyRules | None,
    by_nginx: bool,
) -> Response:
    if resolution.location is not None:
        response = page(resolution.status, HTTPStatus(resolution.status).phrase)
        response.headers["Location"] = resolution.location
        return response
    if resolution.file is not None and resolution.status == 200:
        by_nginx = by_nginx and services.config.x_accel_redirect
        return _send(environ, services, site, resolution, resolution.file, apply, by_nginx)
    if resolution.file is not None:
        return _send_error_page(environ, resolution.file, resolution.status)
    if not os.path.isdir(tree):
        raise FileNotFoundError(tree)
    return not_found_page() if resolution.status == 404 else page(410, "Gone")


def _send(
    environ: Environ,
    services: Services,
    site: Site,
    resolution: Resolution,
    found: File,
    apply: ApplyRules | None,
    by_nginx: bool,
) -> Response:
    file = best_variant(found, environ)
    etag = f"{file.status.st_mtime_ns:x}-{file.status.st_size:x}"
    conditions = Conditions(environ, etag, int(file.status.st_mtime), file.status.st_size, site.updated_at)
    if conditions.failed():
        return page(412, "Precondition Failed")
    headers = {"Cache-Control": cache_control(site, resolution), "X-Content-Type-Options": "nosniff"}
    if file.varies:
        headers["Vary"] = "Accept-Encoding"
    if resolution.is_older:
        headers["X-Robots-Tag"] = "noindex"
    left = conditions.environ()
    if by_nginx and (left_to_it := accelerated(environ, left, services.paths, file, etag, headers, apply)):
        return left_to_it  # type: ignore[return-value]
    try:
        return _stream(file, left, headers, conditional=True, etag=etag, may_be_plain=apply is None)
    except RequestedRangeNotSatisfiable as error:
        response = page(416, "Range Not Satisfiable")
        response.headers["Content-Range"] = f"bytes */{error.length}"
        return response


def _send_error_page(environ: Environ, file: File, status: int) -> Response:
    """The site's own page for a miss: whole, whatever conditions the request had on the missing file."""
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    response = _stream(file, environ, headers, conditional=False, etag=False)
    del response.headers["Last-Modified"]
    response.status_code = status
    return response


def _stream(
    file: File,
    environ: Environ,
    headers: dict[str, str],
    *,
    conditional: bool,
    etag: str | bool,
    may_be_plain: bool = False,
) -> Response:
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
        response_class=WholeFile if whole and may_be_plain else Response,
    )
    response.headers.pop("Content-Disposition", None)  # A page is shown, not offered under its own name.
    response.headers.update(headers)
    if file.encoding:
        response.headers["Content-Encoding"] = file.encoding
        response.headers.pop("Accept-Ranges", None)
    elif whole:
        response.headers["Accept-Ranges"] = "bytes"
    return response  # type: ignore[return-value]
