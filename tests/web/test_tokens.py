"""Tokens over the API: made, told once, listed, revoked; what becomes of them when their owner changes; the log."""

import io
import json
import logging
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, zip_of

from pages import passwords
from pages.app import create_app
from pages.config import load_config
from pages.model import now
from pages.work import run_now

USERS = '[users.alice]\npass = "alice"\n[users.bob]\npass = "bob"\n'
DAY = 86400


@pytest.fixture
def make_house(tmp_path: Path) -> Callable[..., Flask]:
    """An application with these users and settings, on this test's data folder."""

    def make(users: str = USERS, **settings: str) -> Flask:
        (tmp_path / "config.toml").write_text(users)
        environ = {"PAGES_CONFIG": str(tmp_path / "config.toml"), "PAGES_BACKUP_DIR": str(tmp_path / "backups")}
        return create_app(load_config(environ | {f"PAGES_{k.upper()}": v for k, v in settings.items()}), run_now)

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """As ``house``, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "config.toml").write_text(USERS)
    shared = create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml")}), run_now)
    who(shared).create("blog", "blog.localhost", username="alice")
    return shared


@pytest.fixture
def house(make_house: Callable[..., Flask]) -> Flask:
    """Alice with the site ``alice/blog``; Bob."""
    house = make_house()
    Admin(house.test_client()).create("blog", "blog.localhost", username="alice")
    return house


def who(app: Flask, name: str = "admin") -> Admin:
    return Admin(app.test_client(), name, name)


def made(maker: Admin, *actions: str, **fields: Any) -> Any:
    body = {"name": "ci", "actions": list(actions) or ["read"], **fields}
    return assert_success(maker.post("/_api/tokens", json=body), 201, "令牌创建成功")


def bearer(app: Flask, text: str) -> Admin:
    """Who sends this token."""
    caller = Admin(app.test_client())
    caller.headers = {"Authorization": f"Bearer {text}"}
    return caller


def holder(maker: Admin, *actions: str, **fields: Any) -> Admin:
    return bearer(maker.client.application, made(maker, *actions, **fields)["token"])


# --- Made -----------------------------------------------------------------------------------


def test_a_new_token_is_told_with_its_secret_once(house: Flask) -> None:
    token = made(who(house, "alice"), "deploy", site="blog", expires_in=DAY)
    text = token.pop("token")
    assert token.items() >= {
        "name": "ci", "owner": "alice", "username": "alice", "site": "blog", "actions": ["deploy"],
        "last_used_at": None,
    }.items()  # fmt: skip
    assert times(token, "expires_at") - times(token, "created_at") == timedelta(seconds=DAY)
    assert text.startswith(f"pages_{token['id']}_")
    listed = who(house, "alice").get("/_api/tokens")
    assert assert_success(listed) == {"tokens": [token], "total": 1}
    assert text[-64:] not in listed.text


def times(token: Any, name: str) -> datetime:
    return datetime.fromisoformat(token[name])


def test_without_an_end_it_ends_after_90_days(house: Flask) -> None:
    token = made(who(house))
    assert times(token, "expires_at") - times(token, "created_at") == timedelta(days=90)


def test_an_end_may_be_a_time(house: Flask) -> None:
    end = now().astimezone(UTC).replace(microsecond=0) + timedelta(days=300)
    assert times(made(who(house), expires_at=end.isoformat()), "expires_at") == end


@pytest.mark.parametrize(
    ("maker", "fields", "scope"),
    [
        ("admin", {}, (None, None)), ("admin", {"username": None, "site": None}, (None, None)),
        ("admin", {"username": "alice"}, ("alice", None)), ("admin", {"username": "nobody"}, ("nobody", None)),
        ("admin", {"username": "alice", "site": "blog"}, ("alice", "blog")),
        ("alice", {}, ("alice", None)), ("alice", {"username": None}, ("alice", None)),
        ("alice", {"username": "alice"}, ("alice", None)), ("alice", {"site": "blog"}, ("alice", "blog")),
    ],
)  # fmt: skip
def test_what_it_is_for(house: Flask, maker: str, fields: Any, scope: tuple[str | None, str | None]) -> None:
    token = made(who(house, maker), **fields)
    assert (token["username"], token["site"]) == scope


def test_actions_are_named_once_and_in_order(house: Flask) -> None:
    assert made(who(house), "admin", "deploy", "admin")["actions"] == ["deploy", "admin"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "name"), ({"name": "x"}, "actions"), ({"name": "", "actions": ["read"]}, "name"),
        ({"name": " ", "actions": ["read"]}, "name"), ({"name": "x" * 101, "actions": ["read"]}, "name"),
        ({"name": "a\nb", "actions": ["read"]}, "name"), ({"name": 7, "actions": ["read"]}, "name"),
        ({"name": "x", "actions": []}, "actions"), ({"name": "x", "actions": "read"}, "actions"),
        ({"name": "x", "actions": ["read", "write"]}, "actions"), ({"name": "x", "actions": [["read"]]}, "actions"),
        ({"name": "x", "actions": ["read"], "site": "blog"}, "username"),
        ({"name": "x", "actions": ["read"], "username": ""}, "username"),
        ({"name": "x", "actions": ["read"], "username": "a/b"}, "username"),
        ({"name": "x", "actions": ["read"], "username": "a", "site": "../x"}, "site"),
        ({"name": "x", "actions": ["read"], "username": "a", "site": 7}, "site"),
        ({"name": "x", "actions": ["read"], "expires_in": 0}, "expires_in"),
        ({"name": "x", "actions": ["read"], "expires_in": None}, "expires_in"),
        ({"name": "x", "actions": ["read"], "expires_in": True}, "expires_in"),
        ({"name": "x", "actions": ["read"], "expires_in": "60"}, "expires_in"),
        ({"name": "x", "actions": ["read"], "expires_in": 367 * DAY}, "expires_in"),
        ({"name": "x", "actions": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "actions": ["read"], "expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
        ({"name": "x", "actions": ["read"], "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "actions": ["read"], "expires_at": 7}, "expires_at"),
        ({"name": "x", "actions": ["read"], "expires_in": 60, "expires_at": "2027-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "actions": ["read"], "owner": "alice"}, "owner"),
        ({"name": "x", "actions": ["read"], "id": "0000000000000000"}, "id"),
    ],
)  # fmt: skip
def test_a_bad_body_makes_no_token_and_the_message_names_the_field(shared: Flask, body: Any, named: str) -> None:
    assert named in assert_failure(who(shared).post("/_api/tokens", json=body), 400)
    assert assert_success(who(shared).get("/_api/tokens"))["total"] == 0


@pytest.mark.parametrize(
    ("maker", "fields", "status", "message"),
    [
        ("alice", {"username": "bob"}, 403, "权限不足"),
        ("alice", {"username": "bob", "site": "blog"}, 403, "权限不足"),
        ("bob", {"username": "alice", "site": "blog"}, 403, "权限不足"), ("bob", {"site": "blog"}, 404, "站点不存在"),
        ("admin", {"username": "alice", "site": "none"}, 404, "站点不存在"),
    ],
)  # fmt: skip
def test_a_token_for_what_is_not_ones_own_is_refused(
    shared: Flask, maker: str, fields: Any, status: int, message: str
) -> None:
    reply = who(shared, maker).post("/_api/tokens", json={"name": "x", "actions": ["read"], **fields})
    assert_failure(reply, status, message)


def test_a_101st_is_refused(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.tokens.MAX_TOKENS", 1)
    made(who(house, "alice"))
    reply = who(house, "alice").post("/_api/tokens", json={"name": "x", "actions": ["read"]})
    assert_failure(reply, 409, "令牌数量已达上限 1，请先撤销不用的令牌")


# --- Listed and revoked ---------------------------------------------------------------------


def test_everybody_sees_its_own_and_the_admin_all(house: Flask) -> None:
    for name in ("alice", "bob", "admin"):
        made(who(house, name), name=f"of {name}")
    for name, seen in (("alice", {"alice"}), ("bob", {"bob"}), ("admin", {"alice", "bob", "admin"})):
        listed = assert_success(who(house, name).get("/_api/tokens"))
        assert {token["owner"] for token in listed["tokens"]} == seen
        assert listed["total"] == len(seen)


@pytest.mark.parametrize(("name", "status"), [("alice", 200), ("admin", 200), ("bob", 404)])
def test_its_owner_and_the_admin_may_revoke_it(house: Flask, name: str, status: int) -> None:
    token = made(who(house, "alice"))
    reply = who(house, name).delete(f"/_api/tokens/{token['id']}")
    assert (reply.status_code, reply.json["message"]) == (status, "令牌已撤销" if status == 200 else "令牌不存在")
    assert bearer(house, token["token"]).get("/_api/sites").status_code == (401 if status == 200 else 200)


def test_one_that_is_not_there_and_another_ones_are_answered_alike(house: Flask) -> None:
    token = made(who(house, "alice"))
    replies = [who(house, "bob").delete(f"/_api/tokens/{name}") for name in (token["id"], "0" * 16, "x")]
    assert {(reply.status_code, reply.data) for reply in replies} == {(404, replies[0].data)}


def test_a_token_revokes_itself_and_no_other(house: Flask) -> None:
    token, other = made(who(house, "alice"), "admin"), made(who(house, "alice"))
    caller = bearer(house, token["token"])
    assert_failure(caller.delete(f"/_api/tokens/{other['id']}"), 403, "权限不足")
    assert_failure(caller.delete(f"/_api/tokens/{'0' * 16}"), 403, "权限不足")
    assert_success(caller.delete(f"/_api/tokens/{token['id']}"), message="令牌已撤销")
    assert_failure(caller.get("/_api/whoami"), 401, "认证失败")


def test_a_token_makes_and_lists_none(house: Flask) -> None:
    caller = holder(who(house), "admin", "read", "deploy")
    assert_failure(caller.post("/_api/tokens", json={"name": "x", "actions": ["read"]}), 403, "权限不足")
    assert_failure(caller.get("/_api/tokens"), 403, "权限不足")


def test_what_one_worker_revokes_another_refuses(house: Flask, make_house: Callable[..., Flask]) -> None:
    token, other = made(who(house, "alice")), make_house()
    assert bearer(other, token["token"]).get("/_api/sites").status_code == 200
    assert_success(who(house, "alice").delete(f"/_api/tokens/{token['id']}"))
    assert bearer(other, token["token"]).get("/_api/sites").status_code == 401


# --- Who one is -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "role"), [("admin", "admin"), ("alice", "tenant")])
def test_who_one_is(house: Flask, name: str, role: str) -> None:
    assert assert_success(who(house, name).get("/_api/whoami")) == {"name": name, "role": role, "token": None}
    token = made(who(house, name), "deploy", username="alice")
    known = assert_success(bearer(house, token.pop("token")).get("/_api/whoami"))
    for each in (known["token"], token):
        del each["last_used_at"]
    assert known == {"name": name, "role": role, "token": token}


# --- Good for how long ----------------------------------------------------------------------


def test_a_token_ends_at_its_end(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    token = made(who(house, "alice"), expires_in=60)
    caller, end = bearer(house, token["token"]), times(token, "expires_at")
    monkeypatch.setattr("pages.web.logins.now", lambda: end - timedelta(seconds=1))
    assert_success(caller.get("/_api/sites"))
    monkeypatch.setattr("pages.web.logins.now", lambda: end)
    assert_failure(caller.get("/_api/sites"), 401, "认证失败")
    monkeypatch.setattr("pages.web.tokens.now", lambda: end)
    assert assert_success(who(house, "alice").get("/_api/tokens"))["tokens"] == []


def test_a_use_is_told_in_the_list(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, moment = holder(who(house)), now().replace(microsecond=0)
    monkeypatch.setattr("pages.web.logins.now", lambda: moment)
    assert_success(caller.get("/_api/sites"))
    (token,) = assert_success(who(house).get("/_api/tokens"))["tokens"]
    assert times(token, "last_used_at") == moment


def test_the_tokens_of_who_is_no_user_any_more_are_dead(house: Flask, make_house: Callable[..., Flask]) -> None:
    texts = {name: made(who(house, name))["token"] for name in ("alice", "bob", "admin")}
    without = make_house('[users.bob]\npass = "bob"\n')
    for name, status in (("alice", 401), ("bob", 200), ("admin", 200)):
        assert bearer(without, texts[name]).get("/_api/sites").status_code == status
    renamed = make_house(USERS, admin_user="root")
    assert bearer(renamed, texts["admin"]).get("/_api/sites").status_code == 401


def test_the_tokens_of_an_admin_who_is_a_tenant_now_are_a_tenants(
    house: Flask, make_house: Callable[..., Flask]
) -> None:
    whole, for_alice, own = (made(who(house), "admin", **f) for f in ({}, {"username": "alice"}, {"username": "admin"}))
    demoted = make_house(USERS + '[users.admin]\npass = "admin"\n', admin_user="root")
    caller = bearer(demoted, whole["token"])
    assert_failure(caller.get("/_api/sites/alice/blog"), 403, "权限不足")
    assert_failure(caller.post("/_api/reload"), 403, "权限不足")
    assert assert_success(caller.get("/_api/sites"))["sites"] == []
    assert assert_success(caller.get("/_api/whoami"))["role"] == "tenant"
    assert bearer(demoted, for_alice["token"]).get("/_api/sites/alice/blog").status_code == 401
    assert bearer(demoted, own["token"]).get("/_api/sites").status_code == 200


# --- Judged as Basic is ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "Bearer", "Bearer ", "Bearer x", "Bearer pages_", "Bearer a:b", "Bearer YWRtaW46YWRtaW4=", "Bearer é",
        f"Bearer pages_{'0' * 16}_{'0' * 64}", f"Bearer pages_{'0' * 16}_{'0' * 64}, Basic YWRtaW46YWRtaW4=",
        "Bearer token=admin", f"Token pages_{'0' * 16}_{'0' * 64}", "Bearer " + "x" * 9000,
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/_api/sites", "/_api/nowhere", "/api/admin/maintenance"])
def test_a_wrong_token_is_refused_and_never_taken_for_a_password(
    shared: Flask, value: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "matches_at_equal_cost", lambda *_: pytest.fail("a password was compared"))
    method = "POST" if path.startswith("/api") else "GET"
    reply = shared.test_client().open(path, method=method, headers={"Authorization": value}, json={"action": "backup"})
    assert reply.status_code == 401
    assert reply.headers.getlist("WWW-Authenticate") == ['Basic realm="Pages"']
    assert reply.json == ({"error": "权限不足"} if method == "POST" else {"success": False, "message": "认证失败"})


def test_a_token_is_no_password(house: Flask) -> None:
    text = made(who(house))["token"]
    assert Admin(house.test_client(), "admin", text).get("/_api/sites").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(house: Flask, scheme: str) -> None:
    text = made(who(house))["token"]
    reply = house.test_client().get("/_api/sites", headers={"Authorization": f"{scheme} {text}"})
    assert_success(reply)


def test_wrong_tokens_lock_nobody_out(make_house: Callable[..., Flask]) -> None:
    house = make_house(max_failed_logins="2")
    for _ in range(20):
        assert bearer(house, f"pages_{'0' * 16}_{'0' * 64}").get("/_api/sites").status_code == 401
    assert_success(who(house).get("/_api/sites"))


def test_the_rule_against_other_sites_pages_and_the_admins_hosts_hold(make_house: Callable[..., Flask]) -> None:
    house = make_house(admin_hosts="panel.localhost")
    admin = who(house)
    body = {"name": "x", "actions": ["admin"]}
    text = admin.post("/_api/tokens", json=body, base_url="http://panel.localhost").json["data"]["token"]
    caller = bearer(house, text)
    assert caller.get("/_api/sites", base_url="http://panel.localhost").status_code == 200
    assert caller.get("/_api/sites", base_url="http://blog.localhost").mimetype == "text/html"
    crossing = {"Sec-Fetch-Site": "cross-site"}
    reply = caller.get("/_api/sites", base_url="http://panel.localhost", headers=crossing)
    assert_failure(reply, 403, "拒绝跨站请求")


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/_api/nowhere", {}, 404), ("PATCH", "/_api/sites", {}, 405),
        ("POST", "/_api/sites", {"json": {}}, 400), ("PUT", "/_api/sites/bob/none", {"json": {"id": 7, "x": 1}}, 400),
        ("GET", "/_api/sites/bob/none", {}, 403), ("GET", "/_api/sites/alice/none", {}, 404),
    ],
)  # fmt: skip
def test_what_is_judged_first_is_as_with_a_password(
    house: Flask, method: str, path: str, sent: Any, status: int
) -> None:
    alice = who(house, "alice")
    for caller in (alice, holder(alice, "admin")):
        assert caller.call(method, path, **sent).status_code == status


def test_an_action_is_judged_before_the_body(house: Flask) -> None:
    caller = holder(who(house, "alice"), "read")
    assert_failure(caller.post("/_api/sites", data="no JSON"), 403, "权限不足")
    assert_failure(caller.post("/_api/sites/alice/blog/deploy"), 403, "权限不足")


# --- Told and kept --------------------------------------------------------------------------


def test_the_log_tells_which_token_changed_something_and_never_its_secret(
    house: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pages")
    token = made(who(house, "alice"), "deploy", name='build "x"', site="blog")
    assert_success(bearer(house, token["token"]).deploy(zip_of({"index.html": "x"}), site="alice/blog"))
    assert_success(who(house).delete(f"/_api/tokens/{token['id']}"))
    lines = [record.getMessage() for record in caplog.records if record.name == "pages.changes"]
    name = json.dumps(f'{token["id"]} build "x"')
    assert lines[0].startswith('who="alice" from=')
    assert json.dumps(f'POST /_api/tokens {token["id"]} build "x"') in lines[0]
    assert f'who="alice" token={name} from=127.0.0.1 what="POST /_api/sites/alice/blog/deploy"' in lines[1]
    assert f'what="DELETE /_api/tokens/{token["id"]}"' in lines[2]
    assert token["token"][-64:] not in caplog.text


def test_no_backup_holds_tokens(house: Flask, tmp_path: Path) -> None:
    # A restore must not bring back what was revoked since.
    token = made(who(house, "alice"))
    services = house.extensions["pages"]
    full, missing = services.full_backups.back_up(now())
    with tarfile.open(full) as tar:
        held = tar.getnames()
    assert any(name.startswith("registry/") for name in held)
    assert missing == []
    assert not any("tokens" in name for name in held)
    for backup in (full, services.upkeep.back_up()):
        assert token["id"].encode() not in backup.read_bytes()
        assert token["id"] not in backup.name


def test_the_folder_is_nobody_elses_from_the_first_start_on(house: Flask, tmp_path: Path) -> None:
    assert (tmp_path / "data/tokens").stat().st_mode & 0o777 == 0o700


def test_an_upload_with_a_token_of_another_site_is_not_kept(house: Flask, tmp_path: Path) -> None:
    who(house).create("other", username="alice")
    caller = holder(who(house, "alice"), "deploy", site="blog")
    data = {"file": (io.BytesIO(zip_of({"index.html": "x"})), "a.zip")}
    assert_failure(caller.post("/_api/sites/alice/other/deploy", data=data), 403, "权限不足")
    assert list((tmp_path / "data/work").iterdir()) == []
    assert who(house).checkpoints("alice/other")["total"] == 0
