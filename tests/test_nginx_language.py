"""What real nginx itself answers to who calls the API is in the language in which Pages would answer."""

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from itertools import count
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from accept_language import PREFERENCES
from helpers import Server, free_port
from nginx import Nginx

from pages.app import create_app
from pages.config import Config, load_config
from pages.nginx import nginx_config
from pages.web.language import asked_language

API, MAINTENANCE, CONSOLE = "/_api/sites", "/api/admin/maintenance", "/_admin/sites"
# As a browser sends it; and one that names neither of ours.
ENGLISH, CHINESE, FRENCH = "en-GB,en;q=0.9,zh;q=0.5", "zh-CN,zh;q=0.9,en;q=0.8", "fr"
LIMIT = {
    "zh": f"上传文件超过上限 max_upload_bytes = {Config().max_upload_bytes} 字节",
    "en": f"The file is over the limit max_upload_bytes = {Config().max_upload_bytes} bytes",
}
FAST = {"zh": "请求过于频繁，请稍后重试", "en": "Too many requests; try again later"}
DOWN = {
    "zh": "服务暂时不可用，请稍后重试",
    "en": "The service is not available for now; try again later",
}
FAILED = {"zh": "操作失败", "en": "The operation failed"}
NO_ACTION = {"zh": "无效的操作类型", "en": "Unknown action"}
# nginx slows down an address that calls often: each test that does has one of its own.
ADDRESSES = (f"127.0.1.{number}" for number in count(1))


@dataclass
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Front:
    """nginx in front of no Pages, or of one that is not well."""

    port: int

    def send(self, connection: socket.socket, path: str, language: str | None, length: int) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n"
        head += "" if language is None else f"Accept-Language: {language}\r\n"
        connection.sendall(head.encode("latin-1") + b"\r\n")

    def ask(self, path: str, language: str | None, length: int = 0, calls: int = 1) -> Answer:
        """The answer to the last one of so many calls at once."""
        source = (next(ADDRESSES) if calls > 1 else "127.0.0.1", 0)
        with ExitStack() as opened:
            for _ in range(calls):
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=source)
                self.send(opened.enter_context(connection), path, language, length)
            reply = HTTPResponse(connection)
            reply.begin()
            return Answer(reply.status, reply.headers, reply.read())


def started(folder: Path, language: str = "zh", backend: int | None = None, patience: str = "") -> Nginx:
    """nginx for an installation whose setting is this language."""
    environment = Server(folder, {"PAGES_LANGUAGE": language}, port=free_port()).environment()
    return Nginx(folder, environment, backend, patience=patience).start()


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    """nginx in front of nothing, by the setting."""
    with ExitStack() as stack:
        found = {}
        for language in ("zh", "en"):
            nginx = started(tmp_path_factory.mktemp(language), language)
            stack.callback(nginx.stop)
            found[language] = Front(nginx.port)
        yield found


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx in front of what takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as backend:
        nginx = started(tmp_path_factory.mktemp("silent"), backend=backend.getsockname()[1], patience="50ms")
        yield Front(nginx.port)
        nginx.stop()


class Breaker(BaseRequestHandler):
    """Stands in for a Pages that dies under every request."""

    def handle(self) -> None:
        self.request.recv(65536)


