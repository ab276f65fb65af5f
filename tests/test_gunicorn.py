"""Under real gunicorn: odd and hostile requests on raw sockets, restarts under load, starts that must fail."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import PROJECT, THOROUGH, Reply, Server, basic, wait_until, zip_of
from nginx import Visitors
from werkzeug.security import generate_password_hash

from pages import files
from pages.config import Config

PAGE = b"<h1>blog</h1>\n"
OTHER = b"<h1>other</h1>\n"
HOST = b"Host: blog.localhost\r\n"
CLOSE = b"Connection: close\r\n"
AUTH = f"Authorization: {basic()['Authorization']}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"
ARCHIVE = zip_of({"index.html": "never deployed" * 100})
BOUNDARY = b"----boundary"
FORM = (
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="site.zip"\r\n\r\n'
    + ARCHIVE + b"\r\n--" + BOUNDARY + b"--\r\n"
)  # fmt: skip
MULTIPART = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n"
DEPLOY = b"POST /_api/sites/default/blog/deploy HTTP/1.1\r\n" + HOST + AUTH + MULTIPART
CREATE = b"POST /_api/sites HTTP/1.1\r\n" + HOST + AUTH + JSON


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two sites that no test of this module changes, and one for uploads."""
    server = Server(tmp_path_factory.mktemp("running"), {"PAGES_MAX_UPLOAD_BYTES": "100000"}).start()
    for site, page in (("blog", PAGE), ("other", OTHER), ("uploads", b"")):
        assert server.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost"}).status == 201
        files = {"index.html": page, "docs/index.html": b"docs", "_api/page.html": b"never served"}
        assert server.deploy(zip_of(files), site=f"default/{site}").status == 200
    yield server
    server.stop()


def talk(server: Server, sent: bytes, hang_up: bool = False, seconds: float = 20.0) -> bytes:
    """Send these very bytes and read until the server closes; fails when it leaves us waiting.

    ``hang_up`` closes our side after sending, as a client does that goes away.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(sent)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # It closed with something of ours unread.
        return received


def statuses(received: bytes) -> list[int]:
    """The status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"^HTTP/1\.\d (\d{3}) ", received, re.MULTILINE)]


def get(target: bytes, *headers: bytes, host: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + host + b"".join(headers) + CLOSE + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# --- Odd requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n",
        b"GET / HTTP/1.1\r\nHost: \r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost\r\nHost: other.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost\r\nHost: blog.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost, other.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost : blog.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost\r\n other.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog_x.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: user@blog.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost\0\r\n",
        b"GET / HTTP/1.1\r\nHost: blog\xff.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: xn--a.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: xn--\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 64 + b".localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a." * 2000 + b"localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1\r\n",
    ],
)
def test_a_request_without_one_clear_host_gets_no_site(running: Server, head: bytes) -> None:
    received = talk(running, head + CLOSE + b"\r\n")
    assert [status in (400, 404) for status in statuses(received)] == [True]
    assert PAGE not in received
    assert OTHER not in received


@pytest.mark.parametrize(
    ("target", "page"),
    [
        (b"http://other.localhost/", PAGE),
        (b"https://user:password@other.localhost/", PAGE),
        (b"HTTP://other.localhost:80/docs/", b"docs"),
    ],
)
def test_in_an_absolute_uri_the_host_header_decides(running: Server, target: bytes, page: bytes) -> None:
    assert talk(running, get(target)).endswith(page)


@pytest.mark.parametrize(
    "target",
    [
        b"http://blog.localhost/_api/sites",
        b"http:///_api/sites",
        b"//_api/sites",
        b"///_api/sites",
        b"////_api//sites",
        b"/%5fapi/sites",
        b"/%5F%61%70%69/sites",
        b"/_api%2fsites",
        b"/_api/../_api/sites",
        b"/docs/../_api/sites",
        b"/./_api/sites",
        b"//blog.localhost/_api/sites",
        b"/_api;x/sites",
        b"/_api\\sites",
        b"/_api#/sites",
        b"/_api/page.html",
        b"//_api/page.html",
        b"/%5fapi/page.html",
    ],
)
def test_a_disguised_path_to_the_admin_api_needs_credentials(running: Server, target: bytes) -> None:
    received = talk(running, get(target))
    assert statuses(received)[0] in (400, 401, 404)
    assert b'"success":true' not in received
    assert b"never served" not in received


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"docs",
        b"\\docs",
        b"?x",
        b"blog.localhost:80",
        b"http://[::1",
        b"/a b",
        b"/a\tb",
        b"/\x01",
        b"/\x7f",
        b"/\x00",
        "/中文".encode(),
        b"/\xff",
        b"/?q=\xff",
        b"/docs?q=\xff",
        b"/" + b"a" * 9000,
        b"/?" + b"a" * 9000,
    ],
)
def test_a_target_that_is_none_is_refused(running: Server, target: bytes) -> None:
    received = talk(running, get(target))
    assert [400 <= status < 500 for status in statuses(received)] == [True]
    assert PAGE not in received


