"""What comes in: JSON bodies and uploads, read within limits and refused with a clear message."""

import io
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from flask import Request, Response, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from pages.errors import BadRequest, FileMissing, InvalidField, TooLarge, UploadTooLarge
from pages.model import deploy_description, named_once
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


@dataclass(frozen=True)
class Form:
    """A deploy's form: the files on the data disk that came, the archive's cleaned name, and the text fields."""

    archive: Path | None
    file_name: str
    manifest: Path | None
    root: str
    description: str


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
            raise UploadTooLarge(self._limit)
        self._watch(self._limit - self._left, 0)
        rest = memoryview(data)
        while rest:  # The system may take a part: a disk that is nearly full, or a signal; the next one says why.
            rest = rest[super().write(rest) or 0 :]
        return len(data)


def json_object(
    optional: bool = False, most: int = MAX_JSON_BYTES, judge: Callable[[bytes], None] = lambda _: None
) -> dict[str, Any]:
    """The body as a JSON object. ``optional``: an empty body is an empty object.

    ``judge`` sees it before it is parsed, which may take fifty times its size of memory.

    Raises ``UnsupportedMediaType`` unless the body is declared JSON (a form that a browser sends
    across sites cannot be), ``BadRequest`` when it is none, ``TooLarge`` over ``most`` bytes.
    """
    _expect_body()
    request.max_content_length = most + 1  # A chunked body is cut there, silently.
    try:
        data = request.get_data(cache=False)
    except RequestEntityTooLarge:
        data = bytes(most + 1)
    if len(data) > most:
        raise TooLarge(f"请求体超过上限 {most} 字节")
    if optional and not data:
        return {}
    if not request.is_json:
        raise UnsupportedMediaType()
    judge(data)
    try:
        body = msgspec.json.decode(data)
        json.loads(data, object_pairs_hook=named_once, parse_int=len, parse_float=len)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadRequest("请求体不是有效的 JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("请求体必须是 JSON 对象")
    return body


def receive_upload(work: Work, max_bytes: int, watch: Callable[[int, int], None]) -> Form:
    """Stream a deploy's form to the data disk; all of it together has ``max_bytes`` and a little for what is around.

    ``watch`` is told how many bytes have come, and stops it where there is no room (see ``Space.watch``).

    Raises ``FileMissing``, ``BadRequest`` for more than one file of a kind or an unknown field, ``TooLarge``.
    """
    _expect_body()
    path = work.path / "upload"
    incoming = cast(PagesRequest, request)
    incoming.new_upload = lambda: _LimitedFile(path if not path.exists() else work.new_path(), max_bytes, watch)
    incoming.max_content_length = max_bytes + FORM_OVERHEAD_BYTES
    try:
        files = list(request.files.items(multi=True))
    except RequestEntityTooLarge:
        if (request.content_length or 0) > incoming.max_content_length:
            raise UploadTooLarge(max_bytes) from None
        raise TooLarge("表单字段过多或过大") from None
    archive, manifest = _received(files, "file"), _received(files, "manifest")
    if archive is None and manifest is None:
        raise FileMissing()
    if len(files) > len({name for name, _ in files} & {"file", "manifest"}):
        raise BadRequest("一次只能上传一个文件")
    for name in request.form:
        if name == "manifest":
            raise InvalidField(name, "必须作为文件上传")
        if name not in ("root", "description"):
            raise BadRequest(f"未知字段 {name[:100]}")
    description = deploy_description(request.form["description"]) if "description" in request.form else ""
    name = _clean_file_name(request.files["file"].filename or "") if archive else ""
    return Form(archive, name, manifest, request.form.get("root", ""), description)


def _received(files: list[tuple[str, FileStorage]], name: str) -> Path | None:
    """Where the first file part of this name is; None where there is none, or a form's field that was left empty."""
    file = next((file for part, file in files if part == name), None)
    if file is None or not file.filename:
        return None
    file.stream.flush()
    return Path(file.stream.name)


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


def _clean_file_name(untrusted_name: str) -> str:
    """The upload's name as a label: its last part, printable, short enough to store."""
    name = re.split(r"[\\/]", untrusted_name)[-1]
    name = "".join(c for c in name if c.isprintable()).encode("utf-8", "replace").decode()
    extension = name[-7:] if name.lower().endswith(".tar.gz") else os.path.splitext(name)[1]
    stem = name.removesuffix(extension)
    return stem[: max(_MAX_FILE_NAME - len(extension), 1)] + extension
