"""Who may come to which page of the console: hosts, sessions, tokens, other pages' requests, tenants."""

import io
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from console_person import Person, words
from flask import Flask
from flask.testing import FlaskClient
from helpers import Admin, everything_below, zip_of

from pages.app import create_app
from pages.config import load_config
from pages.web.console.gate import POLICY
from pages.web.requests import PagesRequest
from pages.work import run_now

OPEN = {"console_sign_in.ask", "console_sign_in.sign_in", "console_assets.send", "console_language.switch"}
CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
    {"Origin": "null"}, {"Origin": "http://localhost:8080"},
]  # fmt: skip


@pytest.fixture
def person(admin: Admin, person: Person) -> Person:
    """The admin, signed in, with a site ``default/blog`` that has one version."""
    admin.deployed({"index.html": "one"})
    return person


@pytest.fixture
def tenants(tmp_path: Path) -> Flask:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "wonder"\n[users.bob]\npass = "builder"\n')
    environ = {"PAGES_CONFIG": str(tmp_path / "config.toml"), "PAGES_DATA_DIR": str(tmp_path / "data")}
    app = create_app(load_config(environ), run_now)
    admin = Admin(app.test_client())
    for name in ("alice", "bob"):
        admin.create("blog", f"{name}.localhost", username=name)
    return app


def pages_of(app: Flask) -> list[tuple[str, str, str]]:
    """(method, an address, endpoint) of every page of the console."""
    values = {
        "username": "default", "site_id": "blog", "checkpoint_id": "20250106-160000-c3d4e5f6", "action": "backup",
        "digest": "0" * 16, "token_id": "0" * 16, "name": "x", "wanted": "en",
    }  # fmt: skip
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("console_"):
            address = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values[match[1]], rule.rule)
            found += [(method, address, rule.endpoint) for method in sorted((rule.methods or set()) - {"HEAD"})]
    return found


# --- Sessions and tokens ----------------------------------------------------------------------


def test_every_page_but_the_few_that_are_open_asks_to_sign_in(app: Flask, admin: Admin) -> None:
    nobody = Person(admin.client)
    pages = pages_of(app)
    assert len(pages) > 30
    for method, address, endpoint in pages:
        if endpoint not in OPEN:
            answer = nobody.call(method, address)
            assert answer.status_code == 303, address
            assert answer.headers["Location"].startswith("/_admin/sign-in"), address


def test_no_form_does_anything_without_its_token(app: Flask, person: Person, data: Path) -> None:
    other = Person(person.client)
    other.sign_in()
    foreign = other.get("/_admin/sites").text.split('name="csrf" value="')[1][:64]
    before = everything_below(data / "registry") | everything_below(data / "sites-checkpoints")
    for method, address, _ in pages_of(app):
        for token in ("", foreign):
            if method == "POST":
                form = {"csrf": token, "confirmed": "yes", "typed": "blog", "name": "admin", "password": "admin"}
                assert person.call("POST", address, data=form).status_code == 403, address
                headers = {"X-CSRF-Token": token}
                assert person.call("POST", address, data=form, headers=headers).status_code == 403, address
    assert everything_below(data / "registry") | everything_below(data / "sites-checkpoints") == before
    assert person.get("/_admin/sites").status_code == 200