@pytest.mark.parametrize(
    "target",
    [
        b"/%00",
        b"/docs/%00",
        b"/%ff%fe",
        b"/%c0%ae%c0%ae/",
        b"/%ed%a0%80",
        b"/%",
        b"/%zz",
        b"/%0d%0aX-Injected:%201",
        b"/..",
        b"/../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/..%2f..%2f..%2fetc%2fpasswd",
        b"/%252e%252e/x",
        b"//etc/passwd",
        b"//[x",
        b"///",
        b"/docs//",
        b"/" + b"a" * 8000,
        b"/" + b"a/" * 4000,
        b"/" + b"%E4%B8%AD" * 800,
    ],
)
def test_a_path_that_no_file_can_have_is_404(running: Server, target: bytes) -> None:
    assert statuses(talk(running, get(target))) == [404]


@pytest.mark.parametrize("target", [b"/#fragment", b"/?#", b"/?a=b#c", b"/?" + b"a" * 8000])
def test_what_follows_the_path_does_not_change_the_file(running: Server, target: bytes) -> None:
    assert talk(running, get(target)).endswith(PAGE)


@pytest.mark.parametrize("query", [b"a=1&b=%20", b"next=//evil.com", b"a=%0d%0aX-Injected:1"])
def test_a_redirect_on_the_wire_is_one_header_that_keeps_the_query(running: Server, query: bytes) -> None:
    assert b"\r\nLocation: /docs/?" + query + b"\r\n" in talk(running, get(b"/docs?" + query))


@pytest.mark.parametrize(
    "method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND", b"BREW"]
)
def test_other_methods_than_get_and_head_are_405(running: Server, method: bytes) -> None:
    request = method + b" / HTTP/1.1\r\n" + HOST + b"Cookie: needle\r\n" + CLOSE + b"\r\n"
    received = talk(running, request)
    assert statuses(received) == [405]
    assert b"needle" not in received


@pytest.mark.parametrize("request_line", [b"OPTIONS * HTTP/1.1", b"CONNECT blog.localhost:443 HTTP/1.1"])
def test_a_target_of_a_special_form_is_405(running: Server, request_line: bytes) -> None:
    assert statuses(talk(running, request_line + b"\r\n" + HOST + CLOSE + b"\r\n")) == [405]


@pytest.mark.parametrize(
    "head",
    [
        b"get / HTTP/1.1\r\n" + HOST,
        b"GET / HTTP/2.0\r\n" + HOST,
        b"GET / HTTP/0.9\r\n" + HOST,
        b"GET / http/1.1\r\n" + HOST,
        b"GET / HTTP/1.1 \r\n" + HOST,
        b"GET  / HTTP/1.1\r\n" + HOST,
        b"GET\t/\tHTTP/1.1\r\n" + HOST,
        b" GET / HTTP/1.1\r\n" + HOST,
        b"GET /\r\n",
        b"GET\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST,
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/1.1\n" + HOST.replace(b"\r", b""),
        b"GET / HTTP/1.1\r\n X: folded\r\n" + HOST,
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"no colon\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X\0: a\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200,
    ],
)
def test_a_malformed_head_is_refused(running: Server, head: bytes) -> None:
    received = talk(running, head + CLOSE + b"\r\n")
    assert [400 <= status < 500 for status in statuses(received)] == [True]
    assert PAGE not in received


def test_headers_with_underscores_cannot_pass_for_others(running: Server) -> None:
    spoofed = b"X_Forwarded_For: 203.0.113.9\r\nX_Forwarded_Host: other.localhost\r\nContent_Length: 5\r\n"
    assert talk(running, get(b"/", spoofed)).endswith(PAGE)
    assert "203.0.113.9" not in running.log


