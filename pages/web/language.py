"""Which language an answer is in: the seed's Chinese, unless the client asks for English."""

from flask import request

from pages.languages import Language


def asked_language() -> Language:
    """The language that ``Accept-Language`` prefers of those we know (RFC 9110, 12.5.4)."""
    return "en" if request.accept_languages.best_match(["zh", "en"], default="zh") == "en" else "zh"
