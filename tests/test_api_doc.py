"""``docs/api.md`` and the application agree: every call is in both."""

import re

import pytest
from flask import Flask
from helpers import PROJECT
from werkzeug.exceptions import HTTPException

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CALL = re.compile(rf"^[ \t]*(?:#+ .*?)?`?({'|'.join(METHODS)}) (/[^\s`?]*)", re.MULTILINE)


def documented() -> set[tuple[str, str]]:
    """(method, path) of every call that a heading or a line of code shows."""
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    return {(method, path) for method, path in _CALL.findall(text) if path.startswith(("/_api", "/api"))}


def shape(path: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r":\w+|<[^>]+>", ":", path)


def routes(app: Flask) -> set[tuple[str, str]]:
    """(method, path) of every route that is not the visitors' and no page of the console."""
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("serving.", "console_"))
        for method in rule.methods or ()
        if method in METHODS
    }


def test_every_route_is_documented(app: Flask) -> None:
    shown = {(method, shape(path)) for method, path in documented()}
    assert {route for route in routes(app) if (route[0], shape(route[1])) not in shown} == set()


def test_every_documented_call_is_a_route(app: Flask) -> None:
    adapter = app.url_map.bind("localhost")
    missing = set()
    for method, path in documented():
        try:
            endpoint, _ = adapter.match(path, method)
        except HTTPException:
            endpoint = "serving."
        if endpoint.startswith("serving."):
            missing.add((method, path))
    assert documented()
    assert missing == set()


@pytest.mark.parametrize("parameter", [":username", ":id"])
def test_parameters_are_named_as_in_the_site(parameter: str) -> None:
    sites = [path for _, path in documented() if path.startswith("/_api/sites/")]
    assert sites
    assert all(f"/{parameter}" in path for path in sites)


def test_every_route_can_be_told_from_a_visitors_path(app: Flask) -> None:
    paths = {path for _, path in routes(app)}
    assert {path for path in paths if not path.startswith("/_api/")} == {"/api/admin/maintenance"}