# --- Smuggling ----------------------------------------------------------------------------------

# What a request would smuggle in: nobody may ever get an answer to it.
SMUGGLED = b"GET / HTTP/1.1\r\nHost: other.localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: 5 0\r\n",
        b"Content-Length: 5;\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length:\r\n",
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b'Transfer-Encoding: "chunked"\r\n',
        b"Transfer-Encoding: chunked;q=1\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/", b"/_api/sites"])
def test_a_body_of_unclear_length_is_refused_with_all_that_follows(
    running: Server, headers: bytes, path: bytes
) -> None:
    request = b"POST " + path + b" HTTP/1.1\r\n" + HOST + AUTH + JSON + headers + b"\r\n0\r\n\r\n" + SMUGGLED
    received = talk(running, request)
    # 501 is HTTP's own word for a transfer coding that the server does not know (RFC 9112, 6.1).
    assert [400 <= status < 500 or status == 501 for status in statuses(received)] == [True]
    assert OTHER not in received


def test_a_chunked_body_on_http_1_0_is_refused(running: Server) -> None:
    request = b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED
    received = talk(running, request)
    assert statuses(received) == [400]
    assert OTHER not in received


@pytest.mark.parametrize("path", [b"/", b"/missing", b"/_api/health", b"/_api/missing"])
def test_a_body_that_nobody_wants_is_not_taken_for_the_next_request(running: Server, path: bytes) -> None:
    head = b"GET " + path + b" HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    received = talk(running, head + SMUGGLED + get(b"/docs/"))
    assert OTHER not in received
    assert len(statuses(received)) == 1 or received.endswith(b"docs")


def test_requests_on_one_connection_get_each_its_own_site(running: Server) -> None:
    keep = b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\nHost: other.localhost\r\n\r\n"
    received = talk(running, keep + get(b"/docs/"))
    assert statuses(received) == [200, 200, 200]
    assert received.index(PAGE) < received.index(OTHER) < received.index(b"docs", received.index(OTHER))


@pytest.mark.parametrize("times", [1, 3])
def test_a_request_after_one_with_a_chunked_body_is_answered(running: Server, times: int) -> None:
    posted = b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + chunk(b"hello") * times
    received = talk(running, posted + b"0\r\n\r\n" + get(b"/"))
    assert statuses(received) in ([405, 200], [405])


# --- Bodies that are not what they say ----------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"2_0\r\n{}\r\n0\r\n\r\n",
        b"2 \n{}\r\n0\r\n\r\n",
        b"2;x\ny\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}x\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
    ],
)
def test_malformed_chunks_are_400(running: Server, body: bytes) -> None:
    received = talk(running, CREATE + CHUNKED + body + SMUGGLED, hang_up=True)
    assert statuses(received) == [400]
    assert OTHER not in received


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(DEPLOY, id="a deploy"),
        pytest.param(b"DELETE /_api/sites/default/none HTTP/1.1\r\n" + HOST + AUTH, id="a delete"),
        pytest.param(b"POST /api/admin/maintenance HTTP/1.1\r\n" + HOST + AUTH + JSON, id="maintenance"),
        pytest.param(b"POST /_api/missing HTTP/1.1\r\n" + HOST + AUTH, id="an unknown path"),
    ],
)
def test_malformed_chunks_are_the_clients_fault_wherever_they_come_in(running: Server, head: bytes) -> None:
    received = talk(running, head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED, hang_up=True)
    assert [400 <= status < 500 for status in statuses(received)] == [True]
    assert OTHER not in received


