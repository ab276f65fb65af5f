"""Who may ask: HTTP Basic, slowed down where it fails, the rule against other pages' requests, and the admin's hosts.

``guard`` runs before every request and judges in the contract's order: credentials, cross-site rule,
route, admin-only routes. Everything that is not a visitor's request is guarded, so a new route is too.
"""

import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Response, current_app, g, request
from flask_httpauth import HTTPBasicAuth
from werkzeug.exceptions import HTTPException

from pages import passwords
from pages.config import Config
from pages.errors import CrossSiteRequest, Forbidden, TooManyFailures
from pages.hosts import host_of
from pages.throttle import Attempt
from pages.web.context import User, config, services
from pages.web.replies import failure, maintenance_failure, not_found_page

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Response])

_READING = ("GET", "HEAD", "OPTIONS")

_auth = HTTPBasicAuth(realm="Pages")
_admin_only: set[object] = set()
_open_to_all: set[object] = set()

# Which (password, hash) pairs were found to match: a hash costs 75 ms, and Basic sends the password
# with every request. Keyed by a secret of this process, so no password is kept.
_secret = secrets.token_bytes(32)
_verified: set[bytes] = set()
_MAX_VERIFIED = 1000
# One guess at a time: a flood of them takes one processor and 32 MB, and ends where the limit is.
_guessing = threading.Lock()


def admin_only(view: View) -> View:
    """Mark a view that tenants may not use."""
    _admin_only.add(view)
    return view


def open_to_all(view: View) -> View:
    """Mark a view that asks for no credentials."""
    _open_to_all.add(view)
    return view


def is_visitor() -> bool:
    """Is this request for a site, by the route that matched (or by none outside ``/_api``)?"""
    if request.endpoint is not None:
        return request.blueprint == "serving"
    return not (request.path == "/_api" or request.path.startswith("/_api/"))


def is_maintenance() -> bool:
    return request.blueprint == "maintenance"


def is_change() -> bool:
    """Does this request ask for a change? (A visitor's never does.)"""
    return request.method not in _READING and not is_visitor()


def guard() -> Response | None:
    """Refuse before any view runs; None lets the request through with ``g.user`` set."""
    if is_visitor():
        return None
    if not _on_admin_host(config()):
        return not_found_page()
    view = current_app.view_functions.get(request.endpoint or "")
    if view not in _open_to_all:
        # Not flask-httpauth's login_required: that lets OPTIONS through without credentials.
        credentials = _auth.get_auth() if _sent_basic() else None
        g.user = _auth.authenticate(credentials, None) if credentials else None
        if g.user is None:
            return _auth.auth_error_callback(401)  # type: ignore[no-any-return]
    if _is_cross_site():
        raise CrossSiteRequest()
    if isinstance(request.routing_exception, HTTPException):
        raise request.routing_exception
    if view in _admin_only and not g.user.is_admin:
        raise Forbidden()
    return None


def _sent_basic() -> bool:
    """Are there Basic credentials? flask-httpauth takes those of any scheme for them."""
    try:
        return request.authorization is not None and request.authorization.type == "basic"
    except ValueError:  # Not ASCII.
        return False


@_auth.error_handler  # type: ignore[untyped-decorator]
def _deny(status: int) -> Response:
    if is_maintenance():
        return maintenance_failure("权限不足", status)
    return failure("认证失败", status)


@_auth.verify_password  # type: ignore[untyped-decorator]
def _verify(name: str, password: str) -> User | None:
    """The user with this name and password, None for a wrong one; ``TooManyFailures`` before anything is compared.

    Takes the same time whether the name exists or not.
    """
    attempt = _attempt(name)
    found, stored = _known(name)
    if not _is_known_to_match(stored, password):
        with _guessing:
            attempt = _attempt(name)  # Others may have failed meanwhile.
            if not _matches(stored, password):
                _note_failure(attempt, found)
                return None
    services().throttle.succeeded(attempt, time.time())
    return User(str(found), is_admin=found == config().admin_user)


def _attempt(name: str) -> Attempt:
    attempt = services().throttle.attempt(request.remote_addr or "", name, time.time())
    if attempt.wait:
        raise TooManyFailures(attempt.wait)
    return attempt


def _note_failure(attempt: Attempt, found: str | None) -> None:
    """Count it, and tell the log when that was one too many. Not a name that is nobody's: it may be a password."""
    if not attempt.address:
        _warn_of_unknown_addresses()
    for blocked in services().throttle.failed(attempt, time.time()):
        log.warning(
            "Too many failed logins: %s is refused for a while; the last was who=%s from=%s",
            {"pair": "this user from this address", "address": "this address", "user": "this user"}[blocked],
            json.dumps(found, ensure_ascii=False) if found is not None else "(no user of ours)",
            request.remote_addr or "unix",
        )


@cache
def _warn_of_unknown_addresses() -> None:
    log.warning("A login failed, and nobody says from where: name the proxy in front of Pages in trusted_proxies")


def _passwords() -> dict[str, str]:
    settings = config()
    return {**settings.users, settings.admin_user: settings.admin_pass}


def _known(untrusted_name: str) -> tuple[str | None, str | None]:
    """The user of this name and the password it has in the settings, or twice None."""
    name = untrusted_name.encode("utf-8", "surrogateescape")
    found: tuple[str | None, str | None] = None, None
    for known, its_password in _passwords().items():
        if hmac.compare_digest(known.encode(), name):
            found = known, its_password
    return found


def _is_known_to_match(stored: str | None, password: str) -> bool:
    """Can it be told without a hash that this is the password? Goes both ways for everybody."""
    own = stored or ""
    is_verified = _pair(own, password) in _verified
    is_this_text = hmac.compare_digest(own.encode(), password.encode())
    return stored is not None and (is_verified if passwords.is_hash(own) else is_this_text)


def _matches(stored: str | None, password: str) -> bool:
    if not passwords.matches_at_equal_cost(stored, password, _passwords().values()):
        return False
    if len(_verified) >= _MAX_VERIFIED:
        _verified.clear()
    _verified.add(_pair(str(stored), password))
    return True


def _pair(stored: str, password: str) -> bytes:
    return hmac.digest(_secret, f"{stored}\0{password}".encode("utf-8", "surrogateescape"), hashlib.sha256)


def _on_admin_host(settings: Config) -> bool:
    return not settings.admin_hosts or _host(request.environ.get("HTTP_HOST", "")) in settings.admin_hosts


def _is_cross_site() -> bool:
    """Did a browser send this for a page of another origin? (curl sends neither header.)"""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return not _netloc(origin) or _host(_netloc(origin)) != _host(request.environ.get("HTTP_HOST", ""))


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _host(netloc: str) -> str:
    """The host without its port; also of what can be no site's domain (``[::1]``, ``my_nas``)."""
    try:
        return host_of(netloc)
    except ValueError:
        return re.sub(r":[0-9]*\Z", "", netloc).lower()
