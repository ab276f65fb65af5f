"""Through real nginx, set up by `pages nginx-config`: the API, visitors, limits, restarts that nobody notices."""

import gzip
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner
from console_person import token_in
from helpers import PROJECT, Reply, Server, basic, wait_until, zip_of
from nginx import Nginx, Visitors

from pages.cli import main
from pages.config import Config
from pages.nginx import nginx_config
from pages.nginx_tls import Tls
from pages.plain_pages import plain_page

PAGE = b"<h1>blog</h1>" * 10
OTHER = b"<h1>other</h1>" * 10
CONFIGURATION = nginx_config(Config(), "80")
WITH_TLS = nginx_config(Config(), "443", Tls(Path("/var/lib/pages-tls"), "80"))


@dataclass
class Front:
    """A Pages server, and nginx in front of it."""

    server: Server
    nginx: Nginx

    def get(self, path: str, host: str = "blog.localhost", method: str = "GET", **headers: str) -> Reply:
        """What a visitor gets; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.request(method, path, host=host, headers=sent, port=self.nginx.port)

    def talk(self, sent: bytes, source: str = "127.0.0.1") -> bytes:
        """Send these very bytes and read until nginx closes; fails when it leaves us waiting."""
        address, us = ("127.0.0.1", self.nginx.port), (source, 0)
        with socket.create_connection(address, timeout=20, source_address=us) as connection:
            connection.sendall(sent)
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return received


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Two sites behind nginx, which no test of this module changes.

    An upload may have 1.5 MB, as Pages sees it, and 3 MB, as nginx does.
    """
    settings = {"PAGES_TRUSTED_PROXIES": "unix", "PAGES_MAX_UPLOAD_BYTES": "1500000"}
    server = Server(tmp_path_factory.mktemp("server"), settings).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    try:
        nginx.start()
        for site, page in (("blog", PAGE), ("other", OTHER)):
            assert server.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost"}).status == 201
            files = {"index.html": page, "404.html": "own 404", "docs/index.html": "docs", "a?b #%.txt": "odd name"}
            assert server.deploy(zip_of(files), site=f"default/{site}").status == 200
        yield Front(server, nginx)
    finally:
        nginx.stop()
        server.stop()


def create(front: Front, site: str) -> None:
    body = {"id": site, "domain": f"{site}.localhost"}
    assert front.server.api("POST", "/_api/sites", body, port=front.nginx.port).status == 201


# --- The API ------------------------------------------------------------------------------------


def test_a_site_lives_its_whole_life_through_nginx(front: Front) -> None:
    port = front.nginx.port
    create(front, "life")
    first = front.server.deploy(zip_of({"index.html": "one"}), site="default/life", port=port)
    assert first.status == 200
    assert front.server.deploy(zip_of({"index.html": "two"}), site="default/life", port=port).status == 200
    assert front.get("/", "life.localhost").body == b"two"
    checkpoint = first.json()["data"]["checkpoint"]["id"]
    path = f"/_api/sites/default/life/checkpoints/{checkpoint}"
    assert front.server.api("POST", f"{path}/checkout", port=port).json()["message"] == "站点已切换到检查点"
    assert front.get("/", "life.localhost").body == b"one"
    assert front.server.api("DELETE", "/_api/sites/default/life", port=port).status == 200
    assert front.get("/", "life.localhost").status == 404


@pytest.mark.parametrize("path", ["/_api", "/_api/", "/_api/sites", "/_api/unknown", "//_api/sites", "/%5fapi/sites"])
def test_the_api_asks_for_credentials_as_it_does_without_nginx(front: Front, path: str) -> None:
    reply = front.get(path)
    assert (reply.status, reply.json()) == (401, {"success": False, "message": "认证失败"})
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="Pages"'


def test_a_json_error_of_pages_passes_unchanged(front: Front) -> None:
    reply = front.server.api("GET", "/_api/unknown", port=front.nginx.port)
    assert (reply.status, reply.json()) == (404, {"success": False, "message": "接口不存在"})


# --- The console --------------------------------------------------------------------------------


