"""What visitors get: the right site's files, whole and as they are, and never anything else (contract 4)."""

import os
import random
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from flask import Flask
from helpers import Admin, Reply, assert_success, tar_of
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from pages.app import create_app
from pages.config import load_config

HOME = "<h1>home of the blog</h1>"
OWN_404 = "<h1>the blog's own 404 page</h1>"
TEXT = b"0123456789abcdefghij"
SECRET = "never served"

BLOG: dict[str, bytes | str] = {
    "index.html": HOME,
    "404.html": OWN_404,
    "text.txt": TEXT,
    "empty.txt": b"",
    "docs/index.html": "index of docs",
    "docs/guide.txt": "guide",
    "no-index/file.txt": "file",
    "中文/页 面.html": "网页",
    "api/admin/maintenance": "a file of the site",
    "_api/page.html": SECRET,
    "_apix/page.html": "a folder of the site",
    "x/_api/page.html": "deeper",
    ".env": SECRET,
    ".git/config": SECRET,
    "docs/.hidden": SECRET,
    "docs/.well-known/file": SECRET,
    ".well-known/security.txt": "contact",
    ".well-known/acme-challenge/token": "proof",
    ".well-known/.secret": SECRET,
    ".well-knownx/file": SECRET,
    "..dots": SECRET,
}


def ask(
    app: Flask, target: str, host: str | None = "blog.localhost", method: str = "GET", **headers: str | None
) -> Reply:
    """One request as gunicorn hands it over: the target is decoded once, and nothing is tidied up.

    Header names are written with underscores; a host of None is no ``Host`` at all. ``host`` is bytes
    as WSGI has them: text beyond ASCII is sent in UTF-8.
    """
    iterator, status, received = run_wsgi_app(app, environ_of(target, host, method, **headers))
    try:
        body = b"".join(iterator)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()
    return Reply(int(status.partition(" ")[0]), Headers(received), body)


def environ_of(target: str, host: str | None, method: str = "GET", **headers: str | None) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    environ = EnvironBuilder(headers=sent).get_environ()
    path, _, query = target.partition("?")
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": "192.0.2.7",
    }
    del environ["HTTP_HOST"]
    return environ if host is None else environ | {"HTTP_HOST": host.encode().decode("latin-1")}


def is_plain_404_page(reply: Reply) -> bool:
    return reply.status == 404 and b"<h1>404 Not Found</h1>" in reply.body


class House:
    """An application with some sites on it, which no test of this module changes."""

    def __init__(self, folder: Path) -> None:
        (folder / "config.toml").touch()
        self.app = create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml")}))
        self.data = folder / "data"
        admin = Admin(self.app.test_client())
        for site in ("blog", "blog2", "bare", "odd"):
            admin.create(site)
        admin.create("blog", "tenant.localhost", username="default2")
        admin.create("off", "off.localhost")
        admin.deployed(BLOG)
        admin.deployed({"index.html": SECRET, "other.txt": SECRET}, site="default/blog2")
        admin.deployed({"index.html": SECRET}, site="default2/blog")
        admin.deployed({"index.html": SECRET, "404.html": SECRET}, site="default/off")
        assert_success(admin.put("/_api/sites/default/off", json={"enabled": False}))
        (self.data / "secret.txt").write_text(SECRET)
        (self.data / "sites/secret.txt").write_text(SECRET)
        (self.root("bare").parent / "secret.txt").write_text(SECRET)

    def root(self, site: str) -> Path:
        """The folder that a site's root is at the moment."""
        return (self.data / "sites/default" / site).resolve()

    def ask(self, target: str, host: str | None = "blog.localhost", method: str = "GET", **headers: str) -> Reply:
        return ask(self.app, target, host, method, **headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def site_root(data: Path, site: str = "blog") -> Path:
    """Where a site's root is: a link to what is served."""
    return data / "sites/default" / site


def app_of(admin: Admin) -> Flask:
    return admin.client.application


# --- Hosts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "blog.localhost",
        "BLOG.LocalHost",
        "blog.localhost:1323",
        "blog.localhost:80",
        "blog.localhost.",
        "Blog.localhost.:8080",
        "ｂｌｏｇ.localhost",
        "blog。localhost",
    ],
)
def test_a_site_is_found_however_its_host_is_written(house: House, host: str) -> None:
    assert house.ask("/", host).body.decode() == HOME


@pytest.mark.parametrize(
    "host", ["nobody.localhost", "log.localhost", "xblog.localhost", "blog.localhost.evil.com", "blog", "127.0.0.1"]
)
def test_a_host_that_is_no_sites_gets_the_plain_404_page(house: House, host: str) -> None:
    assert is_plain_404_page(house.ask("/", host))


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        ".",
        "..",
        "*",
        "*.localhost",
        "blog.localhost..",
        ".blog.localhost",
        "blog..localhost",
        "blog_x.localhost",
        "_blog.localhost",
        "blog.localhost:x",
        "blog.localhost:-1",
        "blog.localhost:80:80",
        "blog.localhost:８０",
        "user@blog.localhost",
        "blog.localhost@evil.com",
        "blog.localhost,nobody.localhost",
        "blog.localhost nobody.localhost",
        " blog.localhost",
        "blog.localhost ",
        "blog.localhost\t",
        "blog.localhost\0",
        "blog.localhost/",
        "blog.localhost/..",
        "../blog.localhost",
        "../../registry/default/blog.json",
        "blog.localhost\\",
        "blog.localhost?",
        "blog.localhost#",
        'blog.localhost"',
        "blog%2elocalhost",
        "http://blog.localhost",
        "[::1]",
        "[::1]:1323",
        "[blog.localhost]",
        "::1",
        "0177.0.0.1",
        "1.2.3",
        "-blog.localhost",
        "blog-.localhost",
        "xn--",
        "xn--a.localhost",
        "xn--zzzzzzzz99999999.localhost",
        "\u00ad",
        "\ud7ff\u202e.localhost",
        f"{'a' * 64}.localhost",
        f"{'a.' * 127}localhost",
        "a" * 5000,
    ],
)
def test_a_malformed_host_gets_no_site(house: House, host: str | None) -> None:
    reply = house.ask("/", host)
    assert reply.status in (400, 404)
    assert HOME not in reply.body.decode()
    assert SECRET not in reply.body.decode()


