"""What the templates can say: texts, sizes, times, addresses, in the user's language."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import Flask, g, request
from jinja2 import StrictUndefined
from markupsafe import Markup

from pages.model import now
from pages.web.auth import CONSOLE
from pages.web.console.answers import SIGN_IN
from pages.web.console.assets import address_of
from pages.web.console.language import language, said
from pages.web.console.sizes import size, typed_size
from pages.web.console.texts import LANGUAGES, text
from pages.web.console.visit import HOME, asked_address, form_token
from pages.web.context import config
from pages.web.preview_links import page_on

_A_MOMENT = 5
_STEPS = ((60, "seconds"), (3600, "minutes"), (86400, "hours"), (30 * 86400, "days"))


def register(app: Flask) -> None:
    """Make these known to the console's templates."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(size=size, typed_size=typed_size, when=when, clock=clock)
    app.context_processor(_known)


def _known() -> dict[str, Any]:
    chosen = language()
    return {
        "t": partial(_text, chosen),
        "said": said,
        "lang": {"zh": "zh-CN", "en": "en"}[chosen],
        "language": chosen,
        "languages": LANGUAGES,
        "asset": address_of,
        "csrf": form_token,
        "user": g.get("user"),
        "is_password_known": config().admin_pass == "admin",  # noqa: S105 - that of the documents
        "here": asked_address() if request.method == "GET" else HOME,
        "section": request.path.removeprefix(f"{CONSOLE}/").partition("/")[0].replace("new-site", "sites"),
        "page_on": page_on,
        "zone": zone,
        "field_time": field_time,
        "home": HOME,
        "console": CONSOLE,
        "sign_in_path": SIGN_IN,
    }


def _text(chosen: Any, key: str, **values: Any) -> str:
    return text(key, chosen, **values)


def when(iso: str) -> Markup:
    """A time, told by how long ago it is; exactly where somebody looks closer."""
    time = datetime.fromisoformat(iso)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, clock(iso), _distance(time))


def clock(iso: str) -> str:
    """A time as a clock and a calendar show it where the server is, and how far that is from UTC."""
    return datetime.fromisoformat(iso).astimezone().isoformat(" ", "seconds")


def zone() -> str:
    """The server's time zone by its name, where it has one, and how far it is from UTC now."""
    time = now()
    name, offset = time.tzname() or "", f"UTC{time.isoformat()[-6:]}"
    return f"{name}, {offset}" if name.isalpha() and name != "UTC" else offset


def field_time(days: int = 0) -> str:
    """The server's time so many days from now, as a field for a time has it."""
    return (now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def _distance(time: datetime) -> str:
    seconds = int((now() - time.astimezone()).total_seconds())
    if -_A_MOMENT < seconds < 1:  # A version's time is the next free second.
        return text("just_now", language())
    way, seconds = ("ago" if seconds >= 0 else "ahead"), abs(seconds)
    for (limit, unit), step in zip(_STEPS, (1, 60, 3600, 86400), strict=True):
        if seconds < limit:
            count = seconds // step
            return text(f"{way}_{unit}", language(), n=count)
    return time.astimezone().strftime("%Y-%m-%d")
