"""The texts and files of the console: both languages whole, nothing from elsewhere, nothing inline."""

import hashlib
import re
from pathlib import Path
from string import Formatter

import pytest
from console_person import Person, words
from flask.testing import FlaskClient
from helpers import PROJECT

from pages.web.console.texts import TEXTS, text

PACKAGE = PROJECT / "pages" / "web" / "console"
TEMPLATES = sorted((PACKAGE / "templates").rglob("*.html"))
STATIC = sorted(path for path in (PACKAGE / "static").rglob("*") if path.is_file())
SOURCES = "".join(path.read_text(encoding="utf-8") for path in [*TEMPLATES, *sorted(PACKAGE.glob("*.py"))])
VENDORED = {
    "vendor/pico-2.1.1/pico.min.css": "fbc9a63fc9fc9f72d12fd7fc9806e11fa9f77ae4f9cad146b27003a1119ba3db",
    "vendor/pico-2.1.1/LICENSE.md": "afaff063e044233f917b7807dccab022f09dca474f92b642846bee4850655bbf",
}
# Keys that are put together: their beginnings.
_MADE = ("state_", "do_", "diff_", "set_", "ago_", "ahead_", "token_")


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_is_there_in_both_languages_and_takes_the_same_values(key: str) -> None:
    chinese, *english = TEXTS[key]
    assert 1 <= len(english) <= 2
    names = {name for _, name, _, _ in Formatter().parse(chinese) if name}
    for each in english:
        assert {name for _, name, _, _ in Formatter().parse(each) if name} in (names, names - {"n"})
        assert not re.search("[\u4e00-\u9fff]", each)


def test_every_text_is_used_and_none_is_missing() -> None:
    used = set(re.findall(r'"([a-z][a-z_-]+)"', SOURCES))
    asked = set(re.findall(r'\b(?:t|text|_refused)\(\s*"([a-z_-]+)"', SOURCES))
    assert {key for key in asked - TEXTS.keys() if not key.startswith(_MADE)} == set()
    assert {key for key in TEXTS if key not in used and not key.startswith(_MADE)} == set()


def test_one_and_many_are_told_apart() -> None:
    assert [text("count_sites", "en", n=n) for n in (0, 1, 2)] == ["0 sites", "1 site", "2 sites"]
    assert text("count_sites", "zh", n=1) == "共 1 个站点"


@pytest.mark.parametrize(
    ("header", "chosen", "lang", "word"),
    [
        ("", "", "zh-CN", "登录"), ("zh-CN,zh;q=0.9", "", "zh-CN", "登录"), ("en-GB", "", "en", "Sign in"),
        ("de", "", "zh-CN", "登录"), ("zh", "en", "en", "Sign in"), ("en", "zh", "zh-CN", "登录"),
        ("en", "xx", "en", "Sign in"),
    ],
)  # fmt: skip
def test_the_language_is_the_browsers_unless_chosen(
    client: FlaskClient, header: str, chosen: str, lang: str, word: str
) -> None:
    person = Person(client, language=header)
    if chosen:
        answer = person.get(f"/_admin/language/{chosen}?next=/_admin/sign-in")
        assert answer.status_code == (303 if chosen in ("en", "zh") else 404)
    page = person.get("/_admin/sign-in").text
    assert f'<html lang="{lang}">' in page
    assert word in words(page)


def test_the_choice_of_a_language_leads_nowhere_else(client: FlaskClient) -> None:
    answer = Person(client).get("/_admin/language/en?next=https://evil.example/")
    assert answer.headers["Location"] == "/_admin/sites"


@pytest.mark.parametrize(("language", "said"), [("en", "out of date"), ("zh", "页面已过期")])
def test_a_refusal_is_in_the_users_language(client: FlaskClient, language: str, said: str) -> None:
    answer = Person(client, language=language).call("POST", "/_admin/sign-in", data={"csrf": "x"})
    assert answer.status_code == 403
    assert said in answer.text


# --- Files ------------------------------------------------------------------------------------


def test_what_is_not_ours_is_what_it_was() -> None:
    found = {
        str(path.relative_to(PACKAGE / "static")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in STATIC
        if "vendor" in path.parts
    }
    assert found == VENDORED


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_page_has_nothing_inline_and_nothing_from_elsewhere(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert not re.search(
        r"<style|<script(?! type=\"module\" src=\"\{\{ asset)|\sstyle=|\son[a-z]+=|javascript:", source
    )
    assert not re.search(r"https?://(?!www\.w3\.org)", source)
    assert "| safe" not in source
    assert "|safe" not in source


@pytest.mark.parametrize("name", ["console.css", "console.js", "mark.svg"])
def test_our_own_files_name_no_other_host(name: str) -> None:
    source = (PACKAGE / "static" / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}/|@import|eval\(|innerHTML", source)


def test_a_file_is_kept_for_good_under_an_address_that_names_its_content(client: FlaskClient) -> None:
    page = Person(client).get("/_admin/sign-in").text
    addresses = re.findall(r'(?:href|src)="(/_admin/static/[^"]+)"', page)
    assert len(addresses) == 5
    for address in addresses:
        plain = client.get(address)
        packed = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(packed.data) < len(plain.data)
        assert "Set-Cookie" not in plain.headers
        digest = address.split("/")[3]
        assert hashlib.sha256(plain.data).hexdigest().startswith(digest)
        assert client.get(address.replace(digest, "0" * 16)).status_code == 404


@pytest.mark.parametrize("name", ["../assets.py", "%2e%2e/assets.py", "vendor/pico-2.1.1/LICENSE.md", "console.css/"])
def test_nothing_else_is_sent(client: FlaskClient, name: str) -> None:
    assert client.get(f"/_admin/static/{'0' * 16}/{name}").status_code == 404