def signed_in(front: Front) -> dict[str, str]:
    """The headers of somebody who has signed in to the console through nginx."""
    form = front.get("/_admin/sign-in", "localhost")
    cookie = form.headers["Set-Cookie"].partition(";")[0]
    body = f"csrf={token_in(form.body.decode())}&name=admin&password=admin".encode()
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    port = front.nginx.port
    reply = front.server.request("POST", "/_admin/sign-in", body, host="localhost", headers=headers, port=port)
    assert (reply.status, reply.headers["Location"]) == (303, "/_admin/sites")
    return {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize("path", ["/_admin/sites", "//_admin/sites", "/%5fadmin/sites"])
def test_the_console_asks_to_sign_in_as_it_does_without_nginx(front: Front, path: str) -> None:
    reply = front.get(path, "localhost")
    assert (reply.status, reply.headers["Location"]) == (303, "/_admin/sign-in")


def test_the_console_is_used_through_nginx(front: Front) -> None:
    headers = signed_in(front)
    page = front.get("/_admin/sites", "localhost", **headers)
    assert (page.status, page.headers["Cache-Control"]) == (200, "no-store")
    assert "blog.localhost" in page.body.decode()
    style = re.findall(r'href="(/_admin/static/[^"]+\.css)"', page.body.decode())
    for address in style:
        reply = front.get(address, "localhost", Accept_Encoding="gzip")
        assert reply.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in reply.headers["Cache-Control"]
        assert gzip.decompress(reply.body)
    assert len(style) == 2


def test_an_upload_by_the_console_may_be_as_large_as_one_by_the_api(front: Front) -> None:
    headers = signed_in(front)
    create(front, "by-console")
    page = front.get("/_admin/sites/default/by-console", "localhost", **headers).body.decode()
    headers |= {"X-CSRF-Token": token_in(page), "Accept": "application/json"}
    path, port = "/_admin/sites/default/by-console/deploy", front.nginx.port
    for size, status in ((1_300_000, 200), (2_000_000, 413), (4_000_000, 413)):
        archive = zip_of({"index.html": "by console", "noise.bin": os.urandom(size)})
        boundary = b"----boundary7MA4YWxkTrZu0gW"
        head = b'Content-Disposition: form-data; name="file"; filename="site.zip"\r\n\r\n'
        body = b"--" + boundary + b"\r\n" + head + archive + b"\r\n--" + boundary + b"--\r\n"
        sent = {**headers, "Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
        assert front.server.request("POST", path, body, host="localhost", headers=sent, port=port).status == status
    assert front.get("/", "by-console.localhost").body == b"by console"


@pytest.mark.parametrize(
    "path", ["/_admin", "/_admin/", "/_admin/a.css", "/_admin/none", "//_admin/", "/%5fadmin/a.css"]
)
def test_on_a_sites_host_the_consoles_path_is_the_sites(front: Front, path: str) -> None:
    if front.server.api("GET", "/_api/sites/default/own-admin").status == 404:
        create(front, "own-admin")
    files = {"index.html": "x", "_admin/index.html": "own", "_admin/a.css": "own css"}
    front.server.deploy(zip_of(files), site="default/own-admin", port=front.nginx.port)
    through, direct = (
        front.server.request("GET", path, host="own-admin.localhost", port=port)
        for port in (front.nginx.port, front.server.port)
    )
    assert (through.status, through.body) == (direct.status, direct.body)
    assert "Content-Security-Policy" not in through.headers


# --- Size ---------------------------------------------------------------------------------------


def deploy(front: Front, size: int) -> Reply:
    """Deploy an archive of about this many bytes to a site of its own."""
    create(front, f"size-{size}")
    archive = zip_of({"index.html": "fits", "noise.bin": os.urandom(size)})
    return front.server.deploy(archive, site=f"default/size-{size}", port=front.nginx.port)


def test_an_upload_larger_than_nginx_lets_others_send_is_deployed(front: Front) -> None:
    # The default of client_max_body_size is 1 MB, and so it is outside of the API.
    assert deploy(front, 1_300_000).status == 200
    assert front.get("/", "size-1300000.localhost").body == b"fits"


def test_an_upload_over_the_limit_of_pages_is_413_in_its_words(front: Front) -> None:
    reply = deploy(front, 2_000_000)
    assert reply.status == 413
    assert "max_upload_bytes" in reply.json()["message"]


def test_an_upload_over_the_limit_of_nginx_is_413_in_the_envelope(front: Front) -> None:
    reply = deploy(front, 4_000_000)
    assert reply.status == 413
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(reply.json()) == {"success", "message"}
    assert reply.json()["success"] is False
    assert reply.json()["message"].startswith("上传文件超过上限 max_upload_bytes = ")


def test_an_upload_of_unknown_length_over_the_limit_of_nginx_is_413_in_the_envelope(front: Front) -> None:
    authorization = basic()["Authorization"].encode()
    head = b"POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: blog.localhost\r\nAuthorization: " + authorization
    chunks = (b"80000\r\n" + b"x" * 0x80000 + b"\r\n") * 8
    received = front.talk(head + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["success"] is False


def test_a_large_body_for_a_site_is_refused(front: Front) -> None:
    body = bytes(2_000_000)
    reply = front.server.request("POST", "/", body, host="blog.localhost", port=front.nginx.port)
    assert reply.status in (405, 413)


def test_the_limit_is_the_largest_upload_and_a_form_around_it() -> None:
    limit = re.findall(r"^ +client_max_body_size (\d+)m;", CONFIGURATION, re.MULTILINE)
    megabytes = Config().max_upload_bytes // 1024**2 + 1
    assert sorted(limit) == ["1", str(megabytes), str(megabytes)]  # Sites; the API and the console.
    assert f"max_upload_bytes = {Config().max_upload_bytes} 字节" in CONFIGURATION, "the message tells it"


# --- Hosts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["blog.localhost", "BLOG.LocalHost", "blog.localhost:1323", "blog.localhost.", "Blog.localhost.:80"]
)
def test_a_site_is_found_however_its_host_is_written(front: Front, host: str) -> None:
    assert front.get("/", host).body == PAGE


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost\r\nHost: other.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: _\r\n",
        b"GET / HTTP/1.1\r\nHost: pages\r\n",
        b"GET / HTTP/1.1\r\nHost: blog_x.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: user@blog.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost,other.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost/\r\n",
        b"GET / HTTP/1.1\r\nHost: blog.localhost..\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n",
        b"GET / HTTP/1.1\r\nHost: xn--a.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]\r\n",
    ],
)
def test_a_request_without_one_clear_host_gets_no_site(front: Front, head: bytes) -> None:
    received = front.talk(head + b"Connection: close\r\n\r\n")
    assert received[9:12] in (b"400", b"404")
    assert PAGE not in received
    assert OTHER not in received


