"""What a call is asked for besides its body: conditions, keys, flags and times in headers and the query string."""

from datetime import datetime, timedelta

from flask import request
from werkzeug.http import parse_etags

from pages.errors import InvalidField
from pages.history import OnlyIf
from pages.model import now

_MAX_KEY = 255
_MAX_PLAN = timedelta(days=366)
MAX_SECONDS = 30 * 86400


def only_if() -> OnlyIf:
    """The current checkpoints that ``If-Match`` allows (RFC 9110, 13.1.1); None without one."""
    if "If-Match" not in request.headers:
        return None
    wanted = parse_etags(request.headers["If-Match"])
    return {"*"} if wanted.star_tag else set(wanted.as_set()) - {"*"}  # In quotes it is a name.


def idempotency_key() -> str:
    """The ``Idempotency-Key``; "" without one, ``InvalidField`` for an odd one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not (key.isascii() and key.isprintable() and 1 <= len(key) <= _MAX_KEY):
        raise InvalidField("Idempotency-Key", f"必须是 1 到 {_MAX_KEY} 个可打印的 ASCII 字符")
    return key


def flag(name: str, default: bool) -> bool:
    """A parameter of the query string that is true or false."""
    text = request.args.get(name)
    if text is None:
        return default
    if text not in ("true", "false"):
        raise InvalidField(name, "必须是 true 或 false")
    return text == "true"


def seconds(name: str) -> int:
    """A parameter of the query string that is a number of seconds; 0 without it."""
    return checked_seconds(name, int(text) if (text := request.args.get(name)) and _is_number(text) else text)


def checked_seconds(name: str, value: object) -> int:
    """A number of seconds, up to 30 days; 0 for None."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SECONDS:
        raise InvalidField(name, f"必须是 1 到 {MAX_SECONDS} 的整数（秒）")
    return value


def time_to_come(name: str) -> datetime | None:
    """A parameter of the query string that is a time to come, within a year; without an offset it is local time."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidField(name, "必须是 ISO 8601 时间，例如 2026-12-01T08:00:00+08:00（+ 写作 %2B）") from None
    return checked_time(name, time)


def checked_time(name: str, time: datetime) -> datetime:
    """A time to come, within a year; ``InvalidField``."""
    if not now() < time <= now() + _MAX_PLAN:
        raise InvalidField(name, "必须是一年之内的将来时间")
    return time


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
