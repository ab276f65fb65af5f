"""Maintenance in the console: nothing happens before the second confirmation, and each action is in the log."""

import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from console_person import Person, token_in, words
from flask import Flask
from werkzeug.datastructures import Headers

PAGE = "/_admin/maintenance"


@pytest.fixture
def done(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was really done."""
    found: list[str] = []
    services = app.extensions["pages"]
    for name in ("clear_cache", "back_up", "restart"):
        real = getattr(services.upkeep, name)
        monkeypatch.setattr(services.upkeep, name, lambda name=name, real=real: (found.append(name), real())[1])
    return found


@pytest.mark.parametrize(
    ("action", "word", "does"),
    [("clear-cache", "yes", "clear_cache"), ("backup", "yes", "back_up"), ("restart", "RESTART", "restart")],
)
def test_an_action_is_confirmed_before_it_is_done(
    person: Person, done: list[str], action: str, word: str, does: str
) -> None:
    asked = person.get(f"{PAGE}/{action}")
    assert "?" in words(asked.text)
    assert "Cancel" in words(asked.text)
    for fields in ({}, {"confirmed": ""}, {"confirmed": word.lower() + "x"}, {"action": action}):
        answer = person.post(f"{PAGE}/{action}", **fields)  # type: ignore[arg-type]
        assert answer.status_code in (200, 400)
        assert f'action="{PAGE}/{action}"' in answer.text
    assert done == []
    assert person.post(f"{PAGE}/{action}", confirmed=word).status_code == 303
    assert done == [does]


@pytest.mark.parametrize("typed", ["yes", "restart", " RESTART", "RESTART "])
def test_a_restart_is_typed_to_the_letter(person: Person, done: list[str], typed: str) -> None:
    answer = person.post(f"{PAGE}/restart", confirmed=typed)
    assert (answer.status_code, done) == (400, [])
    assert "nothing was changed" in words(answer.text)


def test_in_development_it_says_that_nothing_was_restarted(person: Person) -> None:
    assert "nothing was restarted" in words(person.get(f"{PAGE}/restart").text)
    assert "nothing was restarted" in words(person.follow(person.post(f"{PAGE}/restart", confirmed="RESTART")))


def test_backups_are_listed_with_size_and_time(person: Person, tmp_path: Path) -> None:
    assert "No backups yet" in person.get(PAGE).text
    page = words(person.follow(person.post(f"{PAGE}/backup", confirmed="yes")))
    [backup] = (tmp_path / "backups").iterdir()
    assert f"Backed up: {backup.name}" in page
    assert re.search(rf"{re.escape(backup.name)} [\d.]+ (B|KiB) just now", page)


# --- Downloads --------------------------------------------------------------------------------


@pytest.fixture
def backup(person: Person, tmp_path: Path) -> Path:
    """A backup that the list names."""
    person.post(f"{PAGE}/backup", confirmed="yes")
    [path] = (tmp_path / "backups").iterdir()
    return path


def downloaded(person: Person, name: str, **kwargs: Any) -> tuple[int, bytes, Headers]:
    """What the page's form gets."""
    answer = person.call("POST", f"{PAGE}/backups/{name}", data={"csrf": token_in(person.get(PAGE).text)}, **kwargs)
    with answer:
        return answer.status_code, answer.data, answer.headers


def test_a_backup_is_downloaded_as_it_is_and_kept_by_no_cache(
    person: Person, backup: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert f'action="{PAGE}/backups/{backup.name}"' in person.get(PAGE).text
    caplog.set_level("INFO", "pages.changes")
    status, data, headers = downloaded(person, backup.name)
    assert (status, data) == (200, backup.read_bytes())
    assert headers["Content-Length"] == str(len(data))
    assert headers["Content-Disposition"] == f"attachment; filename={backup.name}"
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert [record.getMessage() for record in caplog.records] == [
        f'who="admin" from=127.0.0.1 what="POST {PAGE}/backups/{backup.name}" result="200 The backup is handed out"'
    ]


def test_a_full_backup_and_one_of_a_single_site_are_downloaded_as_well(person: Person, backup: Path) -> None:
    for kind in (".full.tar", ".default@blog.tar"):
        other = backup.with_name(backup.name.replace(".json", kind))
        other.write_bytes(kind.encode())
        status, data, headers = downloaded(person, quote(other.name))
        assert (status, data) == (200, kind.encode())
        assert other.name in unquote(headers["Content-Disposition"])


@pytest.mark.parametrize(
    "name",
    [
        "../config.toml", "..%2fconfig.toml", "..%2Fdata%2Fregistry%2Fdefault%2Fblog.json", "%2e%2e/config.toml",
        "%2fetc%2fpasswd", "//etc/passwd", "/etc/passwd", ".", "..", "%00", "x", "SECRET", "{backup}%00", "{backup}/",
        "{backup}/../x", "./{backup}", "{backup}%0a", " {backup}", "{BACKUP}", "quarantine/{backup}",
        "quarantine%2f{backup}", ".unfinished-0123456789abcdef", "backup-*",
    ],
)  # fmt: skip
def test_nothing_but_what_the_list_names_is_handed_out(person: Person, backup: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text("SECRET")
    folder = backup.parent
    (folder / "quarantine").mkdir()
    for secret in (folder / "SECRET", folder / ".unfinished-0123456789abcdef", folder / "quarantine" / backup.name):
        secret.write_text("SECRET")
    asked = name.replace("{backup}", backup.name).replace("{BACKUP}", backup.name.upper())
    status, data, headers = downloaded(person, asked)
    assert status in (308, 404, 405)
    assert b"SECRET" not in data
    assert b"root:" not in data
    assert "attachment" not in headers.get("Content-Disposition", "")


@pytest.mark.parametrize("kind", ["link", "hanging link", "link to a backup", "folder", "pipe", "socket"])
def test_what_only_has_a_backups_name_is_none(
    person: Person, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    false = backup.with_name("backup-2020-01-01T00-00-00-000Z.json")
    (tmp_path / "secret").write_text("SECRET")
    monkeypatch.chdir(false.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        {
            "link": lambda: false.symlink_to(tmp_path / "secret"),
            "hanging link": lambda: false.symlink_to(tmp_path / "none"),
            "link to a backup": lambda: false.symlink_to(backup),
            "folder": false.mkdir,
            "pipe": lambda: os.mkfifo(false),
            "socket": lambda: listener.bind(false.name),  # A path of a socket is short.
        }[kind]()
        status, data, _ = downloaded(person, false.name)
    assert status == 404
    assert b"SECRET" not in data
    assert f"backups/{false.name}" not in person.get(PAGE).text


def test_a_link_downloads_nothing(person: Person, backup: Path) -> None:
    address = f"{PAGE}/backups/{backup.name}"
    token = token_in(person.get(PAGE).text)
    for query in ("", f"?csrf={token}"):
        for method in ("GET", "HEAD"):
            assert person.call(method, f"{address}{query}").status_code == 405
    assert person.call("POST", f"{address}?csrf={token}").status_code == 403
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert downloaded(person, backup.name, headers=headers)[0] == 403
    assert Person(person.client).call("POST", address, data={"csrf": token}).status_code == 303


def test_a_backup_that_is_pruned_meanwhile_is_still_whole(person: Person, backup: Path) -> None:
    whole = backup.read_bytes()
    form = {"csrf": token_in(person.get(PAGE).text)}
    with person.call("POST", f"{PAGE}/backups/{backup.name}", data=form, buffered=False) as answer:
        backup.unlink()
        assert answer.data == whole
    assert downloaded(person, backup.name)[0] == 404


def test_a_backup_that_fails_says_why(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.errors import OperationFailed

    def fails() -> None:
        raise OperationFailed("the database is away")

    monkeypatch.setattr(app.extensions["pages"].upkeep, "back_up", fails)
    answer = person.post(f"{PAGE}/backup", confirmed="yes")
    assert answer.status_code == 500
    assert "the database is away" in answer.text
    assert f'href="{PAGE}"' in answer.text


def test_reload_names_the_records_that_cannot_be_read(person: Person, data: Path) -> None:
    (data / "registry/default/blog.json").write_text("{")
    page = words(person.follow(person.post(f"{PAGE}/reload", confirmed="yes")))
    assert "Reloaded: 1 site is in force" in page
    assert "registry/default/blog.json" in page


def test_health_says_what_is_wrong(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Healthy" in person.get(PAGE).text
    monkeypatch.setattr(type(app.extensions["pages"]), "why_unhealthy", lambda _self: "数据目录不可写: full")
    assert "Unhealthy" in person.get(PAGE).text
    person.speak("zh")
    page = person.get(PAGE).text
    assert "数据目录不可写: full" in page


@pytest.mark.parametrize("action", ["x", "deploy", "..", "clear_cache"])
def test_there_are_no_other_actions(person: Person, action: str) -> None:
    assert person.get(f"{PAGE}/{action}").status_code == 404
    assert person.post(f"{PAGE}/{action}", form_on=f"{PAGE}/backup", confirmed="yes").status_code == 404


def test_each_change_is_in_the_log_with_who_made_it(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pages.changes")
    person.post(f"{PAGE}/backup", confirmed="yes")
    person.post("/_admin/new-site", id="new", domain="new.localhost", username="default")
    person.post("/_admin/sites/default/new/delete", typed="new")
    Person(person.client).sign_in("admin", "wrong password")
    lines = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r'who="admin" from=127.0.0.1 what="POST /_admin/maintenance/backup confirmed" '
        r'result="303 Backed up: backup-.*\.json"',
        lines[0],
    )
    assert 'what="POST /_admin/new-site" result="303 The site new is there' in lines[1]
    assert 'what="POST /_admin/sites/default/new/delete" result="303 The site default/new is deleted' in lines[2]
    assert lines[3] == 'who="-" from=127.0.0.1 what="POST /_admin/sign-in" result="401 Wrong user name or password"'
    assert "wrong password" not in caplog.text
