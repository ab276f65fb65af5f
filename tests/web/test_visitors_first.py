"""A visitor's plain request is answered before Flask, and no request is that the Admin API's routes could match."""

import io
from typing import Any

import pytest
from flask import Flask

from pages.web.serving import is_plainly_a_visitors

PATHS = [
    "/", "/_api", "/_api/", "/_api/sites", "//_api/sites", "///_api", "/_apix", "/_api.html",
    "/a/_api/sites", "/_API/sites",
    "/api/admin/maintenance", "/api/admin/maintenance/", "//api/admin/maintenance", "/_api/healthz", "/_api\n/sites",
    "/static/x", "/a//b", "/\n_api/sites", "/ _api/sites", "/./_api/sites", "/../_api/sites",
    "", "_api/sites", "\\_api",
]  # fmt: skip


def environ(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "SERVER_NAME": "x", "SERVER_PORT": "80",
        "HTTP_HOST": "blog.localhost", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), **more,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_what_is_answered_before_flask_matches_no_route_but_the_catch_all(
    make_app: Any, path: str, method: str
) -> None:
    app: Flask = make_app()
    sent = environ(path, method)
    if is_plainly_a_visitors(sent):
        with app.request_context(sent) as context:
            assert context.request.endpoint == "serving.serve"


@pytest.mark.parametrize(
    "sent",
    [
        environ("/", "POST"), environ("/", "OPTIONS"), environ("/", CONTENT_LENGTH="1"), environ("/", SCRIPT_NAME="/x"),
        environ("/", HTTP_TRANSFER_ENCODING="chunked"), environ("/_api/sites"), environ("//_api"), environ(""),
    ],
)  # fmt: skip
def test_a_request_that_is_more_than_a_look_at_a_file_goes_to_flask(sent: dict[str, Any]) -> None:
    assert not is_plainly_a_visitors(sent)


def test_a_page_is_the_same_from_both_ways(make_app: Any) -> None:
    app: Flask = make_app()
    first = app.test_client().get("/", headers={"Host": "localhost"})
    # A body, even an unwanted one, is Flask's to deal with.
    second = app.test_client().get("/", headers={"Host": "localhost"}, data=b"x")
    assert first.status_code == second.status_code == 200
    assert first.data == second.data
    assert dict(first.headers) == dict(second.headers)
