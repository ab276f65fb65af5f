"""JSON bodies: what is hostile, broken, too large or not JSON at all is refused, and nothing happens."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from helpers import Admin, Server, assert_failure, assert_success, basic, everything_below
from hypothesis import given, settings
from hypothesis import strategies as st

from pages.app import create_app
from pages.config import load_config

JSON = {"Content-Type": "application/json"}
BLOG = "/_api/sites/default/blog"
# Every call that reads a JSON body.
CALLS = [("POST", "/_api/sites"), ("PUT", BLOG), ("POST", f"{BLOG}/checkpoints")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@pytest.fixture(scope="module")
def one(folder: Path) -> Admin:
    """The admin of one application for all tests that may change nothing."""
    (folder / "config.toml").touch()
    admin = Admin(create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml")})).test_client())
    admin.create("blog")
    return admin


@pytest.fixture
def unmoved(one: Admin, folder: Path) -> Iterator[Admin]:
    """The admin; the test fails if a record, a domain or the site changes."""
    before = [everything_below(folder / "data" / name) for name in ("registry", "domains", "sites-checkpoints")]
    yield one
    assert [everything_below(folder / "data" / name) for name in ("registry", "domains", "sites-checkpoints")] == before


NO_JSON = [
    b" ", b"{", b"}", b"{]", b"{}{}", b"{} x", b"{},", b"[", b"nul", b"undefined", b"NaN", b"{'index': 'x'}",
    b'{"index": "x",}', b'{index: "x"}', b'{"index": "x"', b'{"index": "x}', b'{"index": "x"} // no', b'{"index"}',
    b'{"index": NaN}', b'{"index": Infinity}', b'{"index": -Infinity}', b'{"index": 01}', b'{"index": 1e}',
    b'{"index": 0x1}', b'{"index": "\\x"}', b'{"index": "\\u12"}', b'{"index": "a\nb"}', b'{"index": "a\0b"}',
    b'{"index": "\xff"}', b'{"index": "\xe9.html"}', b'{"index": "\xed\xa0\x80"}', b'{"index": "\xc0\xaf"}',
    b'{"index": "\\ud800"}', b'{"index": "\\udc00\\ud800"}', b'{"\\ud800": 1}', b"\0", b"\xff\xfe", b"\x1f\x8b\x08\0",
    '{"index": "x"}'.encode("utf-16"), '{"index": "x"}'.encode("utf-16-le"), '{"index": "x"}'.encode("utf-32"),
    b"index=x", b"<index>x</index>", b"--b\r\n\r\n{}\r\n--b--", b'\x00{"index": "x"}', b'{"index": "x"}\x00',
    b"[" * 100_000, b"[" * 500_000 + b"]" * 500_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"index": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'\xef\xbb\xbf{"index": "x.html"}',
    b'{"index": "x.html", "index": "x.html"}', b'{"index": "x.html", "ind\\u0065x": "y.html"}',
    b'{"id": {"a": 1, "a": 2}}',
]  # fmt: skip
NO_OBJECT = [b"[]", b"null", b"true", b"false", b"0", b"-1.5e3", b'""', b'"index"', b"[{}]", b'[{"index": "x"}]']


@pytest.mark.parametrize("body", NO_JSON + NO_OBJECT, ids=lambda body: ascii(body)[:30])
def test_what_is_no_json_object_is_refused_by_every_call(unmoved: Admin, body: bytes) -> None:
    for method, path in CALLS:
        assert_failure(unmoved.call(method, path, data=body, headers=JSON), 400)


@pytest.mark.parametrize("call", CALLS[:2], ids=lambda call: call[0])
def test_an_empty_body_is_no_json(unmoved: Admin, call: tuple[str, str]) -> None:
    assert_failure(unmoved.call(*call, data=b"", headers=JSON), 400)


@pytest.mark.parametrize(
    "value",
    [
        b"9" * 5000, b"-" + b"9" * 5000, b"1e400", b"-1e400", b"1" + b"0" * 400, b"0." + b"1" * 5000, b"1e-9999", b"-0",
        b"[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", b'{"a": {"a": {"a": {}}}}', b"[" * 500 + b"]" * 500, b'"\\u0000"',
        b'"' + b"a" * 100_000 + b'"', b'["x"]', b'{"$ne": null}', b'"../../etc/passwd"', b'"/"', b"true", b"null",
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
@pytest.mark.parametrize("field", ["id", "username", "domain", "index"])
def test_a_hostile_value_is_refused_in_every_field(unmoved: Admin, field: str, value: bytes) -> None:
    others = {"id": b'"new"', "domain": b'"new.localhost"'}
    pairs = b",".join(b'"%s":%s' % (name.encode(), text) for name, text in (others | {field: value}).items())
    assert_failure(unmoved.post("/_api/sites", data=b"{" + pairs + b"}", headers=JSON), 400)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[1])
@pytest.mark.parametrize(
    "content_type",
    [
        "", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
        "application/jsonx", "application/octet-stream", "text/plain; application/json", "application/xml", "json",
        "application/json, text/plain", "text/html", "\xff",
    ],
)  # fmt: skip
def test_a_body_that_a_form_could_send_is_not_taken_for_json(
    unmoved: Admin, call: tuple[str, str], content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert_failure(unmoved.call(*call, data=b'{"id": "x", "domain": "x.y"}', headers=headers), 415)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8 "]
)
def test_json_is_json_in_any_spelling_of_its_type(admin: Admin, content_type: str) -> None:
    body = '{"index": "首页.html"}'.encode()
    site = assert_success(admin.put(BLOG, data=body, headers={"Content-Type": content_type}))
    assert site["index"] == "首页.html"


@pytest.mark.parametrize(
    "body",
    [
        b' \r\n\t{ "index" : "\xe9\xa6\x96.html" }\n ',
        b'{"index": "\\u9996.html"}',
        b'{"ind\\u0065x": "\\u9996.html"}',
        b'{"index": "\\u9996.html"}' + b" " * 100_000,
    ],
    ids=lambda body: ascii(body)[:30],
)
def test_json_may_be_written_in_any_way_json_allows(admin: Admin, body: bytes) -> None:
    assert assert_success(admin.put(BLOG, data=body, headers=JSON))["index"] == "首.html"


def test_text_beyond_the_basic_plane_comes_back_as_it_went_in(admin: Admin) -> None:
    admin.deployed({"index.html": "x"})
    for description in ["😀 部署 ｄ", "\u2028", '"\\/</script>', ""]:
        reply = admin.post(f"{BLOG}/checkpoints", json={"description": description})
        assert assert_success(reply, 201)["description"] == (description or "手动创建")
        assert b"\\u" not in reply.data.replace(b"\\u2028", b"")


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 2_000_000, 20_000_000])
def test_a_body_that_is_too_large_is_a_413_before_it_is_read(unmoved: Admin, size: int) -> None:
    for method, path in CALLS:
        assert_failure(unmoved.call(method, path, data=b" " * size, headers=JSON), 413)


def test_a_length_that_only_claims_to_be_large_is_a_413(unmoved: Admin) -> None:
    environ = {"CONTENT_LENGTH": str(10**15)}
    assert_failure(unmoved.put(BLOG, data=b"{}", headers=JSON, environ_overrides=environ), 413)


def test_a_body_that_ends_early_is_refused(unmoved: Admin) -> None:
    environ = {"CONTENT_LENGTH": "50"}
    assert_failure(unmoved.put(BLOG, data=b'{"index": "x.html"', headers=JSON, environ_overrides=environ), 400)


@pytest.mark.parametrize(
    "call", [("GET", "/_api/sites"), ("GET", BLOG), ("GET", "/_api/health"), ("POST", "/_api/reload")]
)
@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"x" * 2_000_000], ids=lambda body: ascii(body)[:10])
def test_a_body_that_a_call_has_no_use_for_does_not_matter(unmoved: Admin, call: tuple[str, str], body: bytes) -> None:
    assert_success(unmoved.call(*call, data=body, headers=JSON))


@settings(deadline=None, max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "domain", "username", "index", "enabled", "created_at", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_gets_an_answer_that_is_no_error_of_ours(one: Admin, body: object) -> None:
    for method, path in CALLS[:2]:
        reply = one.call(method, path, data=json.dumps(body).encode(), headers=JSON)
        assert reply.status_code in (200, 201, 400, 409)
        assert json.loads(reply.data)["success"] is (reply.status_code < 400)


# --- Over the wire --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server with the site ``default/blog`` for all tests of this section."""
    server = Server(tmp_path_factory.mktemp("wire")).start()
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    yield server
    server.stop()


