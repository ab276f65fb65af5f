"""Calls 1 to 5: sites are listed, created, shown, updated and deleted as the contract says."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, everything_below, zip_of

from pages.app import create_app
from pages.config import load_config
from pages.files import lock

FIELDS = ["id", "username", "domain", "index", "enabled", "created_at", "updated_at"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,}[+-]\d\d:\d\d")
BLOG = "/_api/sites/default/blog"


def state(data: Path) -> dict[str, str]:
    """All that lasts in the data folder: a refused request must not change it."""
    return {name: what for name, what in everything_below(data).items() if not name.startswith(("locks", "work"))}


def page(data: Path, content: str, index: str = "index.html", site: str = "default/blog") -> None:
    """Drop an index into the root of a site, as an operator would."""
    (data / "sites" / site / index).write_text(content)


def fresh(folder: Path) -> Admin:
    """The admin of an application whose data is in this folder."""
    (folder / "config.toml").touch()
    environ = {"PAGES_DATA_DIR": str(folder / "data"), "PAGES_CONFIG": str(folder / "config.toml")}
    return Admin(create_app(load_config(environ)).test_client())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Admin, Path]:
    """An admin with the site ``default/blog``, and the data folder: for tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    admin = fresh(folder)
    admin.create("blog")
    return admin, folder / "data"


@pytest.fixture
def unmoved(shared: tuple[Admin, Path]) -> Iterator[Admin]:
    """The admin of ``shared``; at the end the test fails unless everything is as it was."""
    before = state(shared[1])
    yield shared[0]
    assert state(shared[1]) == before


# --- Create ---------------------------------------------------------------------------------


def test_a_created_site_has_the_seeds_fields_in_the_seeds_order(admin: Admin) -> None:
    site = admin.create("docs", "Docs.Localhost", username="user1", index="home.html")
    assert list(site)[:7] == FIELDS
    assert {name: site[name] for name in FIELDS[:5]} == {
        "id": "docs", "username": "user1", "domain": "docs.localhost", "index": "home.html", "enabled": True,
    }  # fmt: skip


def test_what_is_left_out_has_its_default(admin: Admin) -> None:
    site = admin.create("docs", "docs.localhost")
    assert (site["username"], site["index"], site["enabled"]) == ("default", "index.html", True)


def test_create_says_where_the_site_is(admin: Admin) -> None:
    reply = admin.post("/_api/sites", json={"id": "a.b", "domain": "ab.localhost", "username": "u-1"})
    site = assert_success(reply, 201, "站点创建成功")
    assert reply.headers["Location"] == "/_api/sites/u-1/a.b"
    assert assert_success(admin.get(reply.headers["Location"])) == site


def test_times_are_local_with_offset_and_microseconds(admin: Admin) -> None:
    site = admin.create("docs")
    assert TIME.fullmatch(site["created_at"])
    assert TIME.fullmatch(site["updated_at"])


def test_the_record_on_disk_is_the_site(admin: Admin, data: Path) -> None:
    site = admin.create("docs", username="user1")
    assert json.loads((data / "registry/user1/docs.json").read_text()) == site


def test_the_domain_links_to_the_record(admin: Admin, data: Path) -> None:
    admin.create("docs", username="user1")
    assert (data / "domains/docs.localhost").resolve() == (data / "registry/user1/docs.json").resolve()


def test_a_new_site_has_an_empty_root_that_is_served(admin: Admin, data: Path) -> None:
    admin.create("docs")
    assert list((data / "sites/default/docs").iterdir()) == []
    page(data, "by hand", site="default/docs")
    assert admin.visit(host="docs.localhost").data == b"by hand"


def test_a_site_may_be_created_disabled(admin: Admin, data: Path) -> None:
    assert admin.create("docs", enabled=False)["enabled"] is False
    page(data, "hidden", site="default/docs")
    assert admin.visit(host="docs.localhost").status_code == 404


