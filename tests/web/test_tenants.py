"""Tenants learn nothing of each other: what is somebody else's and what is not there answer alike, to the byte."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, everything_below, zip_of
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config

CHECKPOINT = "20250106-160000-c3d4e5f6"
JSON = {"Content-Type": "application/json"}
SITE = "/_api/sites/{user}/{site}"


class House(NamedTuple):
    """Alice, who asks; Bob, who has sites; Carol, who is a tenant and has none."""

    app: Flask
    admin: Admin
    alice: Admin
    data: Path
    checkpoint: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    tables = "".join(f'[users.{name}]\npass = "{name}"\n' for name in ("alice", "bob", "carol"))
    (folder / "config.toml").write_text('[server]\nadmin_hosts = ["localhost", "panel.localhost"]\n' + tables)
    app = create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml")}))
    admin, alice = Admin(app.test_client()), Admin(app.test_client(), "alice", "alice")
    for username, site in (("alice", "own"), ("bob", "blog"), ("bob", "off"), ("bob", "bare"), ("bob", "broken")):
        admin.create(site, f"{site}.{username}.localhost", username=username, enabled=site != "off")
    for site in ("blog", "off"):
        admin.deployed({"index.html": "old"}, site=f"bob/{site}")
        checkpoint = admin.deployed({"index.html": "new"}, site=f"bob/{site}")["id"]
    (folder / "data/registry/bob/broken.json").write_text("{")
    return House(app, admin, alice, folder / "data", checkpoint)


@pytest.fixture
def unmoved(house: House) -> Iterator[House]:
    """The house for a test in which nothing may be changed."""
    folders = ("registry", "domains", "sites", "sites-checkpoints", "trees", "locks", "public")
    before = [everything_below(house.data / name) for name in folders]
    yield house
    assert [everything_below(house.data / name) for name in folders] == before


def upload(name: str = "a.zip", content: bytes = b"", **fields: str) -> dict[str, Any]:
    return {"data": {"file": (io.BytesIO(content or zip_of({"index.html": "x"})), name), **fields}}


# What Alice may ask: a path with the user and the site in it, and what is sent with it.
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "show": ("GET", SITE, {}),
    "show, head only": ("HEAD", SITE, {}),
    "show, with a condition": ("GET", SITE, {"headers": {"If-None-Match": "*", "Range": "bytes=0-1"}}),
    "change nothing": ("PUT", SITE, {"json": {}}),
    "change": ("PUT", SITE, {"json": {"enabled": False}}),
    "take its domain": ("PUT", SITE, {"json": {"domain": "blog.bob.localhost"}}),
    "take an admin host": ("PUT", SITE, {"json": {"domain": "panel.localhost"}}),
    "change badly": ("PUT", SITE, {"json": {"enabled": "no"}}),
    "change with no JSON": ("PUT", SITE, {"data": b"{", "headers": JSON}),
    "change with another type": ("PUT", SITE, {"data": b"{}"}),
    "change with too much": ("PUT", SITE, {"data": b" " * 2_000_000, "headers": JSON}),
    "delete": ("DELETE", SITE, {}),
    "patch": ("PATCH", SITE, {}),
    "deploy": ("POST", SITE + "/deploy", {"upload": {}}),
    "deploy a folder": ("POST", SITE + "/deploy", {"upload": {"root": "dist"}}),
    "deploy a bad folder": ("POST", SITE + "/deploy", {"upload": {"root": "../x"}}),
    "deploy what is no archive": ("POST", SITE + "/deploy", {"upload": {"content": b"rubbish"}}),
    "deploy another format": ("POST", SITE + "/deploy", {"upload": {"name": "a.rar"}}),
    "deploy nothing": ("POST", SITE + "/deploy", {}),
    "deploy by GET": ("GET", SITE + "/deploy", {}),
    "ask what is missing": ("POST", SITE + "/deploy/missing", {"json": {"digests": []}}),
    "make a token for it": ("POST", "/_api/tokens", {"token": {}}),
    "make a token for all of them": ("POST", "/_api/tokens", {"token": {"site": None}}),
    "list checkpoints": ("GET", SITE + "/checkpoints", {}),
    "make a checkpoint": ("POST", SITE + "/checkpoints", {}),
    "make a checkpoint, described": ("POST", SITE + "/checkpoints", {"json": {"description": "x"}}),
    "make a checkpoint badly": ("POST", SITE + "/checkpoints", {"json": {"description": 1}}),
    "show a checkpoint": ("GET", SITE + "/checkpoints/{checkpoint}", {}),
    "delete a checkpoint": ("DELETE", SITE + "/checkpoints/{checkpoint}", {}),
    "check out": ("POST", SITE + "/checkpoints/{checkpoint}/checkout", {}),
    "plan a checkout": ("POST", SITE + "/checkpoints/{checkpoint}/checkout?at=2100-01-01", {}),
    "confirm": ("POST", SITE + "/checkpoints/{checkpoint}/confirm", {}),
    "pin": ("PUT", SITE + "/checkpoints/{checkpoint}", {"json": {"pinned": True}}),
    "preview": ("POST", SITE + "/checkpoints/{checkpoint}/preview", {}),
    "prune": ("POST", SITE + "/checkpoints/prune", {}),
    "compare": ("GET", SITE + "/checkpoints/{checkpoint}/diff/{checkpoint}", {}),
    "explain": ("GET", SITE + "/explain?url=/", {}),
    "cancel a plan": ("DELETE", SITE + "/plan", {}),
    "list previews": ("GET", SITE + "/previews", {}),
    "revoke previews": ("DELETE", SITE + "/previews", {}),
    "show an odd checkpoint": ("GET", SITE + "/checkpoints/..", {}),
    "list": ("GET", "/_api/sites?username={user}", {}),
    "list a page": ("GET", "/_api/sites?username={user}&limit=1&offset=0", {}),
    "list badly": ("GET", "/_api/sites?username={user}&limit=x", {}),
    "create": ("POST", "/_api/sites", {"create": {"domain": "new.localhost"}}),
    "create on a taken domain": ("POST", "/_api/sites", {"create": {"domain": "blog.bob.localhost"}}),
    "create on an admin host": ("POST", "/_api/sites", {"create": {"domain": "panel.localhost"}}),
    "create badly": ("POST", "/_api/sites", {"create": {"domain": "_"}}),
    "no such call": ("GET", SITE + "/nothing", {}),
    "a file of it": ("GET", SITE + "/index.html", {}),
}
# What is Bob's in many states, and what is nobody's; the first is compared with each of the others.
THERE = ("bob", "blog")
OTHERS = [
    ("bob", "off"), ("bob", "bare"), ("bob", "broken"), ("bob", "nothing"), ("carol", "blog"), ("nobody", "blog"),
    ("default", "default"), ("default", "nothing"), ("admin", "blog"), ("Alice", "own"), ("ALICE", "own"),
]  # fmt: skip


def ask(house: House, call: str, user: str, site: str) -> TestResponse:
    method, path, kwargs = CALLS[call]
    kwargs = dict(kwargs)
    if "upload" in kwargs:
        kwargs = upload(**kwargs["upload"])
    elif "create" in kwargs:
        kwargs = {"json": {"id": site, "username": user} | kwargs["create"]}
    elif "token" in kwargs:
        kwargs = {"json": {"name": "x", "actions": ["read"], "username": user, "site": site} | kwargs["token"]}
    return house.alice.call(method, path.format(user=user, site=site, checkpoint=house.checkpoint), **kwargs)


def told(reply: TestResponse) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that the answer says; where it went is no news to who asked."""
    del reply.headers["X-Request-ID"]  # Each has its own.
    return reply.status_code, reply.data, sorted(reply.headers)


