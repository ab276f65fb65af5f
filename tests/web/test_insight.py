"""Explain and diff say what is really answered: for single cases, for refusals, and for any small site."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from helpers import THOROUGH, Admin, assert_failure, assert_success, everything_below, tree_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import pages.compare
from pages import files
from pages.app import create_app
from pages.config import load_config
from pages.work import run_now

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
UNKNOWN = "20250101-100000-01d12345"
HASHED = "app-0a1b2c3d4e5f6789.js"
Content = dict[str, bytes | str]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


def lasting(data: Path) -> dict[str, str]:
    """All that a call that only looks must leave as it is; what it unpacks may stay."""
    passing = ("locks", "work", "ballast", "cache", "trees")
    return {name: what for name, what in everything_below(data).items() if not name.startswith(passing)}


def explain(admin: Admin, url: str, checkpoint: str = "", site: str = SITE) -> Any:
    query = {"url": url, **({"checkpoint": checkpoint} if checkpoint else {})}
    return assert_success(admin.get(f"{site}/explain", query_string=query))


def diff(admin: Admin, before: str, after: str) -> Any:
    return assert_success(admin.get(f"{CHECKPOINTS}/{before}/diff/{after}"))


def visit(admin: Admin, path: str, host: str = "blog.localhost") -> Any:
    """What a browser gets that opens a page for the first time, without compression."""
    visitor = admin.client.application.test_client(use_cookies=False)
    return visitor.get(path, base_url=f"http://{host}", headers={"Accept": "text/html,*/*"})


def fields(headers: Any) -> list[tuple[str, str]]:
    """An answer's headers, but for what is of its moment."""
    return sorted((name, value) for name, value in headers if name not in ("Date", "Server"))


def explained_fields(told: Any) -> list[tuple[str, str]]:
    return fields((each["name"], each["value"]) for each in told["headers"])


# --- Explain --------------------------------------------------------------------------------


CONTENT: Content = {
    "index.html": "home",
    "about.html": "about",
    "docs/index.html": "docs",
    "docs/404.html": "no docs",
    "404.html": "miss",
    "style.css": "css{}",
    "例子.html": "intl",
    HASHED: "script",
    "_redirects": "# rules\n/old /about 302\n/forced /docs/ 301!\n/rewritten /about.html 200\n/gone /404.html 410\n"
    "/bad\n/any/* /docs/:splat\n",
    "_headers": "/*\n  X-All: yes\n/docs/*\n  X-Docs: yes\n  ! X-Content-Type-Options\n",
}


@pytest.mark.parametrize(
    ("url", "status", "file", "line", "candidates"),
    [
        ("/", 200, "index.html", None, [("index.html", True)]),
        ("/about", 200, "about.html", None, [("about", False), ("about.html", True)]),
        ("/style.css", 200, "style.css", None, [("style.css", True)]),
        ("/docs", 301, None, None, [("docs", False), ("docs.html", False)]),
        ("/old", 302, None, 2, [("old", False), ("old.html", False)]),
        ("/forced", 301, None, 3, []),
        ("/rewritten", 200, "about.html", 4, None),
        ("/gone", 410, "404.html", 5, None),
        ("/any/where", 301, None, 7, None),
        ("/nope", 404, "404.html", None, [("nope", False), ("nope.html", False), ("404.html", True)]),
        ("/docs/nope", 404, "docs/404.html", None, None),
        ("/_redirects", 404, "404.html", None, None),
        ("/.git/config", 404, "404.html", None, None),
        ("/例子", 200, "例子.html", None, None),
        ("/%E4%BE%8B%E5%AD%90", 200, "例子.html", None, None),
        ("/about?a=b", 200, "about.html", None, None),
        ("/about#part", 200, "about.html", None, None),
        ("//about", 404, None, None, None),
        ("http://blog.localhost/about", 200, "about.html", None, None),
        ("https://BLOG.localhost.:8080/about", 200, "about.html", None, None),
        ("http://blog.localhost", 200, "index.html", None, None),
        ("?a", 200, "index.html", None, None),
    ],
)
def test_an_address_is_explained(
    admin: Admin, url: str, status: int, file: str | None, line: int | None, candidates: Any
) -> None:
    made = admin.deployed(CONTENT)["id"]
    if url.startswith("//"):
        assert_failure(admin.get(f"{SITE}/explain", query_string={"url": url}), 400, "字段 url 的主机不属于该站点")
        return
    told = explain(admin, url)
    assert (told["status"], told["file"]) == (status, file)
    assert told["checkpoint"] == made
    assert (told["rule"] and told["rule"]["line"]) == line
    if candidates is not None:
        assert [(each["path"], each["found"]) for each in told["candidates"]] == candidates
    assert [each["line"] for each in told["header_rules"]] == ([1, 3] if "/docs" in url else [1])