def test_a_host_that_is_not_utf8_gets_no_site(house: House) -> None:
    iterator, status, _ = run_wsgi_app(house.app, environ_of("/", None) | {"HTTP_HOST": "blog\xff.localhost"})
    assert status.startswith("404"), b"".join(iterator)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("Shop.Example.COM", "shop.example.com"),
        ("shop.example.com.", "SHOP.example.com"),
        ("例子.测试", "例子.测试"),
        ("例子.测试", "xn--fsqu00a.xn--0zwm56d"),
        ("例子.测试", "XN--FSQU00A.xn--0zwm56d:8080"),
        ("xn--fsqu00a.xn--0zwm56d", "例子。测试."),
        ("Bücher.example", "bücher.example"),
        ("bücher.example", "BÜCHER.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("127.0.0.1", "127.0.0.1:1323"),
    ],
)
def test_a_domain_and_a_host_that_mean_the_same_find_each_other(
    admin: Admin, data: Path, domain: str, host: str
) -> None:
    admin.create("shop", domain)
    (site_root(data, "shop") / "index.html").write_text("shop")
    assert ask(app_of(admin), "/", host).body == b"shop"


def test_the_sharp_s_is_a_letter_of_its_own(admin: Admin, data: Path) -> None:
    admin.create("shop", "faß.example")
    assert is_plain_404_page(ask(app_of(admin), "/", "fass.example"))


def test_a_site_moves_to_its_new_domain_at_once(admin: Admin) -> None:
    admin.deployed({"index.html": "moved"})
    assert_success(admin.put("/_api/sites/default/blog", json={"domain": "new.localhost"}))
    assert ask(app_of(admin), "/", "new.localhost").body == b"moved"
    assert is_plain_404_page(ask(app_of(admin), "/", "blog.localhost"))


def test_a_stranger_cannot_name_the_site_with_x_forwarded_host(house: House) -> None:
    assert house.ask("/", X_Forwarded_Host="bare.localhost", Forwarded="host=bare.localhost").body.decode() == HOME
    assert is_plain_404_page(house.ask("/", "nobody.localhost", X_Forwarded_Host="blog.localhost"))


@pytest.mark.parametrize(
    ("trusted", "served"),
    [("192.0.2.7", b"blog"), ("10.0.0.0/8,192.0.2.0/24", b"blog"), ("192.0.2.8", b""), ("127.0.0.1,unix", b"")],
)
def test_x_forwarded_host_counts_only_from_a_trusted_proxy(
    make_app: Callable[..., Flask], data: Path, trusted: str, served: bytes
) -> None:
    app = make_app(trusted_proxies=trusted)
    Admin(app.test_client()).create("blog")
    (site_root(data) / "index.html").write_text("blog")
    reply = ask(app, "/", "proxied.internal", X_Forwarded_Host="BLOG.localhost:443")
    assert (reply.body == b"blog") == bool(served)


def test_only_the_last_x_forwarded_host_counts(make_app: Callable[..., Flask], data: Path) -> None:
    # A proxy that appends leaves the client's own claim in front.
    app = make_app(trusted_proxies="192.0.2.7")
    Admin(app.test_client()).create("blog")
    (site_root(data) / "index.html").write_text("blog")
    assert is_plain_404_page(ask(app, "/", "x.internal", X_Forwarded_Host="blog.localhost, nobody.localhost"))


@pytest.mark.parametrize(
    "header",
    ["X_Accel_Redirect", "X_Sendfile", "X_Original_URL", "X_Rewrite_URL", "X_Forwarded_Prefix", "X_Script_Name"],
)
def test_a_header_that_other_servers_take_for_a_path_changes_nothing(house: House, header: str) -> None:
    assert house.ask("/", **{header: "/docs/guide.txt"}).body.decode() == HOME


# --- Index and folders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "body"), [("/", HOME), ("/index.html", HOME), ("/docs/", "index of docs"), ("/docs/guide.txt", "guide")]
)
def test_a_path_gets_its_file(house: House, target: str, body: str) -> None:
    reply = house.ask(target)
    assert (reply.status, reply.body.decode()) == (200, body)


@pytest.mark.parametrize(
    "target", ["/no-index/", "/text.txt/", "/text.txt/x", "/docs/guide.txt/", "/docs//", "/docs/x"]
)
def test_what_is_not_there_is_404(house: House, target: str) -> None:
    assert house.ask(target).status == 404


@pytest.mark.parametrize("target", ["/docs", "/no-index", "/x/_api", "/%E4%B8%AD%E6%96%87"])
def test_a_folder_without_its_slash_redirects_to_it(house: House, target: str) -> None:
    reply = house.ask(target)
    assert (reply.status, reply.headers["Location"]) == (301, target + "/")


@pytest.mark.parametrize(
    "query",
    [
        "a=1",
        "a=1&b=2&a=3",
        "q=%E4%BD%A0+x%20y",
        "next=//evil.com",
        "next=https://evil.com/?a=b",
        "x?y?z",
        "%zz=%",
        "a=%0d%0aX:1",
        "a=1;b",
        "~!$'()*,-._:@/",
    ],
)
def test_a_redirect_keeps_the_query_string(house: House, query: str) -> None:
    assert house.ask(f"/docs?{query}").headers["Location"] == f"/docs/?{query}"


@pytest.mark.parametrize("query", ["a[]=1", "a={b}|c", "a=^`", 'a="<b>"'])
def test_a_redirect_keeps_the_meaning_of_a_query_that_should_have_been_encoded(house: House, query: str) -> None:
    assert unquote(house.ask(f"/docs?{query}").headers["Location"]) == f"/docs/?{query}"


@pytest.mark.parametrize(
    "target",
    ["//docs", "///docs", "//evil.com/docs", "/%2Fdocs", "//evil.com/..", "/docs/..//evil.com", "/%5Cevil.com"],
)
def test_no_path_redirects_to_another_host(house: House, target: str) -> None:
    location = house.ask(target).headers.get("Location", "/")
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


def test_an_index_of_another_name_is_served_for_folders(admin: Admin) -> None:
    admin.create("shop", index="home page.htm")
    admin.deployed({"home page.htm": "home", "sub/home page.htm": "sub", "index.html": "not this"}, site="default/shop")
    assert ask(app_of(admin), "/", "shop.localhost").body == b"home"
    assert ask(app_of(admin), "/sub/", "shop.localhost").body == b"sub"


