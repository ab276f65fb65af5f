"""Which server is asked, about which site, and to whom a token is never sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from client.people import Person, Script, told

from pages.client import address
from pages.client.exits import Failed
from pages.client.servers import Server, Servers

WHO = told(200, "", {"name": "x", "role": "admin", "token": None})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with two logins, the second one current."""
    folder = tmp_path / "config/pages"
    folder.mkdir(parents=True)
    servers = {url: {"token": f"token of {url[8]}"} for url in ("https://a.example", "https://b.example")}
    (folder / "credentials.json").write_text(json.dumps({"current": "https://b.example", "servers": servers}))
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.mark.parametrize(
    ("option", "environ", "file", "url", "token"),
    [
        (None, {}, "", "https://b.example", "token of b"),
        (None, {"PAGES_TOKEN": "t"}, "", "https://b.example", "t"),
        (None, {"PAGES_URL": "https://a.example/"}, "", "https://a.example", "token of a"),
        (None, {"PAGES_URL": "https://c.example", "PAGES_TOKEN": "t"}, "", "https://c.example", "t"),
        ("a.example", {"PAGES_URL": "https://c.example"}, "", "https://a.example", "token of a"),
        ("a.example", {"PAGES_URL": "https://c.example", "PAGES_TOKEN": "t"}, "", "https://a.example", "t"),
        (None, {}, 'url = "https://a.example"', "https://a.example", "token of a"),
        (None, {"PAGES_TOKEN": "t"}, 'url = "https://a.example"', "https://a.example", "token of a"),
        (None, {"PAGES_URL": "https://b.example"}, 'url = "https://a.example"', "https://b.example", "token of b"),
        ("b.example", {}, 'url = "https://a.example"', "https://b.example", "token of b"),
    ],
)
def test_the_nearest_word_on_the_server_counts(
    home: dict[str, str], tmp_path: Path, option: str | None, environ: dict[str, str], file: str, url: str, token: str
) -> None:
    (tmp_path / ".pages.toml").write_text(file)
    assert Servers(home | environ, tmp_path).chosen(option) == Server(url, token)


@pytest.mark.parametrize(
    ("environ", "file", "status"),
    [
        ({}, 'url = "https://evil.example"', 3),
        ({"PAGES_TOKEN": "t"}, 'url = "https://evil.example"', 3),
        ({"PAGES_URL": "https://c.example"}, "", 3),
        ({"PAGES_URL": "ftp://c.example"}, "", 2),
        ({}, 'token = "x"', 2),
        ({}, "url = 1", 2),
        ({}, "url", 2),
        ({"XDG_CONFIG_HOME": "/nowhere"}, "", 3),
        ({"XDG_CONFIG_HOME": "/nowhere", "PAGES_TOKEN": "t"}, "", 2),
    ],
)
def test_without_a_server_that_is_trusted_nothing_is_sent(
    home: dict[str, str], tmp_path: Path, environ: dict[str, str], file: str, status: int, person: Person
) -> None:
    import os

    os.chdir(person.folder)  # Where there is no config.toml.
    (tmp_path / ".pages.toml").write_text(file)
    with pytest.raises(Failed) as failed:
        Servers(home | environ, tmp_path).chosen()
    assert failed.value.exit_code == status


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("pages.example.com", "https://pages.example.com"),
        ("pages.example.com:8443", "https://pages.example.com:8443"),
        ("https://Pages.Example.com/", "https://pages.example.com"),
        ("localhost:1323", "http://localhost:1323"),
        ("127.0.0.1:1323", "http://127.0.0.1:1323"),
        ("[::1]:80", "http://[::1]:80"),
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("", None),
        ("https://", None),
        ("https://a.example/path", None),
        ("https://a.example?x", None),
        ("https://user:secret@a.example", None),
        ("https://a.example:port", None),
        ("file:///etc/passwd", None),
        ("http://[::1", None),
        ("http://\x1bc", None),
        ("http://a b", None),
        ("http://\udcff", None),
    ],
)
def test_an_address_is_a_scheme_and_a_host(text: str, url: str | None) -> None:
    if url is not None:
        assert address.parsed(text) == url
        return
    with pytest.raises(Failed) as failed:
        address.parsed(text)
    assert failed.value.exit_code == 2
    assert "secret" not in failed.value.message


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("http://pages.example.com", True),
        ("http://10.0.0.1", True),
        ("http://localhost.example.com", True),
        ("http://0.0.0.0", True),
        ("http://localhost:1323", False),
        ("http://127.1.2.3", False),
        ("http://[::1]", False),
        ("https://pages.example.com", False),
    ],
)
def test_a_token_goes_over_a_network_encrypted_only(person: Person, url: str, is_refused: bool) -> None:
    server = Server(url, "secret")
    if not is_refused:
        server.check()
        return
    with pytest.raises(Failed) as failed:
        server.check()
    assert failed.value.exit_code == 2
    Server(url, "secret", may_be_read=True).check()
    done = person.run("login", url, "--token", "-", stdin="secret")
    assert done.status == 2
    assert "--insecure-http" in done.err


