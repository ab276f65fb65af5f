"""Tokens in the console: shown once, for as much as was asked, and void at once when they are revoked."""

import re

import pytest
from console_person import Person, words

PAGE = "/_admin/tokens"


def made(person: Person, **fields: str) -> str:
    """A token that was made, as it was shown."""
    answer = person.post(PAGE, **{"name": "ci", "actions": "deploy", "days": "30", **fields})
    assert answer.status_code == 201
    found = re.search(r"pages_[0-9a-f]{16}_[0-9a-f]{64}", answer.text)
    assert found
    return found[0]


def status(person: Person, token: str, path: str) -> int:
    return person.client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_shown_once_and_works_until_it_is_revoked(person: Person) -> None:
    token = made(person, username="default", site="blog", actions="read")
    assert status(person, token, "/_api/sites/default/blog") == 200
    assert status(person, token, "/_api/sites/default/default") == 403
    page = person.get(PAGE).text
    assert token not in page
    assert "default/blog" in words(page)
    address = re.search(r'action="(/_admin/tokens/[0-9a-f]{16}/revoke)"', page)
    assert address
    assert "The token is revoked" in words(person.follow(person.post(address[1], form_on=PAGE)))
    assert status(person, token, "/_api/sites/default/blog") == 401


def test_a_token_is_for_what_was_ticked(person: Person) -> None:
    token = made(person)
    assert status(person, token, "/_api/whoami") == 200
    assert status(person, token, "/_api/sites") == 403


@pytest.mark.parametrize(
    ("fields", "at"),
    [({"name": ""}, "name"), ({"username": "a b"}, "username"), ({"site": "a b", "username": "x"}, "site")],
)
def test_what_cannot_be_is_told_at_its_field(person: Person, fields: dict[str, str], at: str) -> None:
    answer = person.post(PAGE, **{"name": "ci", "actions": "read", "days": "30", **fields})
    assert answer.status_code == 400
    assert re.findall(r'<input name="([^"]+)"[^>]*aria-invalid="true"', answer.text) == [at]
    assert "pages_" not in words(answer.text)


@pytest.mark.parametrize("days", ["", "0", "x", "99999"])
def test_an_odd_end_makes_no_token(person: Person, days: str) -> None:
    assert person.post(PAGE, name="ci", actions="read", days=days).status_code == 400
    assert "No tokens yet" in person.get(PAGE).text


def test_a_token_does_not_sign_in_to_the_console(person: Person) -> None:
    token = made(person, actions="admin")
    nobody = Person(person.client)
    assert nobody.get("/_admin/sites", headers={"Authorization": f"Bearer {token}"}).status_code == 303
    assert nobody.sign_in("admin", token).status_code == 401
