"""Every reply below ``/_api`` is the envelope, whatever happens; every maintenance reply is its seed's body."""

import io
import json
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
from helpers import Admin, basic, tar_of, zip_of
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config
from pages.registry import Registry
from pages.upkeep import Upkeep

BLOG = "/_api/sites/default/blog"
BROKEN = "/_api/sites/default/broken"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
URL = "/api/admin/maintenance"
SECRET = "postgresql://user:hunter2@db/pages"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("envelope")


@pytest.fixture(scope="module")
def admin(folder: Path) -> Admin:
    """The admin of an installation with a deployed site and one whose record is broken."""
    (folder / "config.toml").write_text('[users.alice]\npass = "wonder"\n[limits]\nmax_upload_bytes = 100000\n')
    environ = {"PAGES_CONFIG": str(folder / "config.toml")}
    admin = Admin(create_app(load_config(environ)).test_client())
    for site_id in ("blog", "broken", "doomed", "empty"):
        admin.create(site_id)
    admin.deployed({"index.html": "x"})
    (folder / "data/registry/default/broken.json").write_text("{")
    return admin


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that nobody foresaw happens in every list and every clearing of the cache."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(f"password hunter2 of {SECRET}")

    monkeypatch.setattr(Registry, "names", fail)
    monkeypatch.setattr(Upkeep, "clear_cache", fail)


def body_of(reply: TestResponse) -> dict[str, Any]:
    """The reply's JSON object, which must be UTF-8 without escapes."""
    assert reply.mimetype == "application/json"
    text = reply.data.decode("utf-8")
    assert not re.search(r"\\u(?!00[01])", text)
    assert int(reply.headers["Content-Length"]) == len(reply.data)
    body = json.loads(text)
    assert isinstance(body, dict)
    return body


def assert_envelope(reply: TestResponse, status: int) -> dict[str, Any]:
    """The envelope with this status, and nothing of our insides in it."""
    body = body_of(reply)
    assert reply.status_code == status
    assert body["success"] is (status < 400)
    assert set(body) <= {"success", "message", "data"}
    assert all(isinstance(body[name], kind) for name, kind in [("message", str), ("data", dict)] if name in body)
    assert body["success"] or body["message"]
    for inside in ("Traceback", "hunter2", "/tmp/", ".py", "Error("):
        assert inside not in reply.get_data(as_text=True)
    return body


def file(content: bytes, name: str = "site.zip") -> dict[str, Any]:
    """An upload, for the test to send: a stream can be read once only."""
    return {"file": (content, name)}


