"""Login, logout, whoami and tokens: what is stored, for whom to read, and what never gets out."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from client.people import Person, Script, told
from helpers import Admin, assert_success

from pages.client import credentials
from pages.client.credentials import Credentials, Login


def stored(person: Person) -> Any:
    return json.loads(person.credentials.read_bytes())


def tokens(admin: Admin) -> Any:
    return assert_success(admin.get("/_api/tokens"))["tokens"]


def test_a_login_is_a_token_that_its_owner_alone_can_read(member: Person, service: str, admin: Admin) -> None:
    (token,) = tokens(admin)
    assert stored(member)["current"] == service
    login = stored(member)["servers"][service]
    assert (login["user"], login["token_id"], login["insecure_http"]) == ("admin", token["id"], False)
    assert token["actions"] == ["admin"]
    assert "@" in token["name"]
    assert member.credentials.stat().st_mode & 0o777 == 0o600
    assert member.credentials.parent.stat().st_mode & 0o777 == 0o700
    assert list(member.credentials.parent.iterdir()) == [member.credentials]


def test_who_is_logged_in_needs_nothing_more(member: Person) -> None:
    assert member.ok("whoami").out.splitlines()[0].startswith("admin (admin) at http://127.0.0.1:")
    assert "default/blog" in member.ok("sites", "list").out


def test_who_has_neither_a_home_nor_a_name_signs_in_all_the_same(
    person: Person, service: str, monkeypatch: pytest.MonkeyPatch, admin: Admin
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    arguments = ["login", service, "--user", "admin", "--password-stdin"]
    person.ok(*arguments, stdin="admin\n", HOME=None)
    assert tokens(admin)[0]["name"].startswith(f"{os.getuid()}@")
    token = stored(person)["servers"][service]["token"]
    nowhere = {"HOME": None, "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "PAGES_URL": service, "PAGES_TOKEN": token}
    person.ok("deploy", person.made({"index.html": "x"}), "-s", "default/blog", **nowhere)
    done = person.run(*arguments, stdin="admin\n", **nowhere)
    assert (done.status, done.err.count("XDG_CONFIG_HOME")) == (1, 1)
    assert len(tokens(admin)) == 1


def test_a_login_that_cannot_be_stored_leaves_no_token(
    person: Person, service: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(credentials, "write_privately", full)
    done = person.run("login", service, "--user", "admin", "--password-stdin", stdin="admin\n")
    assert done.status == 1
    assert tokens(admin) == []


def test_logins_at_the_same_time_are_all_kept(person: Person) -> None:
    kept = Credentials(person.environment())
    urls = [f"https://{number}.example" for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda url: kept.store(Login(url, "t")), urls))
    assert set(stored(person)["servers"]) == set(urls)


def test_a_wrong_password_stores_nothing(person: Person, service: str) -> None:
    done = person.run("login", service, "--user", "admin", "--password-stdin", stdin="wrong\n")
    assert done.status == 3
    assert not person.credentials.exists()
    assert "wrong" not in done.err


def test_a_logout_makes_the_token_void(member: Person, service: str, admin: Admin) -> None:
    token = stored(member)["servers"][service]["token"]
    member.ok("logout")
    assert tokens(admin) == []
    assert stored(member) == {"current": "", "servers": {}}
    assert member.run("whoami").status == 3
    assert member.run("whoami", PAGES_URL=service, PAGES_TOKEN=token).status == 3


def test_a_token_that_is_void_already_is_forgotten(member: Person, service: str, admin: Admin) -> None:
    assert admin.delete(f"/_api/tokens/{tokens(admin)[0]['id']}").status_code == 200
    assert member.run("whoami").status == 3
    member.ok("logout")
    assert stored(member)["servers"] == {}


def test_a_logout_that_nobody_hears_keeps_the_token_unless_asked(person: Person) -> None:
    with Script([told(200, "", {"name": "x", "role": "admin", "token": None})]) as script:
        person.ok("login", script.url, "--token", "-", stdin="pages_1_2\n")
    assert person.run("logout").status == 6
    assert stored(person)["current"] == script.url
    person.ok("logout", "--local")
    assert stored(person)["servers"] == {}


def test_a_second_login_revokes_the_token_of_the_first(member: Person, service: str, admin: Admin) -> None:
    member.ok("login", service, "--user", "admin", "--password-stdin", stdin="admin\n")
    (token,) = tokens(admin)
    assert stored(member)["servers"][service]["token_id"] == token["id"]
    member.ok("whoami")


def test_a_given_token_is_stored_once_the_server_knows_it(person: Person, service: str, admin: Admin) -> None:
    body = {"name": "ci", "actions": ["deploy"], "username": "default", "site": "blog"}
    text = assert_success(admin.post("/_api/tokens", json=body), 201)["token"]
    another = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert person.run("login", service, "--token", another).status == 3
    person.ok("login", service, "--token", text)
    assert "deploy on default/blog" in person.ok("whoami").out
    assert person.run("sites", "list").status == 3


def test_a_token_for_deploys_deploys_and_sees_nothing(person: Person, service: str, admin: Admin) -> None:
    body = {"name": "ci", "actions": ["deploy"], "username": "default", "site": "blog"}
    text = assert_success(admin.post("/_api/tokens", json=body), 201)["token"]
    with_token = {"PAGES_URL": service, "PAGES_TOKEN": text, "PAGES_SITE": "default/blog"}
    site = person.made({"index.html": "by CI"})
    for _ in range(2):
        done = person.ok("deploy", site, **with_token)
    assert done.out.startswith("Live: default/blog at checkpoint ")
    assert admin.visit().data == b"by CI"
    assert person.run("checkpoints", **with_token).status == 3
    assert person.run("deploy", site, "-s", "default/default", **with_token).status == 3


def test_tokens_are_made_listed_and_revoked_with_the_password(member: Person, admin: Admin) -> None:
    password = {"stdin": "admin\n"}
    made = member.ok(
        "tokens", "create", "ci", "-s", "default/blog", "--expires-in", "1d", "--password-stdin", **password
    )
    assert made.out.startswith("pages_")
    token = next(token for token in tokens(admin) if token["name"] == "ci")
    assert (token["actions"], token["site"]) == (["deploy"], "blog")
    listed = member.ok("tokens", "list", "--password-stdin", **password).out
    assert token["id"] in listed
    assert made.out.strip() not in listed
    revoke = ["tokens", "revoke", token["id"], "--password-stdin"]
    assert member.run(*revoke, **password).status == 2
    member.ok(*revoke, "--yes", **password)
    assert member.run(*revoke, "--yes", **password).status == 4


def test_in_an_installations_folder_tokens_need_no_password(operator: Person, admin: Admin) -> None:
    operator.ok("tokens", "create", "ci")
    assert [token["name"] for token in tokens(admin)] == ["ci"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["login"],
        ["login", "http://127.0.0.1:1"],
        ["login", "http://127.0.0.1:1", "--password-stdin"],
        ["tokens", "list"],
    ],
)
def test_without_a_terminal_nobody_is_asked(person: Person, arguments: list[str]) -> None:
    done = person.run(*arguments, **({"PAGES_URL": "http://127.0.0.1:1"} if arguments[0] == "tokens" else {}))
    assert done.status == 2
    assert done.err.startswith("Error: ")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"servers": {}}', '{"current": "x", "servers": {"x": {}}}'])
def test_damaged_credentials_are_told_in_a_sentence(person: Person, content: str) -> None:
    person.credentials.parent.mkdir(parents=True)
    person.credentials.write_text(content)
    done = person.run("whoami")
    assert done.status == 1
    assert str(person.credentials) in done.err


def test_no_secret_is_shown_by_a_command_that_fails(member: Person, service: str) -> None:
    token = stored(member)["servers"][service]["token"]
    for arguments in (["checkpoints", "-s", "no/site"], ["whoami", "--help"], ["login", "--help"], ["tokens", "list"]):
        done = member.run(*arguments, PAGES_TOKEN=token)
        assert token not in done.out + done.err
