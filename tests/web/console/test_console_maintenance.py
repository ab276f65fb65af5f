"""Maintenance in the console: nothing happens before the second confirmation, and each action is in the log."""

import re
from pathlib import Path

import pytest
from console_person import Person, words
from flask import Flask

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