def requests() -> list[Any]:
    """(status, method, path, keywords): one of everything that can be asked of the Admin API."""
    return [
        # Successes.
        (200, "GET", "/_api/sites", {}),
        (200, "GET", "/_api/sites?limit=1&offset=1&username=default", {}),
        (201, "POST", "/_api/sites", {"json": {"id": "first", "domain": "erste.例子.localhost", "index": "首页.html"}}),
        (200, "GET", BLOG, {}),
        (200, "PUT", BLOG, {"json": {"index": "首页.html"}}),
        (200, "DELETE", "/_api/sites/default/doomed", {}),
        (200, "POST", "/_api/reload", {}),
        (200, "GET", "/_api/health", {}),
        (200, "GET", "/_api/healthz", {}),
        (200, "POST", f"{BLOG}/deploy", file(zip_of({"首页.html": "x"}), "网站.zip")),
        (200, "POST", f"{BLOG}/deploy", file(tar_of({"sub/a.html": "x"}), "a.tgz")),
        (200, "GET", f"{BLOG}/checkpoints", {}),
        (201, "POST", f"{BLOG}/checkpoints", {"json": {"description": "手动 😀"}}),
        # 400: parameters, bodies, fields, archives.
        (400, "GET", "/_api/sites?limit=x", {}),
        (400, "GET", "/_api/sites?offset=-1", {}),
        (400, "POST", "/_api/sites", {"data": b"", "headers": JSON}),
        (400, "POST", "/_api/sites", {"data": b"\xff\xfe", "headers": JSON}),
        (400, "POST", "/_api/sites", {"data": b"[" * 100_000, "headers": JSON}),
        (400, "POST", "/_api/sites", {"json": {}}),
        (400, "POST", "/_api/sites", {"json": {"id": "<b>&\"'", "domain": "x"}}),
        (400, "POST", "/_api/sites", {"json": {"id": "x", "domain": "x.y", "\x07\u2028<b>": 1}}),
        (400, "POST", "/_api/sites", {"json": {"id": "x", "domain": "x.y", "k" * 5000: 1}}),
        (400, "PUT", BLOG, {"json": {"enabled": "是"}}),
        (400, "POST", f"{BLOG}/deploy", {}),
        (400, "POST", f"{BLOG}/deploy", {"json": {}}),
        (400, "POST", f"{BLOG}/deploy", {"data": b"", "headers": {"Content-Type": "multipart/form-data"}}),
        (400, "POST", f"{BLOG}/deploy", {"data": b"--b", "headers": FORM}),
        (400, "POST", f"{BLOG}/deploy", file(b"rubbish", "a.zip")),
        (400, "POST", f"{BLOG}/deploy", file(b"rubbish", "a.tar.gz")),
        (400, "POST", f"{BLOG}/deploy", file(b"x", "a.exe")),
        (400, "POST", f"{BLOG}/deploy", file(zip_of({"../x": "x"}))),
        (400, "POST", f"{BLOG}/deploy", file(zip_of({"a\x07b": "x"}))),
        (400, "POST", f"{BLOG}/deploy", file(zip_of({"x": "x"}), "\x07\u2028<b>.zap")),
        (400, "POST", f"{BLOG}/checkpoints", {"json": []}),
        # 401, 403.
        (401, "GET", "/_api/sites", {"headers": {"Authorization": ""}}),
        (401, "GET", "/_api/nothing", {"headers": basic("管理员", "密码")}),
        (401, "GET", "/_api/sites", {"headers": {"Authorization": "Basic \xe9"}}),
        (401, "OPTIONS", "/_api/sites", {"headers": {"Authorization": "x"}}),
        (403, "GET", "/_api/sites", {"headers": {"Origin": "http://evil.example"}}),
        (403, "GET", "/_api/healthz", {"headers": {"Sec-Fetch-Site": "cross-site"}}),
        (403, "POST", "/_api/reload", {"headers": basic("alice", "wonder")}),
        (403, "GET", BLOG, {"headers": basic("alice", "wonder")}),
        # 404, 405.
        (404, "GET", "/_api", {}),
        (404, "GET", "/_api/", {}),
        (404, "GET", "/_api/<b>%0d%0a%00%ff\u2028", {}),
        (404, "GET", "/_api/" + "x/" * 1000, {}),
        (404, "GET", "/_api/../../etc/passwd", {}),
        (404, "GET", "/_api/static/x.js", {}),
        (404, "GET", "/_api/favicon.ico", {}),
        (404, "GET", "/_api/sites/default/%00", {}),
        (404, "PUT", "/_api/sites/default/%FF", {"json": {}}),
        (404, "DELETE", "/_api/sites/default/nothing", {}),
        (404, "POST", "/_api/sites/default/nothing/deploy", file(zip_of({"a": "b"}))),
        (404, "GET", f"{BLOG}/checkpoints/x", {}),
        (404, "GET", f"{BLOG}/checkpoints/..", {}),
        (404, "DELETE", f"{BLOG}/checkpoints/%00", {}),
        (404, "POST", f"{BLOG}/checkpoints/../../checkout", {}),
        (404, "POST", f"{BLOG}/checkpoints/20250106-160000-c3d4e5f6/checkout", {}),
        (405, "PATCH", "/_api/sites", {}),
        (405, "OPTIONS", "/_api/sites", {}),
        (405, "TRACE", "/_api/health", {}),
        (405, "PROPFIND", BLOG, {}),
        (405, "GET", f"{BLOG}/deploy", {}),
        # 409, 413, 415, 500.
        (409, "POST", "/_api/sites", {"json": {"id": "blog", "domain": "x.y"}}),
        (409, "POST", "/_api/sites", {"json": {"id": "x", "domain": "broken.localhost"}}),
        (409, "POST", "/_api/sites", {"json": {"id": "broken", "domain": "x.y"}}),
        (409, "PUT", BLOG, {"json": {"domain": "localhost"}}),
        (409, "POST", "/_api/sites/default/empty/checkpoints", {}),
        (413, "POST", "/_api/sites", {"data": b" " * 2_000_000, "headers": JSON}),
        (413, "POST", f"{BLOG}/deploy", file(b"x" * 200_000)),
        (413, "POST", f"{BLOG}/deploy", file(b"x" * 3_000_000)),
        (415, "POST", "/_api/sites", {"data": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (415, "PUT", BLOG, {"data": b"{}"}),
        (500, "GET", BROKEN, {}),
        (500, "PUT", BROKEN, {"json": {"enabled": True}}),
        (500, "GET", f"{BROKEN}/checkpoints", {}),
        (500, "POST", f"{BROKEN}/deploy", file(zip_of({"a": "b"}))),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "method", "path", "kwargs"),
    requests(),
    ids=lambda value: ascii(value)[:60] if isinstance(value, (str, int)) else "",
)
def test_every_reply_is_the_envelope(admin: Admin, status: int, method: str, path: str, kwargs: dict[str, Any]) -> None:
    if "file" in kwargs:
        content, name = kwargs["file"]
        kwargs = {"data": {"file": (io.BytesIO(content), name)}}
    assert_envelope(admin.call(method, path, **kwargs), status)


def test_head_has_the_envelopes_headers_and_no_body(admin: Admin) -> None:
    for path in ["/_api/sites", "/_api/nothing", BROKEN]:
        got, head = admin.get(path), admin.call("HEAD", path)
        assert (head.status_code, head.data) == (got.status_code, b"")
        assert head.mimetype == "application/json"


@pytest.mark.usefixtures("failing")
def test_what_nobody_foresaw_is_a_500_that_tells_nothing(admin: Admin) -> None:
    body = assert_envelope(admin.get("/_api/sites"), 500)
    assert body == {"success": False, "message": "服务器内部错误"}


def test_a_broken_record_is_told_by_its_own_message(admin: Admin) -> None:
    for method, path, kwargs in [("GET", "", {}), ("PUT", "", {"json": {}}), ("GET", "/checkpoints", {})]:
        assert assert_envelope(admin.call(method, BROKEN + path, **kwargs), 500)["message"] == "站点配置损坏"


def test_no_reply_may_be_stored_or_taken_for_a_page(admin: Admin) -> None:
    for path in ["/_api/sites", "/_api/nothing", "/_api/healthz"]:
        assert admin.get(path).headers["Cache-Control"] == "no-store"


def test_chinese_is_sent_as_it_is(admin: Admin) -> None:
    assert "认证失败".encode() in admin.client.get("/_api/sites").data
    assert "接口不存在".encode() in admin.get("/_api/nothing").data
    site = admin.create("zh", "中文.localhost", index="首页.html")
    assert "首页.html".encode() in admin.get("/_api/sites/default/zh").data
    assert site["domain"] == "xn--fiq228c.localhost"


# --- The maintenance API --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kwargs", "body"),
    [
        (401, {"headers": {"Authorization": ""}}, {"error": "权限不足"}),
        (401, {"headers": basic("admin", "wrong"), "json": {"action": "backup"}}, {"error": "权限不足"}),
        (401, {"headers": {"Authorization": "Basic \xe9"}}, {"error": "权限不足"}),
        (403, {"headers": basic("alice", "wonder"), "json": {"action": "backup"}}, {"error": "权限不足"}),
        (403, {"headers": basic("alice", "wonder"), "json": {"action": "x"}}, {"error": "权限不足"}),
        (403, {"headers": {"Sec-Fetch-Site": "same-site"}, "json": {"action": "backup"}}, {"error": "权限不足"}),
        (400, {"json": {"action": "reboot"}}, {"error": "无效的操作类型"}),
        (400, {"json": ["backup"]}, {"error": "无效的操作类型"}),
        (400, {"data": b"[" * 100_000, "headers": JSON}, {"error": "无效的操作类型"}),
        (400, {"data": b'{"action": "backup"', "headers": JSON}, {"error": "无效的操作类型"}),
        (400, {"data": b'{"action": "\\ud800"}', "headers": JSON}, {"error": "无效的操作类型"}),
        (400, {}, {"error": "无效的操作类型"}),
        (400, {"data": b" " * 2_000_000, "headers": JSON}, {"error": "无效的操作类型"}),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_every_refusal_of_the_maintenance_api_is_the_seeds(
    admin: Admin, status: int, kwargs: dict[str, Any], body: dict[str, str]
) -> None:
    reply = admin.post(URL, **kwargs)
    assert (reply.status_code, body_of(reply)) == (status, body)
    assert ("WWW-Authenticate" in reply.headers) == (status == 401)


@pytest.mark.usefixtures("failing")
def test_a_failure_of_the_maintenance_api_is_the_seeds(admin: Admin) -> None:
    reply = admin.post(URL, json={"action": "clear-cache"})
    body = body_of(reply)
    assert reply.status_code == 500
    assert set(body) == {"error", "details"}
    assert body["error"] == "操作失败"
    assert "hunter2" not in body["details"]


@pytest.mark.parametrize(
    ("action", "message", "more"),
    [
        ("clear-cache", "缓存清理成功", set()),
        ("backup", "数据备份成功", {"backupFile"}),
        ("restart", "开发环境：系统重启请求已记录", {"note"}),
    ],
)
def test_every_success_of_the_maintenance_api_is_the_seeds(
    admin: Admin, action: str, message: str, more: set[str]
) -> None:
    body = body_of(admin.post(URL, json={"action": action}))
    assert set(body) == {"success", "message", "timestamp"} | more
    assert (body["success"], body["message"]) == (True, message)
    assert body.get("note", "在开发环境中，请手动重启服务器") == "在开发环境中，请手动重启服务器"