@pytest.fixture(scope="module")
def breaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx in front of a ``Breaker``."""
    with ThreadingTCPServer(("127.0.0.1", 0), Breaker) as backend:
        thread = threading.Thread(target=backend.serve_forever)
        thread.start()
        nginx = started(tmp_path_factory.mktemp("breaking"), backend=backend.server_address[1])
        yield Front(nginx.port)
        nginx.stop()
        backend.shutdown()
        thread.join()


def assert_told(answer: Answer, language: str, status: int, body: dict[str, Any]) -> None:
    assert (answer.status, answer.json()) == (status, body)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers.get_all("Content-Language") == [language]
    assert answer.headers.get_all("Vary") == ["Accept-Language"]
    assert answer.headers.get_all("Cache-Control") == ["no-store"]


def envelope(message: str) -> dict[str, Any]:
    return {"success": False, "message": message}


# --- What is answered -----------------------------------------------------------------------


# Asked for with the setting Chinese.
LANGUAGES = pytest.mark.parametrize(("asked", "language"), [(ENGLISH, "en"), (CHINESE, "zh"), (FRENCH, "zh")])


@LANGUAGES
def test_an_upload_that_is_too_large_is_refused_in_the_clients_language(
    fronts: dict[str, Front], asked: str, language: str
) -> None:
    answer = fronts["zh"].ask(f"{API}/default/blog/deploy", asked, length=10**12)
    assert_told(answer, language, 413, envelope(LIMIT[language]))


@LANGUAGES
def test_a_body_that_is_too_large_for_maintenance_is_no_action_in_the_clients_language(
    fronts: dict[str, Front], asked: str, language: str
) -> None:
    answer = fronts["zh"].ask(MAINTENANCE, asked, length=10**12)
    assert_told(answer, language, 400, {"error": NO_ACTION[language]})


@LANGUAGES
def test_who_calls_too_often_is_told_in_the_clients_language(
    fronts: dict[str, Front], asked: str, language: str
) -> None:
    assert_told(fronts["zh"].ask(API, asked, calls=200), language, 429, envelope(FAST[language]))
    assert_told(fronts["zh"].ask(MAINTENANCE, asked, calls=200), language, 429, {"error": FAST[language]})


@LANGUAGES
def test_that_pages_is_down_is_told_in_the_clients_language(
    fronts: dict[str, Front], asked: str, language: str
) -> None:
    maintenance = {"error": FAILED[language], "details": DOWN[language]}
    for path, body in ((API, envelope(DOWN[language])), (MAINTENANCE, maintenance)):
        answer = fronts["zh"].ask(path, asked)
        assert_told(answer, language, 503, body)
        assert answer.headers["Retry-After"] == "5"


@LANGUAGES
def test_that_pages_broke_off_is_told_in_the_clients_language(breaking: Front, asked: str, language: str) -> None:
    assert_told(breaking.ask(API, asked), language, 502, envelope(DOWN[language]))
    body = {"error": FAILED[language], "details": DOWN[language]}
    assert_told(breaking.ask(MAINTENANCE, asked), language, 502, body)


@LANGUAGES
def test_that_pages_does_not_answer_in_time_is_told_in_the_clients_language(
    silent: Front, asked: str, language: str
) -> None:
    assert_told(silent.ask(API, asked), language, 504, envelope(DOWN[language]))
    body = {"error": FAILED[language], "details": DOWN[language]}
    assert_told(silent.ask(MAINTENANCE, asked), language, 504, body)


@pytest.mark.parametrize("setting", ["zh", "en"])
@pytest.mark.parametrize(("path", "length"), [("/", 0), (CONSOLE, 0), (CONSOLE, 10**12), ("/missing", 0)])
def test_a_page_for_a_person_has_no_language_of_ours(
    fronts: dict[str, Front], path: str, length: int, setting: str
) -> None:
    # As the plain pages of Pages.
    answer = fronts[setting].ask(path, ENGLISH, length)
    assert (answer.status, answer.headers["Content-Type"]) == (413 if length else 503, "text/html; charset=utf-8")
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == (None, None)


# --- Which language -------------------------------------------------------------------------


def chosen(front: Front, header: str | None) -> str:
    """The language of an answer of nginx: of one that needs no Pages, and is never slowed down."""
    answer = front.ask(API, header, length=10**12)
    language = str(answer.headers["Content-Language"])
    assert answer.json()["message"] == LIMIT[language]
    return language


@pytest.mark.parametrize(("header", "by_default", "with_english_set"), PREFERENCES)
def test_nginx_chooses_the_language_that_pages_chooses(
    fronts: dict[str, Front], header: str | None, by_default: str, with_english_set: str
) -> None:
    assert chosen(fronts["zh"], header) == by_default
    assert chosen(fronts["en"], header) == with_english_set


def some_header(chance: random.Random) -> str:
    """Ranges as clients may name them: of each language one form only, which is all that nginx can tell apart."""
    names = [chance.choice(forms) for forms in (["en", "en-US", "EN-gb"], ["zh", "zh-Hans-CN"], ["*"], ["fr", "enm"])]
    qualities = ["", ";q=1", ";q=1.0", "; q=0", ";q=0.000", ";q=0.5", ";q=0.50", ";q=0.501", ";q=0.45", " ;Q=0.9",
                 ";q=0.001", ";q=0.", ";q=2", ";q=x", ";q=.5"]  # fmt: skip
    ranges = [f"{name}{chance.choice(qualities)}" for name in chance.sample(names, chance.randint(1, 4))]
    return chance.choice([", ", ",", " ,\t"]).join(ranges)


@pytest.mark.parametrize("setting", ["zh", "en"])
def test_nginx_compares_qualities_as_pages_does(fronts: dict[str, Front], tmp_path: Path, setting: str) -> None:
    environ = {"PAGES_LANGUAGE": setting, "PAGES_DATA_DIR": str(tmp_path), "PAGES_CONFIG": f"{tmp_path}/config.toml"}
    (tmp_path / "config.toml").touch()
    app, chance, different = create_app(load_config(environ)), random.Random(20), {}
    tenths = [f"en;q={english / 10}, zh;q={chinese / 10}" for english in range(11) for chinese in range(11)]
    for header in {*tenths, *(some_header(chance) for _ in range(500))}:
        with app.test_request_context(headers={"Accept-Language": header}):
            expected = asked_language()
        if (got := chosen(fronts[setting], header)) != expected:
            different[header] = f"nginx {got}, Pages {expected}"
    assert different == {}


def test_of_several_forms_below_quality_1_the_first_one_counts_in_nginx(fronts: dict[str, Front]) -> None:
    # A map finds no maximum: Pages would say English.
    assert chosen(fronts["zh"], "en-GB;q=0.5, zh;q=0.7, en;q=0.9") == "zh"
    assert chosen(fronts["zh"], "en-GB;q=0.5, zh;q=0.7, en") == "en"


# --- The file -------------------------------------------------------------------------------


def test_the_words_stand_in_the_configuration_once_in_each_language() -> None:
    text = nginx_config(Config(), "80")
    for message in (LIMIT, FAST, DOWN, FAILED, NO_ACTION):
        for language in ("zh", "en"):
            assert text.count(f'{language} "{message[language]}";') == text.count(message[language]) == 1
