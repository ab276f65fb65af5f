"""Every error's answer, in the shape that its route promises: envelope, maintenance body or page."""

import errno
import logging
from collections.abc import Callable

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from pages.errors import Broken, Overloaded, PagesError, StorageFull, StorageReadOnly, TooManyFailures, TooSlow
from pages.patience import ClientTooSlow
from pages.space import FULL
from pages.web.auth import is_console, is_maintenance, is_visitor
from pages.web.replies import failure, maintenance_failure, method_not_allowed_page, not_found_page, page

log = logging.getLogger(__name__)

_MESSAGES = {
    400: "请求无效或不完整",
    404: "接口不存在",
    405: "请求方法不允许",
    413: "请求体过大",
    415: "请求的 Content-Type 必须是 application/json",
}
# What the system has run out of, or may not do: told in one line each, however often it happens.
_KNOWN_CAUSES: dict[int, type[PagesError]] = {
    **dict.fromkeys(FULL, StorageFull),
    errno.EROFS: StorageReadOnly,
    errno.EMFILE: Overloaded,
    errno.ENFILE: Overloaded,
}


def register(app: Flask, console_page: Callable[[str, int], Response]) -> None:
    """Make an application answer all errors this way; ``console_page`` makes the console's page of one."""
    app.extensions["pages.console_page"] = console_page
    app.register_error_handler(PagesError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _known(error: PagesError) -> Response:
    if isinstance(error, Broken):
        log.error("%s %s: %s (%s)", request.method, request.path, error, error.reason)
    response = _answer(str(error), error.status, error.data)
    if isinstance(error, TooManyFailures):
        response.headers["Retry-After"] = str(error.seconds)
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error.__context__, ClientTooSlow):  # werkzeug takes it for a client that has gone.
        return _known(TooSlow())
    if is_visitor():
        if isinstance(error, MethodNotAllowed):  # One that no route has heard of.
            return method_not_allowed_page()
        return not_found_page() if isinstance(error, RequestRedirect) or status == 404 else page(status, error.name)
    response = _answer(_MESSAGES.get(status, error.name), status)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _unexpected(error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno in _KNOWN_CAUSES:
        log.error("%s %s: %s", request.method, request.path, error)
        return _known(_KNOWN_CAUSES[error.errno]())
    if isinstance(error, ClientTooSlow):
        return _known(TooSlow())
    if isinstance(error, ConnectionError):  # The client has gone; nobody reads this.
        return _answer(_MESSAGES[400], 400)
    if type(error).__module__ == "gunicorn.http.errors":  # While the body was read: a bad chunk, a cut.
        return _answer(_MESSAGES[400], 400)
    log.exception("%s %s failed", request.method, request.path)
    if is_maintenance():
        return maintenance_failure("操作失败", 500, PagesError.message)
    return _answer(PagesError.message, PagesError.status)


def _answer(message: str, status: int, data: object = None) -> Response:
    if is_maintenance():
        if status > 500:  # The seed knows one shape for all that fails.
            return maintenance_failure("操作失败", 500, message)
        return maintenance_failure("权限不足" if status == 403 else message, status)
    if is_visitor():
        return page(status, message)
    if is_console():
        return current_app.extensions["pages.console_page"](message, status)  # type: ignore[no-any-return]
    return failure(message, status, data)
