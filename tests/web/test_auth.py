"""Who may ask: credentials, the order of judgement, tenants, other pages' requests, the admin's hosts."""

import io
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import Admin, assert_failure, assert_success, basic, everything_below, zip_of
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from pages import passwords
from pages.app import create_app
from pages.config import load_config

SITE_CALLS = [
    ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/deploy"), ("GET", "/checkpoints"), ("POST", "/checkpoints"),
    ("GET", "/checkpoints/20250106-160000-c3d4e5f6"), ("DELETE", "/checkpoints/20250106-160000-c3d4e5f6"),
    ("POST", "/checkpoints/20250106-160000-c3d4e5f6/checkout"),
]  # fmt: skip
CALLS = [
    ("GET", "/_api/sites"),
    ("POST", "/_api/sites"),
    ("POST", "/_api/reload"),
    ("GET", "/_api/health"),
    *((method, f"/_api/sites/default/blog{rest}") for method, rest in SITE_CALLS),
]
NO_CALLS = [
    ("GET", "/_api"), ("GET", "/_api/"), ("GET", "/_api/nothing"), ("POST", "/_api/sites/"), ("GET", "/_api//sites"),
    ("GET", "/_api/sites/default"), ("GET", "/_api/sites/default/blog/"), ("GET", "/_api/../etc/passwd"),
    ("GET", "/_api/sites/a/b/checkpoints/c/d/e"), ("GET", "/_api/healthz/"), ("GET", "/_api/index.html"),
    ("GET", "/_api/sites%0A"), ("GET", "/_api/%FF%00"), ("OPTIONS", "/_api/nothing"), ("PROPFIND", "/_api/nothing"),
]  # fmt: skip
WRONG_METHODS = [
    ("OPTIONS", "/_api/sites", "GET, HEAD, POST"),
    ("TRACE", "/_api/sites", "GET, HEAD, POST"),
    ("PROPFIND", "/_api/sites", "GET, HEAD, POST"),
    ("DELETE", "/_api/sites", "GET, HEAD, POST"),
    ("POST", "/_api/sites/default/blog", "DELETE, GET, HEAD, PUT"),
    ("PATCH", "/_api/sites/default/blog", "DELETE, GET, HEAD, PUT"),
    ("GET", "/_api/reload", "POST"),
    ("HEAD", "/_api/reload", "POST"),
    ("POST", "/_api/health", "GET, HEAD"),
    ("OPTIONS", "/_api/healthz", "GET, HEAD"),
    ("GET", "/_api/sites/default/blog/deploy", "POST"),
    ("PUT", "/_api/sites/default/blog/checkpoints", "GET, HEAD, POST"),
    ("POST", "/_api/sites/default/blog/checkpoints/x", "DELETE, GET, HEAD, PUT"),
    ("GET", "/_api/sites/default/blog/checkpoints/x/checkout", "POST"),
]


SCRYPT = generate_password_hash("wonder", method="scrypt:1024:8:1")
PBKDF2 = generate_password_hash("builder", method="pbkdf2:sha256:1000")


class House(NamedTuple):
    """One installation with two tenants, and the users who ask it."""

    client: FlaskClient
    admin: Admin
    alice: Admin
    bob: Admin


def build(folder: Path, **settings: str) -> House:
    """The house: sites ``default/blog``, ``alice/blog`` and ``bob/blog``; tenants alice and bob."""
    (folder / "config.toml").write_text('[users.alice]\npass = "wonder"\n[users.bob]\npass = "builder"\n')
    # So many tests of one house fail to log in from one address.
    settings = {"max_failed_logins": "0"} | settings
    environ = {"PAGES_CONFIG": str(folder / "config.toml")} | {f"PAGES_{k.upper()}": v for k, v in settings.items()}
    client = create_app(load_config(environ)).test_client()
    house = House(client, Admin(client), Admin(client, "alice", "wonder"), Admin(client, "bob", "builder"))
    for username in ("default", "alice", "bob"):
        house.admin.create("blog", f"{username}.blog.localhost", username=username)
    return house


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build(tmp_path)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def shared_house(shared_folder: Path) -> House:
    return build(shared_folder)