def test_the_host_of_an_absolute_uri_goes_before_the_header(front: Front) -> None:
    # RFC 9112, 3.2.2; Pages itself sees only what nginx decided.
    head = b"GET http://other.localhost/ HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n"
    assert front.talk(head).endswith(OTHER)


@pytest.mark.parametrize("header", ["X_Forwarded_Host", "X_Host", "X_Original_Host"])
def test_a_client_cannot_name_the_site_with_another_header(front: Front, header: str) -> None:
    # nginx is a trusted proxy here: what it passes on is believed.
    assert front.get("/", **{header: "other.localhost"}).body == PAGE


def test_a_client_cannot_name_the_site_with_forwarded(front: Front) -> None:
    assert front.get("/", Forwarded="host=other.localhost").body == PAGE


def test_the_log_has_the_clients_own_address(front: Front) -> None:
    # All of 127.0.0.0/8 is this machine: a client that is not at nginx's address.
    body = b'{"id": "logged", "domain": "logged.localhost"}'
    front.talk(
        b"POST /_api/sites HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"
        b"Authorization: " + basic()["Authorization"].encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        source="127.0.0.42",
    )
    wait_until(lambda: 'from=127.0.0.42 what="POST /_api/sites" result="201' in front.server.log, "it is logged")
    assert "203.0.113.9" not in front.server.log