NAMES = ["0", "A", "a..b", "a.", "a-_", "a.json", "checkpoints", "metadata.json", "x" * 64]
NO_NAMES = [
    "", " ", ".", "..", ".a", "-a", "_a", "a/b", "../a", "a\\b", "a b", " a", "a ", "a\0", "a\n", "\na", "a\tb",
    "a%2eb", "a:b", "a+b", "a@b", "a*", "é", "ａ", "а", "例", "a\u200b", "１", "a" * 65, "a" * 5000, 1, 0, 1.5, True,
    None, [], ["a"], {}, {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_good_name_names_a_site_from_create_to_delete(admin: Admin, name: str) -> None:
    site = admin.create(name, "x.localhost", username=name)
    url = f"/_api/sites/{name}/{name}"
    assert (site["id"], site["username"]) == (name, name)
    assert assert_success(admin.get(url)) == site
    assert site in assert_success(admin.get("/_api/sites"))["sites"]
    admin.deployed({"index.html": "x"}, site=f"{name}/{name}")
    assert admin.visit(host="x.localhost").data == b"x"
    assert_success(admin.delete(url), message="站点删除成功")
    assert_failure(admin.get(url), 404, "站点不存在")


@pytest.mark.parametrize("name", NO_NAMES, ids=lambda name: ascii(name)[:20])
@pytest.mark.parametrize("field", ["id", "username"])
def test_a_bad_name_is_refused_and_named(unmoved: Admin, field: str, name: object) -> None:
    body = {"id": "x", "domain": "x.localhost", "username": "y"} | {field: name}
    assert field in assert_failure(unmoved.post("/_api/sites", json=body), 400)


DOMAINS = [
    ("x.localhost", "x.localhost"), ("X.LocalHost", "x.localhost"), ("x.localhost.", "x.localhost"),
    ("例子.中国", "xn--fsqu00a.xn--fiqs8s"), ("XN--FSQU00A.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
    ("192.168.0.1", "192.168.0.1"), ("intranet", "intranet"), ("a" * 63 + ".com", "a" * 63 + ".com"),
    ("x." * 126 + "a", "x." * 126 + "a"),
]  # fmt: skip
NO_DOMAINS = [
    "", " ", ".", "x.localhost:80", "x.localhost/", "http://x.localhost", "x_y.localhost", "*.localhost", "*", "-x.com",
    "x..com", "x.com..", "../x", "x\0.com", "x.com\n", "[::1]", "::1", "1.2.3", "1.2.3.256", "a" * 64 + ".com",
    "x." * 127 + "a", "x" * 5000, "é" * 5000, "xn--a", "a@b.com", "a,b", 1, True, None, [], ["x.com"], {},
]  # fmt: skip


@pytest.mark.parametrize(("given", "stored"), DOMAINS, ids=lambda text: ascii(text)[:20])
def test_a_domain_is_stored_in_lower_case_ascii_and_visited_so(
    admin: Admin, data: Path, given: str, stored: str
) -> None:
    assert admin.create("x", given)["domain"] == stored
    page(data, "x", site="default/x")
    assert admin.visit(host=stored).data == b"x"


@pytest.mark.parametrize("domain", NO_DOMAINS, ids=lambda domain: ascii(domain)[:20])
def test_a_bad_domain_is_refused_by_create_and_update(unmoved: Admin, domain: object) -> None:
    assert "domain" in assert_failure(unmoved.post("/_api/sites", json={"id": "x", "domain": domain}), 400)
    assert "domain" in assert_failure(unmoved.put(BLOG, json={"domain": domain}), 400)


INDEXES = ["home.html", "首页.html", "a b.html", "INDEX", "a..b", "a%2fb", "x" * 255, "é" * 127, "a?b#c", "~", "-"]
NO_INDEXES = [
    "", ".", "..", "a/b", "/index.html", "/", "../index.html", "a\\b", "..\\x", "a\0", "a\n", "\r", "\x7f", ".hidden",
    "x" * 256, "é" * 128, "\u202e", 1, True, None, [], ["index.html"], {},
]  # fmt: skip


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: ascii(index)[:20])
def test_any_bare_file_name_may_be_the_index(admin: Admin, data: Path, index: str) -> None:
    assert admin.create("x", index=index)["index"] == index
    page(data, "x", index, "default/x")
    assert admin.visit(host="x.localhost").data == b"x"


@pytest.mark.parametrize("index", NO_INDEXES, ids=lambda index: ascii(index)[:20])
def test_a_bad_index_is_refused_by_create_and_update(unmoved: Admin, index: object) -> None:
    body = {"id": "x", "domain": "x.localhost", "index": index}
    assert "index" in assert_failure(unmoved.post("/_api/sites", json=body), 400)
    assert "index" in assert_failure(unmoved.put(BLOG, json={"index": index}), 400)


@pytest.mark.parametrize("enabled", ["true", "false", "", 0, 1, None, [], {}], ids=ascii)
def test_enabled_is_true_or_false_and_nothing_like_it(unmoved: Admin, enabled: object) -> None:
    body = {"id": "x", "domain": "x.localhost", "enabled": enabled}
    assert "enabled" in assert_failure(unmoved.post("/_api/sites", json=body), 400)
    assert "enabled" in assert_failure(unmoved.put(BLOG, json={"enabled": enabled}), 400)


@pytest.mark.parametrize("field", ["id", "domain"])
def test_a_missing_field_is_named(unmoved: Admin, field: str) -> None:
    body = {"id": "x", "domain": "x.localhost"}
    del body[field]
    assert field in assert_failure(unmoved.post("/_api/sites", json=body), 400)


@pytest.mark.parametrize(
    "field", ["path", "Domain", "ID", "user", "created_at", "updated_at", "checkpoint", "__proto__", "", "域名", "\0"]
)
def test_create_refuses_an_unknown_field_and_names_it(unmoved: Admin, field: str) -> None:
    reply = unmoved.post("/_api/sites", json={"id": "x", "domain": "x.localhost", field: "x"})
    assert field in assert_failure(reply, 400)


@pytest.mark.parametrize("field", ["path", "Enabled", "user", "name", "current", "", "域名"])
def test_update_refuses_an_unknown_field_and_names_it(unmoved: Admin, field: str) -> None:
    assert field in assert_failure(unmoved.put(BLOG, json={"index": "x.html", field: "x"}), 400)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"id": "blog", "domain": "new.localhost"}, "站点已存在"),
        ({"id": "blog", "domain": "blog.localhost"}, "站点已存在"),
        ({"id": "new", "domain": "blog.localhost"}, "域名已被占用"),
        ({"id": "new", "domain": "BLOG.localhost."}, "域名已被占用"),
        ({"id": "new", "domain": "ｂｌｏｇ.localhost"}, "域名已被占用"),
        ({"id": "new", "domain": "blog。localhost"}, "域名已被占用"),
        ({"id": "blog", "domain": "blog.localhost", "username": "other"}, "域名已被占用"),
        ({"id": "new", "domain": "localhost", "username": "other"}, "域名已被占用"),
    ],
)
def test_a_taken_id_or_domain_is_a_conflict_the_id_before_the_domain(
    unmoved: Admin, body: dict[str, str], message: str
) -> None:
    assert_failure(unmoved.post("/_api/sites", json=body), 409, message)