def test_nobody_types_a_password_that_others_could_read(person: Person) -> None:
    with pytest.raises(Failed):
        Servers(person.environment()).by_password("http://pages.example.com", False, lambda *_: pytest.fail("asked"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["login", "--user", "x", "--password-stdin"],
        ["login", "--token", "-"],
        ["tokens", "create", "ci", "--user", "x", "--password-stdin"],
        ["tokens", "list", "--user", "x", "--password-stdin"],
    ],
)
def test_a_server_that_only_a_file_names_gets_nothing_out_of_a_pipe(person: Person, arguments: list[str]) -> None:
    with Script([]) as script:
        (person.folder / ".pages.toml").write_text(f'url = "{script.url}"')
        done = person.run(*arguments, stdin="secret\n")
    assert (done.status, script.asked) == (2, [])
    assert script.url in done.err


def test_a_redirect_is_told_and_not_followed(person: Person) -> None:
    with Script([]) as elsewhere, Script([(307, {"Location": f"{elsewhere.url}/_api/whoami"}, b"")]) as script:
        done = person.run("whoami", "--url", script.url, PAGES_TOKEN="t")
    assert done.status == 6
    assert elsewhere.url in done.err
    assert elsewhere.asked == []


def test_english_is_asked_for_with_the_token(person: Person) -> None:
    with Script([WHO]) as script:
        person.ok("whoami", "--url", script.url, PAGES_TOKEN="t")
    headers = script.asked[0].headers
    assert (headers["Authorization"], headers["Accept-Language"]) == ("Bearer t", "en")


@pytest.mark.parametrize("token", ["pages_1_2\nX-Other: 1", "pages_1_\u00e9", "pages_1_\udcff", "pages_1_2\x00"])
def test_a_token_that_is_none_is_neither_sent_nor_shown(token: str) -> None:
    with pytest.raises(Failed) as failed:
        Server("https://pages.example.com", token).check()
    assert failed.value.exit_code == 2
    assert "pages_1" not in failed.value.message


def test_the_end_of_a_line_is_no_part_of_a_token(person: Person) -> None:
    with Script([WHO]) as script:
        person.ok("whoami", "--url", script.url, PAGES_TOKEN="t\n")
    assert script.asked[0].headers["Authorization"] == "Bearer t"


def test_no_proxy_stands_between_us_and_this_machine(person: Person) -> None:
    with Script([WHO]) as script:
        person.ok(
            "whoami",
            "--url",
            script.url,
            PAGES_TOKEN="t",
            HTTP_PROXY="http://127.0.0.1:1",
            ALL_PROXY="http://127.0.0.1:1",
        )


@pytest.mark.parametrize(
    ("arguments", "settings", "file", "site"),
    [
        (["-s", "a/one"], {"PAGES_SITE": "b/two"}, 'site = "c/three"', "a/one"),
        ([], {"PAGES_SITE": "b/two"}, 'site = "c/three"', "b/two"),
        ([], {}, 'site = "c/three"', "c/three"),
        ([], {}, "", None),
        (["-s", "one"], {}, "", None),
        (["-s", "../x"], {}, "", None),
    ],
)
def test_the_nearest_word_on_the_site_counts(
    person: Person, arguments: list[str], settings: dict[str, str], file: str, site: str | None
) -> None:
    (person.folder / ".pages.toml").write_text(file)
    with Script([told(200, "", {"current": None, "checkpoints": [], "total": 0})]) as script:
        done = person.run("checkpoints", *arguments, "--url", script.url, PAGES_TOKEN="t", **settings)
    if site is None:
        assert (done.status, script.asked) == (2, [])
    else:
        assert [asked.path for asked in script.asked] == [f"/_api/sites/{site}/checkpoints"]


def test_an_installation_asks_on_its_own_host(make_app: object, person: Person) -> None:
    with Script([told(200, "", {"status": "healthy", "sites_count": 1, "timestamp": ""})]) as script:
        port = script.server.server_port
        (person.folder / "config.toml").write_text(f'[server]\nport = {port}\nadmin_hosts = ["panel.example.com"]\n')
        person.ok("health")
    assert script.asked[0].headers["Host"] == "panel.example.com"
    assert script.asked[0].headers["Authorization"].startswith("Basic ")


def test_an_installation_on_an_address_of_version_6_is_asked_there(person: Person) -> None:
    (person.folder / "config.toml").write_text('[server]\nhost = "::1"\nport = 9\n')
    for command in (["health"], ["maintenance", "backup"]):
        assert "no answer from http://[::1]:9: " in person.run(*command).err


@pytest.mark.parametrize("host", ["192.0.2.1", "pages.invalid", "2001:db8::1"])
def test_an_installation_is_on_this_machine(person: Person, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.client.api._client", lambda server: pytest.fail("asked"))
    (person.folder / "config.toml").write_text(f'[server]\nhost = "{host}"\n')
    done = person.run("health", PAGES_ADMIN_PASS="secret")
    assert done.status == 3
    assert host in done.err


def test_somebody_elses_config_toml_is_not_taken_for_an_installation(person: Person) -> None:
    (person.folder / "config.toml").write_text('baseURL = "https://example.org/"\n')
    done = person.run("health")
    assert done.status == 3
    assert "pages login" in done.err