def test_a_rule_is_told_with_its_line_as_it_stands(admin: Admin) -> None:
    admin.deployed(CONTENT)
    assert explain(admin, "/forced")["rule"] == {
        "file": "_redirects", "line": 3, "text": "/forced /docs/ 301!", "status": 301, "forced": True,
    }  # fmt: skip
    assert explain(admin, "/docs/")["header_rules"] == [
        {"file": "_headers", "line": 1, "text": "/*"}, {"file": "_headers", "line": 3, "text": "/docs/*"},
    ]  # fmt: skip


def test_a_site_without_a_version_is_explained(admin: Admin) -> None:
    told = explain(admin, "/")
    assert (told["status"], told["file"], told["checkpoint"]) == (404, None, "initial")


def test_a_checkpoint_that_is_not_live_is_explained_as_it_would_answer(admin: Admin, data: Path) -> None:
    first = admin.deployed({"index.html": "one", "only.html": "only"})["id"]
    admin.deployed({"index.html": "two"})
    assert explain(admin, "/only")["status"] == 404
    told = explain(admin, "/only", first)
    assert (told["status"], told["file"], told["checkpoint"]) == (200, "only.html", first)
    assert told["answered_by"] == "application"


def test_a_file_of_the_version_before_is_told_to_be_one(admin: Admin) -> None:
    first = admin.deployed({"index.html": "one", HASHED: "script"})["id"]
    admin.deployed({"index.html": "two"})
    told = explain(admin, f"/{HASHED}")
    assert (told["status"], told["is_older"], told["checkpoint"]) == (200, True, first)
    assert told["answered_by"] == "application"
    assert explained_fields(told) == fields(visit(admin, f"/{HASHED}").headers)


@pytest.mark.parametrize(
    ("settings_", "content", "by"),
    [
        ({}, {"index.html": "x"}, "nginx"),
        ({"spa": True}, {"index.html": "x"}, "application"),
        ({}, {"index.html": "x", "_headers": "/*\n  X-A: b"}, "application"),
    ],
)
def test_who_answers_is_told(admin: Admin, settings_: Any, content: Content, by: str) -> None:
    assert_success(admin.put(SITE, json=settings_))
    made = admin.deployed(content)["id"]
    assert explain(admin, "/")["answered_by"] == by
    assert explain(admin, "/", made)["answered_by"] == "application"


@pytest.mark.parametrize("mode", ["redirect", "serve"])
@pytest.mark.parametrize("alias", ["www.blog.localhost", "*.b.localhost"])
def test_an_alias_is_explained_as_it_answers(admin: Admin, mode: str, alias: str) -> None:
    made = admin.deployed(CONTENT)["id"]
    assert_success(admin.put(SITE, json={"aliases": [alias], "alias_mode": mode}))
    host = alias.replace("*", "any")
    for checkpoint in ("", made):
        told = explain(admin, f"http://{host}/about?a=b", checkpoint)
        real = visit(admin, "/about?a=b", host)
        assert (told["host"], told["status"]) == (host, real.status_code)
        assert explained_fields(told) == fields(real.headers)
        assert ("file" in told) == (mode == "serve")