@pytest.mark.parametrize(
    "upload",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM[:-200], id="a length, cut in the archive"),
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM[:-5], id="a length, cut in the last boundary"),
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM[:20], id="a length, cut in the part's head"),
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(FORM), id="a length and no body"),
        pytest.param(b"Content-Length: %d\r\n\r\n" % (len(FORM) - 60) + FORM, id="a length that is too short"),
        pytest.param(CHUNKED + chunk(FORM)[:-200], id="chunked, cut in the archive"),
        pytest.param(CHUNKED + chunk(FORM)[:-2], id="chunked, cut after the data"),
        pytest.param(CHUNKED + chunk(FORM), id="chunked, no last chunk"),
        pytest.param(CHUNKED + chunk(FORM) + b"0\r\n", id="chunked, cut in the end"),
        pytest.param(CHUNKED + chunk(FORM[:100]) + b"5", id="chunked, cut in a size"),
    ],
)
def test_an_upload_cut_short_changes_nothing(running: Server, upload: bytes) -> None:
    received = talk(running, DEPLOY + upload, hang_up=True)
    assert [status for status in statuses(received) if not 400 <= status < 500] == []
    assert running.request("GET", "/", host="blog.localhost").body == PAGE
    wait_until(lambda: os.listdir(running.data / "work") == [], "nothing of the upload is left")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"", b""),
        (b"Content-Length: 0\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"Content-Length: 7\r\n", b"rubbish"),
    ],
)
def test_a_deploy_without_a_form_is_400(running: Server, headers: bytes, body: bytes) -> None:
    assert statuses(talk(running, DEPLOY + headers + CLOSE + b"\r\n" + body)) == [400]


def test_a_chunked_upload_is_as_good_as_any(running: Server) -> None:
    pieces = [FORM[at : at + 100] for at in range(0, len(FORM), 100)]
    head = DEPLOY.replace(b"/blog/", b"/uploads/") + CLOSE + CHUNKED
    assert statuses(talk(running, head + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")) == [200]
    assert running.request("GET", "/", host="uploads.localhost").body == b"never deployed" * 100


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 10000000000\r\n\r\n", id="10 GB"),
        pytest.param(b"Content-Length: 99999999999999999999\r\n\r\n", id="more than 64 bits"),
        pytest.param(b"Content-Length: 2000000\r\n\r\n" + FORM[:120], id="2 MB, and a little of it"),
    ],
)
@pytest.mark.parametrize("head", [pytest.param(DEPLOY, id="deploy"), pytest.param(CREATE, id="create")])
def test_a_body_over_the_limit_is_413_in_json_before_it_is_sent(running: Server, head: bytes, headers: bytes) -> None:
    received = talk(running, head + headers, hang_up=True)
    assert statuses(received) == [413]
    assert json.loads(received.partition(b"\r\n\r\n")[2])["success"] is False


def test_an_endless_chunked_upload_is_413(running: Server) -> None:
    # No length is told: the server has to count.
    body = chunk(FORM[:120]) + chunk(b"x" * 65536) * 40
    received = talk(running, DEPLOY + CHUNKED + body, hang_up=True)
    assert statuses(received) == [413]


@pytest.mark.parametrize("head", [DEPLOY, CREATE, b"POST / HTTP/1.1\r\n" + HOST])
def test_a_client_that_waits_for_100_continue_is_answered(running: Server, head: bytes) -> None:
    request = head + CLOSE + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(request)
        first = connection.recv(65536)
        connection.sendall(b"hello")
        while piece := connection.recv(65536):
            first += piece
    assert statuses(first)[-1] in (400, 405)


def test_a_refusal_does_not_wait_for_a_body_that_never_comes(running: Server) -> None:
    # Anybody could hold all threads that way.
    heads = {b"POST / HTTP/1.1\r\n": 405, b"GET /missing HTTP/1.1\r\n": 404, b"POST /_api/sites HTTP/1.1\r\n": 401}
    with ExitStack() as stack:
        waiting = [stack.enter_context(socket.create_connection(("127.0.0.1", running.port))) for _ in heads]
        for connection, head in zip(waiting, heads, strict=True):
            connection.sendall(head + HOST + b"Content-Length: 5\r\n\r\n")
        deadline = time.monotonic() + 8
        for connection, status in zip(waiting, heads.values(), strict=True):
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            assert statuses(connection.recv(65536)) == [status]


def test_an_expectation_that_nobody_can_meet_is_refused(running: Server) -> None:
    request = b"POST / HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\nContent-Length: 5\r\n\r\nhello"
    assert [400 <= status < 500 for status in statuses(talk(running, request))] == [True]