@pytest.mark.parametrize(
    ("first", "second"), [("例子.中国", "xn--fsqu00a.xn--fiqs8s"), ("XN--MNCHEN-3YA.de", "München.de")]
)
def test_the_unicode_and_punycode_forms_are_one_domain(admin: Admin, first: str, second: str) -> None:
    admin.create("one", first)
    assert_failure(admin.post("/_api/sites", json={"id": "two", "domain": second}), 409, "域名已被占用")


def test_a_disabled_site_keeps_its_domain(admin: Admin) -> None:
    assert_success(admin.put(BLOG, json={"enabled": False}))
    assert_failure(admin.post("/_api/sites", json={"id": "new", "domain": "blog.localhost"}), 409, "域名已被占用")


def test_tenants_may_use_the_same_id(admin: Admin) -> None:
    admin.create("blog", "one.localhost", username="user1")
    admin.create("blog", "two.localhost", username="user2")
    assert assert_success(admin.get("/_api/sites/user1/blog"))["domain"] == "one.localhost"
    assert assert_success(admin.get("/_api/sites/user2/blog"))["domain"] == "two.localhost"


def test_names_that_differ_in_case_are_two_sites(admin: Admin) -> None:
    admin.create("Blog", "other.localhost")
    assert_success(admin.delete("/_api/sites/default/Blog"))
    assert_success(admin.get(BLOG))


