"""The reference of the API, as a page: what ``openapi.json`` says, call by call."""

import json
from functools import cache
from typing import Any

from flask import Blueprint, Response

from pages.web.auth import CONSOLE
from pages.web.console.answers import show
from pages.web.status import DOCUMENT, describe

blueprint = Blueprint("console_reference", __name__, url_prefix=f"{CONSOLE}/reference")

_METHODS = ("get", "post", "put", "delete")


@blueprint.get("", provide_automatic_options=False)
def show_reference() -> Response:
    """All calls, in the document's own groups."""
    return show("reference.html", info=_document()["info"], groups=_groups())


@blueprint.get("/openapi.json", provide_automatic_options=False)
def send_document() -> Response:
    """The document itself."""
    return describe()


@cache
def _document() -> dict[str, Any]:
    """What it says; read when the page is first asked for, and not at the start of every worker."""
    document: dict[str, Any] = json.loads(DOCUMENT)
    return document


@cache
def _groups() -> list[dict[str, Any]]:
    """The document's groups with their calls."""
    calls = _calls()
    return [{**tag, "calls": [call for call in calls if call["tag"] == tag["name"]]} for tag in _document()["tags"]]


def _calls() -> list[dict[str, Any]]:
    return [
        _call(path, method, operation, item.get("parameters", []))
        for path, item in _document()["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]


def _call(path: str, method: str, operation: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
    parameters = [_resolved(each) for each in (*shared, *operation.get("parameters", []))]
    answers = {status: _resolved(answer) for status, answer in operation["responses"].items()}
    return {
        "id": operation["operationId"], "tag": operation["tags"][0], "path": path, "method": method.upper(),
        "summary": operation["summary"], "description": operation.get("description", ""),
        "parameters": [{**each, "type": _kind(_resolved(each.get("schema", {})))} for each in parameters],
        "bodies": _examples(_resolved(operation.get("requestBody", {}))),
        "answers": [{"status": status, "description": each["description"]} for status, each in answers.items()],
        "example": next((text for s, each in answers.items() if s < "300" for _, text in _examples(each)), ""),
    }  # fmt: skip


def _examples(content: dict[str, Any]) -> list[tuple[str, str]]:
    """The examples of a body, each by its media type and as it is sent."""
    return [
        (kind, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
        for kind, media in content.get("content", {}).items()
        for value in [_resolved(each).get("value") for each in media.get("examples", {}).values()]
        if value is not None
    ]


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = schema.get("type", "")
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference names, as far as it is one."""
    while "$ref" in part:
        found: Any = _document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part
