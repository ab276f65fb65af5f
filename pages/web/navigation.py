"""Is a request a person's who goes to a page, or a program's that fetches a part of one?"""

from typing import Any


def is_navigation(environ: dict[str, Any]) -> bool:
    """Does a page fit as the answer? (Fetch Metadata where the browser sends it, else ``Accept``.)"""
    if "HTTP_SEC_FETCH_MODE" in environ:
        return bool(environ["HTTP_SEC_FETCH_MODE"] == "navigate")
    accept = environ.get("HTTP_ACCEPT", "*/*").lower()
    return "text/html" in accept or "*/*" in accept