# --- List -----------------------------------------------------------------------------------


def listed(admin: Admin, query: str = "") -> tuple[list[str], int]:
    found = assert_success(admin.get(f"/_api/sites{query}"))
    assert set(found) == {"sites", "total"}
    return [f"{site['username']}/{site['id']}" for site in found["sites"]], found["total"]


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Admin:
    """The admin with seven sites, created in no order; file names would sort them otherwise."""
    admin = fresh(tmp_path_factory.mktemp("some"))
    for number, (username, site_id) in enumerate(
        [("b", "z"), ("a-b", "x"), ("a", "a.b"), ("a", "a"), ("a", "a-b"), ("a", "B"), ("B", "a")]
    ):
        admin.create(site_id, f"n{number}.localhost", username=username)
    assert_success(admin.delete("/_api/sites/default/default"))
    return admin


SORTED = ["B/a", "a/B", "a/a", "a/a-b", "a/a.b", "a-b/x", "b/z"]


@pytest.mark.parametrize(
    ("query", "expected", "total"),
    [
        ("", SORTED, 7), ("?unknown=1", SORTED, 7), ("?limit=3", SORTED[:3], 7), ("?limit=0", [], 7),
        ("?offset=5", SORTED[5:], 7), ("?offset=7", [], 7), ("?offset=100", [], 7),
        ("?limit=2&offset=2", SORTED[2:4], 7), ("?limit=100&offset=6", SORTED[6:], 7),
        ("?username=a", SORTED[1:5], 4), ("?username=A", [], 0),
        ("?username=a&limit=1&offset=1", ["a/a"], 4), ("?username=nobody", [], 0),
        ("?limit=2147483647", SORTED, 7),
    ],
)  # fmt: skip
def test_the_list_is_sorted_and_total_counts_before_paging(
    some: Admin, query: str, expected: list[str], total: int
) -> None:
    assert listed(some, query) == (expected, total)


def test_the_list_holds_whole_sites(unmoved: Admin) -> None:
    sites = assert_success(unmoved.get("/_api/sites"))["sites"]
    assert assert_success(unmoved.get(BLOG)) in sites
    assert [list(site)[:7] for site in sites] == [FIELDS, FIELDS]


def test_a_fresh_installation_lists_the_default_site(client: Any) -> None:
    (site,) = assert_success(Admin(client).get("/_api/sites"))["sites"]
    assert (site["username"], site["id"], site["domain"]) == ("default", "default", "localhost")


@pytest.mark.parametrize("field", ["limit", "offset"])
@pytest.mark.parametrize("value", ["-1", "", "x", "1.0", "1e3", "%2B1", "%201", "0x1", "%D9%A1", "%00", "%FF", "null"])
def test_a_bad_limit_or_offset_is_refused_and_named(unmoved: Admin, field: str, value: str) -> None:
    assert field in assert_failure(unmoved.get(f"/_api/sites?{field}={value}"), 400)


