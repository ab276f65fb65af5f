"""What goes out: the Admin API's envelope, the maintenance API's bodies, and the plain pages.

Messages come in as they are written, in Chinese; they leave in the language that the client asks for.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response, g

from pages.languages import in_english, translated
from pages.plain_pages import plain_page
from pages.web.language import asked_language


def success(data: Any = None, message: str | None = None, status: int = 200) -> Response:
    """``{"success": true, "message"?, "data"?}`` (contract 3)."""
    return _envelope(True, message, data, status)


def failure(message: str, status: int, data: Any = None) -> Response:
    """``{"success": false, "message", "data"?}``."""
    return _envelope(False, message, data, status)


def with_warnings(data: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """A reply's data, and the warnings when there are any."""
    return {**data, "warnings": [told(warning) for warning in warnings]} if warnings else data


def told(message: str) -> str:
    """A message in the language of this answer. For one that goes out anywhere but in the functions of this module."""
    return translated(message, asked_language())


def maintenance_success(message: str, **fields: str) -> Response:
    """The second seed's body: ``{"success": true, "message", …, "timestamp"}`` in UTC with milliseconds."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"success": True, "message": told(message), **fields, "timestamp": now}
    if "note" in fields:
        body["note"] = told(fields["note"])
    return _in_its_language(_json(body, 200))


def maintenance_failure(error: str, status: int, details: str | None = None) -> Response:
    """The second seed's errors: ``{"error", "details"?}``."""
    body = {"error": told(error)} | ({"details": told(details)} if details else {})
    return _in_its_language(_json(body, status))


def message_of(response: Response) -> str:
    """What an answer says in words, in the log's language; empty for nothing."""
    if "outcome" in g:  # A page says it in many words.
        return str(g.outcome)
    try:
        body = msgspec.json.decode(response.get_data())
    except msgspec.MsgspecError:
        return ""
    told = [body["message"]] if body.get("message") else [body.get("error", ""), body.get("details", "")]
    return " ".join(map(in_english, told)).strip()


def page(status: int, title: str) -> Response:
    """A plain page for a visitor; it names nothing of the request."""
    response = Response(plain_page(status, title), status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def not_found_page() -> Response:
    """What unknown and disabled hosts answer, and a site without a 404.html."""
    return page(404, "Not Found")


def method_not_allowed_page() -> Response:
    """A site is only read."""
    response = page(405, "Method Not Allowed")
    response.headers["Allow"] = "GET, HEAD"
    return response


def _envelope(succeeded: bool, message: str | None, data: Any, status: int) -> Response:
    body: dict[str, Any] = {"success": succeeded}
    if message is not None:
        body["message"] = told(message)
    if data is not None:
        body["data"] = data
    return _json(body, status) if message is None else _in_its_language(_json(body, status))


def _in_its_language(response: Response) -> Response:
    """Say which language a message is in, and that another client may get it in another one."""
    response.headers["Content-Language"] = asked_language()
    response.vary.add("Accept-Language")
    return response


def _json(body: dict[str, Any], status: int) -> Response:
    data = msgspec.json.encode(body) + b"\n"
    response = Response(data, status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    # For the person or program that asked, and for no page: not to embed, not to frame, not to take for a script.
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return response