def chunked(server: Server, method: str, path: str, pieces: list[bytes]) -> tuple[int, bytes]:
    """A request whose length nobody announces."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = basic() | JSON | {"Transfer-Encoding": "chunked"}
    connection.request(method, path, body=iter(pieces), headers=headers, encode_chunked=True)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b'{"index"', b': "', b'x.html"}'], 200),
        ([b'{"index"'], 400),
        ([b'{"index": "' + b"x" * 2_000_000 + b'"}'], 413),
        ([b'{"index": "x.html"}', b" " * 2_000_000, b"rubbish"], 413),
    ],
    ids=["good", "cut", "large", "large after its end"],
)
def test_a_chunked_body_is_judged_like_any_other(wire: Server, pieces: list[bytes], status: int) -> None:
    found, body = chunked(wire, "PUT", BLOG, pieces)
    assert found == status
    assert json.loads(body)["success"] is (status < 400)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/_api/sites", basic("admin", "wrong"), 401),
        ("/_api/sites", basic() | {"Origin": "http://evil.example"}, 403), ("/_api/nothing", basic(), 404),
        ("/_api/health", basic(), 405), ("/_api/sites", basic(), 413),
    ],
)  # fmt: skip
def test_a_client_that_sends_a_large_body_still_hears_why_it_is_refused(
    wire: Server, path: str, headers: dict[str, str], status: int
) -> None:
    reply = wire.request("POST", path, b"x" * 20_000_000, headers=headers | JSON)
    assert reply.status == status
    assert reply.json()["success"] is False


def test_what_stands_in_the_body_of_one_request_is_never_another_request(wire: Server) -> None:
    inner = b"DELETE /_api/sites/default/blog HTTP/1.1\r\nHost: localhost\r\n"
    inner += f"Authorization: {basic()['Authorization']}\r\n\r\n".encode()
    connection = HTTPConnection("127.0.0.1", wire.port, timeout=30)
    for method, path in [("DELETE", "/_api/sites/no/no"), ("GET", "/_api/health"), ("POST", "/_api/nothing")]:
        connection.request(method, path, body=inner, headers=basic() | JSON)
        connection.getresponse().read()
    connection.request("GET", BLOG, headers=basic())
    assert connection.getresponse().status == 200
    connection.close()
