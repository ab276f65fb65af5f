"""How the console answers: a page, a way on with a message, or what went wrong, in the user's language."""

import base64
import hmac
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import Response, g, redirect, render_template, request

from pages.languages import in_english
from pages.web.auth import CONSOLE
from pages.web.console.language import language, said
from pages.web.console.texts import text
from pages.web.console.visit import HOME, asked_address, cookie, drop_cookie, form_token, remember_form, set_cookie
from pages.web.replies import failure

SIGN_IN = f"{CONSOLE}/sign-in"
_FLASH, _FLASH_SECONDS, _MOST_BYTES = "pages-message", 60, 2000
_NO_PAGE = "接口不存在"  # What the API says of a path; here it is a page's.


class Flash(msgspec.Struct, frozen=True):
    """What was done, said on the next page: the sentence, more sentences, and a link that was made."""

    message: str
    details: list[str] = []
    link: str = ""


_flashes = msgspec.json.Decoder(Flash)


def show(template: str, status: int = 200, **values: Any) -> Response:
    """A page."""
    content = render_template(f"console/{template}", flash=_taken(), **values)
    response = Response(content, status, mimetype="text/html")
    if cookie(_FLASH):
        drop_cookie(response, _FLASH)
    return remember_form(response)


def go(where: str, done: str = "", *details: str, link: str = "", **values: Any) -> Response:
    """On to another page of the console after a change; ``done`` names the text that says there what was done."""
    response: Any = redirect(where, 303)
    return tell(response, done, *details, link=link, **values) if done else response


def tell(response: Response, done: str, *details: str, link: str = "", **values: Any) -> Response:
    """Have the next page say what was done."""
    g.outcome = text(done, "en", **values)  # The log is English.
    _remember(response, Flash(text(done, language(), **values), [said(detail) for detail in details], link))
    return response


def error_page(message: str, status: int) -> Response:
    """What went wrong, in a service's words: a page, or for a program of ours the envelope of the API."""
    if message == _NO_PAGE:
        return _refused("no_page", status)
    return _problem(said(message), in_english(message), status)


def _refused(key: str, status: int) -> Response:
    """The same in words of the console's own."""
    return _problem(text(key, language()), text(key, "en"), status)


def _problem(shown: str, logged: str, status: int) -> Response:
    g.outcome = logged
    if wants_json():
        return failure(shown, status)
    return show("error.html", status, message=shown, code=status, back=_way_back())


def wants_json() -> bool:
    """Does the console's own script ask, and no person?"""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def to_sign_in() -> Response:
    """Who is not signed in, or not any more, is asked to; a page that was wanted is shown after that."""
    if wants_json():
        return _refused("session_over", 401)
    wanted = asked_address() if request.method in ("GET", "HEAD") else _way_back()
    return go(f"{SIGN_IN}?{urlencode({'next': wanted})}" if wanted != HOME else SIGN_IN)


def expired_form() -> Response:
    """A form that is not this visit's: of a page from before the last sign-in, or of nobody's."""
    return _refused("form_over", 403)


def bounce() -> Response:
    """For who follows another site's link: the browser keeps the cookie back, until a page of ours asks."""
    return show("bounce.html", where=asked_address())


def _way_back() -> str:
    """The page that the refused request was made from, as its address tells."""
    args = request.view_args or {}
    if "username" in args and "site_id" in args and request.endpoint != "console_site.show_site":
        return f"{HOME}/{args['username']}/{args['site_id']}"
    return f"{CONSOLE}/maintenance" if request.path.startswith(f"{CONSOLE}/maintenance/") else HOME


def _remember(response: Response, flash: Flash) -> None:
    while len(data := base64.urlsafe_b64encode(msgspec.json.encode(flash))) > _MOST_BYTES and flash.details:
        flash = msgspec.structs.replace(flash, details=flash.details[:-1])
    set_cookie(response, _FLASH, f"{data.decode()}.{form_token(f'message {data.decode()}')}", _FLASH_SECONDS)


def _taken() -> Flash | None:
    """The message that the request before left; only one that this session was given: without one there is none."""
    data, _, signature = cookie(_FLASH).rpartition(".")
    if g.user is None or not data:
        return None
    if not hmac.compare_digest(signature.encode(), form_token(f"message {data}").encode()):
        return None
    return _flashes.decode(base64.urlsafe_b64decode(data))
