"""Previews: links, cookies and hosts that show a checkpoint to who has them, for a time, and to nobody else."""

import gzip
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import pytest
from flask import Flask
from helpers import Admin, Reply, Server, assert_failure, assert_success, everything_below, wait_until, zip_of
from nginx import Nginx
from werkzeug.test import TestResponse

from pages import files
from pages.services import Services
from pages.web import preview_links

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
UNKNOWN = "20250101-100000-01d12345"
OLD: dict[str, bytes | str] = {
    "index.html": "old",
    "only/index.html": "only old",
    "style.css": "old{}",
    "404.html": "old miss",
    "app-0a1b2c3d4e5f6789.js": "old script",
    "large.bin": bytes(100_000),
    "_redirects": "/moved /only/ 301\n",
    "_headers": "/*\n  Cache-Control: public, max-age=99\n  X-Robots-Tag: all\n  X-Old: yes\n",
}
NEW: dict[str, bytes | str] = {"index.html": "new", "404.html": "new miss", "style.css": "new{}"}
CREATED = "预览链接已创建"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


def state(data: Path) -> dict[str, str]:
    """All that lasts in the data folder: a refused request must not change it."""
    passing = ("locks", "work", "ballast", "cache")
    return {name: what for name, what in everything_below(data).items() if not name.startswith(passing)}


@pytest.fixture
def two(admin: Admin) -> tuple[str, str]:
    """An old checkpoint, and the live one."""
    return admin.deployed(OLD)["id"], admin.deployed(NEW)["id"]


def granted(admin: Admin, checkpoint_id: str, site: str = "default/blog", **body: Any) -> Any:
    path = f"/_api/sites/{site}/checkpoints/{checkpoint_id}/preview"
    return assert_success(admin.post(path, json=body), 201, CREATED)


def token_of(admin: Admin, checkpoint_id: str, site: str = "default/blog", **body: Any) -> str:
    return str(granted(admin, checkpoint_id, site, **body)["url"].rpartition("/")[2])


def visit(
    admin: Admin,
    path: str = "/",
    token: str = "",
    host: str = "blog.localhost",
    method: str = "GET",
    scheme: str = "http",
    **headers: str,
) -> TestResponse:
    """What somebody gets who has this preview's cookie; header names are written with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Cookie"] = f"a=b; pages_preview={token}; c=d"
    visitor = admin.client.application.test_client(use_cookies=False)
    return visitor.open(path, method=method, base_url=f"{scheme}://{host}", headers=sent)


def is_preview(reply: TestResponse | Reply) -> bool:
    """Does an answer say that it is for nobody's cache and no search engine?"""
    return (reply.headers.get("Cache-Control"), reply.headers.get("X-Robots-Tag")) == ("private, no-store", "noindex")


# --- The link -------------------------------------------------------------------------------


def test_a_link_is_on_the_site_s_own_domain_and_says_when_it_ends(admin: Admin, two: tuple[str, str]) -> None:
    reply = admin.post(f"{CHECKPOINTS}/{two[0]}/preview", base_url="http://panel.localhost:8080")
    told = assert_success(reply, 201, CREATED)
    assert list(told) == ["checkpoint_id", "url", "expires_at"]
    assert told["checkpoint_id"] == two[0]
    assert re.fullmatch(rf"http://blog\.localhost:8080/\.preview/{two[0]}\.\d{{10}}\.[0-9a-f]{{32}}", told["url"])
    lasts = datetime.fromisoformat(told["expires_at"]) - datetime.now().astimezone()
    assert timedelta(hours=23, minutes=59) < lasts <= timedelta(days=1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *(
            ({"expires_in": value}, "字段 expires_in 必须是 1 到 2592000 的整数（秒）")
            for value in (0, -1, 2592001, 1.5, "60", True, [], {}, 2**63)
        ),
        ({"until": 60}, "未知字段 until"),
        ([], "请求体必须是 JSON 对象"),
    ],
)
def test_a_bad_time_is_refused_and_named(
    admin: Admin, data: Path, two: tuple[str, str], body: Any, message: str
) -> None:
    before = state(data)
    assert_failure(admin.post(f"{CHECKPOINTS}/{two[0]}/preview", json=body), 400, message)
    assert_failure(admin.post(f"/_api/sites/default/nope/checkpoints/{two[0]}/preview", json=body), 400, message)
    assert state(data) == before


