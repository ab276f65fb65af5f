"""What a request comes to, by a site's settings and its rules: every address that leads somewhere, and the order."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from flask import Flask
from helpers import THOROUGH, Admin, assert_failure, assert_success, zip_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config
from pages.work import run_now

REDIRECTS = (301, 302, 303, 307, 308)
PNG = "picture.png"


def own_names(*paths: str) -> dict[str, bytes | str]:
    """Files that hold nothing but their own paths."""
    return {path: path for path in paths}


def put_up(admin: Admin, files: dict[str, bytes | str], **fields: Any) -> None:
    """Deploy these files to ``default/blog`` with these settings."""
    if fields:
        assert_success(admin.put("/_api/sites/default/blog", json=fields))
    admin.deployed(files)


def ask(admin: Admin, target: str, **headers: str) -> TestResponse:
    """A visit as gunicorn hands it over: the target is decoded once, and nothing is tidied up."""
    path, _, query = target.partition("?")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    overrides = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query}
    return admin.client.open("/", base_url="http://blog.localhost", headers=sent, environ_overrides=overrides)


def told(admin: Admin, path: str, **headers: str) -> str:
    """The status, and where a redirect leads or which file this is."""
    reply = ask(admin, path, **headers)
    if reply.status_code in REDIRECTS:
        return f"{reply.status_code} {reply.headers['Location']}"
    body = reply.get_data(as_text=True)
    return f"{reply.status_code} {'' if body.startswith('<!doctype') else body}".rstrip()


# --- clean_urls, trailing_slash ---------------------------------------------------------------------

PAGE = ("about.html",)
FOLDER = ("about/index.html",)
BOTH = PAGE + FOLDER
ASKED = ("/about", "/about/", "/about.html", "/about/index.html")
IS_PAGE, IS_INDEX = "200 about.html", "200 about/index.html"

ADDRESSES = {
    # clean_urls, trailing_slash, files: what each of ASKED is.
    (False, "auto", PAGE): (IS_PAGE, "301 /about", IS_PAGE, "404"),
    (False, "auto", FOLDER): ("301 /about/", IS_INDEX, "404", IS_INDEX),
    (False, "auto", BOTH): (IS_PAGE, IS_INDEX, IS_PAGE, IS_INDEX),
    (True, "auto", PAGE): (IS_PAGE, "301 /about", "308 /about", "404"),
    (True, "auto", FOLDER): ("301 /about/", IS_INDEX, "404", "308 /about/"),
    (True, "auto", BOTH): (IS_PAGE, IS_INDEX, "308 /about", "308 /about/"),
    (False, "always", PAGE): ("308 /about/", IS_PAGE, IS_PAGE, "404"),
    (False, "always", FOLDER): ("301 /about/", IS_INDEX, "404", IS_INDEX),
    (False, "always", BOTH): (IS_PAGE, IS_INDEX, IS_PAGE, IS_INDEX),
    (True, "always", PAGE): ("308 /about/", IS_PAGE, "308 /about/", "404"),
    (True, "always", FOLDER): ("301 /about/", IS_INDEX, "404", "308 /about/"),
    # Two files of one name: each keeps an address of its own.
    (True, "always", BOTH): (IS_PAGE, IS_INDEX, IS_PAGE, "308 /about/"),
    (False, "never", PAGE): (IS_PAGE, "301 /about", IS_PAGE, "404"),
    (False, "never", FOLDER): (IS_INDEX, "308 /about", "404", IS_INDEX),
    (False, "never", BOTH): (IS_PAGE, IS_INDEX, IS_PAGE, IS_INDEX),
    (True, "never", PAGE): (IS_PAGE, "301 /about", "308 /about", "404"),
    (True, "never", FOLDER): (IS_INDEX, "308 /about", "404", "308 /about"),
    (True, "never", BOTH): (IS_PAGE, IS_INDEX, "308 /about", IS_INDEX),
}


@pytest.mark.parametrize(("case", "expected"), ADDRESSES.items())
def test_a_page_and_a_folder_have_the_addresses_that_the_settings_say(
    admin: Admin, case: tuple[bool, str, tuple[str, ...]], expected: tuple[str, ...]
) -> None:
    clean_urls, trailing_slash, files = case
    put_up(admin, own_names("index.html", *files), clean_urls=clean_urls, trailing_slash=trailing_slash)
    assert tuple(told(admin, path) for path in ASKED) == expected


@pytest.mark.parametrize("trailing_slash", ["auto", "always", "never"])
@pytest.mark.parametrize("clean_urls", [False, True])
def test_the_home_page_is_at_the_root_whatever_is_set(admin: Admin, clean_urls: bool, trailing_slash: str) -> None:
    put_up(admin, own_names("index.html"), clean_urls=clean_urls, trailing_slash=trailing_slash)
    assert told(admin, "/") == "200 index.html"
    assert told(admin, "/index.html") == ("308 /" if clean_urls else "200 index.html")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/home.html", "308 /"),
        ("/docs/home.html", "308 /docs/"),
        ("/index.html", "308 /index"),
        ("/docs/index.html", "308 /docs/index"),
        ("/docs/", "200 docs/home.html"),
        ("/a.htm", "200 a.htm"),
        ("/picture.png", "200 picture.png"),
        # A file of that very name is in the way.
        ("/plain.html", "200 plain.html"),
        ("/plain", "200 plain"),
    ],
)
def test_clean_urls_go_by_the_sites_own_index_and_only_for_pages(admin: Admin, path: str, answer: str) -> None:
    files = own_names(
        "home.html", "docs/home.html", "index.html", "docs/index.html", "a.htm", PNG, "plain", "plain.html"
    )
    put_up(admin, files, clean_urls=True, index="home.html")
    assert told(admin, path) == answer


@pytest.mark.parametrize("query", ["?a=1", "?a=1&b=%20&c=//e", "?next=https://evil.example/"])
def test_a_redirect_by_settings_keeps_the_query(admin: Admin, query: str) -> None:
    put_up(admin, own_names(*BOTH, "x.html", "docs/index.html"), clean_urls=True)
    for path, goal in (("/x.html", "/x"), ("/x/", "/x"), ("/docs", "/docs/"), ("/docs/index.html", "/docs/")):
        assert admin.visit(path + query).headers["Location"] == goal + query


def test_the_admin_apis_path_is_no_pages_short_address(admin: Admin) -> None:
    # "/_api" is the Admin API's on every domain: a redirect to it would make the page unreachable.
    put_up(admin, own_names("_api.html", "x/_api.html"), clean_urls=True)
    assert told(admin, "/_api.html") == "200 _api.html"
    assert told(admin, "/x/_api.html") == "308 /x/_api"
    assert told(admin, "/x/_api") == "200 x/_api.html"


# --- All settings on all trees ----------------------------------------------------------------------

_NAMES = [
    "a",
    "b",
    "index",
    "a.html",
    "b.html",
    "index.html",
    "home.html",
    "a.html.html",
    "404.html",
    "c.js",
    "\u00e9 %",
]
_PATHS = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)
_SETTINGS = [
    {"clean_urls": clean_urls, "trailing_slash": slash}
    for clean_urls in (False, True)
    for slash in ("auto", "always", "never")
]


@st.composite
def trees(draw: st.DrawFn) -> list[str]:
    """The files of a small site: no name is both a file and a folder."""
    kept: list[str] = []
    for path in draw(st.lists(_PATHS, min_size=1, max_size=8, unique=True)):
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in kept):
            kept.append(path)
    return kept


def address_of(file: str, files: list[str], index: str, clean_urls: bool, slash: str) -> str:
    """The one address that a file has, as a person would say it."""
    folder, _, name = file.rpartition("/")
    if not clean_urls or not name.endswith(".html"):
        return f"/{file}"
    bare = file.removesuffix(".html")
    if name == index:
        if slash != "never" or not folder:
            return f"/{folder}/" if folder else "/"
        return f"/{file}" if f"{folder}.html" in files else f"/{folder}"
    if slash == "always":
        return f"/{file}" if f"{bare}/{index}" in files else f"/{bare}/"
    return f"/{file}" if bare in files else f"/{bare}"


def addresses_around(files: list[str]) -> set[str]:
    """Every path that these files might be thought to have, and some that nothing has."""
    paths = {"", "missing", "missing.js"}
    for file in files:
        parts = file.split("/")
        paths |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    paths |= {path.removesuffix(".html") for path in paths} | {f"{path}.html" for path in paths if path}
    paths |= {f"{path}/index.html".lstrip("/") for path in paths}
    return {f"/{path}" for path in paths} | {f"/{path}/" for path in paths if path}


@pytest.fixture(scope="module")
def any_site(tmp_path_factory: pytest.TempPathFactory) -> Admin:
    """A site that every example changes wholly."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "config.toml").touch()
    app = create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml"), "PAGES_ASSET_GRACE": "0"}), run_now)
    admin = Admin(app.test_client())
    admin.create("blog")
    return admin