def test_connections_that_are_kept_open_cost_the_others_nothing(running: Server) -> None:
    kept = []
    try:
        for _ in range(100):
            kept.append(socket.create_connection(("127.0.0.1", running.port), timeout=20))
            kept[-1].sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert kept[-1].recv(65536).startswith(b"HTTP/1.1 200")
        # There are many more of them than threads.
        assert talk(running, get(b"/")).endswith(PAGE)
    finally:
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("credentials", [b"Basic \xff", b"Basic \xe4\xb8\xad\xe6\x96\x87", b"Basic YWRt\x80aW4="])
def test_credentials_that_are_not_ascii_are_401(running: Server, credentials: bytes) -> None:
    header = b"Authorization: " + credentials + b"\r\n"
    assert statuses(talk(running, get(b"/_api/sites", header))) == [401]


def test_odd_requests_leave_no_traceback_in_the_log(running: Server) -> None:
    before = len(running.log)
    for request in (
        get(b"/%00"),
        get(b"/%ff"),
        get(b"//[x"),
        get(b"/" + b"a" * 8000),
        get(b"/", host=b"Host: xn--a.localhost\r\n"),
        get(b"/", host=b"Host: \xff\r\n"),
        get(b"/_api/sites/%00/%ff", AUTH),
        get(b"/_api/sites", b"Authorization: Basic\r\n"),
        DEPLOY + b"Content-Length: 100\r\n\r\n--",
        CREATE + b"Content-Length: 100\r\n\r\n{",
    ):
        talk(running, request, hang_up=True)
    assert "Traceback" not in running.log[before:]


# --- Restarts -----------------------------------------------------------------------------------


def hang_up(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


def wait_for_workers(server: Server, count: int) -> set[int]:
    """Wait until so many workers run; returns them."""
    wait_until(lambda: len(server.workers()) == count, f"{count} workers run:\n{server.log}")
    return server.workers()


def wait_for_new_workers(server: Server, before: set[int], count: int) -> set[int]:
    """Wait until the old workers are gone and so many new ones run; returns the new."""
    wait_until(lambda: not server.workers() & before, f"the old workers end:\n{server.log}")
    return wait_for_workers(server, count)


def maintenance(server: Server, action: str, password: str = "admin") -> Reply:
    headers = {**basic("admin", password), "Content-Type": "application/json"}
    body = json.dumps({"action": action}).encode()
    return server.request("POST", "/api/admin/maintenance", body, headers=headers)


@dataclass
class Restart:
    """What was seen while a server's workers were replaced under load."""

    server: Server
    before: set[int]
    after: set[int]
    failures: list[str]
    replies: dict[str, Reply] = field(default_factory=dict)
    upload: bytes = b""


@pytest.fixture(scope="module")
def hung_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restart]:
    """A server that had a HUP while visitors came without a pause and an upload was under way."""
    server = Server(tmp_path_factory.mktemp("hup")).start()
    for site in ("blog", "upload"):
        assert server.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost"}).status == 201
    assert server.deploy(zip_of({"index.html": PAGE})).status == 200
    before = wait_for_workers(server, 2)
    head = DEPLOY.replace(b"/blog/", b"/upload/") + CLOSE + b"Content-Length: %d\r\n\r\n" % len(FORM)
    with (
        Visitors(server.port, PAGE) as visitors,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as uploading,
    ):
        uploading.sendall(head + FORM[:200])
        wait_until(lambda: os.listdir(server.data / "work"), "the upload is under way")
        hang_up(server)
        wait_until(lambda: server.log.count("Booting worker") >= 4, "the new workers start")
        visitors.wait_for_more(50)
        uploading.sendall(FORM[200:])
        upload = b""
        while piece := uploading.recv(65536):
            upload += piece
        after = wait_for_new_workers(server, before, count=2)
    yield Restart(server, before, after, visitors.failures, upload=upload)
    server.stop()


def test_a_hup_replaces_every_worker(hung_up: Restart) -> None:
    assert len(hung_up.after) == 2
    assert not hung_up.after & hung_up.before


def test_a_hup_keeps_the_master(hung_up: Restart) -> None:
    assert hung_up.server.process is not None
    assert hung_up.server.process.poll() is None


def test_no_visitor_notices_a_hup(hung_up: Restart) -> None:
    assert hung_up.failures == []


def test_an_upload_under_way_finishes_over_a_hup(hung_up: Restart) -> None:
    assert statuses(hung_up.upload) == [200]
    served = hung_up.server.request("GET", "/", host="upload.localhost").body
    assert served == b"never deployed" * 100


