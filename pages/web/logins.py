"""Who is it? HTTP Basic: the same time for every wrong guess, and only so many of them (``throttle``). Or a token."""

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from functools import cache

from flask import request
from flask_httpauth import HTTPBasicAuth

from pages import passwords
from pages.errors import TooManyFailures
from pages.measures import FAILED_LOGINS
from pages.model import now
from pages.throttle import Attempt
from pages.web.context import User, config, services
from pages.web.origins import is_cross_site

log = logging.getLogger(__name__)

basic = HTTPBasicAuth(realm="Pages")

# Which (password, hash) pairs were found to match: a hash costs 75 ms, and Basic sends the password
# with every request. Keyed by a secret of this process, so no password is kept.
_secret = secrets.token_bytes(32)
_verified: set[bytes] = set()
_MAX_VERIFIED = 1000
# One guess at a time: a flood of them takes one processor and 32 MB, and ends where the limit is.
_guessing = threading.Lock()


def user_of_request() -> User | None:
    """Who sent this request; None without credentials or with wrong ones. ``TooManyFailures`` after many such."""
    # Not flask-httpauth's login_required: that lets OPTIONS through without credentials.
    scheme = _scheme()
    if scheme == "bearer":
        return _user_of_token()
    credentials = basic.get_auth() if scheme == "basic" else None
    return basic.authenticate(credentials, None) if credentials else None


def user_with(name: str, password: str) -> User | None:
    """The user with this name and password, wherever they came from; the same time and the same limits."""
    found: User | None = _verify(name, password)
    return found


def user_named(name: str) -> User:
    """The user of a name that is somebody's."""
    return User(name, is_admin=name == config().admin_user)


def stored_password(name: str) -> str | None:
    """A user's password as it stands in the settings; None for a name that is nobody's."""
    return _known(name)[1]


def _scheme() -> str:
    """Which kind of credentials is there? flask-httpauth takes those of any for Basic."""
    try:
        return request.authorization.type if request.authorization is not None else ""
    except ValueError:  # Not ASCII.
        return ""


def _user_of_token() -> User | None:
    """Who sent a token; it is good for no more than its owner may do now.

    Not throttled, as nobody guesses one; what does not look like one costs nothing, and is never taken for a password.
    """
    authorization = request.authorization
    token = services().tokens.find((authorization and authorization.token) or "", now())
    if token is None:
        return None
    is_admin = token.owner == config().admin_user
    if not is_admin and (token.owner not in config().users or token.username not in (None, token.owner)):
        return None
    services().tokens.note_use(token, now())
    return User(token.owner, is_admin=is_admin and token.username is None, token=token)


@basic.verify_password  # type: ignore[untyped-decorator]
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
    return user_named(str(found))


def _attempt(name: str) -> Attempt:
    attempt = services().throttle.attempt(request.remote_addr or "", name, time.time(), is_cross_site())
    if attempt.wait:
        raise TooManyFailures(attempt.wait)
    return attempt


def _note_failure(attempt: Attempt, found: str | None) -> None:
    """Count it, and tell the log when that was one too many. Not a name that is nobody's: it may be a password."""
    services().counts.add(FAILED_LOGINS)
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
