"""Which language an answer is in: the one its client asks for, else the setting's (the seed's Chinese)."""

from collections.abc import Iterable

from flask import request

from pages.languages import Language
from pages.web.context import config

_NOT_NAMED, _REFUSED = 0.0, -1.0


def asked_language() -> Language:
    """The one of our languages that ``Accept-Language`` prefers (RFC 9110, 12.5.4); as preferred, the setting's."""
    ranges = [(name.lower(), quality) for name, quality in request.accept_languages]
    ours: Language = "en" if config().language == "en" else "zh"
    other: Language = "zh" if ours == "en" else "en"
    return other if _liked(other, ranges) > _liked(ours, ranges) else ours


def _liked(language: str, ranges: Iterable[tuple[str, float]]) -> float:
    """How much a client wants a language, in any country's form; one refused is wanted less than one not named."""
    named: dict[str, float] = {}
    for name, quality in ranges:
        kind = name.partition("-")[0]
        named[kind] = max(named.get(kind, 0.0), quality)
    wanted = named.get(language, named.get("*"))
    return _NOT_NAMED if wanted is None else wanted or _REFUSED