@settings(
    max_examples=200 if THOROUGH else 20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(trees(), st.sampled_from(["index.html", "home.html"]), st.booleans(), st.sampled_from(["404.html", "a/b.html"]))
def test_no_address_leads_in_a_circle_or_away_and_every_file_is_at_its_own(
    any_site: Admin, files: list[str], index: str, spa: bool, not_found: str
) -> None:
    any_site.deployed(own_names(*files))
    for setting in _SETTINGS:
        fields = {**setting, "index": index, "spa": spa, "not_found": not_found}
        assert_success(any_site.put("/_api/sites/default/blog", json=fields))
        for path in addresses_around(files):
            status, _, body = followed(any_site, path)
            assert status in (200, 404), (fields, path)
            assert status == 200 or body in (*files, ""), (fields, path)
        for file in files:
            address = address_of(file, files, index, **_named(setting))
            assert followed(any_site, f"/{file}") == (200, address, file), (fields, file)
            assert followed(any_site, address) == (200, address, file), (fields, file)


def _named(setting: dict[str, Any]) -> dict[str, Any]:
    return {"clean_urls": setting["clean_urls"], "slash": setting["trailing_slash"]}


def followed(admin: Admin, path: str) -> tuple[int, str, str]:
    """Where a browser ends up: the status, the address, and the file that is shown."""
    for _ in range(4):
        reply = ask(admin, f"{quote(path)}?q=1")
        if reply.status_code not in REDIRECTS:
            body = reply.get_data(as_text=True)
            return reply.status_code, path, "" if body.startswith("<!doctype") else body
        location, _, query = reply.headers["Location"].partition("?")
        assert (location[:1], location[:2] == "//", query) == ("/", False, "q=1"), (path, location)
        path = unquote(location)
    raise AssertionError(f"no end of redirects: {path}")


# --- spa ------------------------------------------------------------------------------------------

NAVIGATES = {"Sec_Fetch_Mode": "navigate", "Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "headers", "answer"),
    [
        ("/app/users/7", NAVIGATES, "200 index.html"),
        ("/app/users/7/", NAVIGATES, "200 index.html"),
        ("/app/users/jane.doe", NAVIGATES, "200 index.html"),
        ("/app/page.html", NAVIGATES, "200 index.html"),
        ("/app/users/7?tab=1", NAVIGATES, "200 index.html"),
        ("/folder/", NAVIGATES, "200 index.html"),
        ("/real.html", NAVIGATES, "200 real.html"),
        ("/real", NAVIGATES, "200 real.html"),
        # No browser says more than its Accept here: curl and crawlers are welcome.
        ("/app/users/7", {}, "200 index.html"),
        ("/app/users/7", {"Accept": "*/*"}, "200 index.html"),
        ("/app/users/7", {"Accept": "TEXT/HTML"}, "200 index.html"),
        # A program that wants data has no use for a page.
        ("/api/users/7", {"Accept": "application/json"}, "404 404.html"),
        ("/app/users/7", {"Sec_Fetch_Mode": "cors", "Accept": "*/*"}, "404 404.html"),
        ("/app/users/7", {"Sec_Fetch_Mode": "no-cors", "Accept": "text/html"}, "404 404.html"),
        # What is missing and would be no page stays missing.
        ("/app/missing.js", NAVIGATES, "404 404.html"),
        ("/missing.css", {}, "404 404.html"),
        ("/missing.png", NAVIGATES, "404 404.html"),
        ("/data.json", NAVIGATES, "404 404.html"),
        ("/.env", NAVIGATES, "404 404.html"),
        ("/app/.git/config", NAVIGATES, "404 404.html"),
        ("/a//b", NAVIGATES, "404 404.html"),
        ("/_redirects", NAVIGATES, "200 index.html"),
        ("/%ff", NAVIGATES, "404 404.html"),
    ],
)
def test_an_application_answers_for_every_address_that_a_person_may_go_to(
    admin: Admin, path: str, headers: dict[str, str], answer: str
) -> None:
    put_up(admin, own_names("index.html", "404.html", "real.html", "folder/x.txt"), spa=True)
    assert told(admin, path, **headers) == answer


def test_an_application_without_an_index_answers_404(admin: Admin) -> None:
    put_up(admin, own_names("x.html", "404.html"), spa=True)
    assert told(admin, "/app/users/7") == "404 404.html"


def test_without_spa_an_address_that_nothing_has_is_404(admin: Admin) -> None:
    put_up(admin, own_names("index.html"))
    assert told(admin, "/app/users/7", **NAVIGATES) == "404"


# --- not_found ------------------------------------------------------------------------------------

DEEP = "1/2/3/4/5/6/7/8/9"


@pytest.mark.parametrize(
    ("not_found", "path", "answer"),
    [
        ("404.html", "/missing", "404 404.html"),
        ("404.html", "/docs/missing", "404 docs/404.html"),
        ("404.html", "/docs/missing/", "404 docs/404.html"),
        ("404.html", "/docs/", "404 docs/404.html"),
        ("404.html", "/docs", "301 /docs/"),
        ("404.html", "/docs/de/missing", "404 docs/de/404.html"),
        ("404.html", "/docs/de/none/such/folder/x", "404 docs/de/404.html"),
        ("404.html", "/docs/en/missing", "404 docs/404.html"),
        ("404.html", "/docs/%64e/missing", "404 docs/de/404.html"),
        ("404.html", "/docs//x", "404 docs/404.html"),
        ("404.html", "/docs/.hidden/x", "404 docs/404.html"),
        ("404.html", "/docs/%00/x", "404 docs/404.html"),
        ("404.html", "/docs/x/%ff", "404 docs/404.html"),
        ("404.html", "/%ff/x", "404 404.html"),
        # Eight folders deep and no deeper, in nginx as well.
        ("404.html", "/1/2/3/4/5/6/7/8/x", "404 1/2/3/4/5/6/7/8/404.html"),
        ("404.html", f"/{DEEP}/x", "404 1/2/3/4/5/6/7/8/404.html"),
        ("404.html", f"/{DEEP}/none/x", "404 1/2/3/4/5/6/7/8/404.html"),
        ("lost.htm", "/docs/missing", "404 docs/lost.htm"),
        ("lost.htm", "/missing", "404"),
        ("pages/lost.html", "/docs/de/missing", "404 pages/lost.html"),
        ("pages/none.html", "/docs/de/missing", "404"),
        ("docs", "/missing", "404"),
    ],
)
def test_a_miss_is_answered_by_the_nearest_page_or_by_the_one_that_is_named(
    admin: Admin, not_found: str, path: str, answer: str
) -> None:
    files = ("404.html", "docs/404.html", "docs/de/404.html", "docs/lost.htm", "pages/lost.html")
    put_up(admin, own_names(*files, "1/2/3/4/5/6/7/8/404.html", f"{DEEP}/404.html"), not_found=not_found)
    assert told(admin, path) == answer


@pytest.mark.parametrize(
    "name", ["/404.html", "../404.html", ".404.html", "a//b", "a/", "", "a\\b", "a/./b", 404, None]
)
def test_a_page_for_misses_is_a_name_or_a_path_in_the_site(admin: Admin, name: Any) -> None:
    assert "not_found" in assert_failure(admin.put("/_api/sites/default/blog", json={"not_found": name}), 400)


# --- cache ----------------------------------------------------------------------------------------

HASHED = "assets/index-BQ2f8_3K.js"


@pytest.mark.parametrize(
    ("cache", "path", "expected"),
    [
        ({}, "/", "no-cache"),
        ({}, "/a.css", "no-cache"),
        ({}, f"/{HASHED}", "public, max-age=31536000, immutable"),
        ({"html": 60}, "/", "public, max-age=60"),
        ({"html": 60}, "/page", "public, max-age=60"),
        ({"html": 60}, "/page.xhtml", "public, max-age=60"),
        ({"html": 60}, "/a.css", "no-cache"),
        ({"html": 60}, "/missing", "no-cache"),
        ({"html": 60}, "/docs", "no-cache"),
        ({"assets": 300}, "/a.css", "public, max-age=300"),
        ({"assets": 300}, "/a.bin", "public, max-age=300"),
        ({"assets": 300}, "/", "no-cache"),
        ({"assets": 300}, f"/{HASHED}", "public, max-age=31536000, immutable"),
        ({"assets": 300}, "/missing.css", "no-cache"),
        ({"hashed": 60}, f"/{HASHED}", "public, max-age=60, immutable"),
        ({"hashed": 0}, f"/{HASHED}", "no-cache"),
        ({"hashed": 0, "assets": 5}, f"/{HASHED}", "public, max-age=5"),
        # The address may be rewritten to another file tomorrow.
        ({"assets": 5}, "/app.js", "public, max-age=5"),
        ({}, "/app.js", "no-cache"),
        ({"html": 7}, "/home", "public, max-age=7"),
        ({"html": 7}, "/teapot", "no-cache"),
    ],
)
def test_a_copy_is_good_for_as_long_as_the_site_says(
    admin: Admin, cache: dict[str, int], path: str, expected: str
) -> None:
    rules = f"/app.js /{HASHED} 200\n/home /index.html 200\n/teapot /index.html 404\n"
    files = own_names("index.html", "page.html", "page.xhtml", "a.css", "a.bin", HASHED, "docs/index.html")
    put_up(admin, {**files, "_redirects": rules}, cache=cache)
    assert admin.visit(path).headers["Cache-Control"] == expected


def test_a_copy_is_confirmed_with_the_same_words(admin: Admin) -> None:
    put_up(admin, own_names("index.html", HASHED), cache={"html": 60})
    for path in ("/", f"/{HASHED}"):
        first = admin.visit(path)
        again = admin.visit(path, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.headers["Cache-Control"]) == (304, first.headers["Cache-Control"])


@pytest.mark.parametrize("cache", [{"html": -1}, {"html": 1.5}, {"html": True}, {"nothing": 1}, [], {"assets": 10**12}])
def test_cache_takes_seconds_and_nothing_else(admin: Admin, cache: Any) -> None:
    assert "cache" in assert_failure(admin.put("/_api/sites/default/blog", json={"cache": cache}), 400)


# --- The order ------------------------------------------------------------------------------------

OLD = "assets/app-AB12cd3E.js"


def staged(admin: Admin) -> None:
    """A site where a forced rule, a file, an old file, a rule, the application and a 404 page all want to answer."""
    put_up(admin, {**own_names("index.html", "404.html"), OLD: "old", HASHED: "old"}, spa=True)
    rules = "/forced /goal 301!\n/both.html /goal 301\n/both.html/* /goal 301!\n/assets/* /goal 302\n/ruled /goal 302\n"
    files = own_names("index.html", "404.html", "forced", "both.html", "goal.html", HASHED)
    put_up(admin, {**files, "_redirects": rules})


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/forced", "301 /goal"),
        ("/both.html", "200 both.html"),
        (f"/{HASHED}", f"200 {HASHED}"),
        (f"/{OLD}", "200 old"),
        ("/assets/other.js", "302 /goal"),
        ("/assets/other", "302 /goal"),
        ("/ruled", "302 /goal"),
        ("/ruled/", "302 /goal"),
        ("/goal", "200 goal.html"),
        ("/anything", "200 index.html"),
        ("/missing.js", "404 404.html"),
    ],
)
def test_forced_rule_then_file_then_old_file_then_rule_then_application_then_404(
    admin: Admin, path: str, answer: str
) -> None:
    staged(admin)
    assert told(admin, path, **NAVIGATES) == answer


