"""The API's document, ``pages/web/openapi.json``, and whether an answer is one that it describes.

``helpers.Admin`` and ``helpers.Server`` hold every answer of the API that any test gets to it.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

MAINTENANCE = "/api/admin/maintenance"
FILE = Path(__file__).parent.parent / "pages" / "web" / "openapi.json"


@cache
def document() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


def operations() -> dict[tuple[str, str], Any]:
    """Every operation of the document, by (method, path)."""
    return {
        (method.upper(), path): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def resolved(node: Any) -> Any:
    """What a reference leads to; anything else as it is."""
    while "$ref" in node:
        target = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def why_undescribed(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Why this answer to a call is none that the document describes; empty when it is one.

    A path that is no call's, and one of another method, are answered as the document's general answers say.
    """
    responses = _responses(method, path)
    if str(status) not in responses:
        return f"{status} is not described, but {sorted(responses)}"
    response = resolved(responses[str(status)])
    for name, header in response.get("headers", {}).items():
        if reason := _why_bad_header(resolved(header), headers.get(name)):
            return f"{name}: {reason}"
    content = headers.get("Content-Type", "").partition(";")[0]
    if content not in response["content"]:
        return f"{content} is not described, but {sorted(response['content'])}"
    if not content.endswith("/json"):  # Text is text.
        return ""
    return "" if method == "HEAD" else _why_invalid_body(response["content"][content]["schema"], body)


def why_invalid(schema: Any, value: Any) -> str:
    """The first reason why a value does not conform to a schema of the document; empty when it does."""
    validator = _validator(json.dumps(schema))
    return next((str(error)[:500] for error in validator.iter_errors(value)), "")


def assert_described(method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fail unless the document describes this answer; requests that are no calls of the API pass."""
    path = unquote(target.partition("?")[0], errors="replace")
    if path.startswith("/_api/") or (path == MAINTENANCE and method == "POST"):
        reason = why_undescribed(method, path, status, headers, body)
        assert not reason, f"pages/web/openapi.json: {method} {path}: {reason}: {body[:300]!r}"


def _responses(method: str, path: str) -> Any:
    """What the document says of the answers to this call, by status."""
    general = document()["components"]["responses"]
    refused = {"401": general["Unauthorized"], "403": general["Forbidden"], "429": general["TooManyRequests"]}
    for pattern, template in _patterns():
        if pattern.fullmatch(path):
            item = document()["paths"][template]
            wanted = "get" if method == "HEAD" else method.lower()
            return item[wanted]["responses"] if wanted in item else {**refused, "405": general["MethodNotAllowed"]}
    return {**refused, "404": general["NotFound"]}


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    # What a path names goes before what it leaves open: "prune" is no checkpoint's id.
    paths = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]


def _why_bad_header(header: Any, value: str | None) -> str:
    if value is None:
        return "missing" if header.get("required") else ""
    known = int(value) if header["schema"]["type"] == "integer" and value.isdigit() else value
    return why_invalid(header["schema"], known)


def _why_invalid_body(schema: Any, body: bytes) -> str:
    try:
        value = json.loads(body)
    except ValueError:
        return "no JSON"
    return why_invalid(schema, value)


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
