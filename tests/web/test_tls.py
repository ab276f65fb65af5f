"""May a proxy get a certificate for a name: which names it may, and who may ask without a password."""

import json
from collections.abc import Callable
from pathlib import Path

import idna
import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, basic
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config

SITE = "blog.example.com"
LOOPBACK = "127.0.0.1"
OUTSIDE = "192.0.2.7"


def ask(app: Flask, domain: str | None = SITE, peer: str = LOOPBACK, **headers: str) -> TestResponse:
    """What a program at ``peer`` is told; header names are written with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    query = {} if domain is None else {"domain": domain}
    overrides = {"REMOTE_ADDR": peer}
    path = "/_api/tls/allowed"
    return app.test_client().get(path, query_string=query, headers=sent, environ_overrides=overrides)


@pytest.fixture
def asked(make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """An application with these settings, and a site on ``SITE``."""

    def make(**settings: str) -> Flask:
        app = make_app(**settings)
        host = settings.get("admin_hosts", "localhost").partition(",")[0]
        body = {"id": "blog", "domain": SITE}
        assert_success(Admin(app.test_client()).post("/_api/sites", json=body, headers={"Host": host}), 201)
        return app

    return make


# --- Which names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SITE, "BLOG.Example.com", f"{SITE}."])
def test_a_sites_domain_may_have_one_however_it_is_written(asked: Callable[..., Flask], name: str) -> None:
    assert assert_success(ask(asked(), name)) == {"domain": SITE}


def test_an_international_domain_may_be_written_either_way(asked: Callable[..., Flask]) -> None:
    app = asked()
    Admin(app.test_client()).create("shop", "商店.example.com")
    assert assert_success(ask(app, "商店.example.com")) == assert_success(
        ask(app, idna.encode("商店.example.com").decode())
    )


def test_a_sites_further_domain_may_too_and_a_name_that_only_a_wildcard_covers_not(asked: Callable[..., Flask]) -> None:
    app = asked()
    Admin(app.test_client()).create("more", "example.org", aliases=["www.example.org", "*.wild.example.org"])
    assert assert_success(ask(app, "www.example.org")) == {"domain": "www.example.org"}
    for other in ("wild.example.org", "*.wild.example.org", "a.wild.example.org"):
        assert_failure(ask(app, other), 404)


def test_a_host_of_a_preview_may_as_long_as_there_is_one(asked: Callable[..., Flask]) -> None:
    app = asked(preview_domain="preview.example.com")
    admin = Admin(app.test_client())
    made = admin.deployed({"index.html": "one"})["id"]
    host = f"{made}--blog--default.preview.example.com"
    assert_failure(ask(app, host), 404)
    assert_success(admin.post(f"/_api/sites/default/blog/checkpoints/{made}/preview"), 201)
    assert assert_success(ask(app, host)) == {"domain": host}
    assert_success(admin.delete("/_api/sites/default/blog/previews"))
    assert_failure(ask(app, host), 404)


@pytest.mark.parametrize(
    "name",
    ["other.example.com", "example.com", f"www.{SITE}", "*.example.com", "", " ", "blog_.example.com", f"{SITE}:443",
     "..", "../registry", "%00", "\x00", "a" * 300, f"{SITE},other.example.com", "[::1]", "::1", "\ud800"],
    ids=ascii,
)  # fmt: skip
def test_no_other_name_may(asked: Callable[..., Flask], name: str) -> None:
    assert_failure(ask(asked(), name.encode("utf-8", "replace").decode()), 404)


def test_a_question_without_a_name_is_answered_with_no(asked: Callable[..., Flask]) -> None:
    assert_failure(ask(asked(), None), 404, "参数 domain 缺失")


@pytest.mark.parametrize("domain", ["127.0.0.1", "203.0.113.9", "localhost", "intranet"])
def test_a_name_that_no_public_ca_knows_may_not_although_it_is_a_sites(
    asked: Callable[..., Flask], domain: str
) -> None:
    app = asked()
    if domain != "localhost":  # The welcome site has that one.
        Admin(app.test_client()).create("home", domain)
    assert app.extensions["pages"].registry.owner_of(domain).enabled
    assert_failure(ask(app, domain), 404)


def test_a_disabled_site_may_not_until_it_is_enabled(asked: Callable[..., Flask]) -> None:
    app = asked()
    admin = Admin(app.test_client())
    for enabled, status in ((False, 404), (True, 200)):
        assert_success(admin.put("/_api/sites/default/blog", json={"enabled": enabled}))
        assert ask(app).status_code == status


def test_a_site_whose_record_cannot_be_read_may_not(asked: Callable[..., Flask], data: Path) -> None:
    app = asked()
    (data / "registry/default/blog.json").write_text("{")
    assert_failure(ask(app), 404)


def test_a_deleted_sites_domain_may_not(asked: Callable[..., Flask]) -> None:
    app = asked()
    assert_success(Admin(app.test_client()).delete("/_api/sites/default/blog"))
    assert_failure(ask(app), 404)


def test_the_apis_own_hosts_may(asked: Callable[..., Flask]) -> None:
    app = asked(admin_hosts="panel.example.com,localhost,192.0.2.1")
    assert_success(ask(app, "panel.example.com", Host="127.0.0.1:1323"))
    for name in ("localhost", "192.0.2.1", "other.example.com"):
        assert_failure(ask(app, name, Host="127.0.0.1:1323"), 404)


# --- Who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"])
def test_who_is_on_this_machine_asks_without_a_password(asked: Callable[..., Flask], peer: str) -> None:
    assert_success(ask(asked(), peer=peer))


@pytest.mark.parametrize(
    "peer", [OUTSIDE, "::ffff:192.0.2.7", "2001:db8::1", "126.255.255.255", "::2", "", "unix", "x"]
)
def test_others_and_who_comes_by_the_unix_socket_do_not(asked: Callable[..., Flask], peer: str) -> None:
    app = asked(trusted_proxies="unix")
    for name in (SITE, "other.example.com", None):
        assert_failure(ask(app, name, peer), 401, "认证失败")


@pytest.mark.parametrize(
    ("peer", "status"),
    [("192.0.2.7", 200), ("::ffff:192.0.2.7", 200), ("10.1.2.3", 200), ("2001:db8::5", 200), ("127.0.0.1", 200),
     ("192.0.2.8", 401), ("11.0.0.1", 401), ("2001:db9::5", 401)],
)  # fmt: skip
def test_an_address_in_the_settings_does_too(asked: Callable[..., Flask], peer: str, status: int) -> None:
    assert ask(asked(tls_ask_from="192.0.2.7,10.0.0.0/8,2001:db8::/32"), peer=peer).status_code == status


@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "X_Forwarded_Host", "X_Forwarded_Proto", "Forwarded", "X_Real_IP", "Via"]
)
@pytest.mark.parametrize("trusted", ["", "127.0.0.1", "0.0.0.0/0,::/0,unix"])
@pytest.mark.parametrize("value", ["", OUTSIDE, "127.0.0.1", "localhost"])
def test_what_came_through_a_proxy_on_this_machine_needs_one(
    asked: Callable[..., Flask], header: str, trusted: str, value: str
) -> None:
    app = asked(trusted_proxies=trusted)
    assert ask(app, **{header: value}).status_code == 401
    assert ask(app, **basic(), **{header: value}).status_code == 200


def test_nobody_becomes_a_neighbour_by_what_a_trusted_proxy_says(asked: Callable[..., Flask]) -> None:
    app = asked(trusted_proxies=OUTSIDE, tls_ask_from="10.0.0.1")
    for claimed in ("127.0.0.1", "10.0.0.1"):
        assert ask(app, peer=OUTSIDE, X_Forwarded_For=claimed).status_code == 401


def test_it_is_the_connection_that_counts_whatever_became_of_the_headers(asked: Callable[..., Flask]) -> None:
    # As behind ProxyFix, but without the header that it has read.
    original = {"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": OUTSIDE}, "REMOTE_ADDR": LOOPBACK}
    reply = asked().test_client().get(f"/_api/tls/allowed?domain={SITE}", environ_overrides=original)
    assert reply.status_code == 401


def test_a_page_of_another_site_cannot_have_a_browser_here_ask(asked: Callable[..., Flask]) -> None:
    assert_failure(ask(asked(), Sec_Fetch_Site="cross-site"), 403, "拒绝跨站请求")


def test_with_a_password_the_admin_asks_from_anywhere_and_a_tenant_does_not(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "wonder"\n')
    app = create_app(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")}))
    Admin(app.test_client()).create("blog", SITE, username="alice")
    assert_success(ask(app, peer=OUTSIDE, **basic()))
    assert_failure(ask(app, "other.example.com", OUTSIDE, **basic()), 404)
    assert_failure(ask(app, peer=OUTSIDE, **basic("alice", "wonder")), 403, "权限不足")
    assert_failure(ask(app, peer=OUTSIDE, **basic("admin", "wrong")), 401)


def test_who_may_ask_may_do_nothing_else(asked: Callable[..., Flask]) -> None:
    client = asked().test_client()
    for path in ("/_api/sites", "/_api/health", "/_api/tls", "/_api/tls/", "/_api/tls/allowed/", "/_api/tls/nothing"):
        assert client.get(path).status_code == 401
    assert client.post(f"/_api/tls/allowed?domain={SITE}").status_code == 401


# --- With admin_hosts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:1323", "127.0.0.1", "localhost:1323", "[::1]:1323", "[::1]", "10.0.0.5:1323", "panel.example.com"],
)
def test_a_neighbour_asks_by_this_machines_address(asked: Callable[..., Flask], host: str) -> None:
    app = asked(admin_hosts="panel.example.com", tls_ask_from=OUTSIDE)
    assert_success(ask(app, Host=host))
    assert_success(ask(app, peer=OUTSIDE, Host=host))


@pytest.mark.parametrize("host", [SITE, "evil.example.com", "127.0.0.1.evil.example.com", "", "localhost.evil.com"])
def test_by_another_name_it_is_the_plain_404_page(asked: Callable[..., Flask], host: str) -> None:
    # A page of a site, or one whose name is made to lead here, could otherwise ask by a browser on this machine.
    app = asked(admin_hosts="panel.example.com")
    for headers in ({}, basic()):
        reply = ask(app, Host=host, **headers)
        assert (reply.status_code, reply.mimetype) == (404, "text/html")


@pytest.mark.parametrize("host", ["127.0.0.1:1323", "localhost"])
def test_for_all_others_the_api_is_on_its_hosts_only(asked: Callable[..., Flask], host: str) -> None:
    app = asked(admin_hosts="panel.example.com")
    for headers in ({"X_Forwarded_For": OUTSIDE}, {"X_Forwarded_For": OUTSIDE, **basic()}):
        assert ask(app, Host=host, **headers).mimetype == "text/html"
    assert ask(app, peer=OUTSIDE, Host=host).mimetype == "text/html"
    assert app.test_client().get("/_api/sites", headers={"Host": host, **basic()}).mimetype == "text/html"
    assert_failure(ask(app, peer=OUTSIDE, Host="panel.example.com"), 401)


# --- Under gunicorn -----------------------------------------------------------------------------


def test_gunicorn_tells_a_connection_from_this_machine(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_ADMIN_HOSTS="panel.example.com", PAGES_TRUSTED_PROXIES="127.0.0.1")
    body = {"id": "blog", "domain": SITE}
    assert server.api("POST", "/_api/sites", body, host="panel.example.com").status == 201
    path = "/_api/tls/allowed?domain="
    assert server.request("GET", path + SITE).status == 200
    assert server.request("HEAD", path + SITE).status == 200
    assert server.request("GET", path + "other.example.com").status == 404
    proxied = {"X-Forwarded-For": "127.0.0.1"}
    assert server.request("GET", path + SITE, host="panel.example.com", headers=proxied).status == 401


def test_every_answer_is_in_the_document(admin: Admin) -> None:
    # The client of these tests holds each of its answers to it.
    assert json.loads(admin.get("/_api/tls/allowed?domain=blog.localhost").data)["success"] is True
    assert_failure(admin.get("/_api/tls/allowed?domain=nobody.localhost"), 404)