@pytest.mark.parametrize(
    ("rule", "path", "answer"),
    [
        ("/a /page.html 200", "/a", "200 page.html"),
        ("/a /page 200", "/a", "200 page.html"),
        ("/a /docs 200", "/a", "200 docs/index.html"),
        ("/a /docs/ 200", "/a", "200 docs/index.html"),
        ("/a /nothing 200", "/a", "404 404.html"),
        ("/docs/a /nothing 200", "/docs/a", "404 docs/404.html"),
        ("/a /page 404", "/a", "404 page.html"),
        ("/a /page 410", "/a", "410 page.html"),
        ("/a /nothing 410", "/a", "410"),
        ("/page /docs/ 200", "/page", "200 page.html"),
        ("/page /docs/ 200!", "/page", "200 docs/index.html"),
        ("/page.html /nothing 200!", "/page.html", "404 404.html"),
        ("/page.html /x 404!", "/page.html", "404"),
        # One rule only: what it leads to is not judged again.
        ("/a /b 200\n/b /page 200", "/a", "404 404.html"),
        ("/a /.env 200", "/a", "404 404.html"),
        ("/a /_redirects 200", "/a", "404 404.html"),
        ("/a /_headers 200", "/a", "404 404.html"),
        ("/* /index.html 200", "/docs", "301 /docs/"),
        ("/* /index.html 200", "/empty", "200 index.html"),
        ("/* /index.html 200", "/empty/", "200 index.html"),
        ("/* /index.html 200", "/x.js", "200 index.html"),
        ("/* /index.html 200", "/_redirects", "200 index.html"),
        ("/* /new/:splat 301", "/%2f%2fevil.example", "301 /new///evil.example"),
        ("/* /:splat 301", "//evil.example/x", "404 404.html"),  # To itself: no rule.
        ("/go/* /:splat 301!", "/go//evil.example", "301 /evil.example"),
        ("/go/* /:splat 301!", "/go/%5cevil.example", "301 /%5Cevil.example"),
    ],
)
def test_a_rule_answers_as_it_says(admin: Admin, rule: str, path: str, answer: str) -> None:
    files = own_names("index.html", "404.html", "page.html", "docs/index.html", "docs/404.html", "empty/x.txt", ".env")
    put_up(admin, {**files, "_redirects": rule})
    assert told(admin, path) == answer