# --- Serving ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, PAGE),
        ("/docs/", 200, b"docs"),
        ("/a%3Fb%20%23%25.txt", 200, b"odd name"),
        ("/missing", 404, b"own 404"),
        ("/a%2fb%5c..%2fetc%2fpasswd", 404, b"own 404"),
        ("/%252e%252e/%252e%252e/etc/passwd", 404, b"own 404"),
        ("/%ff", 404, b"own 404"),
        ("/api/admin/maintenance", 404, b"own 404"),
        ("/_apix", 404, b"own 404"),
    ],
)
def test_a_path_gets_what_it_gets_without_nginx(front: Front, path: str, status: int, body: bytes) -> None:
    through, direct = front.get(path), front.server.request("GET", path, host="blog.localhost")
    assert (through.status, through.body) == (status, body)
    assert (direct.status, direct.body) == (status, body)


@pytest.mark.parametrize("path", ["/../x", "/%2e%2e/x", "/..%2f..%2fetc/passwd", "/%00", "/docs/%2e%2e/%2e%2e/x"])
def test_a_path_that_leaves_the_root_is_refused(front: Front, path: str) -> None:
    assert front.get(path).status in (400, 404)


def test_a_redirect_to_a_folder_names_no_host_and_keeps_the_query(front: Front) -> None:
    reply = front.get("/docs?a=1&b=%20")
    assert (reply.status, reply.headers["Location"]) == (301, "/docs/?a=1&b=%20")


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_page_that_did_not_change_is_304(front: Front, header: str) -> None:
    validator = front.get("/").headers[header]
    condition = {"ETag": "If_None_Match", "Last-Modified": "If_Modified_Since"}[header]
    reply = front.get("/", **{condition: validator})
    assert (reply.status, reply.body) == (304, b"")


def test_a_compressed_page_is_304_as_well(front: Front) -> None:
    create(front, "compressed")
    page = b"<h1>compressed</h1>" * 100
    assert front.server.deploy(zip_of({"index.html": page}), site="default/compressed").status == 200
    reply = front.get("/", "compressed.localhost", Accept_Encoding="gzip")
    assert gzip.decompress(reply.body) == page
    again = front.get("/", "compressed.localhost", Accept_Encoding="gzip", If_None_Match=reply.headers["ETag"])
    assert again.status == 304


def test_a_page_that_changed_is_not_304(front: Front) -> None:
    create(front, "changing")
    validators = []
    for page in ("one", "two"):
        assert front.server.deploy(zip_of({"index.html": page}), site="default/changing").status == 200
        validators.append(front.get("/", "changing.localhost").headers)
    old = validators[0]
    assert front.get("/", "changing.localhost", If_None_Match=old["ETag"]).body == b"two"
    assert front.get("/", "changing.localhost", If_Modified_Since=old["Last-Modified"]).body == b"two"


@pytest.mark.parametrize(
    ("asked", "status", "content_range"),
    [
        ("bytes=0-12", 206, f"bytes 0-12/{len(PAGE)}"),
        ("bytes=-13", 206, f"bytes {len(PAGE) - 13}-{len(PAGE) - 1}/{len(PAGE)}"),
        ("bytes=9999-", 416, f"bytes */{len(PAGE)}"),
    ],
)
def test_a_range_passes_nginx(front: Front, asked: str, status: int, content_range: str) -> None:
    reply = front.get("/", Range=asked)
    assert (reply.status, reply.headers["Content-Range"]) == (status, content_range)
    assert status != 206 or reply.body == b"<h1>blog</h1>"


def test_a_download_of_another_version_is_not_resumed(front: Front) -> None:
    assert front.get("/", Range="bytes=13-", If_Range='"x"').body == PAGE


def test_head_has_the_headers_of_get(front: Front) -> None:
    got, head = front.get("/"), front.get("/", method="HEAD")
    assert head.body == b""
    assert [head.headers[name] for name in ("ETag", "Content-Length")] == [got.headers["ETag"], str(len(PAGE))]


# --- What Pages receives ------------------------------------------------------------------------