@dataclass
class Production:
    """A server in production, with the config file that it was started with."""

    server: Server
    config: Path

    def configure(self, extra: str = "", workers: int = 1) -> None:
        """Write the file. With one worker, a server that answers has started all of them."""
        self.config.write_text(
            f'[server]\nenvironment = "production"\nadmin_pass = "secret"\nworkers = {workers}\n{extra}'
        )


@pytest.fixture
def production(make_server: Callable[..., Server], tmp_path: Path) -> Production:
    config = tmp_path / "pages.toml"
    found = Production(make_server(start=False, PAGES_CONFIG=str(config)), config)
    found.configure()
    found.server.start()
    return found


@pytest.fixture(scope="module")
def restarted(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restart]:
    """A server in production, restarted through the API under load, with other settings by then.

    One in development was asked for the same before: what it did not do by now, it will not do.
    """
    folder = tmp_path_factory.mktemp("production")
    production = Production(Server(folder, {"PAGES_CONFIG": str(folder / "pages.toml")}), folder / "pages.toml")
    production.configure()
    server = production.server.start()
    headers = basic("admin", "secret")
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}, headers=headers).status == 201
    (server.data / "sites/default/blog/index.html").write_bytes(PAGE)
    before = server.workers()
    production.configure('[users.alice]\npass = "wonderland"\n', workers=3)
    with Visitors(server.port, PAGE) as visitors:
        replies = {"development": maintenance(running, "restart")}
        replies["production"] = maintenance(server, "restart", "secret")
        after = wait_for_new_workers(server, before, count=3)
    yield Restart(server, before, after, visitors.failures, replies)
    server.stop()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("production", {"message": "系统重启指令已发送，服务将在3秒后重启"}),
        (
            "development",
            {"message": "开发环境：系统重启请求已记录", "note": "在开发环境中，请手动重启服务器"},
        ),
    ],
)
def test_a_restart_says_what_will_happen(restarted: Restart, environment: str, said: dict[str, str]) -> None:
    reply = restarted.replies[environment]
    body = reply.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("timestamp"))
    assert (reply.status, body) == (200, {"success": True, **said})


def test_a_restart_in_development_is_only_logged(restarted: Restart, running: Server) -> None:
    assert 'POST /api/admin/maintenance restart" result="200' in running.log
    assert "Handling signal: hup" not in running.log
    assert running.log.count("Booting worker") == 2


def test_a_restart_keeps_the_master_and_replaces_every_worker(restarted: Restart) -> None:
    assert restarted.server.process is not None
    assert restarted.server.process.poll() is None
    assert not restarted.after & restarted.before


def test_no_visitor_notices_a_restart(restarted: Restart) -> None:
    assert restarted.failures == []


def test_after_a_restart_the_new_settings_are_in_force(restarted: Restart) -> None:
    reply = restarted.server.api("GET", "/_api/health", headers=basic("alice", "wonderland"))
    assert reply.status == 200


def test_after_a_restart_as_many_workers_run_as_the_new_settings_say(restarted: Restart) -> None:
    assert len(restarted.after) == 3


def test_a_restart_is_logged_with_who_asked_from_where_and_how_it_ended(restarted: Restart) -> None:
    lines = [line for line in restarted.server.log.splitlines() if "/api/admin/maintenance restart" in line]
    assert len(lines) == 1
    assert 'who="admin" from=127.0.0.1' in lines[0]
    assert "200 The restart was ordered" in lines[0]


def test_restarts_asked_for_at_once_are_one(production: Production) -> None:
    server = production.server
    before = wait_for_workers(server, 1)
    for _ in range(10):
        assert maintenance(server, "restart", "secret").status == 200
    wait_for_new_workers(server, before, count=1)
    assert server.log.count("Hang up") == 1


def test_a_restart_into_broken_settings_is_refused_and_restarts_nothing(production: Production) -> None:
    server = production.server
    before = wait_for_workers(server, 1)
    production.configure("nonsense = 1\n")
    reply = maintenance(server, "restart", "secret")
    assert (reply.status, reply.json()["error"]) == (500, "操作失败")
    assert "nonsense" in reply.json()["details"]
    assert set(reply.json()) == {"error", "details"}
    # Were a restart on its way, it would come before this one.
    production.configure()
    assert maintenance(server, "restart", "secret").status == 200
    wait_for_new_workers(server, before, count=1)
    assert server.log.count("Hang up") == 1