def test_a_rule_may_ask_for_the_host_that_was_asked(admin: Admin) -> None:
    rules = "https://old.localhost/* https://blog.localhost/:splat 301!\n"
    fields = {"aliases": ["old.localhost"], "alias_mode": "serve"}
    put_up(admin, {**own_names("index.html"), "_redirects": rules}, **fields)
    assert admin.visit("/x", "old.localhost").headers["Location"] == "https://blog.localhost/x"
    assert told(admin, "/") == "200 index.html"


# --- _headers -------------------------------------------------------------------------------------

HEADERS = (
    "/*\n  X-Own: yes\n  X-Frame-Options: DENY\n/page.html\n  Cache-Control: max-age=9\n  ! X-Content-Type-Options\n"
)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/", {"If_None_Match": "*"}, 304),
        ("/", {"Range": "bytes=0-1"}, 206),
        ("/", {"Range": "bytes=999-"}, 416),
        ("/", {"If_Match": '"x"'}, 412),
        ("/docs", {}, 301),
        ("/page.html/", {}, 404),
        ("/to", {}, 302),
        ("/gone", {}, 410),
        ("/missing", {}, 404),
        ("/.env", {}, 404),
        ("/_headers", {}, 404),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("page", [True, False])
def test_the_headers_of_a_site_are_on_every_answer(
    admin: Admin, path: str, headers: dict[str, str], status: int, method: str, page: bool
) -> None:
    files = own_names("index.html", "docs/index.html", "page.html", *["404.html"] * page)
    put_up(admin, {**files, "_redirects": "/to /x 302\n/gone /x 410\n", "_headers": HEADERS})
    reply = admin.visit(path, method=method, **headers)
    assert reply.status_code == (200 if method == "HEAD" and "Range" in headers else status)
    assert (reply.headers["X-Own"], reply.headers["X-Frame-Options"]) == ("yes", "DENY")