def test_a_new_index_counts_at_the_next_request(admin: Admin) -> None:
    admin.deployed({"index.html": "one", "other.html": "two"})
    assert_success(admin.put("/_api/sites/default/blog", json={"index": "other.html"}))
    assert admin.visit("/").data == b"two"


def test_an_index_that_is_a_folder_is_404(admin: Admin) -> None:
    admin.deployed({"index.html/index.html": "inside", "a.txt": "a"})
    assert is_plain_404_page(ask(app_of(admin), "/"))


# --- What is not there --------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/missing", "/docs/missing", "/no-index/", "/.env", "/a//b", "/%00", "/%ff"])
def test_a_miss_gets_the_sites_own_404_page(house: House, target: str) -> None:
    reply = house.ask(target)
    assert (reply.status, reply.body.decode()) == (404, OWN_404)
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_404_page_asked_for_by_name_is_a_page_like_any_other(house: House) -> None:
    assert house.ask("/404.html").status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Range", "bytes=0-3"),
        ("Range", "bytes=9999-"),
        ("If_None_Match", "*"),
        ("If_Modified_Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("If_Match", '"x"'),
    ],
)
def test_a_miss_is_a_whole_404_whatever_the_request_was_conditional_on(house: House, header: str, value: str) -> None:
    reply = house.ask("/missing", **{header: value})
    assert (reply.status, reply.body.decode()) == (404, OWN_404)


def test_a_404_page_gives_no_validators(house: House) -> None:
    # They would be those of another address.
    headers = house.ask("/missing").headers
    assert "ETag" not in headers
    assert "Last-Modified" not in headers


def test_the_plain_404_page_is_the_same_whatever_the_reason(house: House) -> None:
    bodies = {
        house.ask(target, host).body
        for target, host in [
            ("/", "nobody.localhost"),
            ("/", "off.localhost"),
            ("/missing", "off.localhost"),
            ("/", "bare.localhost"),
            ("/missing/page.html?q=x", "bare.localhost"),
        ]
    }
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "word", ["nobody", "localhost", "missing", "default", "Werkzeug", "gunicorn", "Python", "data", "needle"]
)
def test_the_plain_404_page_names_nothing(house: House, word: str) -> None:
    reply = house.ask("/missing/needle?needle", "nobody.localhost", User_Agent="needle")
    assert word.encode() not in reply.body
    assert word not in str(reply.headers)


@pytest.mark.parametrize("target", ["/", "/index.html", "/missing", "/404.html"])
def test_a_disabled_site_is_the_plain_404_page(house: House, target: str) -> None:
    assert is_plain_404_page(house.ask(target, "off.localhost"))


def test_a_site_that_is_enabled_again_is_served_at_once(admin: Admin) -> None:
    admin.deployed({"index.html": "back"})
    for enabled, status in [(False, 404), (True, 200)]:
        assert_success(admin.put("/_api/sites/default/blog", json={"enabled": enabled}))
        assert admin.visit("/").status_code == status


def test_a_404_page_that_is_a_folder_is_no_404_page(admin: Admin) -> None:
    admin.deployed({"404.html/index.html": "inside"})
    assert is_plain_404_page(ask(app_of(admin), "/missing"))


# --- Dotfiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git",
        "/.git/",
        "/docs/.hidden",
        "/docs/.well-known/file",
        "/.well-known/.secret",
        "/.well-knownx/file",
        "/.Well-Known/security.txt",
        "/..dots",
        "/.",
        "/./",
        "/./index.html",
        "/docs/./guide.txt",
    ],
)
def test_a_part_that_begins_with_a_dot_is_404(house: House, target: str) -> None:
    reply = house.ask(target)
    assert (reply.status, reply.body.decode()) == (404, OWN_404)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/.well-known/security.txt", b"contact"),
        ("/.well-known/acme-challenge/token", b"proof"),
        ("/%2Ewell-known/acme-challenge/token", b"proof"),
    ],
)
def test_well_known_files_are_served(house: House, target: str, body: bytes) -> None:
    assert house.ask(target).body == body


# --- Media types --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.htm", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.min.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("sitemap.xml", "text/xml; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.wasm", "application/wasm"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("favicon.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.glb", "model/gltf-binary"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("LICENSE", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ],
)
def test_a_file_has_the_media_type_of_its_name(house: House, name: str, expected: str) -> None:
    (house.root("odd") / name).write_bytes(b"x")
    reply = house.ask(f"/{name}", "odd.localhost")
    # RFC 9110, 8.3: JSON, images and the rest have no charset, and any that is said means nothing.
    assert reply.headers["Content-Type"] == expected


@pytest.mark.parametrize(
    "name", ["a.tar.gz", "a.tgz", "a.gz", "page.html.gz", "a.svgz", "a.js.br", "a.css.zst", "a.bz2", "a.xz", "a.Z"]
)
def test_what_is_compressed_is_served_as_it_is(house: House, name: str) -> None:
    (house.root("odd") / name).write_bytes(b"\x1f\x8b compressed")
    reply = house.ask(f"/{name}", "odd.localhost", Accept_Encoding="gzip, br, zstd")
    assert "Content-Encoding" not in reply.headers
    assert reply.body == b"\x1f\x8b compressed"


@pytest.mark.parametrize("target", ["/", "/text.txt", "/%E4%B8%AD%E6%96%87/%E9%A1%B5%20%E9%9D%A2.html"])
def test_a_page_is_shown_and_not_offered_for_download(house: House, target: str) -> None:
    reply = house.ask(target)
    assert reply.status == 200
    assert "Content-Disposition" not in reply.headers


# --- Methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/", "blog.localhost"),
        ("/text.txt", "blog.localhost"),
        ("/empty.txt", "blog.localhost"),
        ("/docs", "blog.localhost"),
        ("/missing", "blog.localhost"),
        ("/", "nobody.localhost"),
    ],
)
def test_head_is_get_without_the_body(house: House, target: str, host: str) -> None:
    got, head = house.ask(target, host), house.ask(target, host, method="HEAD")
    assert head.body == b""
    assert head.status == got.status
    assert comparable(head.headers) == comparable(got.headers)
    assert got.headers["Content-Length"] == str(len(got.body))


def comparable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "Date"}