@pytest.mark.parametrize(
    "username",
    [
        "", ".", "..", "a/b", "%FF", "例", "a%0A", "blog", "../sites-checkpoints/default/blog",
        "%00", "a" * 300, "../sites-checkpoints/default/blog&limit=0",
    ],
    ids=lambda name: ascii(name)[:40],
)  # fmt: skip
def test_a_username_that_can_be_nobodys_has_no_sites(unmoved: Admin, username: str) -> None:
    reply = unmoved.get(f"/_api/sites?username={username}")
    if reply.status_code == 400:
        assert "username" in assert_failure(reply, 400)
    else:
        assert assert_success(reply) == {"sites": [], "total": 0}


def test_total_is_the_same_on_every_page_beside_a_broken_record(admin: Admin, data: Path) -> None:
    (data / "registry/default/broken.json").write_text("{")
    queries = ["", "?limit=1", "?limit=0", "?offset=1", "?limit=1&offset=2", "?offset=9"]
    assert len({listed(admin, query)[1] for query in queries}) == 1


# --- Show -----------------------------------------------------------------------------------


ABSENT = [
    "default/nothing", "nobody/blog", "blog/default", "default/Blog", "default/blog.json", "default/blo", "default/-",
    "default/blog%0A", "default/%FF", "default/ ", "default/%2e%2e%5cblog", "default/blog.", "default/%E4%BE%8B",
    "%2e%2e/blog", "..%2F/blog", "./blog",
]  # fmt: skip
MISNAMED = ["default/..", "default/.", "default/blog%00", "blog%00/blog", "../registry", "default/" + "x" * 300]


@pytest.mark.parametrize("site", ABSENT + MISNAMED, ids=lambda site: ascii(site)[:30])
def test_what_is_not_there_is_a_404(unmoved: Admin, site: str) -> None:
    for reply in (unmoved.get(f"/_api/sites/{site}"), unmoved.put(f"/_api/sites/{site}", json={"index": "x.html"})):
        assert assert_failure(reply, 404) in ("站点不存在", "接口不存在")


@pytest.mark.parametrize("site", ABSENT + MISNAMED, ids=lambda site: ascii(site)[:30])
def test_what_is_not_there_cannot_be_deleted(unmoved: Admin, site: str) -> None:
    assert assert_failure(unmoved.delete(f"/_api/sites/{site}"), 404) in ("站点不存在", "接口不存在")


def test_a_delete_locks_nothing_but_the_site_it_names(admin: Admin, data: Path) -> None:
    before = set(everything_below(data / "locks"))
    admin.delete("/_api/sites/../nothing")
    assert set(everything_below(data / "locks")) == before


# --- Update ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"domain": "new.localhost"}, {"index": "home.html"}, {"enabled": False}, {"index": "x", "enabled": False}],
)
def test_an_update_changes_what_it_names_and_the_time_of_update(admin: Admin, changes: dict[str, Any]) -> None:
    before = assert_success(admin.get(BLOG))
    after = assert_success(admin.put(BLOG, json=changes), message="站点更新成功")
    assert after["updated_at"] > before["updated_at"]
    assert after == before | changes | {"updated_at": after["updated_at"]}
    assert assert_success(admin.get(BLOG)) == after


def test_an_update_is_served_at_once(admin: Admin, data: Path) -> None:
    page(data, "old")
    page(data, "new", "home.html")
    assert admin.visit().data == b"old"
    admin.put(BLOG, json={"index": "home.html", "domain": "new.localhost"})
    assert admin.visit(host="new.localhost").data == b"new"
    assert admin.visit(host="blog.localhost").status_code == 404


def test_disabling_hides_a_site_and_enabling_shows_it_again(admin: Admin, data: Path) -> None:
    page(data, "here")
    admin.put(BLOG, json={"enabled": False})
    assert admin.visit().status_code == 404
    admin.put(BLOG, json={"enabled": True})
    assert admin.visit().data == b"here"


def test_every_update_has_a_later_time_even_when_it_says_the_same(admin: Admin) -> None:
    times = [assert_success(admin.put(BLOG, json={"enabled": True}))["updated_at"] for _ in range(5)]
    assert times == sorted(set(times))


