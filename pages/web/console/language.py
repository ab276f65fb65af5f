"""The language of the console's pages: the browser's, unless its user has chosen one."""

from typing import cast

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import NotFound

from pages.languages import Language, translated
from pages.web.auth import CONSOLE, open_to_all
from pages.web.console.texts import LANGUAGES
from pages.web.console.visit import cookie, safe_next, set_cookie
from pages.web.language import asked_language

blueprint = Blueprint("console_language", __name__, url_prefix=f"{CONSOLE}/language")

_ONE_YEAR = 365 * 86400


def choose() -> None:
    """Settle the language of this request, for all that answers it."""
    chosen = cookie("pages-language")
    if chosen in LANGUAGES:
        request.environ["HTTP_ACCEPT_LANGUAGE"] = chosen
    g.language = chosen if chosen in LANGUAGES else asked_language()


def language() -> Language:
    """The language that this request is answered in."""
    return cast(Language, g.get("language", "zh"))


def said(message: object) -> str:
    """A message or an error of a service, in that language."""
    return translated(str(message), language())


@blueprint.get("/<wanted>", provide_automatic_options=False)
@open_to_all
def switch(wanted: str) -> Response:
    """Remember a choice, and go back to where it was made."""
    if wanted not in LANGUAGES:
        raise NotFound()
    response = cast(Response, redirect(safe_next(request.args.get("next", "")), 303))
    set_cookie(response, "pages-language", wanted, _ONE_YEAR)
    return response
