"""How a line of the log is written, as text or as JSON: by the application, and by gunicorn in its workers.

Whatever a client put into a path, a header or a name, it is one line for one event: it can neither begin another one
nor steer a terminal.
"""

import logging
import re
from datetime import datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from pages import tracing
from pages.languages.log import InEnglish

# What ends a line, to some reader or other, steers a terminal, or turns the direction of writing around.
_UNSAFE = "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_IN_TEXT = re.compile(f"[\x00-\x1f{_UNSAFE}]")
_UNSAFE_IN_JSON = re.compile(f"[{_UNSAFE}]")  # JSON itself escapes the others.
_OF_REQUESTS = "gunicorn.access"
# What gunicorn calls what its access log tells of a request, and how it is called here.
_REQUEST = {
    "h": "from", "{host}i": "host", "r": "request", "s": "status", "{content-length}o": "bytes", "M": "milliseconds",
    "a": "agent", "{pages.request_id}e": "request_id",
}  # fmt: skip
_NUMBERS = frozenset(("status", "bytes", "milliseconds"))


def set_up_logging(log_format: str = "text") -> None:
    """Send the log to standard error, one line an event, beside gunicorn's own. ``log_format``: "text" or "json"."""
    # A line that cannot be written is lost, and not told about in twenty more: the log may be on a full disk.
    logging.raiseExceptions = False
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if log_format == "json" else Text())
    handler.addFilter(InEnglish())
    logger = logging.getLogger("pages")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def take_over(log_format: str, gunicorn: Any) -> None:
    """Have gunicorn's logger write in this process what it has to say as the application does."""
    for handler in gunicorn.error_log.handlers:
        handler.setFormatter(Json() if log_format == "json" else Text(name=False))
    for handler in gunicorn.access_log.handlers:
        handler.setFormatter(Json() if log_format == "json" else Text("%(message)s", name=False))
    if log_format == "json":
        gunicorn.atoms_wrapper_class = _Atoms


class _Atoms(dict[str, Any]):
    """What is told of a request, with quotes as they are: JSON has its own way to write them."""

    def __missing__(self, name: str) -> str:
        return "-"


class Text(logging.Formatter):
    """``[time] [process] [level] [request's id, if there is one] logger: message``, and tracebacks indented."""

    def __init__(self, line: str = "", *, name: bool = True) -> None:
        head = "[%(asctime)s] [%(process)d] [%(levelname)s] %(at)s"
        super().__init__(line or head + ("%(name)s: %(message)s" if name else "%(message)s"))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        record.message = _UNSAFE_IN_TEXT.sub(_escaped, record.message)
        request_id = tracing.current()
        record.at = f"[{request_id}] " if request_id else ""
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """A traceback of which no line looks as if it began an event: what failed may have quoted a client."""
        lines = re.split(r"\r\n|\r|\n", super().formatException(ei))
        return "\n".join("    " + _UNSAFE_IN_TEXT.sub(_escaped, line) for line in lines)


class Json(JsonFormatter):
    """One object a line: ``time``, ``level``, ``logger``, ``process``, ``request_id``, ``message``, and more."""

    def __init__(self) -> None:
        super().__init__(json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Everything that is told of one event."""
        log_data["time"] = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        log_data.update(level=record.levelname, logger=record.name, process=record.process)
        if request_id := tracing.current():
            log_data["request_id"] = request_id
        log_data["message"] = record.getMessage()
        super().add_fields(log_data, record, message_dict)
        if record.name == _OF_REQUESTS and isinstance(record.args, dict):
            log_data.update(_told_of(record.args))

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """The line."""
        return _UNSAFE_IN_JSON.sub(_escaped, super().serialize_log_record(log_data))


def _told_of(atoms: dict[str, Any]) -> dict[str, Any]:
    """A request's fields, numbers as numbers; the message has only what was asked and the status."""
    told = {name: atoms[atom] for atom, name in _REQUEST.items() if atoms.get(atom, "-") != "-"}
    for name in _NUMBERS & told.keys():
        told[name] = int(told[name]) if str(told[name]).isdigit() else told[name]
    return {**told, "message": f"{atoms.get('r', '-')} {atoms.get('s', '-')}"}


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