class Recorder(BaseHTTPRequestHandler):
    """Stands in for Pages, and keeps what nginx sent."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[tuple[str, dict[str, str]]]] = []
    connections: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        # Not self.path: that is tidied up.
        self.requests.append((self.raw_requestline.split()[1].decode(), dict(self.headers.items())))
        self.connections.add(self.client_address[1])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def recorded(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx in front of a ``Recorder``."""
    yield from in_front_of(Recorder, front, tmp_path_factory.mktemp("recorded"))


def in_front_of(handler: type[BaseHTTPRequestHandler], front: Front, folder: Path) -> Iterator[Front]:
    """nginx, set up as for ``front``'s server but with no public site, in front of a stand-in."""
    backend = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    backend.daemon_threads = True
    thread = threading.Thread(target=backend.serve_forever)
    thread.start()
    (folder / "empty").mkdir()
    environment = {**front.server.environment(), "PAGES_DATA_DIR": str(folder / "empty")}
    nginx = Nginx(folder, environment, backend.server_address[1])
    try:
        yield Front(front.server, nginx.start())
    finally:
        nginx.stop()
        backend.shutdown()
        backend.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Host", "blog.localhost:8080"),
        ("X-Forwarded-Host", None),
        ("X-Forwarded-For", "127.0.0.42"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", None),
        ("Connection", None),
        ("X_Forwarded_For", None),
        ("Accept", "text/html"),
    ],
)
def test_pages_hears_of_the_client_from_nginx_and_not_from_the_client(
    recorded: Front, name: str, expected: str | None
) -> None:
    spoofed = b"X-Forwarded-Host: evil\r\nX-Forwarded-For: evil\r\nX-Forwarded-Proto: evil\r\nForwarded: evil\r\n"
    head = b"GET / HTTP/1.1\r\nHost: Blog.LocalHost.:8080\r\nAccept: text/html\r\nX_Forwarded_For: evil\r\n"
    recorded.talk(head + spoofed + b"Connection: close\r\n\r\n", source="127.0.0.42")
    assert Recorder.requests[-1][1].get(name) == expected


@pytest.mark.parametrize(
    "path", ["/%5fapi/a%2Fb", "//_api//x", "/a%3Fb%23?c=%20&d=//e", "/_api/./x", "/x/../_api/y", "/%E4%B8%AD", "/a+b;c"]
)
def test_a_path_reaches_pages_as_it_was_sent(recorded: Front, path: str) -> None:
    # What it means is decided once, by Pages.
    assert recorded.get(path).status == 200
    assert Recorder.requests[-1][0] == path


def test_connections_to_pages_are_kept_open(recorded: Front) -> None:
    Recorder.connections.clear()
    for _ in range(10):
        assert recorded.get("/").status == 200
    assert len(Recorder.connections) == 1


# --- Trouble ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orphaned(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx in front of nothing."""
    environment = {**front.server.environment(), "PAGES_DATA_DIR": str(tmp_path_factory.mktemp("nothing"))}
    nginx = Nginx(tmp_path_factory.mktemp("orphaned"), environment)
    try:
        yield Front(front.server, nginx.start())
    finally:
        nginx.stop()


@pytest.mark.parametrize("claimed", [{}, {"X_Request_ID": "0123456789abcdef"}, {"Connection": "X-Request-ID"}])
def test_nginx_names_a_request_whatever_a_client_would_have_it_called(front: Front, claimed: dict[str, str]) -> None:
    reply = front.get("/_api/sites", **basic(), **claimed)
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-ID"])


def test_without_pages_the_api_still_answers_in_the_envelope(orphaned: Front) -> None:
    reply = orphaned.get("/_api/health")
    assert (reply.status, reply.json()) == (503, {"success": False, "message": "服务暂时不可用，请稍后重试"})
    assert reply.headers["Retry-After"] == "5"


def test_without_pages_the_maintenance_api_answers_in_its_own_words(orphaned: Front) -> None:
    reply = orphaned.get("/api/admin/maintenance", method="POST")
    assert (reply.status, reply.json()) == (503, {"error": "操作失败", "details": "服务暂时不可用，请稍后重试"})
    assert reply.headers["Retry-After"] == "5"