def test_a_restart_whose_settings_are_broken_meanwhile_leaves_the_service_running(production: Production) -> None:
    server = production.server
    before = wait_for_workers(server, 1)
    assert maintenance(server, "restart", "secret").status == 200
    production.configure("nonsense = 1\n")
    wait_until(lambda: "nonsense" in server.log, "the settings are read")
    assert server.request("GET", "/_api/healthz").status == 200
    assert server.workers() & before == before


def test_a_hup_with_broken_settings_leaves_the_service_running(production: Production) -> None:
    server = production.server
    before = wait_for_workers(server, 1)
    production.configure("nonsense = 1\n")
    hang_up(server)
    wait_until(lambda: "nonsense" in server.log, "the settings are read")
    production.configure()
    hang_up(server)
    # The first HUP is over when the second one is obeyed.
    wait_for_new_workers(server, before, count=1)
    assert server.request("GET", "/_api/healthz").status == 200


@pytest.mark.skipif(not THOROUGH, reason="on a busy machine it may miss the moment: PAGES_TEST_THOROUGH=1")
def test_a_worker_that_has_only_just_begun_ends_at_a_stop_like_any_other(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_WORKERS="1")
    assert server.process is not None
    before = wait_for_workers(server, 1)
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: server.workers() - before, "the next worker begins")
    (begun,) = server.workers() - before
    os.kill(begun, signal.SIGSTOP)  # Just forked: it has had no time to import anything.
    server.process.terminate()
    wait_until(lambda: is_pending(begun, signal.SIGTERM), "the master tells it to end")
    os.kill(begun, signal.SIGCONT)
    assert server.process.wait(20) == 0  # And not after graceful_timeout.


def is_pending(process: int, number: signal.Signals) -> bool:
    """Has the process been sent a signal that it did not take yet?"""
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s+(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


@pytest.mark.parametrize("module", ["pages.model", "pages.database.catalog"])
def test_no_type_is_first_looked_at_when_threads_are_running(module: str) -> None:
    # msgspec does that at the first use of a type, and crashes when two threads are the first.
    look = (
        f"import gc, msgspec; import {module} as module\n"
        "kinds = [k for k in vars(module).values() if type(k) is type(msgspec.Struct) and k is not msgspec.Struct]\n"
        "known = [k.__name__ for k in kinds if 'StructInfo' in {type(o).__name__ for o in gc.get_referents(k)}]\n"
        "print(*sorted({k.__name__ for k in kinds} - {*known}))"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"Named"}  # Nobody reads it: it is what others have in common.


# --- Starts that must fail ----------------------------------------------------------------------


def start_and_fail(server: Server) -> tuple[int, str]:
    """The exit status and the log of a server that is expected not to come up."""
    server.start(wait=False)
    assert server.process is not None
    return server.process.wait(30), server.log


@pytest.mark.parametrize("password", ["admin", generate_password_hash("admin", method="pbkdf2:sha256:1")])
def test_production_refuses_to_start_with_the_password_admin(make_server: Callable[..., Server], password: str) -> None:
    server = make_server(start=False, PAGES_ENVIRONMENT="production", PAGES_ADMIN_PASS=password)
    status, log = start_and_fail(server)
    assert status != 0
    assert "admin_pass is still 'admin'" in log
    assert "PAGES_ADMIN_PASS" in log


def test_a_refused_start_touches_no_data(make_server: Callable[..., Server]) -> None:
    server = make_server(start=False, PAGES_ENVIRONMENT="production")
    start_and_fail(server)
    assert not server.data.exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 80\n", "prot"),
        ("[serving]\nport = 80\n", "serving"),
        ('[server]\nworkers = "2"\n', "workers"),
        ("[server\n", "pages.toml"),
    ],
)
def test_a_mistake_in_the_config_file_stops_the_start_with_one_sentence_that_names_it(
    make_server: Callable[..., Server], tmp_path: Path, text: str, named: str
) -> None:
    config = tmp_path / "pages.toml"
    config.write_text(text)
    server = make_server(start=False, PAGES_CONFIG=str(config))
    status, log = start_and_fail(server)
    lines = log.splitlines()
    assert status != 0
    assert len(lines) == 1, log
    assert named in lines[0]
    assert lines[0].endswith(".")