def test_an_empty_update_changes_nothing_and_succeeds(unmoved: Admin) -> None:
    assert assert_success(unmoved.put(BLOG, json={}), message="站点更新成功") == assert_success(unmoved.get(BLOG))


def test_update_takes_back_what_show_handed_out(admin: Admin) -> None:
    site = assert_success(admin.get(BLOG))
    after = assert_success(admin.put(BLOG, json=site | {"index": "home.html"}))
    assert after | {"updated_at": ""} == site | {"index": "home.html", "updated_at": ""}


@pytest.mark.parametrize("field", ["id", "username", "created_at", "updated_at"])
@pytest.mark.parametrize("value", ["other", "../x", None, 1])
def test_a_read_only_field_is_ignored_whatever_it_says(unmoved: Admin, field: str, value: object) -> None:
    assert_success(unmoved.put(BLOG, json={field: value}))


@pytest.mark.parametrize("domain", ["localhost", "LOCALHOST", "localhost.", "ｌocalhost"])
def test_an_update_to_a_taken_domain_is_a_conflict_and_changes_nothing(unmoved: Admin, domain: str) -> None:
    assert_failure(unmoved.put(BLOG, json={"domain": domain, "index": "x.html"}), 409, "域名已被占用")


@pytest.mark.parametrize("domain", ["blog.localhost", "Blog.LocalHost", "blog.localhost."])
def test_a_site_may_be_given_the_domain_it_has(admin: Admin, data: Path, domain: str) -> None:
    page(data, "here")
    assert assert_success(admin.put(BLOG, json={"domain": domain}))["domain"] == "blog.localhost"
    assert admin.visit().data == b"here"


def test_a_domain_that_was_given_up_is_free(admin: Admin, data: Path) -> None:
    admin.put(BLOG, json={"domain": "new.localhost"})
    admin.create("other", "blog.localhost")
    page(data, "other", site="default/other")
    assert admin.visit(host="blog.localhost").data == b"other"
    assert_failure(admin.put(BLOG, json={"domain": "blog.localhost"}), 409, "域名已被占用")


def test_two_sites_can_swap_their_domains(admin: Admin, data: Path) -> None:
    admin.create("other")
    page(data, "blog")
    page(data, "other", site="default/other")
    for site, domain in [("blog", "tmp.localhost"), ("other", "blog.localhost"), ("blog", "other.localhost")]:
        assert_success(admin.put(f"/_api/sites/default/{site}", json={"domain": domain}))
    assert (admin.visit(host="blog.localhost").data, admin.visit(host="other.localhost").data) == (b"other", b"blog")
    assert sorted(path.name for path in (data / "domains").iterdir()) == [
        "blog.localhost", "localhost", "other.localhost",
    ]  # fmt: skip


def test_deploy_and_checkout_leave_the_record_alone(admin: Admin) -> None:
    before = assert_success(admin.get(BLOG))
    first = admin.deployed({"index.html": "1"})
    admin.deployed({"index.html": "2"})
    assert_success(admin.checkout(first["id"]))
    assert assert_success(admin.get(BLOG)) == before


# --- Delete ---------------------------------------------------------------------------------


def test_delete_says_only_that_it_is_done(admin: Admin) -> None:
    assert json.loads(admin.delete(BLOG).data) == {"success": True, "message": "站点删除成功"}


@pytest.mark.parametrize("username", ["default", "solo"])
def test_delete_leaves_nothing_of_a_site(admin: Admin, data: Path, username: str) -> None:
    before = state(data)
    admin.create("gone", username=username)
    first = admin.deployed({"index.html": "1", "a/b": "1"}, site=f"{username}/gone")
    admin.deployed({"index.html": "2"}, site=f"{username}/gone")
    assert_success(admin.checkout(first["id"], site=f"{username}/gone"))
    assert_success(admin.delete(f"/_api/sites/{username}/gone"))
    assert state(data) == before
    assert list((data / "work").iterdir()) == []


