"""One visit of the console: who it is, by the cookie, and the proofs that a form was ours and was meant."""

import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import quote, unquote, urlsplit

from flask import Response, g, request

from pages.web.auth import CONSOLE
from pages.web.context import User, services
from pages.web.logins import stored_password, user_named

HOME = f"{CONSOLE}/sites"
_MAX_NEXT = 1000
_QUERY_SAFE = "/?:@!$&'()*+,;=-._~%"
_FORM_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


def recognise() -> None:
    """Find out who asks: ``g.user`` is nobody's (None) without a session that holds."""
    g.session = request.cookies.get(_cookie("pages"), "")
    name = services().sessions.user_of(g.session, stored_password, time.time()) if g.session else None
    g.user = user_named(name) if name is not None else None


def sign_in(response: Response, user: User) -> Response:
    """Start a session; one that the browser had before is over, so nobody can have it use another's."""
    services().sessions.end(g.session)
    kept = str(stored_password(user.name))
    # On a full disk as well: who signs in may want to delete something.
    value = services().space.for_deleting(lambda: services().sessions.start(user.name, kept, time.time()))
    set_cookie(response, "pages", value)
    drop_cookie(response, "pages-form")
    return response


def sign_out(response: Response) -> Response:
    """End the session that the browser shows."""
    services().sessions.end(g.session)
    drop_cookie(response, "pages")
    return response


def form_token(purpose: str = "form") -> str:
    """What a form of this visit has to bring back. ``purpose`` binds it to one address where it stands in that."""
    return hmac.new(_secret().encode(), f"csrf {purpose}".encode(), hashlib.sha256).hexdigest()


def is_own_form(untrusted_token: str, purpose: str = "form") -> bool:
    """Was this given to this visit?"""
    return bool(_secret()) and hmac.compare_digest(
        untrusted_token.encode("utf-8", "surrogateescape"), form_token(purpose).encode()
    )


def remember_form(response: Response) -> Response:
    """Give the browser what the token of the sign-in form is bound to: there is no session yet."""
    if "form_value" in g and cookie("pages-form") != g.form_value:
        set_cookie(response, "pages-form", g.form_value)
    return response


def set_cookie(response: Response, name: str, value: str, max_age: int | None = None) -> None:
    """Set a cookie that no script reads and no other site's page sends along."""
    response.set_cookie(
        _cookie(name), value, max_age, secure=request.is_secure, httponly=True, samesite="Strict", path="/"
    )


def drop_cookie(response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    set_cookie(response, name, "", 0)


def cookie(name: str) -> str:
    """A cookie's value, "" without it."""
    return request.cookies.get(_cookie(name), "")


def asked_address() -> str:
    """The path and query that were asked for, as they may stand in an address."""
    query = request.query_string.decode("latin-1")
    return quote(request.path) + (f"?{quote(query, safe=_QUERY_SAFE)}" if query else "")


def safe_next(untrusted_next: str) -> str:
    """Where to go after signing in: a page of the console, never another host's or a site's."""
    is_path = untrusted_next.startswith((f"{CONSOLE}/", f"{CONSOLE}?")) or untrusted_next == CONSOLE
    if not is_path or len(untrusted_next) > _MAX_NEXT or not untrusted_next.isprintable() or "\\" in untrusted_next:
        return HOME
    path = unquote(urlsplit(untrusted_next).path)  # To a browser "%2e%2e" is ".." as well.
    return HOME if ".." in path.split("/") or "//" in path else untrusted_next


def _secret() -> str:
    """What the tokens of this visit are made with: the session's value, or before there is one the form's."""
    if g.user is not None:
        return str(g.session)
    if "form_value" not in g:
        sent = cookie("pages-form")
        g.form_value = sent if _FORM_VALUE.fullmatch(sent) else secrets.token_urlsafe(32)
    return str(g.form_value)


def _cookie(name: str) -> str:
    """A cookie's name: over TLS with the prefix by which no other host below the same domain can set it."""
    return f"__Host-{name}" if request.is_secure else name
