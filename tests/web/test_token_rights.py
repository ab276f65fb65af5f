"""What each kind of token may call: every route of the API stands in one table, and a new one is closed to tokens."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from flask import Flask, Response
from helpers import Admin, assert_failure, assert_success, zip_of
from test_api_doc import routes
from werkzeug.test import TestResponse

from pages.app import create_app
from pages.config import load_config
from pages.web.auth import says_who_may_call
from pages.web.replies import success

ONE = "/_api/sites/<username>/<site_id>"
CHECKPOINTS = f"{ONE}/checkpoints"
CHECKPOINT = f"{CHECKPOINTS}/<checkpoint:checkpoint_id>"
PASSWORD = "password"
NONE = "20250106-160000-c3d4e5f6"

# Who made it, for what: three for one site of Alice's, three for all of hers, one of Bob's; the admin's for Alice, and
# three for everybody.
TOKENS: dict[str, tuple[str, dict[str, Any]]] = {
    "deploy one": ("alice", {"actions": ["deploy"], "site": "one"}),
    "read one": ("alice", {"actions": ["read"], "site": "one"}),
    "admin one": ("alice", {"actions": ["admin"], "site": "one"}),
    "deploy alice": ("alice", {"actions": ["deploy"]}),
    "read alice": ("alice", {"actions": ["read"]}),
    "admin alice": ("alice", {"actions": ["admin"]}),
    "admin bob": ("bob", {"actions": ["admin"]}),
    "admin's for alice": ("admin", {"actions": ["admin"], "username": "alice"}),
    "deploy everybody": ("admin", {"actions": ["deploy"]}),
    "read everybody": ("admin", {"actions": ["read"]}),
    "admin everybody": ("admin", {"actions": ["admin"]}),
}
#          one alice bob for everybody
READ = "   -++ -++ - + -++"
DEPLOY = " +-+ +-+ - + +-+"
ADMIN = "  --+ --+ - + --+"
OWN = "    -++ -++ + + -++"
CREATE = " --- --+ - + --+"
WATCH = "  --- --- - - -++"
WHOLE = "  --- --- - - --+"
EVERY = "  +++ +++ + + +++"
NO = "     --- --- - - ---"


class Call(NamedTuple):
    """Who may make it, what it answers to those, and what is sent with it."""

    rights: str
    status: int = 200
    sent: Callable[[], dict[str, Any]] = dict
    query: str = ""


def json(**body: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"json": body}


def upload(**headers: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"data": {"file": (io.BytesIO(zip_of({"index.html": "x"})), "a.zip")}, "headers": headers}


# None of them changes anything, so that each may be made by all.
CALLS = {
    ("GET", "/_api/sites"): Call(OWN),
    ("POST", "/_api/sites"): Call(CREATE, 409, json(id="one", domain="new.localhost", username="alice")),
    ("GET", ONE): Call(READ),
    ("PUT", ONE): Call(ADMIN, 200, json()),
    ("DELETE", ONE): Call(ADMIN, 412, lambda: {"headers": {"If-Match": '"x"'}}),
    ("POST", f"{ONE}/deploy"): Call(DEPLOY, 412, upload(If_Match='"x"')),
    ("POST", f"{ONE}/deploy/missing"): Call(DEPLOY, 200, json(digests=[])),
    ("GET", CHECKPOINTS): Call(READ),
    ("POST", CHECKPOINTS): Call(ADMIN, 409),
    ("GET", CHECKPOINT): Call(READ, 404),
    ("PUT", CHECKPOINT): Call(ADMIN, 404, json(pinned=True)),
    ("DELETE", CHECKPOINT): Call(ADMIN, 404),
    ("POST", f"{CHECKPOINT}/checkout"): Call(ADMIN, 404),
    ("POST", f"{CHECKPOINT}/confirm"): Call(ADMIN, 409),
    ("POST", f"{CHECKPOINT}/preview"): Call(ADMIN, 404),
    ("POST", f"{CHECKPOINTS}/prune"): Call(ADMIN, 200, json(dry_run=True)),
    ("GET", f"{CHECKPOINT}/diff/<other_id>"): Call(READ, 404),
    ("GET", f"{ONE}/explain"): Call(READ, 200, query="?url=/"),
    ("DELETE", f"{ONE}/plan"): Call(ADMIN, 409),
    ("GET", f"{ONE}/previews"): Call(READ),
    ("DELETE", f"{ONE}/previews"): Call(ADMIN),
    ("GET", "/_api/health"): Call(OWN),
    ("GET", "/_api/healthz"): Call(EVERY),
    ("GET", "/_api/metrics"): Call(WATCH),
    ("GET", "/_api/openapi.json"): Call(EVERY),
    ("GET", "/_api/whoami"): Call(EVERY),
    ("POST", "/_api/reload"): Call(WHOLE),
    ("POST", "/_api/verify"): Call(WHOLE),
    ("GET", "/_api/tls/allowed"): Call(WHOLE, 404, lambda: {"headers": {"X-Forwarded-For": "192.0.2.1"}}),
    ("POST", "/api/admin/maintenance"): Call(WHOLE, 400, json(action="none")),
    ("GET", "/_api/tokens"): Call(NO),
    ("POST", "/_api/tokens"): Call(NO, 201, json(name="more", actions=["read"])),
    ("DELETE", "/_api/tokens/<token_id>"): Call(NO, 404),
}
OF_A_SITE = [call for call in CALLS if call[1].startswith(ONE)]


class House(NamedTuple):
    """An application with sites of Alice and Bob, and the tokens by name."""

    app: Flask
    admin: Admin
    tokens: dict[str, str]

    def call(self, token: str, method: str, rule: str, site: str = "alice/one") -> TestResponse:
        """Make a call of the table on a site with one of the tokens, or with the admin's password."""
        call, (username, site_id) = CALLS[method, rule], site.split("/")
        path = rule.replace("<username>", username).replace("<site_id>", site_id).replace("<token_id>", "0" * 16)
        path = path.replace("<checkpoint:checkpoint_id>", NONE).replace("<other_id>", NONE) + call.query
        sent = call.sent()
        headers = {name.replace("_", "-"): value for name, value in sent.pop("headers", {}).items()}
        return self.caller(token).call(method, path, headers=headers, **sent)

    def caller(self, token: str) -> Admin:
        if token == PASSWORD:
            return self.admin
        caller = Admin(self.app.test_client())
        caller.headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        return caller


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    (folder / "config.toml").write_text('[users.alice]\npass = "alice"\n[users.bob]\npass = "bob"\n')
    app = create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml")}))
    admin = Admin(app.test_client())
    for username, site in (("alice", "one"), ("alice", "two"), ("bob", "blog")):
        admin.create(site, f"{site}.{username}.localhost", username=username)
    tokens = {}
    for name, (owner, body) in TOKENS.items():
        maker = Admin(app.test_client(), owner, owner)
        tokens[name] = assert_success(maker.post("/_api/tokens", json={"name": name, **body}), 201)["token"]
    return House(app, admin, tokens)


