"""The log: one line for each event, as text or as JSON, whatever clients put into a request; and the request's id."""

import json
import logging
import re
import socket
from collections.abc import Callable

import pytest
from flask import Flask
from helpers import PROJECT, Admin, Server, basic

from pages import logs, tracing

# What ends a line for some reader, begins a forged one, steers a terminal, or cannot be encoded.
FORGED = '[2026-11-21 00:00:00,000] [1] [INFO] pages.changes: who="admin"'
HOSTILE = [
    f"a\n{FORGED}",
    f"a\r{FORGED}",
    f"a\r\n{FORGED}",
    f"a\x85{FORGED}",
    f"a\u2028{FORGED}",
    f"a\u2029{FORGED}",
    f"a\x0b\x0c\x1c\x1d\x1e{FORGED}",
    "a\x1b[2Jb",
    "a\x9b2Jb",
    "a\x00b\x7f",
    "a\u202eb",
    'a", "level": "FORGED", "x": "',
    "a\ud800b",
]


@pytest.fixture(autouse=True)
def no_request() -> None:
    """Tests run in one thread, and the last one's request may be another's."""
    tracing.forget()


def record(message: str, *arguments: object, error: Exception | None = None, **extra: str) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error else None
    return logging.getLogger("x").makeRecord("pages.x", logging.INFO, "f", 1, message, arguments, exc_info, extra=extra)


