"""Signing in to the console and out of it: cookies, wrong passwords, and what a session is good for."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from console_person import Person, token_in, words
from flask import Flask
from flask.testing import FlaskClient
from helpers import basic
from werkzeug.test import TestResponse

from pages.config import Config


@pytest.fixture
def person(client: FlaskClient) -> Person:
    return Person(client)


def cookies(answer: TestResponse) -> dict[str, str]:
    """Each cookie that is set, by its name, with all that is said of it."""
    return {line.partition("=")[0]: line for line in answer.headers.getlist("Set-Cookie")}


def test_who_knows_the_password_is_let_in(person: Person) -> None:
    assert "Sign in" in person.follow(person.get("/_admin/sites"))
    page = person.follow(person.sign_in())
    assert "admin" in words(page)
    assert person.get("/_admin/maintenance").status_code == 200


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", "admin"), ("", ""), ("admin", "é\0")])
def test_who_does_not_is_told_the_same_whoever_it_is(person: Person, name: str, password: str) -> None:
    answer = person.sign_in(name, password)
    assert answer.status_code == 401
    assert "Wrong user name or password" in words(answer.text)
    assert "pages" not in cookies(answer)
    assert person.get("/_admin/sites").status_code == 303


def test_failures_count_together_with_those_of_the_api(make_app: Callable[..., Flask]) -> None:
    client = make_app(max_failed_logins=2).test_client()
    person = Person(client)
    assert [person.sign_in("admin", "wrong").status_code for _ in range(3)] == [401, 401, 429]
    assert int(person.sign_in().headers["Retry-After"]) > 0
    assert client.get("/_api/sites", headers=basic()).status_code == 429


@pytest.mark.parametrize(("address", "name"), [("http://localhost", "pages"), ("https://localhost", "__Host-pages")])
def test_the_cookie_is_for_this_host_alone_and_for_no_script(client: FlaskClient, address: str, name: str) -> None:
    person = Person(client, address)
    cookie = cookies(person.sign_in())[name]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) is (address.startswith("https"))
    assert "Domain" not in cookie
    assert re.search(r"=[A-Za-z0-9_-]{43};", cookie)


def test_a_cookie_of_plain_http_is_none_over_tls(client: FlaskClient) -> None:
    person = Person(client)
    person.sign_in()
    person.address = "https://localhost"
    assert person.get("/_admin/sites").status_code == 303


def test_each_sign_in_has_a_new_value_and_ends_the_one_before(person: Person, data: Path) -> None:
    person.sign_in()
    before = person.client.get_cookie("pages")
    assert before
    token = token_in(person.get("/_admin/sites").text)
    fields = {"csrf": token, "name": "admin", "password": "admin"}
    assert person.call("POST", "/_admin/sign-in", data=fields).status_code == 303
    after = person.client.get_cookie("pages")
    assert after
    assert after.value != before.value
    assert len(list((data / "sessions").iterdir())) == 1
    person.client.set_cookie("pages", before.value)
    assert person.get("/_admin/sites").status_code == 303


def test_a_value_that_somebody_else_chose_is_not_kept(person: Person) -> None:
    chosen = "A" * 43
    person.client.set_cookie("pages", chosen)
    answer = person.sign_in()
    assert answer.status_code == 303
    assert chosen not in cookies(answer)["pages"]


def test_signing_out_ends_the_session_on_the_server(person: Person, data: Path) -> None:
    person.sign_in()
    kept = person.client.get_cookie("pages")
    assert kept
    assert person.call("GET", "/_admin/sign-out").status_code == 405
    assert person.post("/_admin/sign-out", form_on="/_admin/sites").status_code == 303
    assert list((data / "sessions").iterdir()) == []
    person.client.set_cookie("pages", kept.value)
    assert person.get("/_admin/sites").status_code == 303


def test_another_password_ends_all_sessions(make_app: Callable[..., Flask]) -> None:
    person = Person(make_app().test_client())
    person.sign_in()
    session = person.client.get_cookie("pages")
    assert session
    changed = Person(make_app(admin_pass="another").test_client())
    changed.client.set_cookie("pages", session.value)
    assert changed.get("/_admin/sites").status_code == 303


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/_admin/maintenance", "/_admin/maintenance"),
        ("/_admin/sites?q=a%20b&page=2", "/_admin/sites?q=a%20b&page=2"),
        ("/_admin", "/_admin"),
        *(
            (odd, "/_admin/sites")
            for odd in (
                "", "/", "//evil.example", "https://evil.example/_admin/", "/_administrator", "/_admin/../other",
                "/_admin/..", "/_admin//evil.example", "/\\evil.example", "/_admin/\\..", "javascript:alert(1)",
                "/_admin/\r\nSet-Cookie: a=b", "/_admin/\x00", "/_api/sites", "_admin/sites", " /_admin/sites",
                "/_admin/" + "x" * 2000, "/_admin/%2e%2e/other", "/_admin/.%2E/other", "/_admin/%2f/evil.example",
            )
        ),
    ],
)  # fmt: skip
def test_after_signing_in_it_goes_on_inside_the_console_only(person: Person, wanted: str, leads_to: str) -> None:
    answer = person.sign_in(wanted=wanted)
    assert answer.headers["Location"] == leads_to
    assert person.get("/_admin/sign-in", query_string={"next": wanted}).headers["Location"] == leads_to


def test_the_page_that_was_asked_for_comes_after_signing_in(person: Person) -> None:
    asked = person.get("/_admin/sites/default/default/diff?before=x")
    form = person.get(asked.headers["Location"]).text
    assert 'name="next" value="/_admin/sites/default/default/diff?before=x"' in form


@pytest.mark.parametrize(("method", "path"), [("GET", "/_api/sites"), ("POST", "/api/admin/maintenance")])
def test_a_session_is_good_for_the_console_only(person: Person, method: str, path: str) -> None:
    person.sign_in()
    assert person.call(method, path).status_code == 401


def test_the_console_takes_no_basic_credentials(person: Person) -> None:
    answer = person.get("/_admin/sites", headers=basic())
    assert answer.status_code == 303
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_the_form_for_signing_in_needs_its_token_as_well(person: Person, token: str | None) -> None:
    person.get("/_admin/sign-in")
    fields = {"name": "admin", "password": "admin"} | ({} if token is None else {"csrf": token})
    answer = person.call("POST", "/_admin/sign-in", data=fields)
    assert answer.status_code == 403
    assert person.get("/_admin/sites").status_code == 303


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/_admin/language/xx", {}, 404),
        ("/_admin/static/0/console.css", {}, 404),
        ("/_admin/sites", {"Sec-Fetch-Site": "same-site"}, 403),
        ("/_admin/sites", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_who_has_seen_the_form_and_not_signed_in_is_shown_pages_without_one(
    person: Person, path: str, headers: dict[str, str], status: int
) -> None:
    person.get("/_admin/sign-in")
    assert person.get(path, headers=headers).status_code == status


@pytest.mark.parametrize("said", ['{"message":"Call 555 0100"}', '{"mess', "{}"])
def test_nobody_is_told_anything_before_signing_in(person: Person, said: str) -> None:
    """A host below the same domain can set cookies, and then knows what a message has to be signed with."""
    known, data = "a" * 43, base64.urlsafe_b64encode(said.encode()).decode()
    signature = hmac.new(known.encode(), f"csrf message {data}".encode(), hashlib.sha256).hexdigest()
    person.client.set_cookie("pages-form", known)
    person.client.set_cookie("pages-message", f"{data}.{signature}")
    page = person.get("/_admin/sign-in")
    assert page.status_code == 200
    assert "flash" not in page.text


def test_a_token_of_another_browser_is_none(client: FlaskClient) -> None:
    one, other = Person(client), Person(client)
    other.get("/_admin/sign-in")
    fields = {"csrf": token_in(one.get("/_admin/sign-in").text), "name": "admin", "password": "admin"}
    assert other.call("POST", "/_admin/sign-in", data=fields).status_code == 403


def test_signing_in_works_while_the_disk_is_full(
    person: Person, app: Flask, make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, real, calls = app.extensions["pages"].sessions, app.extensions["pages"].sessions.start, []

    def full_at_first(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(sessions, "start", full_at_first)
    assert person.sign_in().status_code == 303
