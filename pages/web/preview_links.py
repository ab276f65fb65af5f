"""Previews as visitors meet them: a link that sets a cookie, the cookie, and hosts of their own (pages.previews).

Whatever is shown of a preview is for nobody's cache and for no search engine.
"""

import logging
import re
from typing import Any
from urllib.parse import parse_qs, quote

from flask import Response, request
from werkzeug.http import dump_cookie, parse_cookie

from pages.errors import Broken, CheckpointNotFound, SiteBusy, SiteNotFound
from pages.model import Site, now
from pages.nginx import PREVIEW_COOKIE
from pages.resolve import Asked
from pages.services import Services
from pages.web.navigation import is_navigation
from pages.web.replies import not_found_page, page
from pages.web.respond import respond

log = logging.getLogger(__name__)

# Below this path on every site's domain; no site can have a file there, as its name begins with a dot.
LINKS = "/.preview/"
_SAFE = "/!$&'()*+,;=:@~-._%"

Environ = dict[str, Any]


def link_of(site: Site, token: str) -> str:
    """The whole address of a link, in the scheme and on the port that this request of the API came by."""
    return page_on(site.domain, f"{LINKS}{token}")


def page_on(host: str, path: str) -> str:
    """The whole address of a page on a host, as above."""
    port = "".join(re.findall(r":[0-9]+\Z", request.host))  # There are colons in an IPv6 address too.
    return f"{request.scheme}://{host}{port}{path}"


def follow(environ: Environ, services: Services, site: Site) -> Response:
    """Answer a link: set the cookie, and go to the page that ``to`` names; without a token, take the cookie back."""
    token = environ["PATH_INFO"].removeprefix(LINKS)
    if not token:
        return _sent_on(environ, "", 0)
    if services.previews.by_token(site, token, now()) is None:
        return not_found_page()
    end = int(token.split(".")[1])
    return _sent_on(environ, token, max(1, end - int(now().timestamp())))


def shown(environ: Environ, services: Services, site: Site, asked: Asked) -> Response | None:
    """The answer for a visitor who followed a link; None for all others."""
    if PREVIEW_COOKIE not in environ.get("HTTP_COOKIE", ""):
        return None
    token = parse_cookie(environ).get(PREVIEW_COOKIE, "")
    checkpoint_id = services.previews.by_token(site, token, now())
    return None if checkpoint_id is None else _of_checkpoint(environ, services, site, checkpoint_id, asked)


def on_host(environ: Environ, services: Services, host: str) -> Response:
    """The answer on a host of previews."""
    try:
        site, checkpoint_id = services.previews.by_host(host, now())
    except SiteNotFound:
        return not_found_page()
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    asked = Asked(site.domain, path, query, is_navigation(environ))
    return _of_checkpoint(environ, services, site, checkpoint_id, asked)


def _of_checkpoint(environ: Environ, services: Services, site: Site, checkpoint_id: str, asked: Asked) -> Response:
    try:
        tree = services.previews.tree(site, checkpoint_id)
        response = respond(environ, services, site, tree, asked, by_nginx=False)
    except (Broken, CheckpointNotFound, SiteNotFound, FileNotFoundError) as error:
        log.error("A preview of %s/%s cannot be shown: %s", site.username, site.id, getattr(error, "reason", error))
        response = not_found_page()
    except SiteBusy:
        response = page(503, "Service Unavailable")
        response.headers["Retry-After"] = "1"
    return _for_this_visitor(response)


def _for_this_visitor(response: Response) -> Response:
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _sent_on(environ: Environ, token: str, seconds: int) -> Response:
    query = environ.get("QUERY_STRING", "").encode("latin-1").decode("utf-8", "replace")
    wanted = parse_qs(query).get("to", ["/"])[0]
    response = page(302, "Found")
    # One slash at the start: two would name another host.
    response.headers["Location"] = "/" + quote(wanted.replace("\\", "/").lstrip("/"), safe=_SAFE + "?#")
    is_https = environ.get("wsgi.url_scheme") == "https"
    response.headers["Set-Cookie"] = dump_cookie(
        PREVIEW_COOKIE, token, max_age=seconds, httponly=True, samesite="Lax", secure=is_https
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    return _for_this_visitor(response)