def test_a_deleted_site_is_gone_for_visitors_and_for_the_api(admin: Admin) -> None:
    admin.deployed({"index.html": "x"})
    assert_success(admin.delete(BLOG))
    assert admin.visit().status_code == 404
    assert_failure(admin.delete(BLOG), 404, "站点不存在")
    assert_failure(admin.get(f"{BLOG}/checkpoints"), 404, "站点不存在")


def test_a_later_site_of_the_same_name_starts_empty(admin: Admin) -> None:
    admin.deployed({"index.html": "old"})
    admin.delete(BLOG)
    admin.create("blog")
    assert admin.visit().status_code == 404
    assert admin.checkpoints() == {"current": None, "checkpoints": [], "total": 0}


def test_delete_takes_only_the_site_it_names(admin: Admin, data: Path) -> None:
    for site_id in ["blog2", "blo", "blog.json", "blog-"]:
        admin.create(site_id, f"s{len(site_id)}.localhost" if site_id != "blog-" else "dash.localhost")
        page(data, site_id, site=f"default/{site_id}")
    admin.create("blog", "b.localhost", username="default2")
    page(data, "default2", site="default2/blog")
    assert_success(admin.delete(BLOG))
    visits = {host: admin.visit(host=f"{host}.localhost").data for host in ["s5", "s3", "s9", "dash", "b"]}
    assert visits == {"s5": b"blog2", "s3": b"blo", "s9": b"blog.json", "dash": b"blog-", "b": b"default2"}


@pytest.mark.parametrize("call", ["delete", "deploy"])
def test_a_site_that_stays_busy_is_a_conflict(make_app: Callable[..., Flask], data: Path, call: str) -> None:
    admin = Admin(make_app(lock_timeout="0").test_client())
    admin.create("blog")
    with lock(data / "locks/sites/default/blog", 0):
        reply = admin.delete(BLOG) if call == "delete" else admin.deploy(zip_of({"index.html": "x"}))
    assert_failure(reply, 409, "站点正忙，请稍后重试")
    assert_success(admin.get(BLOG))


def test_one_busy_site_holds_up_no_other(make_app: Callable[..., Flask], data: Path) -> None:
    admin = Admin(make_app(lock_timeout="0").test_client())
    admin.create("blog")
    with lock(data / "locks/sites/default/blog", 0):
        admin.create("other")
        assert_success(admin.put("/_api/sites/default/other", json={"index": "x.html"}))
        assert_success(admin.delete("/_api/sites/default/other"))


# --- Settings -------------------------------------------------------------------------------


