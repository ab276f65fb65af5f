"""Who may ask: users only, the rule against other pages' requests, and the hosts of the Admin API.

``guard`` runs before every request and judges in the contract's order: credentials, cross-site rule,
route, what this user or token may call. Everything that is not a visitor's request is guarded, so a new route is too;
and it is closed to tokens until it says which it is for (``token_needs``).
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from pages.config import Config
from pages.errors import CrossSiteRequest, Forbidden
from pages.tokens import Action
from pages.web.context import User, config
from pages.web.logins import basic, user_of_request
from pages.web.neighbours import asked_by_address, is_neighbour
from pages.web.origins import asked_host, is_cross_site
from pages.web.replies import failure, maintenance_failure, not_found_page

View = TypeVar("View", bound=Callable[..., Response])

CONSOLE = "/_admin"
# What a token must be for to call a view: an action, nothing in particular ("any"), or it may not at all ("none").
Need = Action | Literal["any", "none"]

_READING = ("GET", "HEAD", "OPTIONS")

_admin_only: set[object] = set()
_open_to_all: set[object] = set()
_open_to_neighbours: set[object] = set()
_token_needs: dict[object, Need] = {}


def admin_only(view: View) -> View:
    """Mark a view that tenants may not use."""
    _admin_only.add(view)
    return view


def open_to_all(view: View) -> View:
    """Mark a view that asks for no credentials."""
    _open_to_all.add(view)
    return view


def open_to_neighbours(view: View) -> View:
    """Mark a view that asks no neighbour for credentials, nor by which host's name it came (``neighbours``)."""
    _open_to_neighbours.add(view)
    return view


def token_needs(need: Need) -> Callable[[View], View]:
    """Mark a view with what a token needs; for which sites a token is, the view judges (``User.may_act_for``).

    One that is not marked is closed to tokens.
    """

    def mark(view: View) -> View:
        _token_needs[view] = need
        return view

    return mark


def is_admin_only(view: object) -> bool:
    """May tenants not use it?"""
    return view in _admin_only


def is_open_to_all(view: object) -> bool:
    """Does it ask for no credentials, nor for a session?"""
    return view in _open_to_all


def says_who_may_call(view: object) -> bool:
    """Was it thought of what tokens may do with this view? (A test asks this of all of them.)"""
    return view in _token_needs or is_open_to_all(view)


def is_visitor() -> bool:
    """Is this request for a site, by the route that matched (or by none outside ``/_api`` and the console)?"""
    if is_below(CONSOLE):
        return not _has_console(config())
    if request.endpoint is not None:
        return request.blueprint == "serving"
    return not is_below("/_api")


def is_console() -> bool:
    """Is this request for the web console? On hosts that have none, its path is the site's as any other."""
    return is_below(CONSOLE) and not is_visitor()


def is_below(folder: str) -> bool:
    """Is the path that was asked for this folder's, or below it?"""
    return request.path == folder or request.path.startswith(f"{folder}/")


def is_maintenance() -> bool:
    return request.blueprint == "maintenance"


def is_change() -> bool:
    """Does this request ask for a change? (A visitor's never does.)"""
    return request.method not in _READING and not is_visitor()


def guard() -> Response | None:
    """Refuse before any view runs; None lets the request through with ``g.user`` set.

    ``g.is_ours`` is set when it is no site's.
    """
    if is_visitor() or is_console():  # The console has a guard of its own (web.console.gate).
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    is_for_neighbour = view in _open_to_neighbours and is_neighbour()
    if not (_on_admin_host(config()) or (is_for_neighbour and asked_by_address())):
        return not_found_page()
    g.is_ours = True
    is_open = is_open_to_all(view) or is_for_neighbour
    if not is_open:
        g.user = user_of_request()
        if g.user is None:
            return basic.auth_error_callback(401)  # type: ignore[no-any-return]
    if is_cross_site():
        raise CrossSiteRequest()
    if isinstance(request.routing_exception, HTTPException):
        raise request.routing_exception
    if not is_open and not _may_call(g.user, view):
        raise Forbidden()
    return None


def _may_call(user: User, view: object) -> bool:
    if is_admin_only(view) and not user.is_admin:
        return False
    need = _token_needs.get(view, "none")
    return user.token is None or need == "any" or (need != "none" and user.token.may(need))


@basic.error_handler  # type: ignore[untyped-decorator]
def _deny(status: int) -> Response:
    if is_maintenance():
        return maintenance_failure("权限不足", status)
    return failure("认证失败", status)


def _has_console(settings: Config) -> bool:
    """Not on just any host where none is named: a name that a tenant may have must not have the console's pages."""
    return asked_host() in settings.admin_hosts if settings.admin_hosts else asked_by_address()


def _on_admin_host(settings: Config) -> bool:
    return not settings.admin_hosts or asked_host() in settings.admin_hosts