def test_a_disabled_site_is_explained_as_it_answers(admin: Admin) -> None:
    admin.deployed(CONTENT)
    assert_success(admin.put(SITE, json={"enabled": False}))
    told = explain(admin, "/about")
    assert told["status"] == 404
    assert explained_fields(told) == fields(visit(admin, "/about").headers)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "字段 url 必须是站点内的路径或完整地址，最多 2048 个字符"),
        ("", "字段 url 必须是站点内的路径或完整地址，最多 2048 个字符"),
        ("/" + "x" * 2048, "字段 url 必须是站点内的路径或完整地址，最多 2048 个字符"),
        ("about", "字段 url 必须以 / 开头，且不能是管理接口的路径"),
        ("/_api/sites", "字段 url 必须以 / 开头，且不能是管理接口的路径"),
        ("///_api/sites", "字段 url 必须以 / 开头，且不能是管理接口的路径"),
        ("/%5fapi/sites", "字段 url 必须以 / 开头，且不能是管理接口的路径"),
        ("http://other.localhost/", "字段 url 的主机不属于该站点"),
        ("//other.localhost/", "字段 url 的主机不属于该站点"),
        ("ftp://blog.localhost/", "字段 url 的主机不属于该站点"),
        ("javascript:alert(1)", "字段 url 的主机不属于该站点"),
        ("http://[::1/", "字段 url 不是有效的地址"),
        ("http://[::1]/", "字段 url 不是有效的地址"),
        ("http://blog_x.localhost/", "字段 url 不是有效的地址"),
    ],
)
def test_an_address_that_is_not_the_site_s_is_refused(admin: Admin, url: str | None, message: str) -> None:
    admin.create("other")
    query = {} if url is None else {"url": url}
    assert_failure(admin.get(f"{SITE}/explain", query_string=query), 400, message)


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_site_below_a_wildcard_is_not_explained_to_who_has_the_wildcard(
    admin: Admin, data: Path, is_broken: bool
) -> None:
    assert_success(admin.put(SITE, json={"aliases": ["*.localhost"], "alias_mode": "serve"}))
    admin.create("other")
    if is_broken:
        (data / "registry/default/other.json").write_text("{")
    body = {"name": "blog's", "actions": ["read"], "username": "default", "site": "blog"}
    token = assert_success(admin.post("/_api/tokens", json=body), 201)["token"]
    for host, status in (("any.localhost", 200), ("other.localhost", 400)):
        query = {"url": f"http://{host}/"}
        headers = {"Authorization": f"Bearer {token}"}
        assert admin.client.get(f"{SITE}/explain", query_string=query, headers=headers).status_code == status


def test_what_is_not_there_cannot_be_explained(admin: Admin) -> None:
    assert_failure(admin.get("/_api/sites/default/nope/explain?url=/"), 404, "站点不存在")
    assert_failure(admin.get("/_api/sites/default/nope/explain"), 400)
    for checkpoint in (UNKNOWN, "x", ""):
        path = f"{SITE}/explain?url=/&checkpoint={checkpoint}"
        assert_failure(admin.get(path), 404, "检查点不存在")


def test_explaining_changes_nothing_and_sends_nothing(admin: Admin, data: Path) -> None:
    first = admin.deployed(CONTENT)["id"]
    second = admin.deployed({"index.html": "two"})["id"]
    before = lasting(data)
    for url in ("/", "/nope", "/old"):
        explain(admin, url)
        explain(admin, url, first)
    diff(admin, first, second)
    assert lasting(data) == before
    assert tree_of((data / "sites/default/blog").resolve()) == {"index.html": b"two"}


def test_a_link_to_a_preview_is_explained_without_a_cookie_for_who_asks(admin: Admin) -> None:
    made = admin.deployed(CONTENT)["id"]
    url = assert_success(admin.post(f"{CHECKPOINTS}/{made}/preview"), 201)["url"]
    path = url.partition("localhost")[2]
    reply = admin.get(f"{SITE}/explain", query_string={"url": path})
    assert assert_success(reply)["status"] == 302
    assert "Set-Cookie" not in reply.headers


# --- Diff -----------------------------------------------------------------------------------