@pytest.mark.parametrize(
    "target", ["/", "/text.txt", "/docs", "/missing", "/_apix/page.html", "/api/admin/maintenance/"]
)
@pytest.mark.parametrize(
    "method",
    [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "QUERY",
        "BREW",
    ],
)
def test_other_methods_are_405_and_say_what_is_allowed(house: House, method: str, target: str) -> None:
    reply = house.ask(target, method=method)
    assert reply.status == 405
    assert {part.strip() for part in reply.headers["Allow"].split(",")} == {"GET", "HEAD"}


def test_trace_does_not_echo_the_request(house: House) -> None:
    assert b"needle" not in house.ask("/", method="TRACE", Cookie="needle").body


@pytest.mark.parametrize("header", ["X_HTTP_Method_Override", "X_HTTP_Method", "X_Method_Override"])
def test_a_header_does_not_change_the_method(house: House, header: str) -> None:
    assert house.ask("/", **{header: "DELETE"}).body.decode() == HOME


# --- Beside the Admin API -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/_api/page.html",
        "/_api/",
        "/_api",
        "/%5fapi/page.html",
        "/%5Fapi%2Fpage.html",
        "//_api/page.html",
        "///_api/page.html",
        "/_api//page.html",
        "/./_api/page.html",
        "/docs/../_api/page.html",
        "/_api/../_api/page.html",
        "/_api/%2e%2e/_api/page.html",
        "/_api\\page.html",
        "/_api;x/page.html",
    ],
)
def test_a_sites_own_folder_cannot_stand_in_for_the_admin_api(house: House, target: str) -> None:
    reply = house.ask(target)
    assert reply.status in (401, 404)
    assert SECRET not in reply.body.decode()


@pytest.mark.parametrize(
    "target",
    ["/%5fapi/sites", "/_%61pi/sites", "//_api/sites", "///_api//sites", "/_api%2fsites", "/_api/../_api/sites"],
)
def test_a_disguised_path_gets_no_further_than_the_plain_one(house: House, target: str) -> None:
    # Without credentials that is a 401; a site's 404 page is no further either.
    assert house.ask(target).status in (401, 404)


@pytest.mark.parametrize("target", ["/_apix/page.html", "/x/_api/page.html"])
def test_a_path_that_only_resembles_the_admin_api_is_the_sites(house: House, target: str) -> None:
    assert house.ask(target).status == 200


def test_the_maintenance_path_belongs_to_the_site_for_other_methods(house: House) -> None:
    assert house.ask("/api/admin/maintenance").body == b"a file of the site"
    assert house.ask("/api/admin/maintenance", method="PUT").status == 405


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/_api/sites"),
        ("GET", "/_api"),
        ("GET", "/_api/unknown"),
        ("GET", "//_api/sites"),
        ("GET", "/%5fapi/sites"),
        ("PATCH", "/_api/sites"),
        ("GET", "/_api/healthz"),
        ("POST", "/api/admin/maintenance"),
    ],
)
def test_where_the_admin_api_does_not_exist_its_paths_are_the_plain_404_page(
    make_app: Callable[..., Flask], method: str, target: str
) -> None:
    app = make_app(admin_hosts="admin.localhost")
    admin = Admin(app.test_client())
    admin.headers |= {"Host": "admin.localhost"}
    admin.create("blog")
    admin.deployed({"404.html": OWN_404, "_api/sites": SECRET})
    assert is_plain_404_page(ask(app, target, method=method, Authorization=admin.headers["Authorization"]))


# --- Range --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "content_range", "body"),
    [
        ("bytes=0-3", "bytes 0-3/20", b"0123"),
        ("bytes=0-0", "bytes 0-0/20", b"0"),
        ("bytes=5-", "bytes 5-19/20", TEXT[5:]),
        ("bytes=19-", "bytes 19-19/20", b"j"),
        ("bytes=-5", "bytes 15-19/20", TEXT[-5:]),
        ("bytes=-20", "bytes 0-19/20", TEXT),
        ("bytes=-21", "bytes 0-19/20", TEXT),
        ("bytes=-65557", "bytes 0-19/20", TEXT),
        ("bytes=0-19", "bytes 0-19/20", TEXT),
        ("bytes=0-20", "bytes 0-19/20", TEXT),
        ("bytes=10-99999999999999999999", "bytes 10-19/20", TEXT[10:]),
        ("Bytes=0-3", "bytes 0-3/20", b"0123"),
    ],
)
def test_a_range_gets_that_part(house: House, asked: str, content_range: str, body: bytes) -> None:
    reply = house.ask("/text.txt", Range=asked)
    assert (reply.status, reply.headers.get("Content-Range"), reply.body) == (206, content_range, body)
    assert reply.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("asked", ["bytes=20-", "bytes=20-30", "bytes=9999-", "bytes=99999999999999999999-"])
def test_a_range_beyond_the_end_is_416_and_tells_the_size(house: House, asked: str) -> None:
    reply = house.ask("/text.txt", Range=asked)
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */20")
    assert TEXT not in reply.body


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=abc",
        "bytes=5-2",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes=0x1-3",
        "bytes=1_0-11",
        "bytes=+1-3",
        "bytes=1.0-3",
        "bytes=²-3",
        "bytes=0-1;2-3",
        "lines=0-3",
        "=0-3",
        "0-3",
        "bytes 0-3/20",
        "bytes=" + "9" * 5000 + "-",
        "bytes=0-" + "9" * 5000,
    ],
)
def test_a_range_that_means_nothing_is_ignored(house: House, asked: str) -> None:
    reply = house.ask("/text.txt", Range=asked)
    assert (reply.status, reply.body) == (200, TEXT) or reply.status == 416


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=0-1,0-1", "bytes=0-,0-,0-", "bytes=" + "0-," * 1000 + "0-"])
def test_several_ranges_never_cost_more_than_the_file(house: House, asked: str) -> None:
    reply = house.ask("/text.txt", Range=asked)
    assert (reply.status, reply.body) == (200, TEXT)


