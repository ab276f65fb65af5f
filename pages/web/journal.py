"""One line in the log for each change: who, with which token if with one, from where, what, and how it ended."""

import json
import logging

import msgspec
from flask import Response, g, request

from pages.web.auth import is_change

log = logging.getLogger("pages.changes")


def note_change(response: Response) -> Response:
    """Log a request that changes something, also one that was refused."""
    if not is_change():
        return response
    user = g.get("user")
    log.info(
        "who=%s%s from=%s what=%s result=%s",
        _quoted(user.name if user else "-"),
        f" token={_quoted(f'{user.token.id} {user.token.name}')}" if user and user.token else "",
        request.remote_addr or "unix",
        _quoted(f"{request.method} {request.path}{_action()}"),
        _quoted(f"{response.status_code} {_message(response)}"),
    )
    return response


def _action() -> str:
    """What a maintenance request asked for, or which token was made: the path says nothing."""
    return f" {g.action}" if g.get("action") else ""


def _message(response: Response) -> str:
    if "outcome" in g:  # A page says it in many words.
        return str(g.outcome)
    try:
        body = msgspec.json.decode(response.get_data())
    except msgspec.MsgspecError:
        return ""
    return str(body.get("message") or f"{body.get('error', '')} {body.get('details', '')}".strip())


def _quoted(text: str) -> str:
    """In quotes and on one line, whatever a client put into a path."""
    return json.dumps(text, ensure_ascii=False)