def is_clean(text: str) -> bool:
    """Is it one line to every reader, and safe to print and to write?"""
    text.encode()
    return len(text.splitlines()) == 1 and all(c.isprintable() for c in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_one_line_whatever_it_tells_of(text: str) -> None:
    line = logs.Text().format(record("%s is told", text))
    assert is_clean(line)
    assert line.startswith("[")
    assert line.endswith(" is told")


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_one_object_on_one_line_whatever_it_tells_of(text: str) -> None:
    line = logs.Json().format(record("%s is told", text, who=text))
    assert is_clean(line)
    told = json.loads(line)
    assert told["message"] == f"{text} is told"
    assert told["who"] == text
    assert told["level"] == "INFO"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("log_format", [logs.Text, logs.Json])
def test_a_traceback_that_quotes_a_client_begins_no_line_of_its_own(
    log_format: type[logging.Formatter], text: str
) -> None:
    lines = log_format().format(record("it failed", error=ValueError(text))).split("\n")
    assert all(is_clean(line) for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


def test_chinese_is_readable_in_json() -> None:
    line = logs.Json().format(record("站点已部署", result="200 站点已部署"))
    assert line.count("站点已部署") == 2


def test_json_has_the_same_fields_in_every_line() -> None:
    told = json.loads(logs.Json().format(record("x")))
    assert list(told) == ["time", "level", "logger", "process", "message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", told["time"])


@pytest.mark.parametrize("log_format", [logs.Text, logs.Json])
def test_a_line_names_the_request_it_was_written_in(log_format: type[logging.Formatter]) -> None:
    assert "0123456789abcdef" not in log_format().format(record("x"))
    tracing.begin("0123456789abcdef")
    assert "0123456789abcdef" in log_format().format(record("x"))


# --- Request ids --------------------------------------------------------------------------------


def request_id(admin: Admin, path: str = "/_api/sites", **headers: str) -> str | None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return admin.get(path, headers=sent).headers.get("X-Request-ID")


def test_every_answer_of_the_apis_has_an_id_of_its_own(admin: Admin) -> None:
    ids = [request_id(admin), request_id(admin), request_id(admin, "/_api/none")]
    ids += [admin.client.get("/_api/sites").headers["X-Request-ID"]]
    ids += [admin.post("/api/admin/maintenance", json={}).headers["X-Request-ID"]]
    assert len(set(ids)) == 5
    assert all(re.fullmatch("[0-9a-f]{20}", str(each)) for each in ids)


def test_an_error_of_ours_has_its_id_in_the_answer_and_in_the_log(
    admin: Admin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = admin.client.application.extensions["pages"]
    seen = []
    monkeypatch.setattr(services.registry, "names", lambda *_: 1 / 0)
    monkeypatch.setattr(logging.getLogger("pages.web.errors"), "exception", lambda *_: seen.append(tracing.current()))
    reply = admin.get("/_api/sites")
    assert reply.status_code == 500
    assert reply.json == {"success": False, "message": "服务器内部错误"}
    assert seen == [reply.headers["X-Request-ID"]]


def test_a_sites_answers_have_none(admin: Admin) -> None:
    admin.deployed({"index.html": "x"})
    assert "X-Request-ID" not in admin.visit("/").headers
    assert "X-Request-ID" not in admin.visit("/none", method="POST").headers


@pytest.mark.parametrize(
    "sent", ["0123456789abcdef0123456789abcdef", "f3a6c2de-0000-4000-8000-000000000000", "a.b_c-d123"]
)
def test_a_trusted_proxys_id_is_taken(make_app: Callable[..., Flask], sent: str) -> None:
    admin = Admin(make_app(trusted_proxies="127.0.0.1").test_client())
    assert request_id(admin, X_Request_ID=sent) == sent


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "with space", 'quo"te12', "line\u2028line", "a,b,c,d,e,f"])
def test_an_id_that_is_none_is_replaced(make_app: Callable[..., Flask], sent: str) -> None:
    admin = Admin(make_app(trusted_proxies="127.0.0.1").test_client())
    own = request_id(admin, X_Request_ID=sent.encode().decode("latin-1"))
    assert re.fullmatch("[0-9a-f]{20}", str(own))


@pytest.mark.parametrize("trusted", ["", "unix", "192.0.2.7"])
def test_nobody_else_names_a_request(make_app: Callable[..., Flask], trusted: str) -> None:
    admin = Admin(make_app(trusted_proxies=trusted).test_client())
    assert request_id(admin, X_Request_ID="0123456789abcdef") != "0123456789abcdef"


def test_nginx_sends_its_own() -> None:
    assert "proxy_set_header X-Request-ID $request_id;" in (PROJECT / "pages/nginx.conf").read_text(encoding="utf-8")


# --- Under gunicorn -----------------------------------------------------------------------------


def raw(server: Server, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head)
        while connection.recv(65536):
            pass


def test_a_host_with_blanks_is_one_field_of_an_access_line(make_server: Callable[..., Server]) -> None:
    server = make_server()
    raw(server, b'GET /x HTTP/1.1\r\nHost: a" 200 "GET /fake b\r\nConnection: close\r\n\r\n')
    server.stop()
    (line,) = [line for line in server.log.splitlines() if "GET /x" in line]
    assert line.split(" ")[1:4] == ['a\\"%20200%20\\"GET%20/fake%20b', '"GET', "/x"]


def test_every_line_of_every_process_is_an_object_when_it_is_to_be_json(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_LOG_FORMAT="json")
    agent = 'agent "7" 部署\x85'.encode()
    raw(
        server,
        b"GET /_api/sites?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: " + agent + b"\r\n\r\n",
    )
    server.request("POST", "/_api/sites/a%0A%E2%80%A8b/x", b"", headers=basic())
    raw(server, b"GET / HTTP/1.1\r\nbroken header\r\n\r\n")
    server.stop()
    lines = [json.loads(line) for line in server.log.split("\n") if line]
    by_logger = {name: [line for line in lines if line["logger"] == name] for name in {x["logger"] for x in lines}}
    assert {"gunicorn.error", "gunicorn.access", "pages.changes", "pages.recovery"} <= set(by_logger)
    assert all({"time", "level", "logger", "process", "message"} <= set(line) for line in lines)
    (asked,) = [line for line in by_logger["gunicorn.access"] if "x=1" in line["message"]]
    assert asked["request"] == "GET /_api/sites?x=1 HTTP/1.1"
    assert (asked["from"], asked["host"], asked["status"]) == ("127.0.0.1", "localhost", 401)
    assert asked["agent"] == agent.decode()
    assert isinstance(asked["bytes"], int)
    (change,) = by_logger["pages.changes"]
    assert (change["who"], change["what"]) == ("admin", "POST /_api/sites/a\n\u2028b/x")
    assert change["request_id"] in {line["request_id"] for line in by_logger["gunicorn.access"]}
    (broken,) = [line for line in lines if "Invalid" in line["message"]]
    assert "request_id" not in broken  # Nobody's, and not the last one's.
