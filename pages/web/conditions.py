"""Conditional requests and ranges: only the conditions that hold reach werkzeug (RFC 9110, 13 and 14).

A rollback brings an older time back, so only the very time that was handed out means "unchanged" (as
nginx has it); werkzeug takes any later one for it. It also judges ``Range`` before the conditions.
"""

from datetime import datetime
from email.utils import formatdate
from typing import Any

from werkzeug.http import parse_date, parse_etags, parse_range_header

_NAMES = (
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_IF_RANGE",
    "HTTP_RANGE",
)
_SENT = frozenset(_NAMES)


def is_conditional(environ: dict[str, Any]) -> bool:
    """Has a request a condition or a range?"""
    return not _SENT.isdisjoint(environ)


class Conditions:
    """A GET's or HEAD's conditions on a file with this ETag, mtime (seconds) and size (bytes).

    ``changed`` (ISO 8601) is when the site's record last was: a date from before may be of another site, or of
    another index, and says nothing.
    """

    def __init__(self, environ: dict[str, Any], etag: str, mtime: int, size: int, changed: str) -> None:
        self._environ = environ
        self._sent = {name: environ[name] for name in _NAMES if name in environ}
        self._etag = etag
        self._mtime = mtime
        self._size = size
        self._changed = changed

    def failed(self) -> bool:
        """Does the client want this version of the file or none (412)?"""
        if "HTTP_IF_MATCH" in self._sent:
            wanted = parse_etags(self._sent["HTTP_IF_MATCH"])
            return not (wanted.star_tag or wanted.is_strong(self._etag))
        try:
            since = parse_date(self._sent.get("HTTP_IF_UNMODIFIED_SINCE"))
        except OverflowError:  # No time that anybody lives in.
            return False
        return since is not None and self._mtime > since.timestamp()

    def environ(self) -> dict[str, Any]:
        """The request's environ with what is left for werkzeug to answer: 304, 206, 416 or all of it."""
        if not self._sent:
            return self._environ
        kept = {name: value for name, value in self._environ.items() if name not in self._sent}
        if self._is_unchanged():
            kept["HTTP_IF_NONE_MATCH"] = f'"{self._etag}"'
        elif wanted := self._range():
            kept["HTTP_RANGE"] = wanted
        return kept

    def _is_unchanged(self) -> bool:
        """Has the client this version already? ``If-None-Match`` goes before a date."""
        if "HTTP_IF_NONE_MATCH" in self._sent:
            return parse_etags(self._sent["HTTP_IF_NONE_MATCH"]).contains_weak(self._etag)
        return self._sent.get("HTTP_IF_MODIFIED_SINCE") == self._modified() and self._dates_count()

    def _range(self) -> str | None:
        """The one range of bytes to send; None for the whole file.

        A ``Range`` that is malformed, in another unit or of several pieces is ignored, as it may be.
        """
        if self._environ["REQUEST_METHOD"] != "GET" or "HTTP_RANGE" not in self._sent:
            return None
        validators = (f'"{self._etag}"', self._modified() if self._dates_count() else None)
        for name in ("HTTP_IF_RANGE", "HTTP_IF_UNMODIFIED_SINCE"):
            if name in self._sent and self._sent[name] not in validators:
                return None
        wanted = parse_range_header(self._sent["HTTP_RANGE"])
        if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
            return None
        start, end = wanted.ranges[0]
        if start < 0:  # The last so many bytes: all of it, if there are fewer.
            start, end = max(0, self._size + start), None
        return f"bytes={start}-" + (f"{end - 1}" if end is not None else "")

    def _dates_count(self) -> bool:
        return self._mtime > datetime.fromisoformat(self._changed).timestamp()

    def _modified(self) -> str:
        return formatdate(self._mtime, usegmt=True)
