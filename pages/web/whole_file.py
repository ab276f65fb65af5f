"""The answer that most visitors get: a whole file, with status 200.

``send_from_directory`` fills in whatever class of response it is given. This one has what it needs for a whole
file and nothing of what only other answers need, which is most of what a request costs in werkzeug.
"""

from collections.abc import Iterable
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.utils import get_content_type


class WholeFile:
    """A WSGI answer as ``werkzeug.utils.send_file`` builds one, where no condition and no range is left."""

    # What send_file sets: Last-Modified in seconds since 1970, Content-Length in bytes.
    last_modified: int
    content_length: int

    def __init__(self, body: Iterable[bytes], mimetype: str, headers: Headers, direct_passthrough: bool) -> None:  # noqa: ARG002 - Content-Disposition: a page is shown, not offered under its own name
        self._body = body
        self._type = get_content_type(mimetype, "utf-8")
        self.cache_control = SimpleNamespace()
        self.headers: dict[str, str] = {}
        self._etag = ""

    def set_etag(self, etag: str) -> None:
        self._etag = etag

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = [
            ("Content-Type", self._type),
            ("Content-Length", str(self.content_length)),
            ("Last-Modified", formatdate(self.last_modified, usegmt=True)),
            ("ETag", f'"{self._etag}"'),
        ]
        start_response("200 OK", headers + list(self.headers.items()))
        if environ["REQUEST_METHOD"] == "HEAD":
            self.close()
            return ()
        return self._body

    def close(self) -> None:
        """Close the file, where the answer is not sent."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