DEFAULTS = {
    "aliases": [], "alias_mode": "redirect", "clean_urls": False, "trailing_slash": "auto", "spa": False,
    "not_found": "404.html", "cache": {"html": 0, "assets": 0, "hashed": 31536000},
    "retention": {"count": None, "days": None, "bytes": None}, "locked": False,
}  # fmt: skip
GOOD_SETTINGS: list[tuple[str, Any, Any]] = [
    ("aliases", [], []), ("aliases", ["WWW.x.localhost.", "*.Y.localhost"], ["www.x.localhost", "*.y.localhost"]),
    ("alias_mode", "serve", "serve"), ("clean_urls", True, True), ("trailing_slash", "never", "never"),
    ("trailing_slash", "always", "always"), ("spa", True, True), ("not_found", "errors/404.html", "errors/404.html"),
    ("not_found", "miss.txt", "miss.txt"), ("cache", {}, DEFAULTS["cache"]), ("locked", True, True),
    ("cache", {"html": 60}, {"html": 60, "assets": 0, "hashed": 31536000}), ("retention", {}, DEFAULTS["retention"]),
    ("retention", {"count": 0, "days": None}, {"count": 0, "days": None, "bytes": None}),
    ("retention", {"count": 2**53 - 1, "days": 36525, "bytes": 1}, {"count": 2**53 - 1, "days": 36525, "bytes": 1}),
]  # fmt: skip
BAD_SETTINGS: list[tuple[str, Any, str]] = [
    *(
        ("aliases", value, "字段 aliases 必须是域名数组，最多 100 个")
        for value in ("x.localhost", None, {}, 1, [f"{n}.localhost" for n in range(101)])
    ),
    ("aliases", [1], "字段 aliases 必须是字符串"),
    ("aliases", ["a.localhost", "A.localhost."], "字段 aliases 包含重复的域名"),
    ("aliases", ["new.localhost"], "字段 aliases 不能包含主域名 new.localhost"),
    ("aliases", ["*.1.2.3.4"], "字段 aliases"),
    ("aliases", ["*"], "字段 aliases"),
    ("aliases", ["a.*.localhost"], "字段 aliases"),
    ("aliases", ["x:80"], "字段 aliases"),
    *(("alias_mode", value, "字段 alias_mode 必须是 redirect、serve 之一") for value in ("both", "", None, 1, [])),
    *(("trailing_slash", v, "字段 trailing_slash 必须是 auto、always、never 之一") for v in ("Auto", True, None, [])),
    *(
        (name, v, f"字段 {name} 必须是 true 或 false")
        for name in ("clean_urls", "spa", "locked") for v in (0, "true", None)
    ),
    *(
        ("not_found", value, "字段 not_found 必须是站点内的文件名或路径，不以斜杠或点开头")
        for value in ("", "/404.html", "a//b", "../x", "a/.b", ".x", "a/", "a\\b", "a\nb", "x" * 256)
    ),
    ("not_found", None, "字段 not_found 必须是字符串"),
    *(("cache", value, "字段 cache 必须是对象，可含 html、assets、hashed") for value in (None, [], 1, {"css": 1})),
    *(
        ("cache", {"html": v}, "字段 cache.html 必须是 0 到 316224000 的整数")
        for v in (-1, 1.5, "1", True, None, 316224001)
    ),
    *(("retention", v, "字段 retention 必须是对象，可含 count、days、bytes") for v in (None, [], 1, {"age": 1})),
    *(("retention", {"days": v}, "字段 retention.days 必须是 0 到 36525 的整数") for v in (-1, 1.5, "1", True, 36526)),
    *(("retention", {"bytes": v}, "字段 retention.bytes 必须是 0 到 9007199254740991 的整数") for v in (-1, 2**53)),
]  # fmt: skip


def test_settings_that_are_left_out_have_their_defaults(admin: Admin) -> None:
    made = admin.create("new")
    assert {name: made[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(("name", "given", "stored"), GOOD_SETTINGS)
def test_a_good_setting_is_stored_by_create_and_update_alike(
    admin: Admin, data: Path, name: str, given: Any, stored: Any
) -> None:
    made = admin.create("new", **{name: given})
    assert made[name] == stored
    assert_success(admin.put("/_api/sites/default/new", json={name: DEFAULTS[name]}))
    changed = assert_success(admin.put("/_api/sites/default/new", json={name: given}))
    assert changed[name] == stored
    assert {**changed, "updated_at": ""} == {**made, "updated_at": ""}
    assert assert_success(admin.get("/_api/sites/default/new")) == changed
    assert json.loads((data / "registry/default/new.json").read_text()) == changed
    assert {**assert_success(admin.put("/_api/sites/default/new", json=changed)), "updated_at": ""} == {
        **changed, "updated_at": "",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "given", "message"), BAD_SETTINGS, ids=lambda value: ascii(value)[:30])
def test_a_bad_setting_is_refused_and_named_and_nothing_is_changed(
    unmoved: Admin, name: str, given: Any, message: str
) -> None:
    body = {"id": "new", "domain": "new.localhost", name: given}
    assert assert_failure(unmoved.post("/_api/sites", json=body), 400).startswith(message)
    if message != "字段 aliases 不能包含主域名 new.localhost":
        assert assert_failure(unmoved.put(BLOG, json={name: given}), 400).startswith(message)