def test_only_what_there_is_can_be_previewed(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    before = state(data)
    assert_failure(admin.post(f"{CHECKPOINTS}/{UNKNOWN}/preview"), 404, "检查点不存在")
    assert_failure(admin.post(f"/_api/sites/default/nope/checkpoints/{two[0]}/preview"), 404, "站点不存在")
    assert_failure(admin.get("/_api/sites/default/nope/previews"), 404, "站点不存在")
    assert_failure(admin.delete("/_api/sites/default/nope/previews"), 404, "站点不存在")
    assert state(data) == before


def test_a_checkpoint_that_cannot_be_unpacked_has_no_preview(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    lose(data, two[0])
    assert_failure(admin.post(f"{CHECKPOINTS}/{two[0]}/preview"), 500, "检查点归档损坏或缺失，站点未改变")
    assert assert_success(admin.get(f"{SITE}/previews")) == {"previews": [], "total": 0}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_followed_link_sets_a_cookie_and_goes_to_the_site(admin: Admin, two: tuple[str, str], scheme: str) -> None:
    token = token_of(admin, two[0], expires_in=3600)
    reply = visit(admin, f"/.preview/{token}", scheme=scheme)
    assert (reply.status_code, reply.headers["Location"]) == (302, "/")
    assert is_preview(reply)
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    value, *attributes = reply.headers["Set-Cookie"].split("; ")
    assert value == f"pages_preview={token}"
    named = dict(attribute.partition("=")[::2] for attribute in attributes)
    assert 3590 <= int(named.pop("Max-Age")) <= 3600
    named.pop("Expires", None)
    assert named == {"HttpOnly": "", "Path": "/", "SameSite": "Lax"} | ({"Secure": ""} if scheme == "https" else {})
    assert visit(admin, "/", token, scheme=scheme).text == "old"


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("", "/"), ("/only/", "/only/"), ("only/", "/only/"), ("/a%20b", "/a%20b"), ("/例子", "/%E4%BE%8B%E5%AD%90"),
        ("/a?b=c%26d#e", "/a?b=c&d#e"), ("//evil.com", "/evil.com"), ("///evil.com", "/evil.com"),
        ("\\\\evil.com", "/evil.com"), ("/\\evil.com", "/evil.com"), ("\\/evil.com", "/evil.com"),
        ("https://evil.com/", "/https://evil.com/"), ("//evil.com:80/a@b", "/evil.com:80/a@b"),
        ("javascript:alert(1)", "/javascript:alert(1)"), ("/%0d%0aX-Evil:%20yes", "/%0D%0AX-Evil:%20yes"),
        ("%09//evil.com", "/%09//evil.com"), ("/%09/evil.com", "/%09/evil.com"), ("%0a//evil.com", "/%0A//evil.com"),
        ("%20//evil.com", "/%20//evil.com"), ("%00//evil.com", "/%00//evil.com"), ("/a\"'<b>", "/a%22'%3Cb%3E"),
    ],
)  # fmt: skip
def test_a_link_leads_to_a_page_of_the_site_and_nowhere_else(
    admin: Admin, two: tuple[str, str], wanted: str, location: str
) -> None:
    for token in (token_of(admin, two[0]), ""):
        reply = visit(admin, f"/.preview/{token}?to={wanted.replace('#', '%23')}")
        assert (reply.status_code, reply.headers["Location"]) == (302, location)
        assert "X-Evil" not in reply.headers
        assert urlsplit(urljoin("http://blog.localhost/.preview/x", location)).netloc == "blog.localhost"