@pytest.mark.parametrize("asked", ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-"])
def test_any_range_of_an_empty_file_is_answered_with_nothing(house: House, asked: str) -> None:
    reply = house.ask("/empty.txt", Range=asked)
    assert (reply.status, reply.body) == (200, b"") or reply.status == 416


def test_head_ignores_range(house: House) -> None:
    reply = house.ask("/text.txt", method="HEAD", Range="bytes=0-3")
    assert (reply.status, reply.headers["Content-Length"]) == (200, "20")


def test_a_file_says_that_ranges_are_welcome(house: House) -> None:
    assert house.ask("/text.txt").headers["Accept-Ranges"] == "bytes"


# --- Conditional requests -----------------------------------------------------------------------

# {etag} and {modified} stand for the file's own validators.
_EARLIER, _LATER = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Match": "{etag}"},
        {"If_None_Match": "W/{etag}"},
        {"If_None_Match": '"x", {etag}'},
        {"If_None_Match": '"x",W/{etag},"y"'},
        {"If_None_Match": '"a,b", {etag}'},
        {"If_None_Match": "*"},
        {"If_None_Match": "{etag}", "If_Modified_Since": _EARLIER},
        {"If_None_Match": "{etag}", "Range": "bytes=0-3"},
        {"If_None_Match": "{etag}", "Range": "bytes=99-"},
        {"If_Modified_Since": "{modified}"},
        {"If_Modified_Since": "{modified}", "Range": "bytes=0-3"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_the_client_has_already_is_304(house: House, headers: dict[str, str], method: str) -> None:
    reply = house.ask("/text.txt", method=method, **with_validators(house, headers))
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["ETag"] == house.ask("/text.txt").headers["ETag"]


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Match": '"x"'},
        {"If_None_Match": '"x", "y"'},
        {"If_None_Match": ""},
        {"If_None_Match": ","},
        {"If_None_Match": '"'},
        {"If_None_Match": 'W/"x"'},
        {"If_None_Match": '"*"'},
        {"If_None_Match": '"x"', "If_Modified_Since": "{modified}"},
        {"If_Modified_Since": _EARLIER},
        # Only the very time that was handed out: a rollback brings an older one back.
        {"If_Modified_Since": _LATER},
        {"If_Modified_Since": "yesterday"},
        {"If_Modified_Since": ""},
        {"If_Modified_Since": "0"},
        {"If_Match": "{etag}"},
        {"If_Match": "*"},
        {"If_Unmodified_Since": _LATER},
        {"If_Unmodified_Since": "{modified}"},
        {"If_Range": "{etag}"},
    ],
)
def test_what_the_client_has_not_is_sent_whole(house: House, headers: dict[str, str]) -> None:
    reply = house.ask("/text.txt", **with_validators(house, headers))
    assert (reply.status, reply.body) == (200, TEXT)


@pytest.mark.parametrize("headers", [{"If_Range": "{etag}"}, {"If_Range": "{modified}"}, {"If_Match": "{etag}"}])
def test_a_download_of_the_same_version_is_resumed(house: House, headers: dict[str, str]) -> None:
    reply = house.ask("/text.txt", Range="bytes=10-", **with_validators(house, headers))
    assert (reply.status, reply.body) == (206, TEXT[10:])


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("If_Range", '"x"'),
        ("If_Range", "W/{etag}"),
        ("If_Range", _EARLIER),
        ("If_Range", _LATER),
        ("If_Range", "rubbish"),
        ("If_Range", ""),
        ("If_Match", '"x"'),
        ("If_Match", "W/{etag}"),
        ("If_Unmodified_Since", _EARLIER),
    ],
)
def test_a_download_of_another_version_is_not_resumed(house: House, header: str, value: str) -> None:
    # The client would put two versions together.
    reply = house.ask("/text.txt", Range="bytes=10-", **with_validators(house, {header: value}))
    assert reply.status in (200, 412)


@pytest.mark.parametrize("header", ["If_Modified_Since", "If_Unmodified_Since"])
@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        ":::",
        "Mon, 99 Foo 2001",
        "Mon, 01 Jan 2001 00:00:00 +9999",
        "Mon, 01 Jan 9999 23:59:59 -2300",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2001 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2001 00:00:00 +99999999999999999999",
        "Mon, ²² Jan 2001 00:00:00 GMT",
    ],
)
def test_a_date_that_is_none_is_ignored(house: House, header: str, value: str) -> None:
    reply = house.ask("/text.txt", **{header: value})
    assert (reply.status, reply.body) == (200, TEXT)


def test_a_stale_if_range_makes_even_an_impossible_range_a_whole_answer(house: House) -> None:
    assert house.ask("/text.txt", Range="bytes=99-", If_Range='"x"').body == TEXT


def test_if_match_of_another_version_is_412(house: House) -> None:
    assert house.ask("/text.txt", If_Match='"x"').status == 412


def with_validators(house: House, headers: dict[str, str]) -> dict[str, str]:
    own = house.ask("/text.txt").headers
    return {name: value.format(etag=own["ETag"], modified=own["Last-Modified"]) for name, value in headers.items()}


# --- A validator never lies ---------------------------------------------------------------------


class Client:
    """A browser that remembers every version of a page that it has seen, with its validators."""

    def __init__(self, app: Flask, target: str) -> None:
        self.app, self.target = app, target
        self.seen: list[tuple[str, str, bytes]] = []

    def look(self) -> tuple[str, str, bytes]:
        """The page now: ETag, Last-Modified, content."""
        reply = ask(self.app, self.target)
        assert reply.status == 200
        self.seen.append((reply.headers["ETag"], reply.headers["Last-Modified"], reply.body))
        return self.seen[-1]

    def is_deceived(self) -> str:
        """Says which old version the server declares to be the page as it is now; empty when none."""
        now = ask(self.app, self.target).body
        for etag, modified, content in self.seen:
            for name, value in {"If_None_Match": etag, "If_Modified_Since": modified}.items():
                if ask(self.app, self.target, **{name: value}).status == 304 and content != now:
                    return f"{name}: {value} gives 304, but {content!r} became {now!r}"
        return ""


@pytest.mark.parametrize("archive", ["zip", "tar.gz"])
def test_two_deploys_of_equal_sizes_and_times_have_other_validators(admin: Admin, archive: str) -> None:
    browser = Client(app_of(admin), "/")
    for content in ("one", "two", "six"):
        if archive == "zip":
            admin.deployed({"index.html": content})
        else:
            # What a reproducible build makes: all times alike.
            assert_success(admin.deploy(tar_of({"index.html": content}, mtime=1_000_000_000), "site.tar.gz"))
        browser.look()
        assert not browser.is_deceived()
    assert len({etag for etag, _, _ in browser.seen}) == 3


