"""Who may come to which page of the console, judged in this order before any of them runs.

The host, who it is, the rule against other pages' requests, the route, pages for the admin only, the form's own token.
"""

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from pages.errors import CrossSiteRequest, Forbidden
from pages.web.auth import CONSOLE, View, is_admin_only, is_below, is_console, is_open_to_all
from pages.web.console.answers import bounce, expired_form, to_sign_in
from pages.web.console.language import choose
from pages.web.console.visit import is_own_form, recognise
from pages.web.context import services
from pages.web.origins import is_cross_site
from pages.web.serving import answer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_bound_by_address: set[object] = set()


def bound_by_address(view: View) -> View:
    """Mark a form whose token stands in its address where no header has it: nothing of the body is read before."""
    _bound_by_address.add(view)
    return view


def guard() -> Response | None:
    """Refuse before any view runs; None lets the request through with ``g.user`` set."""
    if not is_below(CONSOLE):
        return None
    if not is_console():  # The site's own, as if there were no console.
        return answer(request.environ, services())
    g.is_ours = True
    choose()
    recognise()
    view = current_app.view_functions.get(request.endpoint or "")
    if is_cross_site():
        if request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate":
            return bounce()
        raise CrossSiteRequest()
    if g.user is None and not is_open_to_all(view):
        return to_sign_in()
    if isinstance(request.routing_exception, HTTPException):
        raise request.routing_exception
    if is_admin_only(view) and not g.user.is_admin:
        raise Forbidden()
    return None if request.method in ("GET", "HEAD") or _is_meant(view) else expired_form()


def _is_meant(view: object) -> bool:
    if "X-CSRF-Token" in request.headers:
        return is_own_form(request.headers["X-CSRF-Token"])
    if view in _bound_by_address:
        return is_own_form(request.args.get("csrf", ""), request.path)
    return is_own_form(request.form.get("csrf", ""))


def protect(response: Response) -> Response:
    """What every answer of the console says to browsers and caches."""
    if not is_console():
        return response
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if "immutable" not in response.headers.get("Cache-Control", ""):
        response.headers["Cache-Control"] = "no-store"
    return response
