"""A server that is away for a while: what is asked again, how often, and that nothing is published twice."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client.people import Answer, Person, Script, served, told
from flask import Flask
from helpers import Admin, Server

from pages.client import packing, sending
from pages.client.api import LASTING, Api, Refused
from pages.client.multipart import Form
from pages.client.servers import Server as Address

DOWN = told(503, "down", Retry_After="0")
FINE = told(200, "", {})
BUSY = told(409, "站点正忙，请稍后重试")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LASTING", (0.0,) * 5)


def call(script: Script, method: str, *, upload: bool = False, pauses: tuple[float, ...] = (1.0, 2.0, 4.0)) -> Any:
    """(How it ended, the pauses that were made, what was told of them)."""
    slept: list[float] = []
    said: list[str] = []
    form = (lambda: Form("text/plain", iter([b"same", b"body"]), None)) if upload else None
    with Api(Address(script.url, "t"), said.append, slept.append) as api:
        try:
            ended = api.call(method, "/_api/x", form=form, pauses=pauses)
        except Exception as error:
            ended = error
    assert len(said) == len(slept)
    return ended, slept


@pytest.mark.parametrize(
    ("method", "upload", "answers", "tries"),
    [
        ("GET", False, [None, FINE], 2),
        ("PUT", False, [None, FINE], 2),
        ("POST", False, [None, FINE], 1),
        ("DELETE", False, [None, FINE], 1),
        ("POST", True, [None, FINE], 2),
        ("POST", False, [DOWN, FINE], 2),
        ("POST", False, [told(502), FINE], 1),
        ("GET", False, [told(502), FINE], 2),
        ("POST", True, [told(502), told(504), DOWN, FINE], 4),
        ("POST", False, [told(429), FINE], 2),
        ("POST", True, [told(500), FINE], 1),
        ("POST", True, [told(400), FINE], 1),
        ("POST", False, [BUSY, FINE], 1),
        ("POST", True, [BUSY, BUSY, BUSY, FINE], 4),
        ("POST", True, [BUSY, BUSY, BUSY, BUSY, FINE], 4),
        ("POST", True, [told(409, "x", {"missing": []}), FINE], 1),
        ("GET", False, [None] * 6, 4),
        ("POST", True, [(502, {}, b"<h1>nginx</h1>"), FINE], 2),
    ],
)
def test_what_can_be_repeated_without_harm_is(method: str, upload: bool, answers: list[Answer], tries: int) -> None:
    with Script(answers) as script:
        ended, slept = call(script, method, upload=upload)
    assert len(script.asked) == tries
    assert len(slept) == tries - 1
    assert isinstance(ended, Exception) == (answers[tries - 1] != FINE)
    if upload:
        assert {asked.body for asked in script.asked} == {b"samebody"}


def test_a_site_that_stays_busy_is_given_up_before_a_server_that_is_away() -> None:
    with Script([BUSY] * 9) as script:
        ended, _ = call(script, "POST", upload=True, pauses=(0.0,) * 9)
    assert len(script.asked) == 4
    assert ended.exit_code == 5


def test_an_upload_that_is_cut_off_again_and_again_is_given_up() -> None:
    with Script([None] * 9) as script:
        ended, _ = call(script, "POST", upload=True, pauses=(0.0,) * 9)
    assert len(script.asked) == 5
    assert ended.exit_code == 6


@pytest.mark.parametrize(
    ("after", "slept"),
    [("7", [7.0]), ("0", [0.0]), ("121", []), ("Sat, 21 Nov 2026 17:40:43 GMT", [1.0]), ("-1", [1.0])],
)
def test_the_server_says_when_to_come_back(after: str, slept: list[float]) -> None:
    with Script([told(429, "later", Retry_After=after), FINE]) as script:
        ended, pauses = call(script, "GET")
    assert pauses == slept
    assert isinstance(ended, Refused) == (not slept)


def test_a_deploy_waits_about_as_long_as_a_restart_takes() -> None:
    assert 45 < sum(LASTING) < 90


def test_each_further_try_is_told(person: Person) -> None:
    with Script([DOWN, told(200, "", {"sites": [], "total": 0})]) as script:
        done = person.ok("sites", "list", "--url", script.url, PAGES_TOKEN="t")
    assert done.err == "down; trying again in 0 s\n"


def test_a_deploy_whose_answer_is_lost_is_published_once(
    app: Flask, admin: Admin, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, lost = app.wsgi_app, []

    def forgetful(environ: Any, start_response: Any) -> Any:
        answer = inner(environ, start_response)
        if environ["PATH_INFO"].endswith("/deploy") and not lost:
            lost.append(environ["HTTP_IDEMPOTENCY_KEY"])
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        return answer

    app.wsgi_app = forgetful  # type: ignore[method-assign]
    with served(app) as port:
        (person.folder / "config.toml").write_text(f"[server]\nport = {port}\n")
        done = person.ok("deploy", person.made({"index.html": "once"}), "-s", "default/blog")
    assert len(lost) == 1
    assert "trying again" in done.err
    assert admin.checkpoints()["total"] == 1
    assert admin.visit().data == b"once"


def test_a_deploy_outlasts_a_server_that_is_killed_in_the_middle(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LASTING", (0.1,) * 200)
    (person.folder / "config.toml").write_text(f"[server]\nport = {server.port}\n")
    starters: list[threading.Thread] = []

    def cut_short(files: Any, folders: Any, sent: Callable[[int], None]) -> Iterator[bytes]:
        pieces = packing.packed(files, folders, sent)
        yield next(pieces)
        if not starters:
            server.kill()
            starters.append(threading.Thread(target=server.start))
            starters[0].start()
        yield from pieces

    monkeypatch.setattr(sending, "packed", cut_short)
    content = {"index.html": "survived", **{f"{number}.bin": bytes([number]) * 300_000 for number in range(5)}}
    done = person.ok("deploy", person.made(content), "-s", "default/blog")
    starters[0].join()
    assert "trying again" in done.err
    assert server.request("GET", "/", host="blog.localhost").body == b"survived"
    assert server.api("GET", "/_api/sites/default/blog/checkpoints").json()["data"]["total"] == 1
