"""One line in the log for each change: who, with which token if with one, from where, what, and how it ended."""

import json
import logging

from flask import Response, g, request

from pages.web.auth import is_change
from pages.web.replies import message_of

log = logging.getLogger("pages.changes")


def note_change(response: Response) -> Response:
    """Log a request that changes something, also one that was refused."""
    if not is_change():
        return response
    user = g.get("user")
    token = user.token if user else None
    told = {
        "who": user.name if user else "-",
        **({"token": f"{token.id} {token.name}"} if token else {}),
        "from": request.remote_addr or "unix",
        "what": f"{request.method} {request.path}{_action()}",
        "result": f"{response.status_code} {message_of(response)}",
    }
    line = " ".join(f"{name}={text if name == 'from' else _quoted(text)}" for name, text in told.items())
    log.info("%s", line, extra=told)
    return response


def _action() -> str:
    """What a maintenance request asked for, or which token was made: the path says nothing."""
    return f" {g.action}" if g.get("action") else ""


def _quoted(text: str) -> str:
    """In quotes and on one line, whatever a client put into a path."""
    return json.dumps(text, ensure_ascii=False)
