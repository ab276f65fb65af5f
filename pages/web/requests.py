"""What comes in: JSON bodies and uploads, read within limits and refused with a clear message."""

import io
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from flask import Request, Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from pages.errors import BadRequest, FileMissing, TooLarge
from pages.patience import WINDOW_SECONDS, PatientSocket
from pages.web.context import config
from pages.work import Work

MAX_JSON_BYTES = 1024 * 1024
# What a multipart form needs beside the file: boundaries, part headers, the text fields.
FORM_OVERHEAD_BYTES = 1024 * 1024
_MAX_FILE_NAME = 255
_DRAIN_SECONDS = 10.0
_DRAIN_PAUSE_SECONDS = 1.0
_DRAIN_RATE = 64 * 1024
_NO_LIMIT_SECONDS = 1_000_000.0


class PagesRequest(Request):
    """A request whose uploaded files go where the view says, instead of to memory and ``/tmp``."""

    new_upload: Callable[[], IO[bytes]] | None = None

    def __init__(self, environ: Any, *args: Any, **kwargs: Any) -> None:
        # An offer to change the protocol may be ignored (RFC 9110, 7.8); werkzeug would route it apart.
        environ.pop("HTTP_UPGRADE", None)
        super().__init__(environ, *args, **kwargs)

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.new_upload is None:
            return super()._get_file_stream(total_content_length, content_type, filename, content_length)
        return self.new_upload()


class _LimitedFile(io.FileIO):
    """An upload on the data disk; ``TooLarge`` as soon as it is more than ``limit`` bytes."""

    def __init__(self, path: Path, limit: int, watch: Callable[[int, int], None]) -> None:
        super().__init__(path, "x+b")
        self._watch = watch
        self._left = limit
        self._limit = limit

    def write(self, data: Any) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise _upload_too_large(self._limit)
        self._watch(self._limit - self._left, 0)
        rest = memoryview(data)
        while rest:  # The system may take a part: a disk that is nearly full, or a signal; the next one says why.
            rest = rest[super().write(rest) or 0 :]
        return len(data)


def json_object(optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object. ``optional``: an empty body is an empty object.

    Raises ``UnsupportedMediaType`` unless the body is declared JSON (a form that a browser sends
    across sites cannot be), ``BadRequest`` when it is none, ``TooLarge`` over 1 MiB.
    """
    _expect_body()
    request.max_content_length = MAX_JSON_BYTES + 1  # A chunked body is cut there, silently.
    try:
        data = request.get_data(cache=False)
    except RequestEntityTooLarge:
        data = bytes(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise TooLarge(f"请求体超过上限 {MAX_JSON_BYTES} 字节")
    if optional and not data:
        return {}
    if not request.is_json:
        raise UnsupportedMediaType()
    try:
        body = msgspec.json.decode(data)
        json.loads(data, object_pairs_hook=_named_once, parse_int=len, parse_float=len)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadRequest("请求体不是有效的 JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("请求体必须是 JSON 对象")
    return body


def _named_once(pairs: list[tuple[str, Any]]) -> None:
    # Of two values for one name, who looked at the request before us may have seen the other.
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")


def receive_upload(work: Work, max_bytes: int, watch: Callable[[int, int], None]) -> tuple[Path, str, str]:
    """Stream a deploy's form to the data disk: (the file, its cleaned name, the ``root`` field).

    ``watch`` is told how many bytes have come, and stops it where there is no room (see ``Space.watch``).

    Raises ``FileMissing``, ``BadRequest`` for more than one file or an unknown field, ``TooLarge``.
    """
    _expect_body()
    path = work.path / "upload"
    incoming = cast(PagesRequest, request)
    incoming.new_upload = lambda: _LimitedFile(path if not path.exists() else work.new_path(), max_bytes, watch)
    incoming.max_content_length = max_bytes + FORM_OVERHEAD_BYTES
    try:
        files = request.files.getlist("file")
    except RequestEntityTooLarge:
        if (request.content_length or 0) > incoming.max_content_length:
            raise _upload_too_large(max_bytes) from None
        raise TooLarge("表单字段过多或过大") from None
    if not files or not files[0].filename:
        raise FileMissing()
    if len(list(request.files.items(multi=True))) > 1:
        raise BadRequest("一次只能上传一个文件")
    for name in request.form:
        if name != "root":
            raise BadRequest(f"未知字段 {name[:100]}")
    cast(Any, files[0].stream).flush()
    return path, _clean_file_name(files[0].filename), request.form.get("root", "")


def _expect_body() -> None:
    """From here on the client is waited for at ``min_upload_rate``, where gunicorn has no nginx before it or has."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, PatientSocket):
        rate = config().min_upload_rate
        connection.expect(WINDOW_SECONDS if rate else _NO_LIMIT_SECONDS, rate)


def drain(response: Response) -> Response:
    """Read what no view has read of a request's body, for some seconds at most.

    A connection closed with unread data is reset, and the client never sees its answer.
    """
    if request.content_length or "HTTP_TRANSFER_ENCODING" in request.environ:
        connection = request.environ.get("gunicorn.socket")
        if connection is not None:
            connection.settimeout(_DRAIN_PAUSE_SECONDS)
        if isinstance(connection, PatientSocket):
            connection.expect(_DRAIN_PAUSE_SECONDS, _DRAIN_RATE)
        # Whatever goes wrong: the body is malformed, cut short or never comes. Nobody wants it.
        with suppress(Exception):
            _discard(request.environ["wsgi.input"], time.monotonic() + _DRAIN_SECONDS)
        if connection is not None:
            connection.settimeout(None)
    return response


def _discard(stream: IO[bytes], deadline: float) -> None:
    while time.monotonic() < deadline and stream.read(64 * 1024):
        pass


def _upload_too_large(limit: int) -> TooLarge:
    return TooLarge(f"上传文件超过上限 max_upload_bytes = {limit} 字节")


def _clean_file_name(untrusted_name: str) -> str:
    """The upload's name as a label: its last part, printable, short enough to store."""
    name = re.split(r"[\\/]", untrusted_name)[-1]
    name = "".join(c for c in name if c.isprintable()).encode("utf-8", "replace").decode()
    extension = name[-7:] if name.lower().endswith(".tar.gz") else os.path.splitext(name)[1]
    stem = name.removesuffix(extension)
    return stem[: max(_MAX_FILE_NAME - len(extension), 1)] + extension