def test_the_cookie_can_be_given_back(admin: Admin, two: tuple[str, str]) -> None:
    browser = admin.client.application.test_client()
    browser.get(f"/.preview/{token_of(admin, two[0])}", base_url="http://blog.localhost")
    assert browser.get("/", base_url="http://blog.localhost").text == "old"
    left = browser.get("/.preview/", base_url="http://blog.localhost")
    assert (left.status_code, left.headers["Location"]) == (302, "/")
    assert browser.get("/", base_url="http://blog.localhost").text == "new"


# --- What is shown --------------------------------------------------------------------------


ANSWERS: list[tuple[str, str, dict[str, str], int, bytes | None]] = [
    ("GET", "/", {}, 200, b"old"),
    ("HEAD", "/", {}, 200, b""),
    ("GET", "/only/", {}, 200, b"only old"),
    ("GET", "/only", {}, 301, None),
    ("GET", "/moved", {}, 301, None),
    ("GET", "/style.css", {}, 200, b"old{}"),
    ("GET", "/app-0a1b2c3d4e5f6789.js", {}, 200, b"old script"),
    ("GET", "/missing", {}, 404, b"old miss"),
    ("HEAD", "/missing", {}, 404, b""),
    ("GET", "/_redirects", {}, 404, b"old miss"),
    ("GET", "/large.bin", {"Range": "bytes=0-1"}, 206, b"\0\0"),
    ("GET", "/large.bin", {"Range": "bytes=200000-"}, 416, None),
    ("GET", "/", {"If_None_Match": "*"}, 304, b""),
    ("GET", "/", {"If_Match": '"x"'}, 412, None),
    ("GET", "/large.bin", {}, 200, bytes(100_000)),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "body"), ANSWERS)
def test_every_answer_of_a_preview_is_the_checkpoint_s_and_for_no_cache(
    admin: Admin,
    two: tuple[str, str],
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    body: bytes | None,
) -> None:
    reply = visit(admin, path, token_of(admin, two[0]), method=method, **headers)
    assert reply.status_code == status
    assert body is None or reply.data == body
    assert is_preview(reply)
    assert reply.headers["X-Old"] == "yes"
    assert "Expires" not in reply.headers


def test_everybody_else_sees_what_is_live(admin: Admin, two: tuple[str, str]) -> None:
    token_of(admin, two[0])
    reply = visit(admin)
    assert (reply.text, reply.headers["Cache-Control"]) == ("new", "no-cache")
    assert "X-Robots-Tag" not in reply.headers
    assert visit(admin, "/only/").status_code == 404


def test_a_preview_goes_on_showing_its_checkpoint_while_others_go_live(admin: Admin, two: tuple[str, str]) -> None:
    token = token_of(admin, two[1])
    assert visit(admin, "/", token).text == "new"
    for number in range(5):
        admin.deployed({"index.html": f"later {number}"})
    assert visit(admin, "/", token).text == "new"
    assert visit(admin).text == "later 4"


def test_a_preview_keeps_no_cache_from_serving_what_is_live_again(admin: Admin, two: tuple[str, str]) -> None:
    """What a browser has of the preview is no copy of what is live: their validators are not the same."""
    token = token_of(admin, two[0])
    shown, live = visit(admin, "/style.css", token), visit(admin, "/style.css")
    assert shown.headers["ETag"] != live.headers["ETag"]
    assert visit(admin, "/style.css", If_None_Match=shown.headers["ETag"]).text == "new{}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_preview_is_only_read(admin: Admin, two: tuple[str, str], method: str) -> None:
    token = token_of(admin, two[0])
    for path in ("/", f"/.preview/{token}", "/.preview/"):
        reply = visit(admin, path, token, method=method)
        assert (reply.status_code, reply.headers["Allow"]) == (405, "GET, HEAD")
        assert "Set-Cookie" not in reply.headers


