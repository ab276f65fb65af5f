"""People who use the console of an application in this process, with cookies and forms as a browser has them."""

import re
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class Person:
    """Somebody at a browser without JavaScript; ``address`` is where it finds the console."""

    def __init__(self, client: FlaskClient, address: str = "http://localhost", language: str = "en") -> None:
        self.client = client.application.test_client()
        self.address = address
        self.headers = {"Accept-Language": language, "Accept": "text/html,*/*"}

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        return self.client.open(path, method=method, base_url=self.address, headers=headers, **kwargs)

    def post(self, path: str, form_on: str = "", **fields: Any) -> TestResponse:
        """Send a form that stands on a page (by default on the one at the same path)."""
        page = self.get(form_on or path).text
        return self.call("POST", path, data={"csrf": token_in(page), **fields})

    def sign_in(self, name: str = "admin", password: str = "admin", wanted: str = "") -> TestResponse:
        return self.post("/_admin/sign-in", name=name, password=password, next=wanted)

    def follow(self, answer: TestResponse) -> str:
        """The page that an answer leads to."""
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["Location"]).text


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


def words(page: str) -> str:
    """What a page says, without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