def test_an_unchanged_file_keeps_its_validators_when_another_changes(admin: Admin) -> None:
    browser = Client(app_of(admin), "/same.css")
    for content in ("one", "two", "six"):
        admin.deployed({"index.html": content, "same.css": "same"})
        browser.look()
    assert len(set(browser.seen)) == 1


def test_an_unchanged_file_keeps_its_validators_whatever_archive_it_came_in(admin: Admin) -> None:
    browser = Client(app_of(admin), "/")
    admin.deployed({"index.html": "same"})
    browser.look()
    assert_success(admin.deploy(tar_of({"index.html": "same"}, mtime=1_700_000_000), "again.tgz"))
    browser.look()
    assert len(set(browser.seen)) == 1


def test_a_rollback_deceives_no_browser(admin: Admin) -> None:
    browser = Client(app_of(admin), "/")
    old = admin.deployed({"index.html": "old"})
    browser.look()
    admin.deployed({"index.html": "new"})
    browser.look()
    assert_success(admin.checkout(old["id"]))
    assert not browser.is_deceived()


def test_a_rollback_brings_the_old_validators_back(admin: Admin) -> None:
    browser = Client(app_of(admin), "/")
    old = admin.deployed({"index.html": "old"})
    before = browser.look()
    admin.deployed({"index.html": "new"})
    assert_success(admin.checkout(old["id"]))
    assert browser.look() == before


def test_a_checkout_that_has_to_unpack_brings_the_old_validators_back(admin: Admin, data: Path) -> None:
    browser = Client(app_of(admin), "/")
    old = admin.deployed({"index.html": "old"})
    before = browser.look()
    for content in ("new", "two", "six"):
        admin.deployed({"index.html": content})
    shutil.rmtree(data / "cache")
    assert_success(admin.checkout(old["id"]))
    assert browser.look() == before


def test_a_deploy_after_the_newest_checkpoint_was_deleted_deceives_no_browser(admin: Admin) -> None:
    browser = Client(app_of(admin), "/")
    old = admin.deployed({"index.html": "old"})
    newest = admin.deployed({"index.html": "new"})
    browser.look()
    assert_success(admin.checkout(old["id"]))
    assert_success(admin.delete(f"/_api/sites/default/blog/checkpoints/{newest['id']}"))
    admin.deployed({"index.html": "two"})
    assert not browser.is_deceived()


def test_a_file_that_went_away_and_came_back_changed_deceives_no_browser(admin: Admin) -> None:
    browser = Client(app_of(admin), "/page.html")
    admin.deployed({"page.html": "old", "x": "x"})
    browser.look()
    admin.deployed({"x": "x"})
    admin.deployed({"page.html": "new", "x": "x"})
    assert not browser.is_deceived()


@pytest.mark.parametrize("age", [-3600, 0, 1, 3600])
def test_the_first_deploy_over_files_dropped_by_hand_deceives_no_browser(admin: Admin, data: Path, age: int) -> None:
    page = site_root(data) / "index.html"
    page.write_text("old")
    status = page.stat()
    os.utime(page, (status.st_atime - age, status.st_mtime - age))
    browser = Client(app_of(admin), "/")
    browser.look()
    admin.deployed({"index.html": "new"})
    assert not browser.is_deceived()


def test_a_manual_checkpoint_leaves_validators_alone(admin: Admin, data: Path) -> None:
    (site_root(data) / "index.html").write_text("by hand")
    browser = Client(app_of(admin), "/")
    before = browser.look()
    assert_success(admin.post("/_api/sites/default/blog/checkpoints"), 201)
    assert browser.look() == before


@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_deploys_and_checkouts_deceives_a_browser(admin: Admin, data: Path, seed: int) -> None:
    chance = random.Random(seed)
    browsers = [Client(app_of(admin), target) for target in ("/index.html", "/a.txt")]
    contents: dict[str, bytes | str] = {}
    checkpoints: list[str] = []
    for _ in range(12):
        before = [browser.seen[-1] if browser.seen else None for browser in browsers]
        action = chance.choice(["deploy", "deploy", "checkout", "snapshot", "forget", "clear"])
        if action == "deploy" or not checkpoints:
            contents = {name: chance.choice(["one", "two", "six"]) for name in ("index.html", "a.txt")}
            checkpoints.append(admin.deployed(contents)["id"])
        elif action == "checkout":
            assert_success(admin.checkout(chance.choice(checkpoints)))
        elif action == "snapshot":
            made = assert_success(admin.post("/_api/sites/default/blog/checkpoints"), 201)
            checkpoints.append(made.get("checkpoint", made)["id"])
        elif action == "forget":
            gone = chance.choice(checkpoints)
            if admin.delete(f"/_api/sites/default/blog/checkpoints/{gone}").status_code == 200:
                checkpoints.remove(gone)
        else:
            shutil.rmtree(data / "cache", ignore_errors=True)
        for browser, last in zip(browsers, before, strict=True):
            assert not browser.is_deceived(), action
            now = browser.look()
            if last is not None and action == "deploy" and last[2] == now[2]:
                assert now == last, "an unchanged file keeps its validators"


# --- Nothing but regular files of the root ------------------------------------------------------


@pytest.fixture
def linked(admin: Admin, data: Path) -> Iterator[Admin]:
    """A never deployed root with links and special files of all kinds in it, made by hand."""
    root = site_root(data)
    (root / "real.txt").write_text("real")
    (root / "folder").mkdir()
    (root / "folder/index.html").write_text("index of folder")
    (data / "outside.txt").write_text(SECRET)
    (data / "outside").mkdir()
    (data / "outside/index.html").write_text(SECRET)
    for name, target in {
        "to-file": "real.txt",
        "to-file-in-full": str(root.resolve() / "real.txt"),
        "to-folder": "folder",
        "to-here": ".",
        "to-parent": "..",
        "to-outside": "../../../outside.txt",
        "to-outside-folder": "../../../outside",
        "to-outside-in-full": str(data / "outside.txt"),
        "to-etc": "/etc",
        "to-nothing": "nothing",
        "to-itself": "to-itself",
        "folder/up": "../real.txt",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "folder/fifo")
    listener = socket.socket(socket.AF_UNIX)
    os.chdir(root)  # A socket's address has room for 107 bytes.
    listener.bind("socket")
    yield admin
    listener.close()


