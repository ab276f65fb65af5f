"""The catch-all: host, to site, to file (contract 4).

Resolve, then respond: ``_resolve`` looks at the disk without following a link below the root, and the
answer streams through werkzeug's ``send_from_directory``. A request stays on the tree that the root
named when it came, so a deploy in between cannot mix two versions.
"""

import errno
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound, RequestedRangeNotSatisfiable
from werkzeug.routing import PathConverter
from werkzeug.utils import send_from_directory

from pages.errors import SiteNotFound
from pages.hosts import host_of
from pages.media_types import media_type
from pages.model import Site
from pages.web.conditions import Conditions
from pages.web.context import services
from pages.web.replies import method_not_allowed_page, not_found_page, page

log = logging.getLogger(__name__)

blueprint = Blueprint("serving", __name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_WELL_KNOWN = ".well-known"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EINVAL)
_ERROR_PAGE = "404.html"


class SitePath(PathConverter):
    """Any path but the Admin API's: the route that matches decides whose a request is."""

    regex = r"(?!_api(?:/|\Z))[\s\S]*?"


@dataclass(frozen=True)
class _File:
    """A regular file below a site's root."""

    root: Path
    path: str
    status: os.stat_result


@dataclass(frozen=True)
class _Folder:
    """A folder that was asked for without its slash."""

    path: str


@blueprint.route("/<site_path:path>", methods=_METHODS, provide_automatic_options=False)
def serve(path: str) -> Response:  # noqa: ARG001 - read undecoded, from the environ
    """Answer a visitor."""
    if request.method not in ("GET", "HEAD"):
        return method_not_allowed_page()
    try:
        site = services().registry.owner_of(host_of(request.environ.get("HTTP_HOST", "")))
    except (SiteNotFound, ValueError):
        return not_found_page()
    if not site.enabled:
        return not_found_page()
    return _answer(site)


def _answer(site: Site) -> Response:
    tree = services().trees.live(site)
    while tree is not None:
        try:
            return _from_tree(tree, site)
        except PermissionError as error:
            log.error("%s cannot be served: %s", error.filename, error.strerror)
            return not_found_page()
        except (FileNotFoundError, NotFound):
            # The tree went away under a slow request: answer from the one that is live now.
            before, tree = tree, services().trees.live(site)
            if tree == before:
                break
    return not_found_page()


def _from_tree(tree: Path, site: Site) -> Response:
    found = _resolve(tree, site.index)
    if isinstance(found, _Folder):
        return _redirect_to_folder(found.path)
    if found is not None:
        return _send(found, site.updated_at)
    missing = _file_at(tree, [_ERROR_PAGE])
    if missing is None:
        if not tree.is_dir():
            raise FileNotFoundError(tree)
        return not_found_page()
    return _send_error_page(missing)


def _resolve(tree: Path, index: str) -> _File | _Folder | None:
    """What a request's path names below a tree; None for a miss."""
    parts = _path_parts()
    if parts is None:
        return None
    if parts[-1] == "":
        return _file_at(tree, [*parts[:-1], index])
    return _file_or_folder_at(tree, parts)


def _path_parts() -> list[str] | None:
    """The path's parts, decoded once; the last is empty for a folder. None for what can be no file.

    Dotfiles are none, but for what stands under ``/.well-known/`` (RFC 8615).
    """
    try:
        path = request.environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
    parts: list[str] = path.removeprefix("/").split("/")
    if "\0" in path or "" in parts[:-1]:
        return None
    visible = parts[1:] if parts[0] == _WELL_KNOWN and len(parts) > 1 else parts
    return None if any(part.startswith(".") for part in visible) else parts


def _file_at(tree: Path, parts: list[str]) -> _File | None:
    found = _file_or_folder_at(tree, parts)
    return found if isinstance(found, _File) else None


def _file_or_folder_at(tree: Path, parts: list[str]) -> _File | _Folder | None:
    """The regular file or the folder at ``parts``, no link followed on the way; else None."""
    at = str(tree)
    last = len(parts) - 1
    for position, part in enumerate(parts):
        at = f"{at}/{part}"
        try:
            status = os.lstat(at)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return None
        if stat.S_ISDIR(status.st_mode):
            if position == last:
                return _Folder("/".join(parts))
        elif position < last or not stat.S_ISREG(status.st_mode):
            return None
    return _File(tree, "/".join(parts), status)


def _redirect_to_folder(path: str) -> Response:
    query = request.environ.get("QUERY_STRING", "")
    response = page(301, "Moved Permanently")
    # The path has no empty part, so this never begins with "//", which would name another host.
    response.headers["Location"] = f"/{quote(path)}/" + (f"?{query}" if query else "")
    return response


def _send(file: _File, site_changed: str) -> Response:
    etag = f"{file.status.st_mtime_ns:x}-{file.status.st_size:x}"
    conditions = Conditions(request.environ, etag, int(file.status.st_mtime), file.status.st_size, site_changed)
    if conditions.failed():
        return page(412, "Precondition Failed")
    try:
        return _stream(file, conditions.environ(), conditional=True, etag=etag)
    except RequestedRangeNotSatisfiable as error:
        response = page(416, "Range Not Satisfiable")
        response.headers["Content-Range"] = f"bytes */{error.length}"
        return response


def _send_error_page(file: _File) -> Response:
    """The site's own 404 page: whole, whatever conditions the request had on the missing file."""
    response = _stream(file, request.environ, conditional=False, etag=False)
    del response.headers["Last-Modified"]
    response.status_code = 404
    return response


def _stream(file: _File, environ: dict[str, Any], *, conditional: bool, etag: str | bool) -> Response:
    response = send_from_directory(
        file.root,
        file.path,
        environ,
        mimetype=media_type(file.path),
        download_name="-",  # For Content-Disposition, which is taken out again.
        conditional=conditional,
        etag=etag,
        last_modified=int(file.status.st_mtime),
        response_class=Response,
    )
    _tidy(response.headers)
    return response  # type: ignore[return-value]


def _tidy(headers: Headers) -> None:
    headers.pop("Content-Disposition", None)  # A page is shown, not offered under its own name.
    headers["X-Content-Type-Options"] = "nosniff"
