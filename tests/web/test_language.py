"""Answers come in the language that the client asks for, in the seed's Chinese by default, and the log is English."""

import io
import json
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accept_language import PREFERENCES
from api_document import document
from flask import Flask
from helpers import Admin, zip_of
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config
from pages.errors import PagesError
from pages.languages import in_english
from pages.logs import set_up_logging

BLOG = "/_api/sites/default/blog"
ENGLISH = {"Accept-Language": "en-GB, en;q=0.9, zh;q=0.5"}


def said(reply: TestResponse) -> Any:
    """What the message of an answer is, in the envelope or in the maintenance API's body."""
    body = json.loads(reply.data)
    return body.get("message") or body.get("error")


def upload(archive: bytes, name: str = "site.zip", **form: str) -> dict[str, Any]:
    return {"data": {"file": (io.BytesIO(archive), name), **form}}


def linked() -> bytes:
    """A tar.gz with a symlink."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("字段 a 缺失")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return buffer.getvalue()


# (method, path, what is sent, Chinese, English); {} is what only the server knows.
ANSWERS: list[tuple[str, str, Callable[[], dict[str, Any]], str, str]] = [
    ("POST", "/_api/sites", lambda: {"json": {"id": "new", "domain": "new.localhost"}},
     "站点创建成功", "The site was created"),
    ("POST", "/_api/sites", lambda: {"json": {"id": "blog", "domain": "x.localhost"}},
     "站点已存在", "The site exists already"),
    ("POST", "/_api/sites", lambda: {"json": {"id": "new"}}, "字段 domain 缺失", "Field domain: missing"),
    ("POST", "/_api/sites", lambda: {"json": {"id": "new", "domain": "a_b"}},
     "字段 domain 不是有效的域名（不含端口、下划线、空格或通配符）",
     "Field domain: not a valid domain name (which holds no port, underscore, blank or wildcard)"),
    ("POST", "/_api/sites", lambda: {"json": {"id": "new", "domain": "a.localhost", "字段 a 缺失": 1}},
     "未知字段 字段 a 缺失", "Unknown field 字段 a 缺失"),
    ("PUT", BLOG, lambda: {"json": {"aliases": ["站点不存在: 缺失_b"]}},
     "字段 aliases 站点不存在: 缺失_b: 不是有效的国际化域名",
     "Field aliases: 站点不存在: 缺失_b: not a valid internationalized domain name"),
    ("PUT", BLOG, lambda: {"json": {"alias_mode": "other"}},
     "字段 alias_mode 必须是 redirect、serve 之一", "Field alias_mode: must be one of redirect, serve"),
    ("PUT", BLOG, lambda: {"json": {"cache": []}},
     "字段 cache 必须是对象，可含 html、assets、hashed",
     "Field cache: must be an object, which may hold html, assets, hashed"),
    ("GET", "/_api/sites/default/none", dict, "站点不存在", "The site does not exist"),
    ("GET", "/_api/none", dict, "接口不存在", "There is no such call"),
    ("PATCH", "/_api/sites", dict, "请求方法不允许", "Method not allowed"),
    ("PUT", BLOG, lambda: {"data": b"{"}, "请求的 Content-Type 必须是 application/json",
     "The request's Content-Type must be application/json"),
    ("PUT", BLOG, lambda: {"data": b"{", "content_type": "application/json"},
     "请求体不是有效的 JSON", "The request body is not valid JSON"),
    ("POST", f"{BLOG}/deploy", dict, "缺少文件", "The file is missing"),
    ("POST", f"{BLOG}/deploy", lambda: upload(b"x", "site.rar"), "不支持的文件格式，仅支持 zip、tar.gz、tgz",
     "Unsupported format: only zip, tar.gz and tgz are taken"),
    ("POST", f"{BLOG}/deploy", lambda: upload(b"x"),
     "解压 zip 失败: 内容不是 zip 格式", "Unpacking the zip failed: the content is not zip"),
    ("POST", f"{BLOG}/deploy", lambda: upload(linked(), "site.tgz"),
     "解压 tar.gz 失败: 不允许符号链接: 字段 a 缺失",
     "Unpacking the tar.gz failed: symlinks are not allowed: 字段 a 缺失"),
    ("POST", f"{BLOG}/deploy", lambda: upload(zip_of({"index.html": "x"})), "站点已部署", "The site was deployed"),
    ("DELETE", f"{BLOG}/checkpoints/20260101-000000-00000000", dict, "检查点不存在", "The checkpoint does not exist"),
    ("DELETE", f"{BLOG}/plan", dict, "没有计划中的切换", "No switch is planned"),
    ("POST", "/_api/verify", dict, "检查完成", "The check is finished"),
    ("GET", "/_api/sites", lambda: {"headers": {"Sec-Fetch-Site": "cross-site"}},
     "拒绝跨站请求", "Cross-site request refused"),
    ("GET", "/_api/sites", lambda: {"headers": {"Authorization": ""}}, "认证失败", "Authentication failed"),
    ("POST", "/api/admin/maintenance", lambda: {"json": {"action": "clear-cache"}},
     "缓存清理成功", "The cache was cleared"),
    ("POST", "/api/admin/maintenance", lambda: {"json": {"action": "none"}}, "无效的操作类型", "Unknown action"),
    ("POST", "/api/admin/maintenance", lambda: {"headers": {"Authorization": ""}}, "权限不足", "Permission denied"),
]  # fmt: skip


@pytest.fixture(scope="module")
def admins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Admin]:
    """The admin of an application in Chinese and of one in English, each with the site ``default/blog``."""
    found = {}
    for language in ("zh", "en"):
        folder = tmp_path_factory.mktemp(language)
        (folder / "config.toml").touch()
        environ = {"PAGES_LANGUAGE": language, "PAGES_DATA_DIR": str(folder), "PAGES_CONFIG": f"{folder}/config.toml"}
        found[language] = Admin(create_app(load_config(environ)).test_client())
        found[language].create("blog")
    return found


@pytest.mark.parametrize(("method", "path", "sent", "chinese", "english"), ANSWERS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_answer_is_told_in_both_languages(
    admins: dict[str, Admin],
    method: str,
    path: str,
    sent: Callable[[], dict[str, Any]],
    chinese: str,
    english: str,
    language: str,
) -> None:
    request = sent()
    if language == "en":
        request["headers"] = {**request.get("headers", {}), **ENGLISH}
    reply = admins[language].call(method, path, **request)
    assert said(reply) == (english if language == "en" else chinese)
    assert reply.headers["Content-Language"] == language
    assert reply.headers["Vary"] == "Accept-Language"


def test_a_reload_is_told_in_english(admin: Admin) -> None:
    assert said(admin.post("/_api/reload", headers=ENGLISH)) == "Reloaded; sites in force: 2"


def test_a_restart_and_its_note_are_told_in_english(admin: Admin) -> None:
    reply = admin.post("/api/admin/maintenance", json={"action": "restart"}, headers=ENGLISH)
    assert reply.json["message"] == "Development environment: the request to restart was logged"
    assert reply.json["note"] == "In the development environment, restart the server by hand"


def test_a_failure_of_maintenance_is_told_with_its_details(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object) -> None:
        raise PagesError

    monkeypatch.setattr("pages.upkeep.Upkeep.clear_cache", fail)
    reply = admin.post("/api/admin/maintenance", json={"action": "clear-cache"}, headers=ENGLISH)
    assert reply.status_code == 500
    assert reply.json["error"] in ("The operation failed", "Internal server error")


def test_warnings_are_told_in_english(admin: Admin) -> None:
    files: dict[str, bytes | str] = {"dist/index.html": "x", "_redirects": "/a\n/b /b\n"}
    reply = admin.post(f"{BLOG}/deploy", headers=ENGLISH, **upload(zip_of(files)))
    assert reply.json["data"]["warnings"] == [
        "The index index.html is not at the root but in the folder dist; deploy with the form field root=dist to"
        " publish that folder",
        "_redirects, line 1 is ignored: the target is missing; write: /path /target [status] (/a)",
        "_redirects, line 2 is ignored: it redirects to itself without end (the slash at the end and http/https make"
        " no difference to a match) (/b /b)",
    ]


def test_the_problems_of_a_reload_are_told_in_english(admin: Admin, data: Path) -> None:
    record = data / "registry" / "default" / "blog.json"
    record.write_text(record.read_text().replace("blog.localhost", "a_b"))
    reply = admin.post("/_api/reload", headers=ENGLISH)
    assert reply.json["data"]["problems"] == [
        {
            "file": "registry/default/blog.json",
            "reason": "Field domain: not a valid domain name (which holds no port, underscore, blank or wildcard)",
        }
    ]


def test_the_problems_that_verify_finds_are_told_in_english(admin: Admin, data: Path) -> None:
    (data / "registry" / "default" / "blog.json").write_text("[]")
    problems = admin.post("/_api/verify", headers=ENGLISH).json["data"]["problems"]
    assert "the record cannot be read: not a JSON object" in [problem["reason"] for problem in problems]
    problems = admin.post("/_api/verify").json["data"]["problems"]
    assert "站点配置损坏: 不是 JSON 对象" in [problem["reason"] for problem in problems]


def test_what_is_stored_stays_as_it_was_stored(admin: Admin) -> None:
    """A checkpoint's description is the seed's, and data: it is the same for everybody."""
    reply = admin.post(f"{BLOG}/deploy", headers=ENGLISH, **upload(zip_of({"index.html": "x"}), "v1.zip"))
    assert reply.json["data"]["checkpoint"]["description"] == "部署: v1.zip"


def test_an_answer_without_a_message_has_no_language(admin: Admin) -> None:
    reply = admin.get("/_api/health", headers=ENGLISH)
    assert "Content-Language" not in reply.headers
    assert "Vary" not in reply.headers


def test_what_visitors_get_has_no_language_of_ours(admin: Admin) -> None:
    admin.deployed({"index.html": "x"})
    for path in ("/", "/missing"):
        assert "Content-Language" not in admin.visit(path, Accept_Language="en").headers


# --- Which language -------------------------------------------------------------------------


@pytest.mark.parametrize(("header", "by_default", "with_english_set"), PREFERENCES)
def test_the_language_is_the_one_the_client_prefers_else_the_settings(
    admins: dict[str, Admin], header: str | None, by_default: str, with_english_set: str
) -> None:
    messages = {"zh": "接口不存在", "en": "There is no such call"}
    for setting, expected in (("zh", by_default), ("en", with_english_set)):
        headers = {} if header is None else {"Accept-Language": header}
        reply = admins[setting].get("/_api/none", headers=headers)
        assert (reply.headers["Content-Language"], said(reply)) == (expected, messages[expected])


# --- The log and the document ---------------------------------------------------------------


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What an operator's log holds: the application's own handler, writing here."""
    logger = logging.getLogger("pages")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    set_up_logging()
    written = io.StringIO()
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    return written