@pytest.mark.parametrize(
    "target",
    [
        "/to-file",
        "/to-file-in-full",
        "/to-folder",
        "/to-folder/",
        "/to-folder/index.html",
        "/to-here",
        "/to-here/",
        "/to-here/real.txt",
        "/to-parent/",
        "/to-outside",
        "/to-outside-folder/",
        "/to-outside-folder/index.html",
        "/to-outside-in-full",
        "/to-etc/passwd",
        "/to-nothing",
        "/to-itself",
        "/to-itself/x",
        "/folder/up",
        "/fifo",
        "/fifo/",
        "/folder/fifo",
        "/socket",
    ],
)
def test_links_and_special_files_are_404(linked: Admin, target: str) -> None:
    replies: list[Reply] = []
    # In a thread of its own: who opens a fifo may wait for ever.
    visit = threading.Thread(target=lambda: replies.append(ask(app_of(linked), target)), daemon=True)
    visit.start()
    visit.join(20)
    assert [is_plain_404_page(reply) for reply in replies] == [True]


def test_real_files_beside_links_are_served(linked: Admin) -> None:
    assert ask(app_of(linked), "/real.txt").body == b"real"
    assert ask(app_of(linked), "/folder/").body == b"index of folder"


@pytest.mark.parametrize(("name", "target"), [("index.html", "/"), ("404.html", "/missing"), ("folder", "/folder/")])
def test_a_link_in_the_place_of_a_page_is_not_followed(admin: Admin, data: Path, name: str, target: str) -> None:
    root = site_root(data)
    (root / "real").mkdir()
    (root / "real/index.html").write_text(SECRET)
    (root / name).symlink_to("real" if name == "folder" else "real/index.html")
    assert is_plain_404_page(ask(app_of(admin), target))


TRAVERSALS = [
    "/../secret.txt",
    "/../../secret.txt",
    "/../../../secret.txt",
    "/../blog2/index.html",
    "/../blog2/other.txt",
    "/../../default2/blog/index.html",
    "/docs/../../blog2/index.html",
    "/%2e%2e/secret.txt",
    "/%2E%2E/%2e%2e/secret.txt",
    "/.%2e/secret.txt",
    "/..%2fsecret.txt",
    "/..%2F..%2Fsecret.txt",
    "/%2e%2e%2f%2e%2e%2fsecret.txt",
    "/docs/..%2f..%2f..%2fsecret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%252fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/%5c..%5csecret.txt",
    "/..;/secret.txt",
    "/..%00/secret.txt",
    "/..%0a/secret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/%c0%ae%c0%ae%c0%afsecret.txt",
    "/%u002e%u002e/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt",
    "/%e2%80%a5/secret.txt",
    "/..%c0%afsecret.txt",
    "/..%e2%88%95secret.txt",
    "/....//secret.txt",
    "/.../secret.txt",
    "/. ./secret.txt",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/%2fetc%2fpasswd",
    "///etc/passwd",
    "/file:///etc/passwd",
    "/~root/",
    "/~/secret.txt",
    "/proc/self/environ",
    "",
    "..",
    "../secret.txt",
    "*",
]


@pytest.mark.parametrize("host", ["blog.localhost", "bare.localhost", "off.localhost"])
@pytest.mark.parametrize("target", TRAVERSALS)
def test_no_encoding_of_a_path_leads_out_of_the_root(house: House, target: str, host: str) -> None:
    reply = house.ask(target, host)
    assert reply.status in (400, 404)
    assert SECRET not in reply.body.decode()
    assert b"root:" not in reply.body


@pytest.mark.parametrize(
    "target",
    [
        "/%00",
        "/text.txt%00",
        "/text.txt%00.html",
        "/docs%00/",
        "/docs/%00/guide.txt",
        "/%ff",
        "/%ff%fe/x",
        "/text.txt%80",
        "/%ed%a0%80",
        "/%f8%88%80%80%80",
        "/%zz",
        "/%",
        "/text.txt%20",
        "/text.txt%0a",
        "/text.txt;v=1",
        "/TEXT.txt",
        "/docs//guide.txt",
        "//text.txt",
        "/text.txt//",
    ],
)
def test_a_path_that_is_not_a_files_own_is_404(house: House, target: str) -> None:
    assert house.ask(target).status == 404


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/" + "a" * 256, id="a part of 256 bytes"),
        pytest.param("/" + "%E4%B8%AD" * 86, id="a part of 258 bytes in 86 characters"),
        pytest.param("/" + "a" * 8000, id="a part of 8,000 bytes"),
        pytest.param("/" + "a/" * 4000, id="4,000 folders"),
        pytest.param("/docs/" + "x/" * 3000 + "y", id="3,000 folders below one that exists"),
        pytest.param("/" + "a" * 100_000, id="100,000 bytes"),
    ],
)
def test_a_path_too_long_for_the_disk_is_404(house: House, target: str) -> None:
    assert house.ask(target).status == 404


# --- Names --------------------------------------------------------------------------------------

NAMES = [
    "中文.html",
    "页 面",
    "é",
    "日本語テキスト.txt",
    "😀.png",
    "a b",
    " a",
    "a ",
    "a+b",
    "a%20b",
    "a?b",
    "a#b",
    "a&b=c",
    "a;b",
    "a:b",
    "a=b",
    "a@b",
    "a,b",
    "a|b",
    "a\\b",
    "%",
    "%2e",
    "%2e%2e",
    "%2F",
    "~a",
    "-a",
    "*",
    "'a'",
    '"a"',
    "<a>",
    "{a}",
    "[a]",
    "a..",
    "a...b",
    "CON",
    "nul.txt",
    "C:",
    "\t",
    "\x01",
    "\x7f",
    "\u200b",
    "\u202etxt.exe",
    "é" * 127,
    "a" * 255,
]
NAMES_WITH_LINE_BREAKS = ["a\nb", "a\rb", "a\r\nX-Injected: 1"]


@pytest.mark.parametrize("name", [*NAMES, *NAMES_WITH_LINE_BREAKS])
def test_a_file_is_served_under_its_own_name(house: House, name: str) -> None:
    (house.root("odd") / name).write_text(f"file {name}", newline="")
    reply = house.ask("/" + quote(name, safe=""), "odd.localhost")
    assert (reply.status, reply.body.decode()) == (200, f"file {name}")