def test_nothing_of_an_upload_is_read_before_its_token(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    real = PagesRequest._load_form_data
    monkeypatch.setattr(
        PagesRequest, "_load_form_data", lambda request: (parsed.append(request.path), real(request))[1]
    )
    good = unescape(re.search(r'action="([^"]*/deploy[^"]*)"', person.get("/_admin/sites/default/blog").text)[1])  # type: ignore[index]
    for address, status in ((good[:-1] + "x", 403), (good, 303)):
        form = {"file": (io.BytesIO(zip_of({"index.html": "two"})), "site.zip")}
        assert person.call("POST", address, data=form).status_code == status
        assert bool(parsed) is (status == 303)


@pytest.mark.parametrize("headers", CROSS_SITE, ids=lambda headers: " ".join(headers.values()))
def test_another_pages_request_is_refused_whatever_it_brings(person: Person, headers: dict[str, str]) -> None:
    person.speak("zh")
    page = person.get("/_admin/maintenance/backup").text
    token = page.split('name="csrf" value="')[1][:64]
    form = {"csrf": token, "confirmed": "yes"}
    answer = person.call("POST", "/_admin/maintenance/backup", data=form, headers=headers)
    assert answer.status_code == 403
    assert "拒绝跨站请求" in answer.text
    assert person.call("GET", "/_admin/sites", headers={**headers, "Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_a_link_from_elsewhere_leads_to_a_page_that_asks_again(person: Person) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = person.get('/_admin/sites?q="><b>', headers=headers)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/_admin/sites?q=%22%3E%3Cb%3E">' in answer.text
    assert "blog" not in answer.text


# --- Hosts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/_admin", "/_admin/", "/_admin/sites", "/%5fadmin/sites", "/_admin/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_on_a_sites_own_host_the_path_is_the_sites(admin: Admin, path: str, method: str) -> None:
    admin.deployed({"_admin/index.html": "the site's", "_admin/sites": "a file", "404.html": "none of ours"})
    answer = admin.visit(path, method=method)
    assert answer.status_code in ((200, 301, 404) if method in ("GET", "HEAD") else (405,))
    assert "Content-Security-Policy" not in answer.headers
    if method == "GET" and path == "/_admin/":
        assert answer.text == "the site's"
    if method == "GET" and path == "/_admin/nothing":
        assert answer.text == "none of ours"


@pytest.mark.parametrize(
    ("admin_hosts", "address", "status"),
    [
        ("", "http://localhost", 303), ("", "http://127.0.0.1:1323", 303), ("", "http://[::1]:1323", 303),
        ("", "http://admin.example.com", 404), ("", "http://blog.localhost", 404),
        ("admin.example.com", "https://admin.example.com", 303), ("admin.example.com", "http://ADMIN.example.com", 303),
        ("admin.example.com", "http://localhost", 404), ("admin.example.com", "http://127.0.0.1", 404),
        ("admin.example.com", "http://blog.localhost", 404), ("admin.example.com", "http://x.admin.example.com", 404),
    ],
)  # fmt: skip
def test_the_console_is_on_the_admins_hosts_only(
    make_app: Callable[..., Flask], admin_hosts: str, address: str, status: int
) -> None:
    person = Person(make_app(admin_hosts=admin_hosts).test_client(), address)
    assert person.get("/_admin/sites").status_code == status


def test_a_session_is_worth_nothing_on_another_host(make_app: Callable[..., Flask]) -> None:
    app = make_app(admin_hosts="admin.example.com")
    person = Person(app.test_client(), "http://admin.example.com")
    person.sign_in()
    session = person.client.get_cookie("pages", domain="admin.example.com")
    assert session
    other = Person(app.test_client(), "http://localhost")
    other.client.set_cookie("pages", session.value)
    assert other.get("/_admin/sites").status_code == 404


# --- What browsers and caches are told --------------------------------------------------------


def test_every_answer_says_what_browsers_may_do_with_it(app: Flask, person: Person) -> None:
    answers = [person.call(method, address) for method, address, _ in pages_of(app) if method == "GET"]
    answers += [person.get("/_admin/none"), person.call("PUT", "/_admin/sites"), Person(person.client).get("/_admin")]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_methods_are_answered_as_elsewhere(person: Person) -> None:
    assert person.call("HEAD", "/_admin/sites").data == b""
    for method in ("OPTIONS", "PUT", "DELETE", "TRACE"):
        answer = person.call(method, "/_admin/sites")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert person.get("/_admin/sites/").status_code == 404
    assert person.get("//_admin/sites").status_code == 404


def test_a_failure_tells_nothing_of_its_cause(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(app.extensions["pages"].registry, "names", broken)
    person.speak("zh")
    answer = person.get("/_admin/sites")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "服务器内部错误" in answer.text


# --- Tenants ----------------------------------------------------------------------------------


def test_a_tenant_sees_its_own_sites_alone(tenants: Flask) -> None:
    alice = Person(tenants.test_client())
    alice.sign_in("alice", "wonder")
    page = alice.get("/_admin/sites").text
    assert "alice.localhost" in page
    assert "bob" not in page
    assert "/_admin/maintenance" not in page
    assert "bob" not in words(alice.get("/_admin/sites?q=bob").text).replace("“bob”", "")


def test_another_tenants_site_is_not_told_from_one_that_is_not_there(tenants: Flask) -> None:
    alice = Person(tenants.test_client())
    alice.sign_in("alice", "wonder")
    token = alice.get("/_admin/new-site").text.split('name="csrf" value="')[1][:64]
    for method, address, endpoint in pages_of(tenants):
        if "/blog" in address:
            answers = [
                alice.call(
                    method,
                    address.replace("default/blog", name),
                    data={"typed": name.partition("/")[2]} if method == "POST" else None,
                    headers={"X-CSRF-Token": token},
                )
                for name in ("bob/blog", "bob/none")
            ]
            assert [answer.status_code for answer in answers] == [404, 404], (method, address, endpoint)
    form = {"csrf": token, "username": "bob", "id": "new", "domain": "new.localhost"}
    assert alice.call("POST", "/_admin/new-site", data=form).status_code == 403
    assert Admin(tenants.test_client()).get("/_api/sites/bob/blog").status_code == 200


@pytest.mark.parametrize(
    "path", ["", "/state", "/backup", "/restart", "/clear-cache", "/reload", "/none", "/backups/x"]
)
def test_maintenance_is_not_for_tenants(tenants: Flask, path: str) -> None:
    alice = Person(tenants.test_client())
    alice.sign_in("alice", "wonder")
    assert alice.get(f"/_admin/maintenance{path}").status_code == (405 if path == "/backups/x" else 403)
    token = alice.get("/_admin/new-site").text.split('name="csrf" value="')[1][:64]
    form = {"csrf": token, "confirmed": "RESTART" if path == "/restart" else "yes"}
    if path not in ("", "/state"):
        assert alice.call("POST", f"/_admin/maintenance{path}", data=form).status_code == 403


# --- What others wrote ------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'{{7*7}}"


def test_what_others_wrote_is_text_and_no_markup(person: Person, admin: Admin) -> None:
    admin.deploy(
        zip_of({"index.html": "x", "_redirects": "/<script> /x\n", f"{'<b>' * 3}.html": "x"}), f"{HOSTILE}.zip"
    )
    admin.post("/_api/sites/default/blog/checkpoints", json={"description": HOSTILE})
    current = admin.checkpoints()["current"]
    for path in (
        "", f"/checkpoints/{current}", "/diff", "/prune?count=1", "/explain?url=/%3Cscript%3E",
        "/explain?url=%3Cscript%3Ealert(1)", "/settings",
    ):  # fmt: skip
        page = person.get(f"/_admin/sites/default/blog{path}").text
        assert "<script>alert" not in page
        assert "<b><b>" not in page
        assert "49" not in words(page).replace(current, "") or "{{7*7}}" in page
    assert "&lt;script&gt;alert(1)" in person.get("/_admin/sites/default/blog").text
    assert "<script>alert" not in person.get("/_admin/sites", query_string={"q": HOSTILE}).text


def test_a_message_that_was_not_ours_is_not_shown(person: Person, client: FlaskClient) -> None:
    for value in ("eyJtZXNzYWdlIjoieCJ9.00", ".", "x", "eyJtZXNzYWdlIjoieCJ9." + "0" * 64, "é.é"):
        person.client.set_cookie("pages-message", value)
        assert "flash" not in person.get("/_admin/sites").text


# --- The first page of an admin host --------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("pages.example.com", "/", 302), ("PAGES.example.com.:8080", "/", 302), ("pages.example.com", "/x", 404),
        ("pages.example.com", "//", 404), ("other.example.com", "/", 404), ("blog.localhost", "/", 404),
    ],
)  # fmt: skip
def test_the_first_page_of_an_admin_host_leads_to_the_console(
    make_app: Callable[..., Flask], host: str, path: str, status: int
) -> None:
    client = make_app(admin_hosts="pages.example.com,localhost").test_client()
    answer = client.get(path, headers={"Host": host})
    assert (answer.status_code, answer.headers.get("Location")) == (status, "/_admin/" if status == 302 else None)


def test_a_site_on_an_admin_host_keeps_its_first_page(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(admin_hosts="localhost").test_client())
    assert admin.visit(host="localhost").status_code == 200


def test_the_admin_is_told_of_a_password_that_everybody_knows(person: Person, make_app: Callable[..., Flask]) -> None:
    assert "still “admin”" in person.get("/_admin/sites").text
    other = Person(make_app(admin_pass="sesame", data_dir="elsewhere").test_client())
    other.sign_in(password="sesame")
    assert "still “admin”" not in other.get("/_admin/sites").text