@pytest.mark.parametrize("path", ["/", "/missing", "/api/admin/maintenance"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_without_pages_a_visitor_is_told_when_to_come_again(orphaned: Front, path: str, method: str) -> None:
    reply = orphaned.get(path, method=method)
    assert (reply.status, reply.body.decode()) == (503, plain_page(503, "Service Unavailable"))
    assert (reply.headers["Retry-After"], reply.headers["Cache-Control"]) == ("5", "no-store")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"


def test_without_pages_the_console_is_a_page_that_says_so(orphaned: Front) -> None:
    reply = orphaned.get("/_admin/sites", "localhost")
    assert (reply.status, reply.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert reply.headers["Retry-After"] == "5"


def test_nginx_does_not_tell_its_version(orphaned: Front) -> None:
    reply = orphaned.get("/")
    assert reply.headers["Server"] == "nginx"
    assert not re.search(rb"nginx/\d", reply.body)


class Breaker(BaseHTTPRequestHandler):
    """Stands in for a Pages that dies under some requests, and counts the requests it saw."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []
    breaks: ClassVar[int] = 0

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append(self.command)
        if len(self.seen) <= self.breaks:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def breaking(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx in front of a ``Breaker``."""
    yield from in_front_of(Breaker, front, tmp_path_factory.mktemp("breaking"))


def broken(front: Front, method: str, path: str, times: int) -> tuple[Reply, int]:
    """The answer to a request under which Pages breaks off so many times, and how often it was sent on."""
    Breaker.seen.clear()
    Breaker.breaks = times
    body = None if method in ("GET", "HEAD") else b"x" * 1000
    reply = front.server.request(method, path, body, host="blog.localhost", port=front.nginx.port)
    return reply, len(Breaker.seen)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("path", ["/", "/_api/sites", "/%5fapi/sites"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_only_reads_is_asked_for_again_when_it_broke_off(
    breaking: Front, method: str, path: str, times: int
) -> None:
    reply, sent = broken(breaking, method, path, times)
    assert (reply.status, sent) == (200, times + 1)


@pytest.mark.parametrize("path", ["/_api/sites/default/blog", "/%5fapi/sites", "/api/admin/maintenance"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_that_broke_off_is_sent_no_second_time(breaking: Front, method: str, path: str) -> None:
    reply, sent = broken(breaking, method, path, 1)
    assert (reply.status, sent) == (503 if "maintenance" in path and method != "POST" else 502, 1)
    assert reply.status == 503 or reply.headers["Retry-After"] is None


def test_a_read_under_which_pages_always_dies_is_not_asked_for_without_end(breaking: Front) -> None:
    assert broken(breaking, "GET", "/_api/sites", 100)[1] <= 9  # Once more for a connection that was kept.


def test_a_break_keeps_nobody_away_afterwards(breaking: Front) -> None:
    for _ in range(3):
        assert broken(breaking, "GET", "/_api/sites", 10)[0].status == 502
        assert broken(breaking, "GET", "/_api/sites", 0)[0].status == 200


def test_a_change_comes_on_a_connection_of_its_own(recorded: Front) -> None:
    # On one that was kept it would meet a restart that closes it just then.
    Recorder.connections.clear()
    for _ in range(3):
        assert recorded.get("/_api/sites", method="POST").status == 200
    assert len(Recorder.connections) == 3


def test_slow_uploads_hold_up_nobody(front: Front) -> None:
    head = b"POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 1000000\r\n\r\n"
    with ExitStack() as stack:
        # More than Pages has threads.
        for _ in range(Config().workers * Config().threads * 2):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", front.nginx.port)))
            connection.sendall(head + bytes(1000))
        assert front.get("/").body == PAGE


def test_connections_that_say_nothing_hold_up_nobody(front: Front) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", front.nginx.port)))
        assert front.get("/").body == PAGE


def test_no_visitor_of_nginx_notices_a_restart_of_pages(front: Front) -> None:
    assert front.server.process is not None
    booted = front.server.log.count("Booting worker")
    ended = front.server.log.count("Worker exiting")
    with Visitors(front.nginx.port, PAGE) as visitors:
        for restart in (1, 2):
            front.server.process.send_signal(signal.SIGHUP)
            wait_until(
                lambda restart=restart: (
                    front.server.log.count("Booting worker") >= booted + 2 * restart
                    and front.server.log.count("Worker exiting") >= ended + 2 * restart
                ),
                "the workers are replaced",
            )
    assert visitors.failures == []


def test_no_old_file_is_served_after_the_answer_where_nginx_keeps_files_open(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = Server(tmp_path_factory.mktemp("server"), {"PAGES_NGINX_FILE_CACHE": "true"}).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    front = Front(server, nginx)
    try:
        nginx.start()
        create(front, "cached")
        with ThreadPoolExecutor(1) as reader:
            over = threading.Event()
            # nginx opens each version at once, and has it in its cache when the next one comes.
            reading = reader.submit(lambda: [front.get("/", "cached.localhost") for _ in iter(over.is_set, True)])
            try:
                for version in range(8):
                    archive = zip_of({"index.html": f"version {version}", **({"new.css": "x"} if version % 2 else {})})
                    assert server.deploy(archive, site="default/cached").status == 200
                    assert front.get("/", "cached.localhost").body == f"version {version}".encode()
                    assert front.get("/new.css", "cached.localhost").status == (200 if version % 2 else 404)
                assert server.api("PUT", "/_api/sites/default/cached", {"enabled": False}).status == 200
                assert front.get("/", "cached.localhost").status == 404
            finally:
                over.set()
        assert {reply.status for reply in reading.result()} <= {200, 404}
    finally:
        nginx.stop()
        server.stop()


# --- Numbers that belong together ---------------------------------------------------------------


def seconds_of(directive: str, within: str) -> int:
    """The value of a directive in the first block that begins with ``within``."""
    block = CONFIGURATION[CONFIGURATION.index(within) :]
    found = re.search(rf"^ +{directive} (\d+)s;", block, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_nginx_closes_idle_connections_before_gunicorn_does() -> None:
    keepalive = re.search(r"^keepalive = (\d+)$", (PROJECT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert keepalive is not None
    assert seconds_of("keepalive_timeout", "upstream pages_reads {") < int(keepalive[1])


def test_nginx_waits_longer_than_a_restart_takes() -> None:
    # As long as what is under way may take, and a start.
    graceful = re.search(r"^graceful_timeout = (\d+)$", (PROJECT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert graceful is not None
    for directive in ("proxy_read_timeout", "proxy_send_timeout"):
        assert seconds_of(directive, "proxy_connect_timeout") >= int(graceful[1]) + 30


def test_nginx_waits_for_the_longest_backup() -> None:
    assert seconds_of("proxy_read_timeout", "location = /api/admin/maintenance {") > Config().backup_timeout


def test_nginx_waits_longer_for_a_deploy_than_the_deploy_for_its_lock() -> None:
    assert seconds_of("proxy_read_timeout", 'location ~ "^/+_api(?:/|$)" {') > Config().lock_timeout


@pytest.mark.parametrize("text", [CONFIGURATION, WITH_TLS], ids=["http", "TLS"])
def test_every_directive_says_why(text: str) -> None:
    """A comment above it, or above the directives that it stands together with."""
    unexplained = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r" +[a-z_]+ .*;", line):
            above = number - 1
            while not re.fullmatch(r"\s*(#.*)?|.*\{", lines[above]):
                above -= 1
            if not lines[above].strip():
                unexplained.append(line)
    assert unexplained == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--certificates", "/var/lib/a b"], "--certificates"),
        (["--certificates", "/var/lib/$x"], "--certificates"),
        (["--certificates", "/var/lib/x", "--listen-plain", "80; x"], "--listen-plain"),
        (["--listen", "80 default_server"], "--listen"),
    ],
)
def test_what_nginx_cannot_write_is_refused_by_its_name(options: list[str], named: str) -> None:
    done = CliRunner().invoke(main, ["nginx-config", *options])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {named}")


def test_a_missing_nginx_is_skipped_but_fails_where_ci_promises_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("helpers.shutil.which", lambda name, path: None)
    for ci, outcome in (("true", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome):
            Nginx(tmp_path, {}).start()