@pytest.mark.parametrize("name", [*(name for name in NAMES if len(name.encode()) < 240), *NAMES_WITH_LINE_BREAKS])
def test_the_redirect_to_a_folder_leads_to_it(house: House, name: str) -> None:
    folder = house.root("odd") / f"{name}~folder"
    folder.mkdir()
    (folder / "index.html").write_text(f"index of {name}", newline="")
    location = house.ask("/" + quote(folder.name, safe=""), "odd.localhost").headers["Location"]
    assert unquote(location) == f"/{folder.name}/"
    assert house.ask(location, "odd.localhost").body.decode() == f"index of {name}"


@pytest.mark.parametrize(
    ("name", "target"),
    [("a b+", "/a+b+"), ("x+y", "/x%20y"), ("%2e%2f", "/%2e%2f"), ("q?r", "/q?r"), ("é-nfc", "/e%CC%81-nfc")],
)
def test_a_name_is_not_mistaken_for_another(house: House, name: str, target: str) -> None:
    (house.root("odd") / name).write_text(SECRET)
    assert house.ask(target, "odd.localhost").status == 404


def test_a_name_that_is_not_utf8_is_404(house: House) -> None:
    # One that cannot be written in an address that people share: no archive can bring it.
    os.close(os.open(os.fsencode(house.root("odd")) + b"/bad\xff.txt", os.O_CREAT))
    assert house.ask("/bad%ff.txt", "odd.localhost").status == 404


@pytest.mark.parametrize("name", ["中文/页 面.html", "a+b.html", "a%20b.html", "a#b.html", "é.html", "%2e/x.html"])
def test_a_deployed_file_is_served_under_its_own_name(admin: Admin, name: str) -> None:
    admin.deployed({name: "found"})
    assert ask(app_of(admin), "/" + quote(name)).body == b"found"


# --- Roots --------------------------------------------------------------------------------------


def test_files_dropped_into_a_never_deployed_root_are_served_at_once(admin: Admin, data: Path) -> None:
    assert is_plain_404_page(ask(app_of(admin), "/"))
    (site_root(data) / "index.html").write_text("dropped")
    (site_root(data) / "sub").mkdir()
    (site_root(data) / "sub/page.html").write_text("also")
    assert ask(app_of(admin), "/").body == b"dropped"
    assert ask(app_of(admin), "/sub/page.html").body == b"also"


def new_root(data: Path, kind: str) -> None:
    """Put something else in the place of a site's root, as an operator may."""
    folder = data.parent / "elsewhere"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("elsewhere")
    (folder / "docs/index.html").write_text("docs elsewhere")
    root = site_root(data)
    root.unlink()
    if kind == "folder":
        shutil.copytree(folder, root)
    elif kind == "link":
        root.symlink_to(folder)
    elif kind == "relative link":
        root.symlink_to("../../../elsewhere")
    elif kind == "link to a link":
        (data.parent / "link").symlink_to("elsewhere")
        root.symlink_to(data.parent / "link")
    elif kind == "link to a folder below a link":
        (data.parent / "link").symlink_to(data.parent)
        root.symlink_to(data.parent / "link/elsewhere")
    elif kind == "link to nothing":
        root.symlink_to("nothing")
    elif kind == "link to itself":
        root.symlink_to("blog")
    elif kind == "link to a file":
        root.symlink_to(folder / "index.html")
    elif kind == "file":
        root.write_text(SECRET)
    elif kind == "fifo":
        os.mkfifo(root)


ROOTS = ["folder", "link", "relative link", "link to a link", "link to a folder below a link"]


@pytest.mark.parametrize("kind", ROOTS)
def test_a_root_may_be_a_folder_or_a_link_to_one(admin: Admin, data: Path, kind: str) -> None:
    admin.deployed({"index.html": "deployed"})
    new_root(data, kind)
    assert ask(app_of(admin), "/").body == b"elsewhere"
    assert ask(app_of(admin), "/docs").headers["Location"] == "/docs/"
    assert ask(app_of(admin), "/docs/").body == b"docs elsewhere"


@pytest.mark.parametrize("kind", ROOTS)
def test_a_deploy_replaces_a_root_of_any_kind(admin: Admin, data: Path, kind: str) -> None:
    new_root(data, kind)
    admin.deployed({"index.html": "deployed"})
    assert ask(app_of(admin), "/").body == b"deployed"
    assert (data.parent / "elsewhere/index.html").read_text() == "elsewhere"


@pytest.mark.parametrize("kind", ["nothing", "link to nothing", "link to itself", "link to a file", "file", "fifo"])
@pytest.mark.parametrize("target", ["/", "/index.html", "/x/y"])
def test_a_root_that_is_no_folder_is_the_plain_404_page(admin: Admin, data: Path, kind: str, target: str) -> None:
    new_root(data, kind)
    assert is_plain_404_page(ask(app_of(admin), target))


def test_a_site_whose_folder_vanished_comes_back_with_the_next_deploy(admin: Admin, data: Path) -> None:
    shutil.rmtree(site_root(data).resolve())
    assert is_plain_404_page(ask(app_of(admin), "/"))
    admin.deployed({"index.html": "back"})
    assert ask(app_of(admin), "/").body == b"back"


# --- Streams ------------------------------------------------------------------------------------


def test_an_answer_under_way_is_of_one_version_whatever_is_deployed_meanwhile(admin: Admin, data: Path) -> None:
    old = os.urandom(1_000_000)
    admin.deployed({"big.bin": old})
    iterator, _, _ = run_wsgi_app(app_of(admin), environ_of("/big.bin", "blog.localhost"))
    received = [next(iterator)]
    for _ in range(4):
        admin.deployed({"big.bin": os.urandom(1_000_000)})
    shutil.rmtree(data / "cache")
    received += iterator
    assert b"".join(received) == old


def test_a_large_file_is_not_read_at_once(admin: Admin) -> None:
    admin.deployed({"big.bin": bytes(1_000_000)})
    iterator, _, _ = run_wsgi_app(app_of(admin), environ_of("/big.bin", "blog.localhost"))
    assert len(next(iterator)) < 500_000
    iterator.close()
