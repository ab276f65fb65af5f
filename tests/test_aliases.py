"""Further domains of a site: served or redirected, wildcards among them, and one owner for each."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success

from pages.model import now
from pages.services import Services

TAKEN = "域名已被占用"


def shown(admin: Admin, host: str, path: str = "/") -> str:
    """The status, and where it leads or what is shown."""
    reply = admin.visit(path, host)
    if reply.status_code == 404:
        return "404"
    return f"{reply.status_code} {reply.headers.get('Location') or reply.get_data(as_text=True)}"


def change(admin: Admin, site: str = "blog", **fields: Any) -> Any:
    return assert_success(admin.put(f"/_api/sites/default/{site}", json=fields))


def links(data: Path, folder: str) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in (data / folder).iterdir()}


@pytest.fixture
def both(admin: Admin) -> Admin:
    """Two sites with aliases: one redirects, one is served."""
    admin.deployed({"index.html": "blog"})
    admin.create("shop")
    admin.deployed({"index.html": "shop"}, site="default/shop")
    change(admin, aliases=["www.blog.localhost", "*.blog.localhost"])
    change(admin, "shop", aliases=["www.shop.localhost", "*.shop.localhost", "*.a.shop.localhost"], alias_mode="serve")
    return admin


# --- What a visitor gets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "path", "location"),
    [
        ("www.blog.localhost", "/", "//blog.localhost/"),
        ("any.blog.localhost", "/", "//blog.localhost/"),
        ("a.b.c.blog.localhost", "/", "//blog.localhost/"),
        ("www.blog.localhost:8080", "/", "//blog.localhost:8080/"),
        ("WWW.blog.localhost.", "/", "//blog.localhost/"),
        ("www.blog.localhost", "/a/b.html?x=1&y=%20", "//blog.localhost/a/b.html?x=1&y=%20"),
        ("www.blog.localhost", "/%E4%B8%AD", "//blog.localhost/%E4%B8%AD"),
        ("www.blog.localhost", "/a%2Fb%3Fc%23d%25e", "//blog.localhost/a/b%3Fc%23d%25e"),
        ("www.blog.localhost", "/a;b=c,d+e@f:g", "//blog.localhost/a;b=c,d+e@f:g"),
        ("www.blog.localhost", "/%5Cevil.example", "//blog.localhost/%5Cevil.example"),
        ("www.blog.localhost", "/%0d%0aX-Injected:1", "//blog.localhost/%0D%0AX-Injected:1"),
        ("www.blog.localhost", "/.env", "//blog.localhost/.env"),
    ],
)
def test_an_alias_redirects_to_the_same_address_on_the_domain(both: Admin, host: str, path: str, location: str) -> None:
    for method in ("GET", "HEAD"):
        reply = both.visit(path, host, method=method)
        assert (reply.status_code, reply.headers["Location"]) == (308, location)
        assert reply.headers["Cache-Control"] == "no-cache"  # Whoever followed it must see the change of a setting.
        assert "X-Injected" not in reply.headers


def test_a_path_of_two_slashes_redirects_to_no_other_host(both: Admin) -> None:
    asked = {"PATH_INFO": "//evil.example"}
    reply = both.client.open("/", base_url="http://www.blog.localhost", environ_overrides=asked)
    assert reply.headers["Location"] == "//blog.localhost//evil.example"


@pytest.mark.parametrize("host", ["shop.localhost", "www.shop.localhost", "any.shop.localhost", "x.a.shop.localhost"])
def test_an_alias_that_is_served_shows_the_site_itself(both: Admin, host: str) -> None:
    assert shown(both, host) == "200 shop"


@pytest.mark.parametrize("host", ["localhost2", "xblog.localhost", "blog.localhost.example", "*.blog.localhost", "*"])
def test_no_other_host_leads_to_a_site_with_a_wildcard(both: Admin, host: str) -> None:
    assert shown(both, host) == "404"


def test_other_methods_are_refused_on_an_alias_as_anywhere(both: Admin) -> None:
    for host in ("www.blog.localhost", "www.shop.localhost"):
        assert both.visit("/", host, method="POST").status_code == 405


def test_the_admin_api_is_on_an_alias_what_it_is_anywhere(both: Admin) -> None:
    assert both.visit("/_api/sites", "www.blog.localhost").status_code == 401


def test_a_disabled_site_is_404_on_all_its_domains(both: Admin) -> None:
    change(both, enabled=False)
    change(both, "shop", enabled=False)
    for host in ("blog.localhost", "www.blog.localhost", "x.blog.localhost", "www.shop.localhost", "x.shop.localhost"):
        assert shown(both, host) == "404"


def test_a_change_of_the_mode_counts_at_once(both: Admin) -> None:
    change(both, alias_mode="serve")
    assert shown(both, "www.blog.localhost") == "200 blog"
    change(both, alias_mode="redirect")
    assert shown(both, "www.blog.localhost") == "308 //blog.localhost/"


# --- Which site a name leads to ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("x.example.com", "one"),
        ("example.com", None),
        ("x.a.example.com", "two"),
        ("x.y.a.example.com", "two"),
        ("a.example.com", "one"),
        ("exact.a.example.com", "three"),
        ("x.exact.a.example.com", "two"),
        ("domain.example.com", "four"),
        ("x.domain.example.com", "one"),
        ("b\u00fccher.example.com", "one"),
        ("com", None),
    ],
)
def test_a_name_goes_before_a_wildcard_and_the_most_specific_wildcard_wins(
    admin: Admin, host: str, site: str | None
) -> None:
    for name, domain, aliases in (
        ("one", "one.localhost", ["*.example.com"]),
        ("two", "two.localhost", ["*.a.example.com"]),
        ("three", "three.localhost", ["exact.a.example.com"]),
        ("four", "domain.example.com", []),
    ):
        admin.create(name, domain, aliases=aliases, alias_mode="serve")
        admin.deployed({"index.html": name}, site=f"default/{name}")
    assert shown(admin, host) == (f"200 {site}" if site else "404")


def test_a_disabled_site_of_that_name_keeps_the_wildcard_off_it(admin: Admin) -> None:
    admin.create("wide", "wide.localhost", aliases=["*.example.com"], alias_mode="serve")
    admin.deployed({"index.html": "wide"}, site="default/wide")
    admin.create("own", "own.example.com", enabled=False)
    assert shown(admin, "own.example.com") == "404"
    assert_success(admin.delete("/_api/sites/default/own"))
    assert shown(admin, "own.example.com") == "200 wide"


# --- One owner for each -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        {"domain": "www.blog.localhost"},
        {"domain": "WWW.BLOG.localhost."},
        {"domain": "new.localhost", "aliases": ["blog.localhost"]},
        {"domain": "new.localhost", "aliases": ["free.localhost", "www.blog.localhost"]},
        {"domain": "new.localhost", "aliases": ["*.blog.localhost"]},
        {"domain": "new.localhost", "aliases": ["*.SHOP.localhost"]},
    ],
)
@pytest.mark.parametrize("by", ["create", "update"])
def test_a_domain_that_another_site_has_is_409_and_changes_nothing(
    both: Admin, data: Path, wanted: dict[str, Any], by: str
) -> None:
    both.create("third")
    before = {folder: links(data, folder) for folder in ("domains", "public")}
    if by == "create":
        assert_failure(both.post("/_api/sites", json={"id": "new", **wanted}), 409, TAKEN)
        assert_failure(both.get("/_api/sites/default/new"), 404)
    else:
        assert_failure(both.put("/_api/sites/default/third", json=wanted), 409, TAKEN)
        assert shown(both, "third.localhost") == "404"
    assert {folder: links(data, folder) for folder in ("domains", "public")} == before


def test_a_name_below_anothers_wildcard_is_free(both: Admin) -> None:
    both.create("guest", "guest.blog.localhost", aliases=["*.guest.blog.localhost"], alias_mode="serve")
    both.deployed({"index.html": "guest"}, site="default/guest")
    assert shown(both, "guest.blog.localhost") == "200 guest"
    assert shown(both, "x.guest.blog.localhost") == "200 guest"
    assert shown(both, "other.blog.localhost") == "308 //blog.localhost/"


@pytest.mark.parametrize(
    "aliases",
    [
        ["a.localhost", "A.localhost"],
        ["blog.localhost"],
        ["BLOG.localhost."],
        ["b\u00fccher.example", "xn--bcher-kva.example"],
        ["a_b"],
        ["a.localhost:80"],
        ["*"],
        ["*."],
        ["*.*.localhost"],
        ["a.*.localhost"],
        ["*a.localhost"],
        ["*.127.0.0.1"],
        ["../x"],
        ["a/b"],
        [".."],
        [7],
        "a.localhost",
        None,
        [f"n{number}.localhost" for number in range(101)],
    ],
)
def test_what_can_be_no_list_of_domains_is_400(admin: Admin, aliases: Any) -> None:
    assert "aliases" in assert_failure(admin.put("/_api/sites/default/blog", json={"aliases": aliases}), 400)


def test_an_alias_that_becomes_the_domain_is_no_alias_any_more(both: Admin, data: Path) -> None:
    site = change(both, domain="www.blog.localhost")
    assert site["aliases"] == ["*.blog.localhost"]
    assert shown(both, "www.blog.localhost") == "200 blog"
    assert shown(both, "x.blog.localhost") == "308 //www.blog.localhost/"
    assert shown(both, "blog.localhost") == "404"
    assert "blog.localhost" not in links(data, "domains")


def test_the_domain_and_an_alias_change_places(both: Admin) -> None:
    change(both, domain="www.blog.localhost", aliases=["blog.localhost"])
    assert shown(both, "blog.localhost") == "308 //www.blog.localhost/"
    assert shown(both, "www.blog.localhost") == "200 blog"


@pytest.mark.parametrize("fields", [{"aliases": []}, {"aliases": ["other.localhost"]}])
def test_what_a_change_gives_up_is_free_at_once(both: Admin, data: Path, fields: dict[str, Any]) -> None:
    change(both, **fields)
    for host in ("www.blog.localhost", "x.blog.localhost"):
        assert shown(both, host) == "404"
    both.create("heir", "www.blog.localhost", aliases=["*.blog.localhost"], alias_mode="serve")
    both.deployed({"index.html": "heir"}, site="default/heir")
    assert shown(both, "www.blog.localhost") == shown(both, "x.blog.localhost") == "200 heir"
    assert links(data, "public")["www.blog.localhost"] == "../sites/default/heir"


def test_a_deleted_site_leaves_no_domain_behind(both: Admin, data: Path) -> None:
    for site in ("blog", "shop"):
        assert_success(both.delete(f"/_api/sites/default/{site}"))
    for folder in ("domains", "public"):
        assert not [name for name in links(data, folder) if name.endswith(("blog.localhost", "shop.localhost"))]
    both.create("heir", "blog.localhost", aliases=["*.blog.localhost", "*.shop.localhost", "www.shop.localhost"])


def test_a_site_whose_record_is_broken_keeps_its_aliases_until_it_is_deleted(both: Admin, data: Path) -> None:
    (data / "registry/default/blog.json").write_text("{")
    assert_failure(both.post("/_api/sites", json={"id": "heir", "domain": "www.blog.localhost"}), 409, TAKEN)
    assert_success(both.delete("/_api/sites/default/blog"))
    both.create("heir", "www.blog.localhost", aliases=["*.blog.localhost"])


def test_an_update_with_what_was_read_changes_no_alias(both: Admin) -> None:
    site = assert_success(both.get("/_api/sites/default/shop"))
    after = change(both, "shop", **site)
    assert {**after, "updated_at": ""} == {**site, "updated_at": ""}


# --- nginx's links --------------------------------------------------------------------------------


def test_nginx_serves_the_names_that_show_the_site_and_no_others(both: Admin, data: Path) -> None:
    def names() -> list[str]:
        return sorted(name for name in links(data, "public") if name != "localhost")

    assert names() == ["blog.localhost", "shop.localhost", "www.shop.localhost"]
    change(both, alias_mode="serve")
    assert names() == ["blog.localhost", "shop.localhost", "www.blog.localhost", "www.shop.localhost"]
    change(both, enabled=False)
    assert names() == ["shop.localhost", "www.shop.localhost"]
    change(both, "shop", alias_mode="redirect")
    assert names() == ["shop.localhost"]


@pytest.mark.parametrize(
    "fields",
    [
        {"clean_urls": True},
        {"trailing_slash": "always"},
        {"trailing_slash": "never"},
        {"spa": True},
        {"not_found": "lost.html"},
        {"cache": {"html": 60}},
        {"cache": {"assets": 60}},
        {"cache": {"hashed": 60}},
    ],
)
def test_a_setting_that_nginx_does_not_know_takes_all_links_away_and_its_default_brings_them_back(
    both: Admin, data: Path, fields: dict[str, Any]
) -> None:
    before = links(data, "public")
    change(both, "shop", **fields)
    assert not [name for name in links(data, "public") if name.endswith("shop.localhost")]
    change(both, "shop", clean_urls=False, trailing_slash="auto", spa=False, not_found="404.html", cache={})
    assert links(data, "public") == before


# --- By hand --------------------------------------------------------------------------------------


def edit(data: Path, site: str, **fields: Any) -> None:
    path = data / f"registry/default/{site}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def test_a_reload_puts_edited_aliases_in_force(both: Admin, data: Path) -> None:
    edit(data, "blog", aliases=["new.localhost", "*.new.localhost"], alias_mode="serve")
    assert assert_success(both.post("/_api/reload"))["problems"] == []
    assert shown(both, "new.localhost") == shown(both, "x.new.localhost") == "200 blog"
    assert shown(both, "www.blog.localhost") == "404"
    assert not {"www.blog.localhost", "*.blog.localhost"} & set(links(data, "domains"))
    assert links(data, "public")["new.localhost"] == "../sites/default/blog"


def test_an_edit_that_claims_anothers_domain_is_told_and_takes_nothing(both: Admin, data: Path) -> None:
    edit(data, "blog", aliases=["www.shop.localhost", "*.shop.localhost", "mine.localhost"])
    problems = assert_success(both.post("/_api/reload"))["problems"]
    assert [problem["file"] for problem in problems] == ["registry/default/blog.json"] * 2
    assert shown(both, "www.shop.localhost") == shown(both, "x.shop.localhost") == "200 shop"
    assert shown(both, "mine.localhost") == "308 //blog.localhost/"


@pytest.mark.parametrize(
    "fields",
    [
        {"aliases": ["a", "a"]},
        {"aliases": ["blog.localhost"]},
        {"aliases": ["*"]},
        {"aliases": "x"},
        {"alias_mode": "both"},
        {"spa": "yes"},
        {"trailing_slash": "sometimes"},
        {"not_found": "../x"},
        {"cache": {"html": -1}},
        {"clean_urls": 1},
    ],
)
def test_a_record_with_an_impossible_setting_is_told_and_not_served(
    both: Admin, data: Path, fields: dict[str, Any]
) -> None:
    edit(data, "blog", **fields)
    (problem,) = assert_success(both.post("/_api/reload"))["problems"]
    assert (problem["file"], next(iter(fields)) in problem["reason"]) == ("registry/default/blog.json", True)
    assert both.visit("/").status_code == 500
    assert "blog.localhost" not in links(data, "public")


def test_a_record_of_before_there_were_settings_means_what_it_meant(both: Admin, data: Path) -> None:
    path = data / "registry/default/blog.json"
    record = json.loads(path.read_bytes())
    old = ("id", "username", "domain", "index", "enabled", "created_at", "updated_at")
    path.write_text(json.dumps({name: record[name] for name in old}))
    assert assert_success(both.post("/_api/reload"))["problems"] == []
    assert shown(both, "blog.localhost") == "200 blog"
    site = assert_success(both.get("/_api/sites/default/blog"))
    assert (site["aliases"], site["alias_mode"], site["trailing_slash"]) == ([], "redirect", "auto")


# --- verify ---------------------------------------------------------------------------------------


def found(app: Flask, **options: Any) -> set[tuple[str, str]]:
    services: Services = app.extensions["pages"]
    return {(finding.file, finding.kind) for finding, _ in services.verifier.run(now(), **options).found}


def test_verify_finds_nothing_wrong_with_aliases_and_wildcards(app: Flask, both: Admin) -> None:
    assert found(app) == set()


def _unlink(data: Path, name: str) -> None:
    (data / name).unlink()


def _lead_astray(data: Path, name: str) -> None:
    (data / name).unlink()
    target = "registry/default/shop.json" if name.startswith("domains") else "sites/default/shop"
    (data / name).symlink_to(f"../{target}")


@pytest.mark.parametrize(
    ("name", "damage", "kind"),
    [
        ("domains/www.blog.localhost", _unlink, "domain-missing"),
        ("domains/*.blog.localhost", _unlink, "domain-missing"),
        ("domains/*.blog.localhost", _lead_astray, "domain-missing"),
        ("public/www.shop.localhost", _unlink, "public-wrong"),
        ("public/blog.localhost", _lead_astray, "public-wrong"),
    ],
)
def test_verify_names_and_mends_a_damaged_link(
    app: Flask, both: Admin, data: Path, name: str, damage: Callable[[Path, str], None], kind: str
) -> None:
    before = {folder: links(data, folder) for folder in ("domains", "public")}
    damage(data, name)
    assert (name, kind) in found(app)
    found(app, repair=True)
    assert {folder: links(data, folder) for folder in ("domains", "public")} == before
    assert found(app) == set()


@pytest.mark.parametrize("name", ["www.blog.localhost", "*.shop.localhost", "nobodys.localhost"])
def test_verify_takes_away_a_link_for_nginx_that_no_site_may_have(
    app: Flask, both: Admin, data: Path, name: str
) -> None:
    (data / "public" / name).symlink_to("../sites/default/blog")
    assert (f"public/{name}", "public-wrong") in found(app)
    found(app, repair=True)
    assert name not in links(data, "public")
    assert found(app) == set()


def test_verify_takes_away_the_link_of_an_operators_root_that_has_rules(app: Flask, both: Admin, data: Path) -> None:
    both.create("own")
    (data / "sites/default/own/_redirects").write_text("/a /b\n")
    assert ("public/own.localhost", "public-wrong") in found(app)
    found(app, repair=True)
    assert "own.localhost" not in links(data, "public")
    assert found(app) == set()