def test_files_and_addresses_that_differ_are_told(admin: Admin) -> None:
    old = admin.deployed({"index.html": "one", "gone.html": "gone", "same.css": "same"})["id"]
    new = admin.deployed({"index.html": "two!", "docs/new.html": "new", "same.css": "same"})["id"]
    told = diff(admin, old, new)
    assert (told["before"], told["after"], told["complete"]) == (old, new, True)
    assert told["added"] == {"total": 1, "items": [{"path": "docs/new.html", "size": 3}]}
    assert told["removed"] == {"total": 1, "items": [{"path": "gone.html", "size": 4}]}
    assert told["changed"] == {"total": 1, "items": [{"path": "index.html", "before": 3, "after": 4}]}
    statuses = {each["url"]: (each["before"]["status"], each["after"]["status"]) for each in told["urls"]["items"]}
    assert statuses == {
        "/": (200, 200), "/index": (200, 200), "/index.html": (200, 200),
        "/docs": (404, 301), "/docs/new": (404, 200), "/docs/new.html": (404, 200), "/docs/new/": (404, 301),
        "/gone": (200, 404), "/gone.html": (200, 404), "/gone/": (301, 404),
    }  # fmt: skip


def test_a_version_and_itself_are_the_same(admin: Admin) -> None:
    made = admin.deployed(CONTENT)["id"]
    told = diff(admin, made, made)
    assert [told[name]["total"] for name in ("added", "removed", "changed", "urls")] == [0, 0, 0, 0]


def test_the_other_way_round_is_the_opposite(admin: Admin) -> None:
    old, new = (
        admin.deployed({"index.html": "one", "a": "1"})["id"],
        admin.deployed({"index.html": "two", "b": "2"})["id"],
    )
    there, back = diff(admin, old, new), diff(admin, new, old)
    assert there["added"] == back["removed"]
    assert [each["url"] for each in there["urls"]["items"]] == [each["url"] for each in back["urls"]["items"]]
    assert [(each["before"], each["after"]) for each in there["urls"]["items"]] == [
        (each["after"], each["before"]) for each in back["urls"]["items"]
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "urls"),
    [
        ("_redirects", "/a /b", "/a /c", ["/a"]),
        ("_redirects", "/a /b", "/a /b\n/x%20y /b", ["/x%20y"]),
        ("_redirects", "/a /b", "# nothing else\n/a /b", []),
        ("_redirects", "/a /b 301", "/a /b 302", ["/a"]),
        ("_headers", "/page\n  X-A: 1", "/page\n  X-A: 2", ["/page", "/page/"]),
        ("_headers", "/page\n  X-A: 1", "/page\n  X-A: 1\n  ! Cache-Control", ["/page", "/page/"]),
        (
            "_headers",
            "/page\n  ! X-Content-Type-Options",
            "/page\n  X-Content-Type-Options: nosniff",
            ["/page", "/page/"],
        ),
    ],
)
def test_rules_that_differ_are_told_by_their_effect(
    admin: Admin, name: str, old: str, new: str, urls: list[str]
) -> None:
    made = [admin.deployed({"index.html": "x", "page.html": "p", name: text})["id"] for text in (old, new)]
    assert [each["url"] for each in diff(admin, *made)["urls"]["items"]] == urls


def test_cold_versions_are_compared_where_hardly_any_is_kept_unpacked(
    make_app: Callable[..., Flask], data: Path
) -> None:
    """Unpacking the second one must not clear the first one away."""
    admin = Admin(make_app(warm_checkpoints=1).test_client())
    admin.create("blog")
    made = [admin.deployed({"index.html": str(number), f"{number}.html": "x"})["id"] for number in range(6)]
    for _ in range(2):
        told = diff(admin, made[0], made[1])
        statuses = {each["url"]: (each["before"]["status"], each["after"]["status"]) for each in told["urls"]["items"]}
        assert statuses["/"] == (200, 200)
        assert statuses["/0"] == (200, 404)
        assert statuses["/1"] == (404, 200)
        assert len(list((data / "trees/default/blog").iterdir())) <= 3
    assert visit(admin, "/").text == "5"