@pytest.mark.parametrize("call", CALLS)
def test_whatever_is_anothers_or_nobodys_answers_alike(unmoved: House, call: str) -> None:
    there = ask(unmoved, call, *THERE)
    assert there.status_code in (400, 403, 404, 405, 413, 415)
    assert {other: told(ask(unmoved, call, *other)) for other in OTHERS} == dict.fromkeys(OTHERS, told(there))
    assert b"bob" not in there.data
    assert "Location" not in there.headers


def test_every_route_with_a_site_in_it_is_among_the_calls(house: House) -> None:
    asked = {
        (method, path.format(user=":", site=":", checkpoint=":").partition("?")[0])
        for method, path, _ in CALLS.values()
    }
    routes = {
        (
            method,
            rule.rule.replace("<username>", ":")
            .replace("<site_id>", ":")
            .replace("<checkpoint:checkpoint_id>", ":")
            .replace("<other_id>", ":"),
        )
        for rule in house.app.url_map.iter_rules()
        if rule.rule.startswith("/_api/sites")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes - asked == set()


@pytest.mark.parametrize(
    "domain",
    ["blog.bob.localhost", "off.bob.localhost", "bare.bob.localhost", "broken.bob.localhost", "BLOG.bob.localhost.",
     "panel.localhost", "localhost"],
)  # fmt: skip
def test_a_taken_domain_does_not_tell_whose_it_is(unmoved: House, domain: str) -> None:
    create = unmoved.alice.post("/_api/sites", json={"id": "new", "domain": domain})
    update = unmoved.alice.put("/_api/sites/alice/own", json={"domain": domain})
    reference = unmoved.alice.post("/_api/sites", json={"id": "new", "domain": "blog.bob.localhost"})
    assert told(create) == told(update) == told(reference)
    assert_failure(create, 409, "域名已被占用")


@pytest.mark.parametrize("site", ["blog", "off", "broken", "default"])
def test_a_name_that_another_has_taken_is_free(house: House, site: str) -> None:
    created = house.alice.create(site, f"{site}.alice.localhost")
    assert (created["username"], created["id"]) == ("alice", site)
    assert_success(house.alice.delete(f"/_api/sites/alice/{site}"))


def test_a_site_exists_only_among_ones_own(unmoved: House) -> None:
    reply = unmoved.alice.post("/_api/sites", json={"id": "own", "domain": "new.localhost"})
    assert_failure(reply, 409, "站点已存在")


def test_lists_and_counts_hold_only_ones_own(unmoved: House) -> None:
    for query in ("", "?limit=100", "?offset=0", "?username=alice"):
        data = assert_success(unmoved.alice.get(f"/_api/sites{query}"))
        assert ([site["username"] for site in data["sites"]], data["total"]) == (["alice"], 1)
    assert assert_success(unmoved.alice.get("/_api/sites?offset=1")) == {"sites": [], "total": 1}
    health = assert_success(unmoved.alice.get("/_api/health"))
    assert set(health) == {"status", "sites_count", "timestamp", "usage", "quota"}
    assert health["sites_count"] == health["usage"]["sites"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"username": "bob"}'])
def test_what_is_the_admins_alone_tells_a_tenant_nothing(unmoved: House, body: bytes) -> None:
    assert_failure(unmoved.alice.post("/_api/reload", data=body, headers=JSON), 403, "权限不足")
    reply = unmoved.alice.post("/api/admin/maintenance", data=body, headers=JSON)
    assert (reply.status_code, json.loads(reply.data)) == (403, {"error": "权限不足"})


def test_a_tenant_cannot_move_a_site_of_its_own_to_another(unmoved: House) -> None:
    before = assert_success(unmoved.alice.get("/_api/sites/alice/own"))
    # Read-only fields are accepted back and ignored.
    after = assert_success(unmoved.alice.put("/_api/sites/alice/own", json={"username": "bob", "id": "blog"}))
    assert after == before


@pytest.mark.parametrize(
    "path",
    ["alice/../bob/blog", "alice%2F..%2Fbob/blog", "alice/own/../../bob/blog", "/blog", "alice//blog", "bob%00/blog",
     "alice/own%2F..%2F..%2Fbob%2Fblog"],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_to_anothers_site(unmoved: House, path: str) -> None:
    reply = unmoved.alice.get(f"/_api/sites/{path}")
    assert reply.status_code in (403, 404)
    assert b"bob" not in reply.data


def test_a_deploy_that_is_refused_leaves_no_upload_and_looks_at_no_file_of_the_site(
    unmoved: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the time it takes cannot depend on what there is: nothing of another's is looked up."""
    asked: list[str] = []
    registry = type(unmoved.app.extensions["pages"].registry)
    for name in ("get", "has", "names", "owner_of"):
        monkeypatch.setattr(registry, name, lambda *arguments, name=name: asked.append(name))
    for call in CALLS:
        if "own" not in call:
            ask(unmoved, call, *THERE)
    assert asked == []
    assert list((unmoved.data / "work").iterdir()) == []
