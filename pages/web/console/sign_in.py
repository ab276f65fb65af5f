"""Signing in and out: the same passwords, limits and equal cost as HTTP Basic (``web.logins``)."""

from flask import Blueprint, Response, g, request

from pages.errors import TooManyFailures
from pages.web import logins
from pages.web.auth import CONSOLE, open_to_all
from pages.web.console import visit
from pages.web.console.answers import SIGN_IN, go, show
from pages.web.console.language import language, said
from pages.web.console.texts import text

blueprint = Blueprint("console_sign_in", __name__, url_prefix=CONSOLE)


@blueprint.get("/sign-in", provide_automatic_options=False)
@open_to_all
def ask() -> Response:
    """The form; for who is signed in already, the page that was wanted."""
    wanted = visit.safe_next(request.args.get("next", ""))
    return go(wanted) if g.user is not None else _form(wanted)


@blueprint.post("/sign-in", provide_automatic_options=False)
@open_to_all
def sign_in() -> Response:
    """Let in who knows the password, with a session of its own."""
    name, wanted = request.form.get("name", ""), visit.safe_next(request.form.get("next", ""))
    try:
        user = logins.user_with(name, request.form.get("password", ""))
    except TooManyFailures as error:
        response = _form(wanted, 429, said(error), name)
        response.headers["Retry-After"] = str(error.seconds)
        return response
    if user is None:
        g.outcome = text("wrong_password", "en")
        return _form(wanted, 401, text("wrong_password", language()), name)
    response = visit.sign_in(go(wanted), user)
    g.user = user  # For the log.
    return response


@blueprint.post("/sign-out", provide_automatic_options=False)
def sign_out() -> Response:
    """End the session, here and now."""
    return visit.sign_out(go(SIGN_IN))


def _form(wanted: str, status: int = 200, problem: str = "", name: str = "") -> Response:
    return show("sign_in.html", status, wanted=wanted, problem=problem, name=name)
