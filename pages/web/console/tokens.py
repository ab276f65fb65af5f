"""Tokens for programs in the console: made, shown once, revoked."""

from typing import Any

from flask import Blueprint, Response, request

from pages.errors import PagesError
from pages.tokens import ACTIONS
from pages.web.auth import CONSOLE
from pages.web.console.answers import go, show
from pages.web.console.sites import field_of, said_of
from pages.web.context import user
from pages.web.tokens import made, own_tokens, revoke

PAGE = f"{CONSOLE}/tokens"
blueprint = Blueprint("console_tokens", __name__, url_prefix=PAGE)

_DAYS = (7, 30, 90, 365)
_DAY = 86400


@blueprint.get("", provide_automatic_options=False)
def list_tokens() -> Response:
    """All tokens that this user may see, and the form for a new one."""
    return _page(request.args)


@blueprint.post("", provide_automatic_options=False)
def create_token() -> Response:
    """Make a token and show it, here and never again."""
    try:
        token, secret = made(_asked())
    except PagesError as error:
        if error.status >= 500:
            raise
        return _page(request.form, error.status, problem=said_of(error), field=field_of(error))
    return _page({}, 201, token=token, secret=secret)


@blueprint.post("/<token_id>/revoke", provide_automatic_options=False)
def revoke_token(token_id: str) -> Response:
    """Make a token void."""
    revoke(token_id)
    return go(PAGE, "token_revoked")


def _page(given: Any, status: int = 200, **values: Any) -> Response:
    typed = {name: given.get(name, "") for name in ("name", "username", "site", "days")}
    typed["actions"] = given.getlist("actions") if "actions" in given else ["deploy"]
    if not user().is_admin:
        typed["username"] = user().name
    shown = {"token": None, "secret": "", "problem": "", "field": ""} | values
    return show("tokens.html", status, tokens=own_tokens(), typed=typed, actions=ACTIONS, days=_DAYS, **shown)


def _asked() -> dict[str, Any]:
    """What the form asks for, as the body of the API's call."""
    form = request.form
    body: dict[str, Any] = {"name": form.get("name", "").strip(), "actions": form.getlist("actions")}
    body |= {name: form[name].strip() for name in ("username", "site") if form.get(name, "").strip()}
    days = form.get("days", "")
    body["expires_in"] = int(days) * _DAY if days.isascii() and days.isdigit() and len(days) < 9 else days
    return body