def lets_in(rights: str, token: str) -> bool:
    return rights.replace(" ", "")[list(TOKENS).index(token)] == "+"


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_token_may_call_what_the_table_says(house: House, call: tuple[str, str], token: str) -> None:
    wanted = CALLS[call].status if lets_in(CALLS[call].rights, token) else 403
    assert house.call(token, *call).status_code == wanted


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_what_the_table_has_a_password_do_it_does(house: House, call: tuple[str, str]) -> None:
    # Else a call that always fails would look as if tokens were refused.
    assert house.call(PASSWORD, *call).status_code == CALLS[call].status


def test_every_route_of_the_api_stands_in_the_table(house: House) -> None:
    assert {route for route in routes(house.app) if route[1].startswith(("/_api", "/api"))} == set(CALLS)


def test_every_view_says_what_a_token_needs(house: House) -> None:
    views = {
        rule.endpoint: house.app.view_functions[rule.endpoint]
        for rule in house.app.url_map.iter_rules()
        if rule.rule.startswith(("/_api", "/api"))
    }
    assert len(views) == len(CALLS)
    assert [name for name, view in views.items() if not says_who_may_call(view)] == []


def test_a_route_that_says_nothing_is_closed_to_tokens(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    def new() -> Response:
        return success()

    app.add_url_rule("/_api/new", view_func=new)
    admin = Admin(app.test_client())
    body = {"name": "all", "actions": ["deploy", "read", "admin"]}
    token = assert_success(admin.post("/_api/tokens", json=body), 201)["token"]
    assert app.test_client().get("/_api/new", headers=admin.headers).status_code == 200
    reply = app.test_client().get("/_api/new", headers={"Authorization": f"Bearer {token}"})
    assert_failure(reply, 403, "权限不足")


@pytest.mark.parametrize("token", ["deploy one", "read one", "admin one"])
@pytest.mark.parametrize("call", OF_A_SITE, ids=" ".join)
def test_a_token_of_a_site_reaches_no_other_and_is_not_told_whether_it_is_there(
    house: House, call: tuple[str, str], token: str
) -> None:
    replies = [house.call(token, *call, site=site) for site in ("alice/two", "alice/none", "bob/blog", "nobody/none")]
    assert {(reply.status_code, reply.data) for reply in replies} == {(403, replies[0].data)}


@pytest.mark.parametrize("token", ["deploy alice", "read alice", "admin alice", "admin's for alice"])
@pytest.mark.parametrize("call", OF_A_SITE, ids=" ".join)
def test_a_token_of_a_tenant_reaches_no_other(house: House, call: tuple[str, str], token: str) -> None:
    replies = [house.call(token, *call, site=site) for site in ("bob/blog", "bob/none", "nobody/none")]
    assert {(reply.status_code, reply.data) for reply in replies} == {(403, replies[0].data)}


@pytest.mark.parametrize(
    ("token", "sites"),
    [
        ("read one", ["alice/one"]), ("admin one", ["alice/one"]), ("read alice", ["alice/one", "alice/two"]),
        ("admin's for alice", ["alice/one", "alice/two"]), ("admin bob", ["bob/blog"]),
        ("read everybody", ["alice/one", "alice/two", "bob/blog", "default/default"]),
    ],
)  # fmt: skip
def test_a_list_and_the_health_tell_of_what_the_token_is_for(house: House, token: str, sites: list[str]) -> None:
    listed = assert_success(house.caller(token).get("/_api/sites"))
    assert [f"{site['username']}/{site['id']}" for site in listed["sites"]] == sites
    assert listed["total"] == len(sites)
    assert assert_success(house.caller(token).get("/_api/health"))["sites_count"] == len(sites)


@pytest.mark.parametrize(
    ("token", "username", "status"),
    [
        ("read one", "alice", 200), ("read one", "bob", 403), ("admin alice", "bob", 403),
        ("admin alice", "alice", 200),
        ("admin's for alice", "bob", 403), ("read everybody", "bob", 200), ("admin bob", "alice", 403),
    ],
)  # fmt: skip
def test_a_list_of_another_tenant_is_refused(house: House, token: str, username: str, status: int) -> None:
    assert house.caller(token).get(f"/_api/sites?username={username}").status_code == status


@pytest.mark.parametrize(("token", "has"), [("read one", False), ("read alice", True), ("admin's for alice", True)])
def test_what_a_tenant_takes_is_not_for_the_token_of_one_site(house: House, token: str, has: bool) -> None:
    assert ("usage" in assert_success(house.caller(token).get("/_api/health"))) == has


@pytest.mark.parametrize(
    ("actions", "status"),
    [(["deploy"], 403), (["read"], 403), (["deploy", "read"], 200), (["admin"], 200)],
)
def test_a_rehearsal_tells_what_is_there_and_needs_both(house: House, actions: list[str], status: int) -> None:
    body = {"name": "x", "actions": actions, "username": "alice", "site": "two"}
    house.tokens["trial"] = assert_success(house.admin.post("/_api/tokens", json=body), 201)["token"]
    sent = upload()()
    assert house.caller("trial").post("/_api/sites/alice/two/deploy?dry_run=true", **sent).status_code == status


def test_the_admins_token_for_a_tenant_takes_no_host_of_the_admins(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(admin_hosts="localhost,panel.example.com")
    admin = Admin(app.test_client())
    body = {"name": "x", "actions": ["admin"], "username": "alice"}
    admin.headers = {"Authorization": f"Bearer {assert_success(admin.post('/_api/tokens', json=body), 201)['token']}"}
    reply = admin.post("/_api/sites", json={"id": "x", "domain": "panel.example.com"})
    assert_failure(reply, 409, "域名已被占用")
    assert admin.create("y")["username"] == "alice"


def test_a_token_of_a_site_changes_its_domain_only_with_admin(house: House) -> None:
    change = {"json": {"aliases": ["more.alice.localhost"]}}
    for token, status in (("deploy one", 403), ("read one", 403), ("admin one", 200)):
        assert house.caller(token).put("/_api/sites/alice/one", **change).status_code == status


def test_a_deploy_token_deploys_its_site(house: House) -> None:
    reply = house.caller("deploy one").deploy(zip_of({"index.html": "by a token"}), site="alice/one")
    assert_success(reply, message="站点已部署")
    assert house.admin.visit(host="one.alice.localhost").data == b"by a token"