def test_a_config_file_that_is_missing_stops_the_start(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server(start=False, PAGES_CONFIG=str(tmp_path / "missing.toml"))
    status, log = start_and_fail(server)
    assert status != 0
    assert "missing.toml" in log


# --- systemd ------------------------------------------------------------------------------------

UNIT = (PROJECT / "deploy/pages.service").read_text(encoding="utf-8")


SOCKET_UNIT = (PROJECT / "deploy/pages.socket").read_text(encoding="utf-8")


def analyze(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """systemd-analyze on both units; the programs that they name need not be installed where they have them."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for name, text in (("pages.service", UNIT), ("pages.socket", SOCKET_UNIT)):
        (folder / name).write_text(re.sub(r"=/opt/pages/venv/bin/\w+", f"={shutil.which('true')}", text))
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("units", [["pages.service"], ["pages.socket"], ["pages.service", "pages.socket"]])
def test_systemd_understands_the_units(tmp_path: Path, units: list[str]) -> None:
    done = analyze(tmp_path, "verify", "--man=no", *[f"./{unit}" for unit in units])
    assert "pages." not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_the_service_may_do_little_more_than_serve(tmp_path: Path) -> None:
    # 0 is a service that may do nothing, 10 one that may do everything. Nothing is loosened unnoticed.
    done = analyze(tmp_path, "security", "--offline=yes", "--threshold=20", "./pages.service")
    assert done.returncode == 0, done.stdout[-1000:]


def test_the_socket_unit_listens_where_the_service_would(tmp_path: Path) -> None:
    config = Config(data_dir=Path("/var/lib/pages/data"))
    assert re.findall(r"^ListenStream=(.*)$", SOCKET_UNIT, re.MULTILINE) == [
        str(config.socket),
        f"{config.host}:{config.port}",
    ]


def test_systemd_gives_uploads_the_time_that_gunicorn_gives_them() -> None:
    settings = (PROJECT / "gunicorn.conf.py").read_text(encoding="utf-8")
    graceful = re.search(r"^graceful_timeout = (\d+)$", settings, re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert graceful is not None
    assert stop is not None
    assert int(stop[1]) > int(graceful[1])


def test_systemd_reloads_only_after_a_look_at_the_settings() -> None:
    assert re.findall(r"^ExecReload=(.*)$", UNIT, re.MULTILINE) == [
        "/opt/pages/venv/bin/pages check",
        "/bin/kill -HUP $MAINPID",
    ]


def test_a_start_does_not_wait_for_ever_for_the_look_through_all_sites(tmp_path: Path) -> None:
    slow = tmp_path / "data/registry/default/slow.json"
    slow.parent.mkdir(parents=True)
    times = {"created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}
    record = {"id": "slow", "username": "default", "domain": "slow.localhost", "index": "index.html", "enabled": True}
    slow.write_text(json.dumps({**record, **times}))
    (tmp_path / "data/locks").mkdir()
    server = Server(tmp_path)
    try:
        with files.lock(tmp_path / "data/locks/registry", 1):  # Who makes its domain known waits.
            server.start()
        assert "looking through all sites goes on" in server.log
    finally:
        server.kill()


def test_a_request_is_one_line_in_the_log_with_its_host_size_and_agent(running: Server) -> None:
    running.request("GET", "/log-me?x=1", host="nobody.localhost", headers={"User-Agent": 'agent "7"'})
    size = len(running.request("GET", "/", host="nobody.localhost").body)
    line = (
        rf'127\.0\.0\.1 nobody\.localhost "GET /log-me\?x=1 HTTP/1\.1" 404 {size} \d+ms "agent \\"7\\"" [0-9a-f]{{20}}'
    )
    wait_until(lambda: re.search(f"^{line}$", running.log, re.MULTILINE), "the line is there")


def test_a_path_cannot_forge_a_line_of_the_log(running: Server) -> None:
    forged = "/_api/sites/a%0A[2026]%20[1]%20pages.changes:%20who=%22forged%22/x"
    running.request("POST", forged, b"", headers=basic())
    wait_until(lambda: 'who=\\"forged' in running.log, "the change is logged")
    (line,) = [line for line in running.log.split("\n") if 'who=\\"forged' in line and "HTTP" not in line]
    assert re.match(r"\[[^]]+\] \[\d+\] \[INFO\] \[[0-9a-f]{20}\] pages\.changes: who=\"admin\" from=127", line)