def test_the_api_is_no_part_of_a_preview(admin: Admin, two: tuple[str, str]) -> None:
    assert visit(admin, "/_api/sites", token_of(admin, two[0])).status_code == 401


def test_settings_hold_for_previews_too(admin: Admin, two: tuple[str, str]) -> None:
    assert_success(admin.put(SITE, json={"spa": True}))
    reply = visit(admin, "/any/route", token_of(admin, two[0]), Accept="text/html")
    assert (reply.status_code, reply.text) == (200, "old")
    assert is_preview(reply)


# --- Where it is not shown ------------------------------------------------------------------


def assert_void(admin: Admin, token: str, host: str = "blog.localhost", live: str = "new") -> None:
    """The link leads nowhere, and the cookie changes nothing."""
    link = visit(admin, f"/.preview/{token}", host=host)
    assert (link.status_code, "Set-Cookie" in link.headers) == (404, False)
    reply = visit(admin, "/", token, host=host)
    assert (reply.status_code, reply.text) == (200, live)
    assert not is_preview(reply)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"), lambda t: t[:-1], lambda t: t + "0", lambda t: t.upper(),
        lambda t: t.replace(".", ".9", 1), lambda t: t.rpartition(".")[0], lambda t: t.rpartition(".")[0] + ".",
        lambda t: "20250101-100000-01d12345" + t[24:], lambda t: "x" + t[1:], lambda t: t[:24],
        lambda t: t[:25] + "99999999999" + t[35:], lambda t: t[:25] + "９" * 10 + t[35:], lambda t: "..",
        lambda t: t[:25] + "9" * 5000 + t[35:], lambda t: t[:25] + "-1" + t[35:], lambda t: t + "/", lambda t: "x/" + t,
    ],
)  # fmt: skip
def test_a_changed_token_is_void(admin: Admin, two: tuple[str, str], change: Callable[[str], str]) -> None:
    token = change(token_of(admin, two[0])).encode().decode("latin-1")
    assert visit(admin, f"/.preview/{token}").status_code == 404
    assert visit(admin, "/", token).text == "new"