@pytest.mark.parametrize("headers", [{}, ENGLISH])
def test_the_log_is_english_whatever_the_answer_is(admin: Admin, log: io.StringIO, headers: dict[str, str]) -> None:
    admin.post("/_api/sites", json={"id": "blog", "domain": "x.localhost"}, headers=headers)
    admin.post("/api/admin/maintenance", json={"action": "none"}, headers=headers)
    assert 'result="409 The site exists already"' in log.getvalue()
    assert 'result="400 Unknown action"' in log.getvalue()


def test_what_is_wrong_with_a_record_is_logged_in_english(admin: Admin, data: Path, log: io.StringIO) -> None:
    (data / "registry" / "default" / "blog.json").write_text("[]")
    admin.get(BLOG)
    assert "The site's record is damaged (not a JSON object)" in log.getvalue()
    assert log.getvalue().isascii()


def test_a_path_in_the_log_is_what_it_is(log: io.StringIO) -> None:
    logging.getLogger("pages").error("%s cannot be served: %s", "/data/字段 a: 缺失", OSError(5, "缺失", "/x: 缺失"))
    assert "/data/字段 a: 缺失 cannot be served: [Errno 5] 缺失: '/x: 缺失'" in log.getvalue()


def test_the_document_has_every_message_in_both_languages(app: Flask) -> None:
    """In ``pages/web/openapi.json`` a fixed message stands as an ``enum`` with its English."""
    missing: list[object] = []

    def look(node: Any, name: str = "") -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key not in ("example", "examples"):
                    look(value, key)
        elif isinstance(node, list):
            texts = [item for item in node if isinstance(item, str)]
            missing.extend(text for text in texts if name == "enum" and in_english(text) not in texts)
            for item in node:
                look(item, "" if isinstance(item, str) else name)
        elif name == "const" and isinstance(node, str) and not node.isascii():
            missing.append(node)

    look(document())
    assert missing == [], "in pages/web/openapi.json, write each of these as an enum of the Chinese and the English"