def test_a_version_that_is_cleared_away_meanwhile_is_no_difference(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = admin.deployed({"index.html": "one"})["id"], admin.deployed({"index.html": "two"})["id"]
    original = pages.compare.Comparer._answer

    def clearing(self: Any, site: Any, version: Any, url: str) -> Any:
        for tree in (data / "trees/default/blog").glob(f"{old}.*"):
            tree.rename(data / "cache" / tree.name)
        return original(self, site, version, url)

    monkeypatch.setattr(pages.compare.Comparer, "_answer", clearing)
    assert_failure(admin.get(f"{CHECKPOINTS}/{old}/diff/{new}"), 409, "站点正忙，请稍后重试")


def test_what_is_not_there_cannot_be_compared(admin: Admin, data: Path) -> None:
    made = admin.deployed(CONTENT)["id"]
    before = lasting(data)
    for pair in ((made, UNKNOWN), (UNKNOWN, made), ("x", made), (made, "x")):
        assert_failure(admin.get(f"{CHECKPOINTS}/{pair[0]}/diff/{pair[1]}"), 404, "检查点不存在")
    assert_failure(admin.get(f"/_api/sites/default/nope/checkpoints/{made}/diff/{made}"), 404, "站点不存在")
    assert lasting(data) == before


def test_a_version_that_cannot_be_unpacked_cannot_be_compared(admin: Admin, data: Path) -> None:
    old, new = admin.deployed({"index.html": "one"})["id"], admin.deployed({"index.html": "two"})["id"]
    (data / f"sites-checkpoints/default/blog/checkpoints/{old}.tar.gz").unlink()
    for tree in (data / "trees/default/blog").glob(f"{old}.*"):
        tree.rename(data / "cache" / tree.name)
    assert_failure(admin.get(f"{CHECKPOINTS}/{old}/diff/{new}"), 500, "检查点归档损坏或缺失，站点未改变")
    assert_failure(admin.get(f"{SITE}/explain?url=/&checkpoint={old}"), 500, "检查点归档损坏或缺失，站点未改变")


def test_a_thousand_are_listed_and_all_are_counted(admin: Admin) -> None:
    old = admin.deployed({"index.html": "x"})["id"]
    new = admin.deployed({"index.html": "x"} | {f"{number:04}.txt": "" for number in range(2600)})["id"]
    told = diff(admin, old, new)
    assert (told["added"]["total"], len(told["added"]["items"])) == (2600, 1000)
    assert len(told["urls"]["items"]) == 1000
    assert told["complete"] is False


def test_what_takes_too_long_to_compare_is_told_in_part(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = admin.deployed({"index.html": "one"})["id"], admin.deployed({"index.html": "two"})["id"]
    monkeypatch.setattr(pages.compare, "_MOST_SECONDS", -1.0)
    told = diff(admin, old, new)
    assert [each["path"] for each in told["changed"]["items"]] == ["index.html"]
    assert (told["urls"]["total"], told["complete"]) == (0, False)


# --- For any small site ---------------------------------------------------------------------


NAMES = ["index.html", "404.html", "about.html", "about/index.html", "about", "docs/index.html", "docs/a.html",
         "docs/404.html", "docs.html", "a b.css", HASHED, "home.htm", "docs/home.htm"]  # fmt: skip
REDIRECT_LINES = [
    "/old /about", "/old /docs/ 302", "/about /docs/ 301", "/about /docs/ 301!", "/docs/* /about/:splat", "/bad",
    "/x /about.html 200", "/x /404.html 404", "/y /nowhere 200", "/gone /docs/a 410", "/:one/two /:one",
    "/a%20b /about 308", "/* /index.html 200", "/about.html /old 302!", "/docs/a /x 200",
]  # fmt: skip
HEADER_LINES = [
    "/*\n  X-All: yes", "/about\n  X-About: 1", "/docs/*\n  ! Cache-Control", "/*\n  Cache-Control: max-age=9",
    "/docs/a.html\n  Vary: Origin", "/*\n  ! X-Content-Type-Options", "https://blog.localhost/old\n  X-Old: :splat",
]  # fmt: skip


def _are_apart(content: dict[str, str]) -> bool:
    return not any(f"{path}/" in other for path in content for other in content if other.startswith(f"{path}/"))


sites = st.tuples(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2", "<p>3</p>"]), min_size=1).filter(_are_apart),
    st.lists(st.sampled_from(REDIRECT_LINES), max_size=4, unique=True),
    st.lists(st.sampled_from(HEADER_LINES), max_size=3, unique=True),
)
chosen_settings = st.fixed_dictionaries({
    "clean_urls": st.booleans(),
    "spa": st.booleans(),
    "trailing_slash": st.sampled_from(["auto", "always", "never"]),
    "index": st.sampled_from(["index.html", "home.htm"]),
    "not_found": st.sampled_from(["404.html", "docs/404.html"]),
    "cache": st.sampled_from([{}, {"html": 60, "assets": 5, "hashed": 0}]),
})  # fmt: skip


def content_of(site: tuple[dict[str, str], list[str], list[str]]) -> Content:
    content: Content = dict(site[0])
    if site[1]:
        content["_redirects"] = "\n".join(site[1])
    if site[2]:
        content["_headers"] = "\n".join(site[2])
    return content


def addresses() -> list[str]:
    """Every address that any of the sites may have something at, and some where none has."""
    found = {"/", "/nope", "/docs/nope", "/docs/nope/", "/old", "/x", "/y", "/gone", "/one/two", "/old/"}
    for name in [*NAMES, "_redirects", "_headers"]:
        stem = name.removesuffix(".html")
        found |= {f"/{name}", f"/{stem}", f"/{stem}/", "/" + name.rpartition("/")[0]}
    return sorted(found - {""})


ADDRESSES = [quote(each) for each in addresses()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """An admin for many examples, without waiting for the disk; no version lends its files to another."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "config.toml").touch()
    environ = {"PAGES_DATA_DIR": str(folder / "data"), "PAGES_CONFIG": str(folder / "config.toml"),
               "PAGES_ASSET_GRACE": "0", "PAGES_KEEP_CHECKPOINTS": "2", "PAGES_PRECOMPRESS": ""}  # fmt: skip
    admin = Admin(create_app(load_config(environ), run_now).test_client())
    admin.create("blog")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        patched.setattr(files, "sync_file_system", lambda path: None)
        yield admin


Answer = tuple[int, bytes, list[tuple[str, str]]]


def really(admin: Admin, checkpoint_id: str) -> dict[str, Answer]:
    """What every address really answers while a checkpoint is live."""
    assert_success(admin.checkout(checkpoint_id))
    replies = {url: visit(admin, url) for url in ADDRESSES}
    return {url: (reply.status_code, reply.data, fields(reply.headers)) for url, reply in replies.items()}


@settings(
    max_examples=300 if THOROUGH else 10,
    phases=[Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(one=sites, other=sites, chosen=chosen_settings)
def test_explain_and_diff_tell_what_is_really_answered(lab: Admin, one: Any, other: Any, chosen: Any) -> None:
    assert_success(lab.put(SITE, json=chosen))
    ids = [lab.deployed(content_of(site))["id"] for site in (one, other)]
    answers = [really(lab, each) for each in ids]
    explained: list[dict[str, Any]] = []
    for checkpoint_id, real in zip(ids, answers, strict=True):
        told = {url: explain(lab, url, checkpoint_id) for url in ADDRESSES}
        for url, (status, _, headers) in real.items():
            assert (told[url]["status"], explained_fields(told[url])) == (status, headers), url
        explained.append(told)
    for url, (status, _, headers) in answers[1].items():  # Which is live now.
        told = explain(lab, url)
        assert (told["status"], explained_fields(told)) == (status, headers), url
    differences = {each["url"]: each for each in diff(lab, *ids)["urls"]["items"]}
    for url in ADDRESSES:
        before, after = (_comparable(answer[url]) for answer in answers)
        if url in differences:
            files_told = [told[url].get("file") for told in explained]
            assert before != after or files_told[0] != files_told[1], url
            assert (differences[url]["before"]["status"], differences[url]["after"]["status"]) == (before[0], after[0])
        elif before != after:
            assert all(_has_no_end(told[url], url) for told in explained), (url, before, after)


def _comparable(answer: Answer) -> Any:
    """An answer without what says only when its file was changed."""
    status, body, headers = answer
    return status, body, [field for field in headers if field[0] not in ("ETag", "Last-Modified")]


def _has_no_end(told: Any, url: str) -> bool:
    """Is this answered as countless addresses are: by a rule for many, a page for a miss, or an index?"""
    if told["rule"]:
        start = told["rule"]["text"].split()[0]
        return "*" in start or ":" in start or start != url
    own = {"index.html": ("/", "/index", "/index.html"), "home.htm": ("/", "/home.htm")}
    return told["status"] == 404 or url not in own.get(told["file"], (url,))