def test_a_sites_headers_replace_and_remove_ours(admin: Admin) -> None:
    put_up(admin, {**own_names("index.html", "page.html"), "_headers": HEADERS})
    assert "X-Content-Type-Options" not in admin.visit("/page.html").headers
    for reply in (admin.visit("/page.html"), admin.visit("/page.html", If_None_Match="*")):
        assert reply.headers["Cache-Control"] == "max-age=9"
    assert admin.visit("/").headers["X-Content-Type-Options"] == "nosniff"


def test_a_twin_is_told_of_whatever_the_sites_headers_say_of_vary(admin: Admin) -> None:
    rules = "/*\n  Vary: Cookie\n  Content-Encoding: br\n  ETag: x\n  X-Accel-Redirect: /.pages/x\n"
    put_up(admin, {"index.html": "x" * 2000, "_headers": rules})
    reply = admin.visit("/", Accept_Encoding="gzip")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["ETag"] != "x"
    assert "X-Accel-Redirect" not in reply.headers
    assert {member.strip() for member in reply.headers["Vary"].split(",")} == {"Accept-Encoding", "Cookie"}


# --- Control files --------------------------------------------------------------------------------

SECRET = "/secret /elsewhere 301\n"


@pytest.mark.parametrize(
    "path",
    [
        "/_redirects", "/_headers", "/%5fredirects", "/%5Fheaders", "/_%72edirects", "/%5f%72%65%64irects",
        "/_redirects/", "/_headers/", "/_redirects.html", "/_redirects?x", "/_redirects;x", "/_redirects%00",
        "/_redirects%0a", "//_redirects", "/./_redirects", "/x/../_redirects", "/_redirects/.", "/%2f_redirects",
        "/_redirects%20", "/_redirects.gz", "/rewritten", "/rewritten-page", "/", "/missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("fields", [{}, {"index": "_redirects"}, {"not_found": "_redirects"}, {"spa": True}])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_sites_rules_are_shown_to_nobody(admin: Admin, path: str, fields: dict[str, Any], coding: str) -> None:
    rules = SECRET + "/rewritten /_redirects 200!\n/rewritten-page /_redirects 404!\n" + "# secret\n" * 100
    put_up(admin, {"x.html": "x", "_redirects": rules, "_headers": "/*\n  X-Own: secret\n"}, **fields)
    reply = ask(admin, path, Accept_Encoding=coding)
    assert reply.status_code == 404, path
    assert b"secret" not in reply.data
    assert int(reply.headers["Content-Length"]) < 300


def test_files_that_are_only_named_like_rules_are_files(admin: Admin) -> None:
    put_up(
        admin, own_names("docs/_redirects", "_redirects.html", "_Redirects", "_headers.txt", "x/_headers/index.html")
    )
    for path in ("docs/_redirects", "_redirects.html", "_Redirects", "_headers.txt"):
        assert told(admin, f"/{path}") == f"200 {path}"
    assert told(admin, "/x/_headers") == "301 /x/_headers/"


@pytest.mark.parametrize("trailing_slash", ["auto", "always", "never"])
def test_a_folder_named_like_rules_is_a_folder(admin: Admin, trailing_slash: str) -> None:
    put_up(admin, own_names("_redirects/index.html"), trailing_slash=trailing_slash)
    assert followed(admin, "/_redirects")[::2] == (200, "_redirects/index.html")
    assert followed(admin, "/_redirects/")[::2] == (200, "_redirects/index.html")


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_rules_that_are_no_file_of_the_sites_are_none(admin: Admin, data: Path, kind: str) -> None:
    admin.deployed(own_names("index.html"))
    place = (data / "sites/default/blog").resolve() / "_redirects"
    if kind == "link":
        (data / "other").write_text("/a /b 301\n")
        place.symlink_to(data / "other")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    assert told(admin, "/a") == "404"
    assert told(admin, "/") == "200 index.html"


# --- Files of versions before -----------------------------------------------------------------------

PHOTO = "photo.png"


def replaced(data: Path) -> list[Path]:
    """The marks on the versions that were live once."""
    return sorted((data / "trees/default/blog").glob("*/.replaced"), key=lambda path: path.stat().st_mtime_ns)


def test_a_page_that_is_still_open_gets_the_files_that_came_with_it(admin: Admin) -> None:
    admin.deployed({"index.html": "1", HASHED: "one" * 500, OLD: "old", PHOTO: "1", "only.html": "1"})
    admin.deployed({"index.html": "2", HASHED: "two" * 500, PHOTO: "2"})
    admin.deployed({"index.html": "3"})
    reply = admin.visit(f"/{HASHED}")
    assert reply.get_data(as_text=True) == "two" * 500  # The newest that has it.
    assert reply.headers["X-Robots-Tag"] == "noindex"
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert told(admin, f"/{OLD}") == "200 old"
    assert admin.visit(f"/{HASHED}", If_None_Match=reply.headers["ETag"]).status_code == 304
    assert admin.visit(f"/{HASHED}", Range="bytes=0-2").data == b"two"
    assert admin.visit(f"/{HASHED}", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", [f"/{PHOTO}", "/only.html", "/only", "/docs/", "/.hidden/a-BQ2f8_3K.js"])
def test_only_names_with_a_hash_outlive_their_version(admin: Admin, path: str) -> None:
    files = own_names("index.html", PHOTO, "only.html", "docs/index.html", ".hidden/a-BQ2f8_3K.js")
    admin.deployed(files)
    admin.deployed(own_names("index.html"))
    assert told(admin, path) == "404"


def test_a_live_file_is_never_noindex(admin: Admin) -> None:
    admin.deployed(own_names("index.html", HASHED))
    admin.deployed(own_names("index.html", HASHED, "x.html"))
    assert "X-Robots-Tag" not in admin.visit(f"/{HASHED}").headers


def test_old_files_are_there_for_asset_grace_and_no_longer(make_app: Callable[..., Flask], data: Path) -> None:
    admin = Admin(make_app(asset_grace=1000).test_client())
    admin.create("blog")
    admin.deployed({"index.html": "1", HASHED: "old"})
    admin.deployed({"index.html": "2"})
    mark = replaced(data)[-1]
    now = mark.stat().st_mtime
    for age, answer in ((900, "200 old"), (1100, "404"), (10, "200 old")):
        os.utime(mark, (now - age, now - age))
        assert told(admin, f"/{HASHED}") == answer, age


def test_with_a_grace_of_nothing_a_version_is_gone_when_it_is_replaced(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(asset_grace=0).test_client())
    admin.create("blog")
    admin.deployed({"index.html": "1", HASHED: "old"})
    admin.deployed({"index.html": "2"})
    assert told(admin, f"/{HASHED}") == "404"


def test_the_time_counts_from_when_a_version_was_last_live(admin: Admin, data: Path) -> None:
    first = admin.deployed({"index.html": "1", HASHED: "old"})["id"]
    admin.deployed({"index.html": "2"})
    os.utime(replaced(data)[-1], (0, 0))
    assert told(admin, f"/{HASHED}") == "404"
    assert_success(admin.checkout(first))
    assert "X-Robots-Tag" not in admin.visit(f"/{HASHED}").headers
    admin.deployed({"index.html": "3"})
    assert told(admin, f"/{HASHED}") == "200 old"


def test_a_version_that_was_never_live_gives_nothing_away(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": "1", "assets/live-BQ2f8_3K.js": "live"})
    admin.deployed({"index.html": "2"})
    # As a crash before the switch leaves it, or a checkpoint that was unpacked and not switched to.
    staged = data / "trees/default/blog/20990101-000000-deadbeef.00000000/site/assets"
    staged.mkdir(parents=True)
    (staged / "next-BQ2f8_3K.js").write_text("unpublished")
    assert told(admin, "/assets/next-BQ2f8_3K.js") == "404"
    assert told(admin, "/assets/live-BQ2f8_3K.js") == "200 live"


def test_a_file_of_a_deleted_checkpoint_is_gone(admin: Admin) -> None:
    first = admin.deployed({"index.html": "1", HASHED: "a secret by mistake"})["id"]
    admin.deployed({"index.html": "2"})
    assert told(admin, f"/{HASHED}") == "200 a secret by mistake"
    assert_success(admin.delete(f"/_api/sites/default/blog/checkpoints/{first}"))
    assert told(admin, f"/{HASHED}") == "404"


def test_a_site_of_the_same_name_inherits_no_files(admin: Admin) -> None:
    admin.deployed({"index.html": "1", HASHED: "another owner's"})
    admin.deployed({"index.html": "2"})
    assert_success(admin.delete("/_api/sites/default/blog"))
    admin.create("blog")
    admin.deployed({"index.html": "3"})
    assert told(admin, f"/{HASHED}") == "404"


def test_a_link_in_an_old_version_is_not_followed(admin: Admin, data: Path) -> None:
    (data / "secret").write_text("secret")
    admin.deployed({"index.html": "1", "assets/x.txt": ""})
    (((data / "sites/default/blog").resolve()) / HASHED).symlink_to(data / "secret")
    admin.deployed({"index.html": "2"})
    assert told(admin, f"/{HASHED}") == "404"


def test_the_rules_in_force_are_the_live_versions(admin: Admin) -> None:
    admin.deployed({"index.html": "1", HASHED: "old", "_headers": "/*\n  X-Version: 1\n", "_redirects": "/a /b 301!\n"})
    admin.deployed({"index.html": "2", "_headers": "/*\n  X-Version: 2\n"})
    assert admin.visit(f"/{HASHED}").headers["X-Version"] == "2"
    assert told(admin, "/a") == "404"
    admin.deployed({"index.html": "3"})
    assert "X-Version" not in admin.visit("/").headers


def test_rules_that_an_operator_changes_count_at_the_next_request(admin: Admin, data: Path) -> None:
    root = data / "sites/default/blog"
    for goal in ("one", "two", "six"):  # Of one length, within one tick of the clock.
        (root / "_redirects").write_text(f"/a /{goal} 302\n")
        assert told(admin, "/a") == f"302 /{goal}"
    (root / "_redirects").unlink()
    assert told(admin, "/a") == "404"


def test_a_deploy_says_which_of_its_rules_have_no_effect(admin: Admin) -> None:
    reply = admin.deploy(zip_of({"index.html": "", "_redirects": "nonsense\n/a /b 301\n", "_headers": "X: 1\n"}))
    warnings = assert_success(reply)["warnings"]
    assert [warning.partition(" ")[0] for warning in warnings] == ["_redirects", "_headers"]