def test_a_token_ends_to_the_second(admin: Admin, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = granted(admin, two[0], expires_in=60)
    token, end = told["url"].rpartition("/")[2], datetime.fromisoformat(told["expires_at"])
    for moment, page in ((end - timedelta(microseconds=1), "old"), (end, "new"), (end + timedelta(days=99), "new")):
        monkeypatch.setattr(preview_links, "now", lambda moment=moment: moment)
        assert visit(admin, "/", token).text == page
    assert_void(admin, token)


def test_another_checkpoint_s_signature_is_void(admin: Admin, two: tuple[str, str]) -> None:
    third = admin.deployed({"index.html": "third"})["id"]
    token = token_of(admin, two[0])
    assert_void(admin, third + token[24:], live="third")


def test_another_site_s_token_is_void(admin: Admin, two: tuple[str, str]) -> None:
    admin.create("other")
    theirs = admin.deployed({"index.html": "theirs"}, site="default/other")["id"]
    token = token_of(admin, theirs, "default/other")
    assert_void(admin, token)
    assert_void(admin, two[0] + token[24:])
    assert_void(admin, token_of(admin, two[0]), host="other.localhost", live="theirs")


def test_a_site_s_key_is_no_other_s(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    """Even with the very key and checkpoint, a token is for the site that it was made for."""
    admin.create("twin")
    token = token_of(admin, two[0])
    here, twin = services.registry.get("default", "blog"), services.registry.get("default", "twin")
    known = services.histories.read(here)
    with services.workshop.work() as work:
        services.histories.write(work, msgspec.structs.replace(known, site_id="twin"))
    now = datetime.now().astimezone()
    assert services.previews.by_token(here, token, now) == two[0]
    assert services.previews.by_token(twin, token, now) is None


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions["pages"]
    return found


def test_revoking_makes_all_links_void_and_new_ones_can_be_made(admin: Admin, two: tuple[str, str]) -> None:
    tokens = [token_of(admin, each) for each in two]
    assert_success(admin.delete(f"{SITE}/previews"), message="全部预览已撤销")
    for token in tokens:
        assert_void(admin, token)
    assert assert_success(admin.get(f"{SITE}/previews"))["total"] == 0
    assert visit(admin, "/", token_of(admin, two[0])).text == "old"
    assert_void(admin, tokens[0])


def test_revoking_where_there_is_nothing_succeeds(admin: Admin) -> None:
    assert_success(admin.delete(f"{SITE}/previews"))


def test_a_deleted_checkpoint_s_preview_is_void(admin: Admin, two: tuple[str, str]) -> None:
    token = token_of(admin, two[0])
    assert_success(admin.delete(f"{CHECKPOINTS}/{two[0]}"))
    assert_void(admin, token)
    assert assert_success(admin.get(f"{SITE}/previews"))["total"] == 0


def test_a_disabled_site_shows_no_preview(admin: Admin, two: tuple[str, str]) -> None:
    token = token_of(admin, two[0])
    assert_success(admin.put(SITE, json={"enabled": False}))
    assert visit(admin, f"/.preview/{token}").status_code == 404
    reply = visit(admin, "/", token)
    assert (reply.status_code, reply.text == "old") == (404, False)
    assert_success(admin.put(SITE, json={"enabled": True}))
    assert visit(admin, "/", token).text == "old"


def test_a_later_site_of_the_same_name_knows_no_token_of_the_one_before(admin: Admin, two: tuple[str, str]) -> None:
    token = token_of(admin, two[0])
    assert_success(admin.delete(SITE))
    admin.create("blog")
    admin.deployed(NEW)
    assert_void(admin, token)


def test_an_alias_that_serves_has_links_of_its_own(admin: Admin, two: tuple[str, str]) -> None:
    assert_success(admin.put(SITE, json={"aliases": ["www.blog.localhost"], "alias_mode": "serve"}))
    token = token_of(admin, two[0])
    reply = visit(admin, f"/.preview/{token}?to=/only/", host="www.blog.localhost")
    assert (reply.status_code, reply.headers["Location"]) == (302, "/only/")
    assert "Domain" not in reply.headers["Set-Cookie"]
    assert visit(admin, "/", token, host="www.blog.localhost").text == "old"


def test_an_alias_that_redirects_leads_to_the_link_on_the_domain(admin: Admin, two: tuple[str, str]) -> None:
    assert_success(admin.put(SITE, json={"aliases": ["www.blog.localhost"]}))
    token = token_of(admin, two[0])
    reply = visit(admin, f"/.preview/{token}?to=/only/", token, host="www.blog.localhost")
    assert reply.status_code == 308
    assert reply.headers["Location"] == f"//blog.localhost/.preview/{token}?to=/only/"
    assert "Set-Cookie" not in reply.headers


def test_an_unknown_host_knows_no_preview(admin: Admin, two: tuple[str, str]) -> None:
    token = token_of(admin, two[0])
    assert visit(admin, f"/.preview/{token}", host="nobody.localhost").status_code == 404
    assert visit(admin, "/", token, host="nobody.localhost").status_code == 404


# --- What stands on the disk ----------------------------------------------------------------


def lose(data: Path, checkpoint_id: str) -> None:
    """Take away a checkpoint's archive, and every tree of it."""
    (data / f"sites-checkpoints/default/blog/checkpoints/{checkpoint_id}.tar.gz").unlink()
    lose_trees(data, checkpoint_id)


def lose_trees(data: Path, checkpoint_id: str) -> None:
    for tree in (data / "trees/default/blog").glob(f"{checkpoint_id}.*"):
        tree.rename(data / "cache" / tree.name)


def test_a_tree_that_was_cleared_away_is_unpacked_again(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    third = admin.deployed({"index.html": "third"})["id"]
    token = token_of(admin, two[0])
    reply = admin.post("/api/admin/maintenance", json={"action": "clear-cache"})
    assert reply.get_json()["message"] == "缓存清理成功"
    lose_trees(data, two[0])
    assert visit(admin, "/", token).text == "old"
    assert visit(admin).text == "third"
    assert admin.checkpoints()["current"] == third


def test_a_preview_that_can_not_be_unpacked_any_more_is_a_miss(
    admin: Admin, data: Path, two: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    token = token_of(admin, two[0])
    lose(data, two[0])
    reply = visit(admin, "/", token)
    assert reply.status_code == 404
    assert is_preview(reply)
    assert visit(admin).text == "new"
    assert "cannot be shown" in caplog.text


def test_metadata_that_is_damaged_keeps_nobody_from_the_site(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    token = token_of(admin, two[0])
    (data / "sites-checkpoints/default/blog/metadata.json").write_text("{")
    assert visit(admin).text == "new"
    assert visit(admin, "/", token).text == "new"
    assert visit(admin, f"/.preview/{token}").status_code == 404


@pytest.mark.parametrize("warm", [1, 3])
def test_previews_do_not_pile_up_unpacked(make_app: Callable[..., Flask], data: Path, warm: int) -> None:
    admin = Admin(make_app(warm_checkpoints=warm).test_client())
    admin.create("blog")
    made = [admin.deployed({"index.html": str(number)})["id"] for number in range(8)]
    tokens = [token_of(admin, each) for each in made]
    assert len(list((data / "trees/default/blog").iterdir())) <= warm + 2  # The live one, and the one before.
    for number, token in enumerate(tokens):
        wait_until(lambda token=token, number=number: visit(admin, "/", token).text == str(number), "it is unpacked")
    assert len(list((data / "trees/default/blog").iterdir())) <= warm + 2  # The live one, and the one before.
    assert visit(admin).text == "7"


def test_what_is_previewed_is_listed_until_it_ends(
    admin: Admin, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = granted(admin, two[0], expires_in=7200)["expires_at"]
    early = granted(admin, two[1], expires_in=60)["expires_at"]
    granted(admin, two[0], expires_in=30)  # A shorter one takes nothing from the longer one.
    listed = assert_success(admin.get(f"{SITE}/previews"))
    assert listed == {
        "previews": [{"checkpoint": two[1], "until": early}, {"checkpoint": two[0], "until": late}], "total": 2,
    }  # fmt: skip
    later = datetime.fromisoformat(early)
    monkeypatch.setattr("pages.web.plans.now", lambda: later)
    assert assert_success(admin.get(f"{SITE}/previews"))["previews"] == [{"checkpoint": two[0], "until": late}]


def test_the_key_is_told_to_nobody(admin: Admin, data: Path, two: tuple[str, str], services: Services) -> None:
    token_of(admin, two[0])
    key = services.histories.read(services.registry.get("default", "blog")).preview_key
    assert len(key) == 64
    for path in (SITE, CHECKPOINTS, f"{SITE}/previews", f"{CHECKPOINTS}/{two[0]}", "/_api/sites"):
        assert key not in admin.get(path).text


# --- Hosts of their own ---------------------------------------------------------------------


@pytest.fixture
def hosts(make_app: Callable[..., Flask], tmp_path: Path) -> Admin:
    """The admin where previews have hosts, with the site default/blog."""
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "alice"\n')
    config = str(tmp_path / "config.toml")
    admin = Admin(make_app(config=config, preview_domain="preview.localhost").test_client())
    admin.create("blog")
    return admin


def host_of(told: Any) -> str:
    return str(urlsplit(told["host_url"]).netloc)


def test_a_preview_has_a_host_of_its_own(hosts: Admin) -> None:
    old, _ = hosts.deployed(OLD)["id"], hosts.deployed(NEW)["id"]
    told = granted(hosts, old)
    assert told["host_url"] == f"http://{old}--blog--default.preview.localhost/"
    reply = visit(hosts, host=host_of(told))
    assert reply.text == "old"
    assert is_preview(reply)
    assert visit(hosts, host=host_of(told).upper() + ".").text == "old"
    assert visit(hosts).text == "new"


@pytest.mark.parametrize(("method", "path", "headers", "status", "body"), ANSWERS)
def test_every_answer_on_a_preview_s_host_is_for_no_cache(
    hosts: Admin, method: str, path: str, headers: dict[str, str], status: int, body: bytes | None
) -> None:
    old = hosts.deployed(OLD)["id"]
    reply = visit(hosts, path, host=host_of(granted(hosts, old)), method=method, **headers)
    assert reply.status_code == status
    assert body is None or reply.data == body
    assert is_preview(reply)


@pytest.mark.parametrize(
    "label",
    [
        "{old}--blog", "{old}--blog--default--x", "{old}-blog-default", "{old}--other--default", "{old}--blog--alice",
        "20250101-100000-01d12345--blog--default", "--blog--default", "blog--default", "{new}--blog--default",
        "{old}--blog--default.x", "x.{old}--blog--default", "x--{old}--blog--default", "{old}",
    ],
)  # fmt: skip
def test_other_hosts_below_show_nothing(hosts: Admin, label: str) -> None:
    old, new = hosts.deployed(OLD)["id"], hosts.deployed(NEW)["id"]
    granted(hosts, old)
    reply = visit(hosts, host=label.format(old=old, new=new) + ".preview.localhost")
    assert (reply.status_code, "old" in reply.text, "new" in reply.text) == (404, False, False)


def test_a_host_ends_as_links_do(hosts: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    old, _ = hosts.deployed(OLD)["id"], hosts.deployed(NEW)["id"]
    told = granted(hosts, old, expires_in=60)
    end = datetime.fromisoformat(told["expires_at"])
    for moment, status in ((end - timedelta(seconds=1), 200), (end, 404)):
        monkeypatch.setattr(preview_links, "now", lambda moment=moment: moment)
        assert visit(hosts, host=host_of(told)).status_code == status
    monkeypatch.undo()
    for ending in (
        lambda: hosts.put(SITE, json={"enabled": False}), lambda: hosts.put(SITE, json={"enabled": True}),
        lambda: hosts.delete(f"{SITE}/previews"), lambda: granted(hosts, old),
        lambda: hosts.delete(f"{CHECKPOINTS}/{old}"),
    ):  # fmt: skip
        was = visit(hosts, host=host_of(told)).status_code
        ending()
        assert {was, visit(hosts, host=host_of(told)).status_code} == {200, 404}


@pytest.mark.parametrize(
    ("site", "username", "has_host"),
    [
        ("blog2", "default", True), ("a", "b", True), ("my-blog", "my-team", True), ("My", "default", False),
        ("a.b", "default", False), ("a_b", "default", False), ("a--b", "default", False), ("a-", "default", False),
        ("a" * 33, "bb", True), ("a" * 33, "bbb", False), ("a", "x" * 64, False),
    ],
)  # fmt: skip
def test_names_that_make_no_host_name_have_links_alone(hosts: Admin, site: str, username: str, has_host: bool) -> None:
    hosts.create(site, "odd.localhost", username=username)
    made = hosts.deployed(NEW, site=f"{username}/{site}")["id"]
    told = granted(hosts, made, f"{username}/{site}")
    assert ("host_url" in told) == has_host
    if has_host:
        assert visit(hosts, host=host_of(told)).text == "new"
    assert visit(hosts, "/", told["url"].rpartition("/")[2], host="odd.localhost").text == "new"


def test_without_the_setting_there_are_no_such_hosts(admin: Admin, two: tuple[str, str]) -> None:
    granted(admin, two[0])
    assert visit(admin, host=f"{two[0]}--blog--default.preview.localhost").status_code == 404


@pytest.mark.parametrize("domain", ["preview.localhost", "x.preview.localhost", "*.preview.localhost", "*.localhost"])
def test_a_tenant_can_have_no_host_of_previews(hosts: Admin, domain: str) -> None:
    alice = Admin(hosts.client.application.test_client(), "alice", "alice")
    aliases = {"domain": "mine.localhost", "aliases": [domain]}
    for body in ({"domain": domain}, aliases):
        if domain.startswith("*") and body["domain"] == domain:
            continue
        assert_failure(alice.post("/_api/sites", json={"id": "mine", **body}), 409, "域名已被占用")


# --- Through nginx --------------------------------------------------------------------------


@dataclass
class Front:
    """Pages, and nginx in front of it, with a public site of two checkpoints."""

    server: Server
    nginx: Nginx
    old: str

    def get(self, path: str, token: str = "", method: str = "GET", **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Cookie": f"pages_preview={token}"} if token else {}
        return self.server.request(method, path, host="blog.localhost", headers=sent, port=self.nginx.port)

    def token(self) -> str:
        told = self.server.api("POST", f"{CHECKPOINTS}/{self.old}/preview", {}, port=self.nginx.port)
        assert told.status == 201
        return str(told.json()["data"]["url"].rpartition("/")[2])


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    settings = {"PAGES_TRUSTED_PROXIES": "unix", "PAGES_X_ACCEL_REDIRECT": "true"}
    server = Server(tmp_path_factory.mktemp("server"), settings).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    try:
        nginx.start()
        assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
        old = server.deploy(zip_of(OLD)).json()["data"]["checkpoint"]["id"]
        assert server.deploy(zip_of({**NEW, "large.bin": bytes(9)})).status == 200
        yield Front(server, nginx, old)
    finally:
        nginx.stop()
        server.stop()


def test_nginx_hands_a_link_on(front: Front) -> None:
    reply = front.get(f"/.preview/{front.token()}?to=/only/")
    assert (reply.status, reply.headers["Location"]) == (302, "/only/")
    assert is_preview(reply)
    assert front.get("/.preview/rubbish").status == 404


@pytest.mark.parametrize("accepts", ["identity", "gzip"])
@pytest.mark.parametrize(("method", "path", "headers", "status", "body"), ANSWERS)
def test_nginx_hands_over_to_pages_while_the_cookie_is_there(
    front: Front,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    body: bytes | None,
    accepts: str,
) -> None:
    reply = front.get(path, front.token(), method, Accept_Encoding=accepts, **headers)
    assert reply.status == status
    content = gzip.decompress(reply.body) if reply.headers.get("Content-Encoding") == "gzip" else reply.body
    assert body is None or content == body
    assert is_preview(reply)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/", 200, b"new"), ("/style.css", 200, b"new{}"), ("/missing", 404, b"new miss"), ("/large.bin", 200, bytes(9)),
     ("/only/", 404, b"new miss"), ("/moved", 404, b"new miss")],
)  # fmt: skip
@pytest.mark.parametrize("cookie", ["", "pages_preview=", "pages_previews=x", "other=pages_preview"])
def test_without_the_cookie_nginx_answers_by_itself(
    front: Front, path: str, status: int, body: bytes, cookie: str
) -> None:
    front.token()
    reply = front.get(path, **({"Cookie": cookie} if cookie else {}))
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers["X-Robots-Tag"] is None


def test_while_pages_is_down_who_previews_is_told_so_and_all_others_have_the_site(front: Front) -> None:
    token = front.token()
    front.server.stop()
    try:
        assert front.get("/").body == b"new"
        reply = front.get("/", token)
        assert (reply.status, reply.headers["Cache-Control"]) == (503, "no-store")
    finally:
        front.server.start()
    assert front.get("/", token).body == b"old"


@pytest.mark.parametrize("token", ["x", "rubbish.1.2"])
def test_a_void_cookie_shows_what_is_live_through_nginx_as_well(front: Front, token: str) -> None:
    reply = front.get("/", token)
    assert (reply.status, reply.body, reply.headers["X-Robots-Tag"]) == (200, b"new", None)