@pytest.fixture
def unmoved(shared_folder: Path, shared_house: House) -> Iterator[House]:
    """The house for tests that may change nothing in it: fails if they do."""
    before = everything_below(shared_folder / "data" / "registry")
    yield shared_house
    assert everything_below(shared_folder / "data" / "registry") == before


def assert_unauthorized(reply: TestResponse) -> None:
    assert reply.status_code == 401
    assert reply.headers.getlist("WWW-Authenticate") == ['Basic realm="Pages"']
    assert json.loads(reply.data) == {"success": False, "message": "认证失败"}


def authorization(credentials: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {b64encode(credentials).decode()}"


# --- Credentials ----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), CALLS + NO_CALLS + [call[:2] for call in WRONG_METHODS[:4]])
@pytest.mark.parametrize("headers", [{}, basic("admin", "wrong")], ids=["none", "wrong"])
def test_everything_below_api_asks_for_credentials_first(
    unmoved: House, method: str, path: str, headers: dict[str, str]
) -> None:
    assert_unauthorized(unmoved.client.open(path, method=method, headers=headers))


def test_a_head_request_is_refused_without_a_body(unmoved: House) -> None:
    reply = unmoved.client.head("/_api/sites")
    assert (reply.status_code, reply.data) == (401, b"")
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="Pages"'


@pytest.mark.parametrize(
    "value",
    [
        "", "Basic", "Basic ", "Basic !!!", "Basic =", "Basic ====", "Basic Og==", "Basic YWRtaW46YWRtaW4",
        "Basic admin:admin", "BasicYWRtaW46YWRtaW4=", "Basic\tYWRtaW46YWRtaW4=", "YWRtaW46YWRtaW4=", "\x00", "é",
        "Basic YWRtaW46YWRtaW4=, Basic YWRtaW46YWRtaW4=", 'Basic realm="Pages"', 'Digest username="admin"',
        authorization(b"admin"), authorization(b"admin:"), authorization(b":admin"), authorization(b""),
        authorization(b"admin:admin\0"), authorization(b"admin\0:admin"), authorization(b"admin:admin "),
        authorization(b" admin:admin"), authorization(b"admin:admin\n"), authorization(b"Admin:admin"),
        authorization(b"admin:Admin"), authorization(b"admin:admin:"), authorization(b"admin:\xe9"),
        authorization(b"\xff\xfe:\xff"), authorization("ａdmin:admin".encode()), authorization("admin:密码".encode()),
        authorization(b"admin:" + b"x" * 9000), authorization(b"x" * 9000 + b":"), authorization(b"nobody:admin"),
        authorization(b"alice:admin"), authorization(b"admin:wonder"), authorization(b"alice:builder"),
        authorization(b"default:default"), authorization(b"admin:admin", "Bearer"),
        authorization(b"admin:admin", "Digest"),
        authorization(b"admin:admin", "Negotiate"), authorization("admin:admin".encode("utf-16")),
        "Basic é", "Basic YWRtaW46YWRtaW4=\xa0",
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_odd_or_wrong_credentials_are_refused_and_never_an_error(unmoved: House, value: str) -> None:
    assert_unauthorized(unmoved.client.get("/_api/sites", headers={"Authorization": value}))


@pytest.mark.parametrize(
    "value",
    ["Basic YWRtaW46YWRtaW4=", "basic YWRtaW46YWRtaW4=", "BASIC YWRtaW46YWRtaW4=", authorization(b"alice:wonder")],
)
def test_the_right_credentials_are_let_in(unmoved: House, value: str) -> None:
    assert_success(unmoved.client.get("/_api/sites", headers={"Authorization": value}))


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("root", "x"), ("管理员", "密码"), ("admin", "a:b:c"), ("admin", ":"), ("admin", " pass "),
        ("a" * 200, "p" * 2000),
    ],
)  # fmt: skip
def test_any_configured_name_and_password_work(make_app: Callable[..., Flask], user: str, password: str) -> None:
    client = make_app(admin_user=user, admin_pass=password).test_client()
    assert_success(Admin(client, user, password).get("/_api/health"))
    assert_unauthorized(Admin(client, user, password + "x").get("/_api/health"))
    assert_unauthorized(Admin(client).get("/_api/health"))


@pytest.mark.parametrize("method", ["pbkdf2:sha256:1000", "scrypt:1024:8:1", "scrypt"])
def test_a_configured_hash_lets_its_password_in_and_not_itself(make_app: Callable[..., Flask], method: str) -> None:
    hashed = generate_password_hash("秘密:x", method=method)
    client = make_app(admin_pass=hashed).test_client()
    for _ in range(2):  # The second time the answer is remembered.
        assert_success(Admin(client, password="秘密:x").get("/_api/health"))
        assert_unauthorized(Admin(client, password=hashed).get("/_api/health"))
        assert_unauthorized(Admin(client, password="秘密:y").get("/_api/health"))
        assert_unauthorized(Admin(client, user="nobody", password="秘密:x").get("/_api/health"))


@pytest.mark.parametrize(
    "password", ["scrypt:", "pbkdf2:sha256", "sha256$a$b", "$2b$12$abcdefghijklmnopqrstuv", "a$b$c"]
)
def test_a_plain_password_may_look_a_little_like_a_hash(make_app: Callable[..., Flask], password: str) -> None:
    assert_success(Admin(make_app(admin_pass=password).test_client(), password=password).get("/_api/health"))


def test_a_tenants_hash_works_too(tmp_path: Path) -> None:
    hashed = generate_password_hash("wonder", method="pbkdf2:sha256:1000")
    (tmp_path / "config.toml").write_text(f'[users.alice]\npass = "{hashed}"')
    client = create_app(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")})).test_client()
    assert_success(Admin(client, "alice", "wonder").get("/_api/health"))
    assert_unauthorized(Admin(client, "alice", hashed).get("/_api/health"))


@pytest.mark.parametrize("admin_pass", ["secret", SCRYPT, PBKDF2])
def test_a_wrong_guess_costs_the_same_for_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, admin_pass: str
) -> None:
    users = {"alice": SCRYPT, "bob": PBKDF2, "carol": "plain", "dave": SCRYPT.replace("$", "$x", 1)}
    tables = "".join(f'[users.{name}]\npass = "{password}"\n' for name, password in users.items())
    (tmp_path / "config.toml").write_text(f'[server]\nadmin_pass = "{admin_pass}"\n{tables}')
    client = create_app(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")})).test_client()
    hashed: list[str] = []
    check = passwords.check_password_hash
    monkeypatch.setattr(passwords, "check_password_hash", lambda *a: hashed.append(a[0].partition("$")[0]) or check(*a))
    for name in ("admin", *users, "nobody", ""):
        hashed.clear()
        assert_unauthorized(client.get("/_api/sites", headers=basic(name, "wrong")))
        assert hashed == ["pbkdf2:sha256:1000", "scrypt:1024:8:1"], name


@pytest.mark.parametrize("password", ["secret", "decoy", "", "wonder"])
def test_somebodys_password_lets_nobody_else_in_and_is_not_remembered(tmp_path: Path, password: str) -> None:
    hashed = generate_password_hash("secret", method="scrypt:1024:8:1")
    (tmp_path / "config.toml").write_text(f'[server]\nadmin_pass = "{hashed}"\n[users.alice]\npass = "wonder"\n')
    client = create_app(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")})).test_client()
    for _ in range(2):
        assert_unauthorized(client.get("/_api/sites", headers=basic("nobody", password)))


def test_a_right_hash_is_computed_once_and_not_for_each_request(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = Admin(make_app(admin_pass=SCRYPT).test_client(), password="wonder")
    hashed: list[str] = []
    check = passwords.check_password_hash
    monkeypatch.setattr(passwords, "check_password_hash", lambda *a: hashed.append(a[1]) or check(*a))
    for _ in range(20):
        assert_success(admin.get("/_api/health"))
    assert hashed == ["wonder"]


def test_healthz_asks_for_no_credentials_and_minds_no_wrong_ones(unmoved: House) -> None:
    assert_success(unmoved.client.get("/_api/healthz"))
    assert_success(unmoved.client.get("/_api/healthz", headers=basic("admin", "wrong")))


# --- Routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), NO_CALLS)
def test_a_path_below_api_that_is_no_call_is_a_404(unmoved: House, method: str, path: str) -> None:
    assert_failure(unmoved.admin.call(method, path), 404, "接口不存在")


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS)
def test_a_wrong_method_is_told_which_are_right(unmoved: House, method: str, path: str, allowed: str) -> None:
    reply = unmoved.admin.call(method, path)
    assert reply.status_code == 405
    assert sorted(reply.headers["Allow"].split(", ")) == allowed.split(", ")
    if method != "HEAD":
        assert_failure(reply, 405)


@pytest.mark.parametrize("path", ["/_api/sites", "/_api/sites/default/blog", "/_api/health", "/_api/healthz"])
def test_head_is_get_without_the_body(unmoved: House, path: str) -> None:
    reply = unmoved.admin.call("HEAD", path)
    assert (reply.status_code, reply.mimetype, reply.data) == (200, "application/json", b"")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_no_header_turns_one_method_into_another(unmoved: House, header: str) -> None:
    assert_success(unmoved.admin.get("/_api/sites/default/blog?_method=DELETE", headers={header: "DELETE"}))


def test_an_upgrade_that_is_not_offered_is_ignored(unmoved: House) -> None:
    assert_success(unmoved.admin.get("/_api/sites", headers={"Upgrade": "websocket", "Connection": "Upgrade"}))


@pytest.mark.parametrize("path", ["/%5fapi/sites", "/%5F%61%70%69/sites", "/_api%2Fsites", "/_api/%73ites"])
def test_the_encoding_of_a_path_makes_no_difference(unmoved: House, path: str) -> None:
    assert_unauthorized(unmoved.client.get(path))
    assert_success(unmoved.admin.get(path))


@pytest.mark.parametrize(
    "path",
    ["//_api/sites", "/./_api/sites", "/x/../_api/sites", "/_api/../_api/sites", "/_api/./sites", "/_api;x/sites",
     "/_API/sites", "/%255fapi/sites", "/_api%5Csites", "/_api%00/sites", "/api/admin/maintenance/", "/_api%20/sites",
     "/x/..%2f_api/sites", "/%2e/_api/sites", "/_api/%2e%2e/_api/sites"],
)  # fmt: skip
def test_another_spelling_gets_no_further_than_api(unmoved: House, path: str) -> None:
    assert unmoved.client.get(path).status_code in (400, 401, 404)
    reply = unmoved.admin.get(path)
    assert reply.status_code in (400, 404)
    assert b"sites" not in reply.data


@pytest.mark.parametrize("name", ["_api/index.html", "_api/sites", "_api/x/y.html"])
def test_a_sites_files_below_api_are_never_served(house: House, name: str) -> None:
    house.admin.deployed({name: "page", "index.html": "x"})
    assert_unauthorized(house.client.get(f"/{name}", base_url="http://default.blog.localhost"))
    assert b"page" not in house.admin.get(f"/{name}", base_url="http://default.blog.localhost").data


# --- The order of judgement -----------------------------------------------------------------

EVIL = {"Origin": "http://evil.example"}
JSON = {"Content-Type": "application/json"}


RAR = {"file": "a.rar"}
ZIP = {"file": "a.zip"}


def sent(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What to pass to the client: ``file`` names an upload, anything else is passed as it is."""
    if "file" not in kwargs:
        return kwargs
    return {"data": {"file": (io.BytesIO(zip_of({"a": "b"})), kwargs["file"])}}


@pytest.mark.parametrize(
    ("user", "method", "path", "kwargs", "status", "message"),
    [
        # Credentials before the cross-site rule, that before the route.
        ("nobody", "GET", "/_api/sites", {"headers": EVIL}, 401, "认证失败"),
        ("nobody", "GET", "/_api/nothing", {"headers": EVIL}, 401, "认证失败"),
        ("nobody", "DELETE", "/_api/reload", {}, 401, "认证失败"),
        ("nobody", "POST", "/_api/sites", {"data": b"{"}, 401, "认证失败"),
        ("admin", "GET", "/_api/nothing", {"headers": EVIL}, 403, "拒绝跨站请求"),
        ("admin", "DELETE", "/_api/reload", {"headers": EVIL}, 403, "拒绝跨站请求"),
        ("alice", "POST", "/_api/reload", {"headers": EVIL}, 403, "拒绝跨站请求"),
        ("alice", "DELETE", "/_api/sites/bob/blog", {"headers": EVIL}, 403, "拒绝跨站请求"),
        # The route before the role, the role before the body.
        ("alice", "GET", "/_api/nothing", {}, 404, "接口不存在"),
        ("alice", "GET", "/_api/reload", {}, 405, None),
        ("alice", "POST", "/_api/reload", {}, 403, "权限不足"),
        ("alice", "POST", "/_api/reload", {"data": b"{", "headers": JSON}, 403, "权限不足"),
        # The body before whose site it is.
        ("alice", "POST", "/_api/sites", {"data": b"{", "headers": JSON}, 400, None),
        ("alice", "POST", "/_api/sites", {"json": {"id": "x", "username": "bob"}}, 400, None),
        ("alice", "POST", "/_api/sites", {"json": {"id": "x", "domain": "_", "username": "bob"}}, 400, None),
        ("alice", "POST", "/_api/sites", {"data": b"{}"}, 415, None),
        ("alice", "PUT", "/_api/sites/bob/blog", {"data": b"{", "headers": JSON}, 400, None),
        ("alice", "PUT", "/_api/sites/bob/blog", {"json": {"enabled": 1}}, 400, None),
        ("alice", "PUT", "/_api/sites/bob/blog", {"data": b"{}"}, 415, None),
        ("alice", "PUT", "/_api/sites/bob/blog", {"data": b" " * 2_000_000, "headers": JSON}, 413, None),
        ("alice", "GET", "/_api/sites?username=bob&limit=x", {}, 400, None),
        ("alice", "POST", "/_api/sites/bob/blog/checkpoints", {"json": {"description": 1}}, 400, None),
        ("alice", "POST", "/_api/sites/bob/blog/checkpoints", {"data": b"[]", "headers": JSON}, 400, None),
        ("alice", "POST", "/_api/sites/bob/blog/deploy", {}, 400, "缺少文件"),
        ("alice", "POST", "/_api/sites/bob/blog/deploy", RAR, 400, "不支持的文件格式，仅支持 zip、tar.gz、tgz"),
        # Whose site it is before whether it exists.
        ("alice", "GET", "/_api/sites/bob/nothing", {}, 403, "权限不足"),
        ("alice", "PUT", "/_api/sites/bob/nothing", {"json": {}}, 403, "权限不足"),
        ("alice", "DELETE", "/_api/sites/nobody/nothing", {}, 403, "权限不足"),
        ("alice", "POST", "/_api/sites/bob/nothing/deploy", ZIP, 403, "权限不足"),
        ("alice", "GET", "/_api/sites?username=bob", {}, 403, "权限不足"),
        ("alice", "POST", "/_api/sites", {"json": {"id": "blog", "domain": "x.y", "username": "bob"}}, 403, "权限不足"),
        ("alice", "POST", "/_api/sites", {"json": {"id": "x", "domain": "x.y", "username": "b"}}, 403, "权限不足"),
        # The body before whether the site exists.
        ("admin", "PUT", "/_api/sites/nobody/x", {"json": {"index": ""}}, 400, None),
        ("admin", "PUT", "/_api/sites/nobody/x", {"data": b"x", "headers": JSON}, 400, None),
        ("admin", "POST", "/_api/sites/nobody/x/deploy", {}, 400, "缺少文件"),
        ("admin", "POST", "/_api/sites/nobody/x/checkpoints", {"json": {"x": 1}}, 400, None),
        # Whether it exists before conflicts, the id before the domain.
        ("alice", "PUT", "/_api/sites/alice/nothing", {"json": {"domain": "localhost"}}, 404, "站点不存在"),
        ("admin", "PUT", "/_api/sites/alice/nothing", {"json": {"domain": "localhost"}}, 404, "站点不存在"),
        ("admin", "POST", "/_api/sites/alice/nothing/deploy", ZIP, 404, "站点不存在"),
        ("admin", "DELETE", "/_api/sites/nobody/x/checkpoints/y", {}, 404, "站点不存在"),
        ("alice", "GET", "/_api/sites/alice/blog/checkpoints/y", {}, 404, "检查点不存在"),
        ("alice", "POST", "/_api/sites", {"json": {"id": "blog", "domain": "localhost"}}, 409, "站点已存在"),
        ("alice", "POST", "/_api/sites", {"json": {"id": "new", "domain": "localhost"}}, 409, "域名已被占用"),
    ],
)  # fmt: skip
def test_the_first_reason_to_refuse_is_the_one_that_is_told(
    unmoved: House, user: str, method: str, path: str, kwargs: dict[str, Any], status: int, message: str | None
) -> None:
    passwords = {"admin": "admin", "alice": "wonder"}
    asking = Admin(unmoved.client, user, passwords.get(user, "x"))
    assert_failure(asking.call(method, path, **sent(kwargs)), status, message)


# --- Tenants --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "rest"), SITE_CALLS)
def test_a_tenant_cannot_learn_whether_anothers_site_exists(unmoved: House, method: str, rest: str) -> None:
    def ask(site: str) -> TestResponse:
        kwargs = ZIP if rest == "/deploy" else {"json": {}} if method in ("PUT", "POST") else {}
        return unmoved.alice.call(method, f"/_api/sites/{site}{rest}", **sent(kwargs))

    there, absent = ask("bob/blog"), ask("bob/nothing")
    assert assert_failure(there, 403) == "权限不足"
    assert (there.status_code, there.data) == (absent.status_code, absent.data)
    for reply in (there, absent):
        del reply.headers["X-Request-ID"]  # Each has its own.
    assert list(there.headers) == list(absent.headers)


@pytest.mark.parametrize("username", ["default", "admin", "Alice", "alice.", "alic", "alice2", "..", "%00", "x" * 300])
def test_only_the_very_name_is_a_tenants_own(unmoved: House, username: str) -> None:
    assert_failure(unmoved.alice.get(f"/_api/sites/{username}/blog"), 403, "权限不足")
    assert_failure(unmoved.alice.get(f"/_api/sites?username={username}"), 403, "权限不足")


def test_a_tenant_does_with_its_own_site_all_that_the_admin_can(house: House) -> None:
    site = house.alice.create("shop", "shop.localhost")
    assert site["username"] == "alice"
    assert_success(house.alice.put("/_api/sites/alice/shop", json={"index": "start.html"}), message="站点更新成功")
    first = house.alice.deployed({"start.html": "1"}, site="alice/shop")
    second = house.alice.deployed({"start.html": "2"}, site="alice/shop")
    assert house.alice.checkpoints("alice/shop")["current"] == second["id"]
    assert_success(house.alice.checkout(first["id"], site="alice/shop"), message="站点已切换到检查点")
    assert house.alice.visit(host="shop.localhost").data == b"1"
    assert_success(house.alice.delete(f"/_api/sites/alice/shop/checkpoints/{second['id']}"), message="检查点已删除")
    assert_success(house.alice.delete("/_api/sites/alice/shop"), message="站点删除成功")


def test_a_tenants_list_holds_its_own_sites(unmoved: House) -> None:
    for query in ["", "?username=alice"]:
        found = assert_success(unmoved.alice.get(f"/_api/sites{query}"))
        assert ([site["username"] for site in found["sites"]], found["total"]) == (["alice"], 1)


def test_a_tenants_health_counts_its_own_enabled_sites(house: House) -> None:
    house.alice.create("off", enabled=False)
    house.alice.create("on")
    assert assert_success(house.alice.get("/_api/health"))["sites_count"] == 2
    assert assert_success(house.bob.get("/_api/health"))["sites_count"] == 1
    assert assert_success(house.admin.get("/_api/health"))["sites_count"] == 5


def test_a_tenant_cannot_take_anothers_domain(unmoved: House) -> None:
    for domain in ["bob.blog.localhost", "BOB.blog.localhost.", "localhost"]:
        body = {"domain": domain}
        assert_failure(unmoved.alice.post("/_api/sites", json=body | {"id": "new"}), 409, "域名已被占用")
        assert_failure(unmoved.alice.put("/_api/sites/alice/blog", json=body), 409, "域名已被占用")


# --- Other pages' requests ------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "rubbish"}, {"Sec-Fetch-Site": "same-origin, cross-site"}, {"Origin": "null"},
        {"Origin": ""}, {"Origin": "http://evil.example"}, {"Origin": "http://localhost.evil.example"},
        {"Origin": "localhost"}, {"Origin": "http://evillocalhost"}, {"Origin": "http://blog.localhost"}, {"Origin": "http://localhost@evil"},
        {"Origin": "http://evil#localhost"}, {"Origin": "http://evil?localhost"}, {"Origin": "http://["},
        {"Origin": "http://localhost http://evil"}, {"Origin": "file://"}, {"Origin": "\xe9"}, {"Origin": "http://"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
        {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
        {"Origin": "http://localhost:8080"}, {"Origin": "https://localhost:8443"},
        {"Host": "localhost:1323", "Origin": "http://localhost:8080"},
        {"Host": "localhost:1323", "Origin": "http://localhost"},
        {"Host": "localhost:1323", "Origin": "https://localhost"},
    ],
    ids=lambda headers: ascii(list(headers.values()))[:40],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/_api/sites", "/_api/healthz"])
def test_a_request_that_a_browser_sent_for_another_page_is_refused(
    unmoved: House, path: str, headers: dict[str, str]
) -> None:
    assert_failure(unmoved.admin.get(path, headers=headers), 403, "拒绝跨站请求")


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("localhost", {"Sec-Fetch-Site": "none"}),
        ("localhost", {"Sec-Fetch-Site": "same-origin"}),
        ("localhost", {"Origin": "http://localhost"}),
        ("localhost:1323", {"Origin": "http://localhost:1323", "Sec-Fetch-Site": "same-origin"}),
        ("LOCALHOST.:1323", {"Origin": "http://localhost:1323"}),
        ("localhost", {"Origin": "https://localhost"}),
        ("localhost:80", {"Origin": "http://localhost"}),
        ("localhost:443", {"Origin": "https://localhost"}),
        ("localhost", {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}),
        ("127.0.0.1:1323", {"Origin": "http://127.0.0.1:1323"}),
        ("xn--fsqu00a.localhost", {"Origin": "http://xn--fsqu00a.localhost"}),
        ("localhost", {"Referer": "http://evil.example/"}),
        ("[::1]:1323", {"Origin": "http://[::1]:1323"}),
        ("my_nas:1323", {"Origin": "http://my_nas:1323"}),
    ],
)
def test_a_page_of_the_same_host_may_ask(unmoved: House, host: str, headers: dict[str, str]) -> None:
    assert_success(unmoved.admin.get("/_api/sites", headers={"Host": host, **headers}))


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, EVIL])
def test_visitors_may_come_from_any_page(house: House, headers: dict[str, str]) -> None:
    house.admin.deployed({"index.html": "x"})
    reply = house.client.get("/", base_url="http://default.blog.localhost", headers=headers)
    assert reply.data == b"x"


# --- The admin's hosts ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The house with two admin hosts; ``localhost`` is none of them any more."""
    folder = tmp_path_factory.mktemp("walled")
    build(folder)
    environ = {
        "PAGES_CONFIG": str(folder / "config.toml"),
        "PAGES_ADMIN_HOSTS": "panel.localhost, Admin.例子.localhost",
        "PAGES_MAX_FAILED_LOGINS": "0",
    }
    client = create_app(load_config(environ)).test_client()
    return House(client, Admin(client), Admin(client, "alice", "wonder"), Admin(client, "bob", "builder"))


@pytest.mark.parametrize(
    "host",
    ["panel.localhost", "PANEL.localhost.:8080", "admin.xn--fsqu00a.localhost", "admin.例子.localhost:80"],
)  # fmt: skip
def test_the_api_exists_on_an_admin_host(walled: House, host: str) -> None:
    headers = {"Host": host.encode().decode("latin-1")}
    assert_unauthorized(walled.client.get("/_api/sites", headers=headers))
    assert_success(walled.admin.get("/_api/sites", headers=headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"}, {"Host": "default.blog.localhost"}, {"Host": "unknown.example"}, {"Host": ""},
        {"Host": "panel.localhost.evil.example"}, {"Host": "xpanel.localhost"}, {"Host": "panel_localhost"},
        {"Host": "127.0.0.1:1323"}, {"Host": "panel.localhost, localhost"}, {"Host": "panel.localhost@localhost"},
        {"Host": "localhost", "X-Forwarded-Host": "panel.localhost"},
        {"Host": "localhost", "Forwarded": "host=panel.localhost"},
        {"Host": "localhost", "X-Host": "panel.localhost", "X-Original-Host": "panel.localhost"},
    ],
    ids=lambda headers: ascii(list(headers.values()))[:50],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_api/sites"), ("GET", "/_api/healthz"), ("GET", "/_api/nothing"), ("PATCH", "/_api/reload"),
     ("POST", "/api/admin/maintenance")],
)  # fmt: skip
def test_elsewhere_it_is_the_plain_404_page(walled: House, method: str, path: str, headers: dict[str, str]) -> None:
    plain = walled.client.get("/nothing", headers={"Host": "unknown.example"})
    for asked in (headers, headers | basic(), headers | basic("admin", "wrong"), headers | EVIL):
        reply = walled.client.open(path, method=method, headers=asked)
        assert (reply.status_code, reply.data, reply.mimetype) == (404, plain.data, "text/html")
        assert "WWW-Authenticate" not in reply.headers


def test_a_trusted_proxy_says_which_host_was_asked(tmp_path: Path) -> None:
    house = build(tmp_path, trusted_proxies="127.0.0.1", admin_hosts="localhost,panel.localhost")
    headers = {"Host": "backend", "X-Forwarded-Host": "panel.localhost"}
    assert_success(house.admin.get("/_api/sites", headers=headers))
    stranger = {"REMOTE_ADDR": "127.0.0.2"}
    assert house.admin.get("/_api/sites", headers=headers, environ_overrides=stranger).status_code == 404


def test_a_tenant_cannot_publish_on_an_admin_host(walled: House) -> None:
    headers = {"Host": "panel.localhost"}
    for domain in ["panel.localhost", "Admin.例子.localhost."]:
        create = walled.alice.post("/_api/sites", json={"id": "new", "domain": domain}, headers=headers)
        update = walled.alice.put("/_api/sites/alice/blog", json={"domain": domain}, headers=headers)
        assert assert_failure(create, 409) == assert_failure(update, 409) == "域名已被占用"


@pytest.mark.parametrize("domain", ["localhost", "192.0.2.1"])
def test_a_tenant_cannot_publish_where_the_console_is_without_admin_hosts(tmp_path: Path, domain: str) -> None:
    house = build(tmp_path)
    assert_success(house.admin.delete("/_api/sites/default/default"))
    assert_failure(house.alice.post("/_api/sites", json={"id": "new", "domain": domain}), 409, "域名已被占用")
    assert_failure(house.alice.put("/_api/sites/alice/blog", json={"aliases": [domain]}), 409, "域名已被占用")
    house.admin.create("mine", domain)


@pytest.mark.parametrize("fields", [{"domain": "panel.localhost"}, {"aliases": ["*.localhost"], "alias_mode": "serve"}])
def test_on_a_host_that_becomes_the_admins_no_tenants_page_is_served(tmp_path: Path, fields: dict[str, Any]) -> None:
    before = build(tmp_path)
    assert_success(before.alice.put("/_api/sites/alice/blog", json=fields))
    before.alice.deployed({"index.html": "hers"}, site="alice/blog")
    assert before.alice.visit("/", host="panel.localhost").data == b"hers"
    assert os.path.lexists(tmp_path / "data/public/panel.localhost") == ("domain" in fields)
    settings = {"PAGES_CONFIG": str(tmp_path / "config.toml"), "PAGES_ADMIN_HOSTS": "panel.localhost"}
    after = Admin(create_app(load_config(settings)).test_client())
    assert not os.path.lexists(tmp_path / "data/public/panel.localhost")
    reply = after.visit("/", host="panel.localhost")
    assert (reply.status_code, reply.headers["Location"]) == (302, "/_admin/")
    assert after.visit("/index.html", host="panel.localhost").status_code == 404
    other = "www.localhost" if "aliases" in fields else "alice.blog.localhost"
    assert (after.visit("/", host=other).data == b"hers") == ("aliases" in fields)


def test_the_admins_own_site_may_be_on_an_admin_host(tmp_path: Path) -> None:
    admin = build(tmp_path, admin_hosts="localhost").admin
    admin.deployed({"index.html": "mine"}, site="default/default")
    assert admin.visit("/", host="localhost").data == b"mine"
    assert os.path.lexists(tmp_path / "data/public/localhost")


def test_a_taken_id_goes_before_an_admin_host(walled: House) -> None:
    body = {"id": "blog", "domain": "panel.localhost"}
    reply = walled.alice.post("/_api/sites", json=body, headers={"Host": "panel.localhost"})
    assert_failure(reply, 409, "站点已存在")
