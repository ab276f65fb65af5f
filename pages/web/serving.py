"""The catch-all: host, to site, to tree (contract 4).

A request stays on the tree that the root named when it came, so a deploy in between cannot mix two versions.
``VisitorsFirst`` answers the plain requests of visitors before Flask sees them, and the route answers all others, both
by ``answer``.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter

from pages.errors import SiteNotFound
from pages.hosts import host_of
from pages.model import Site
from pages.resolve import Asked
from pages.services import Services
from pages.web.context import services
from pages.web.navigation import is_navigation
from pages.web.preview_links import LINKS, follow, on_host, shown
from pages.web.replies import method_not_allowed_page, not_found_page, page
from pages.web.respond import respond

log = logging.getLogger(__name__)

blueprint = Blueprint("serving", __name__)

Environ = dict[str, Any]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
# What may stand in a path as it is (RFC 3986, 3.3).
_PATH_SAFE = "/!$&'()*+,;=:@~"


class SitePath(PathConverter):
    """Any path but the Admin API's and the console's: the route that matches decides whose a request is."""

    regex = r"(?!_(?:api|admin)(?:/|\Z))[\s\S]*?"


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
        and not environ["PATH_INFO"].lstrip("/").startswith(("_api", "_admin"))
        and "HTTP_TRANSFER_ENCODING" not in environ
        and environ.get("CONTENT_LENGTH", "0") in ("", "0")
        and not environ.get("SCRIPT_NAME")
    )


def answer(environ: Environ, services: Services) -> Response:
    """The answer to a visitor's request."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return method_not_allowed_page()
    host = ""
    try:
        host = host_of(environ.get("HTTP_HOST", ""))
        if services.previews.is_host(host):
            return on_host(environ, services, host)
        site = services.registry.owner_of(host)
    except (SiteNotFound, ValueError):
        return _console_or_nothing(environ, services, host)
    if not site.enabled:
        return not_found_page()
    if host != site.domain and site.alias_mode == "redirect":
        return _redirect_to_domain(environ, site)
    path = environ.get("PATH_INFO", "")
    if path.startswith(LINKS):
        return follow(environ, services, site)
    asked = Asked(host, path, environ.get("QUERY_STRING", ""), is_navigation(environ))
    if (preview := shown(environ, services, site, asked)) is not None:
        return preview
    before = None
    while (tree := services.trees.served(site)) is not None:
        try:
            return respond(environ, services, site, tree, asked)
        except PermissionError as error:
            log.error("%s cannot be served: %s", error.filename, error.strerror)
            return not_found_page()
        except (FileNotFoundError, NotFound):
            # The tree, or a compressed twin, went away under a slow request: answer from what is there now.
            if tree == before:
                break
            before = tree
    return not_found_page()


def _console_or_nothing(environ: Environ, services: Services, host: str) -> Response:
    """Of a host that is no site's: who opens an admin host's first page wants the console."""
    if environ.get("PATH_INFO") != "/" or host not in services.config.admin_hosts:
        return not_found_page()
    response = page(302, "Found")
    response.headers["Location"] = "/_admin/"
    return response


def _redirect_to_domain(environ: Environ, site: Site) -> Response:
    """To the same address on the site's own domain, whatever scheme and port the visitor used."""
    _, colon, port = environ["HTTP_HOST"].partition(":")
    path = quote(environ.get("PATH_INFO", "").encode("latin-1"), safe=_PATH_SAFE)
    query = environ.get("QUERY_STRING", "")
    response = page(308, "Permanent Redirect")
    response.headers["Location"] = f"//{site.domain}{colon}{port}/{path[1:]}" + (f"?{query}" if query else "")
    return response
