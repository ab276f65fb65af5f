"""Switches to come in the console: planned by the server's clock, shown, cancelled, done and confirmed."""

import io
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from console_person import Person, words
from flask import Flask
from helpers import Admin, zip_of

from pages.model import now

SITE = "/_admin/sites/default/blog"


@pytest.fixture
def versions(admin: Admin, person: Person) -> list[str]:
    """Two versions of the site, the oldest first."""
    return [str(admin.deployed({"index.html": f"v{number}"})["id"]) for number in range(2)]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server is where nobody else is: five hours and 45 minutes before UTC's clock."""
    monkeypatch.setenv("TZ", "XYZ-5:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def typed_time(**ahead: float) -> str:
    """What a browser's field sends."""
    return (now() + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M")


def planned(admin: Admin) -> dict[str, object]:
    return dict(admin.checkpoints().get("plan") or {})


@pytest.mark.parametrize("form_on", [SITE, "the version's page"])
def test_a_version_is_planned_shown_and_cancelled(
    person: Person, admin: Admin, versions: list[str], form_on: str
) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    at = typed_time(days=2)
    answer = person.post(f"{own}/plan", form_on=own if form_on != SITE else SITE, at=at, minutes="")
    shown = at.replace("T", " ")
    page = words(person.follow(answer))
    assert f"Planned: {versions[0]} goes live at {shown}:00" in page
    assert f"At {shown}:00" in page
    assert admin.visit().text == "v1"
    assert (planned(admin)["checkpoint"], planned(admin)["confirm_within"]) == (versions[0], 0)
    assert "plan is cancelled" in words(person.follow(person.post(f"{SITE}/plan/cancel", form_on=SITE)))
    assert planned(admin) == {}


def test_a_planned_switch_waits_for_its_confirmation(
    person: Person, admin: Admin, app: Flask, versions: list[str]
) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    page = words(person.follow(person.post(f"{own}/plan", form_on=SITE, at=typed_time(days=2), minutes="30")))
    assert "Unless it is confirmed within 30 minutes after that" in page
    app.extensions["pages"].plans.run_due(now() + timedelta(days=2))
    assert admin.visit().text == "v0"
    page = person.get(SITE).text
    assert f"{versions[1]} comes back by itself" in words(page)
    assert "A switch is planned" not in words(page)
    assert "Confirmed" in person.follow(person.post(f"{own}/confirm", form_on=SITE))
    assert "confirmation" not in admin.checkpoints()


def test_a_later_plan_takes_the_place_of_one_that_is_shown(person: Person, admin: Admin, versions: list[str]) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    assert "takes the place" not in words(person.get(own).text)
    first, second = typed_time(days=2), typed_time(days=3)
    person.post(f"{own}/plan", form_on=own, at=first)
    assert f"takes the place of what is planned: at {first.replace('T', ' ')}" in words(person.get(own).text)
    person.post(f"{own}/plan", form_on=own, at=second)
    assert str(planned(admin)["at"]).startswith(second)


def test_the_time_is_that_of_the_servers_clock_whose_zone_is_named(
    person: Person, admin: Admin, versions: list[str], elsewhere: None
) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    for page in (SITE, own):
        assert "in the time zone XYZ, UTC+05:45; now it is" in words(person.get(page).text)
    least, most = re.findall(r'(?:min|max)="(\d{4}-[^"]+)"', person.get(own).text)
    assert datetime.fromisoformat(least).astimezone() <= now() < datetime.fromisoformat(most).astimezone()
    at = typed_time(hours=3)
    person.post(f"{own}/plan", form_on=own, at=at)
    assert planned(admin)["at"] == f"{at}:00+05:45"


@pytest.mark.parametrize(
    ("at", "minutes", "field"),
    [
        ("", "", "at"), ("soon", "", "at"), ("2020-01-01T00:00", "", "at"), ("9999-12-31T23:59", "", "at"),
        ("0001-01-01T00:00", "", "at"), ("\0", "", "at"), ("later", "x", "at"), ("good", "x", "minutes"),
        ("good", "0", "minutes"), ("good", "-5", "minutes"), ("good", "43201", "minutes"), ("good", "1.5", "minutes"),
        ("good", "9" * 5000, "minutes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_cannot_be_planned_is_told_at_its_field(
    person: Person, admin: Admin, versions: list[str], at: str, minutes: str, field: str, language: str
) -> None:
    person.speak(language)
    own = f"{SITE}/checkpoints/{versions[0]}"
    at = typed_time(days=2) if at == "good" else at
    answer = person.post(f"{own}/plan", form_on=SITE, at=at, minutes=minutes)
    assert answer.status_code == 400
    assert re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text) == [field]
    assert '<details class="later" open>' in answer.text
    assert f'name="minutes" value="{minutes}"' in answer.text
    assert ("Must be" if language == "en" else "必须是") in words(answer.text)
    assert planned(admin) == {}


def test_nothing_is_planned_for_a_locked_site_or_a_version_that_is_not_there(
    person: Person, admin: Admin, versions: list[str]
) -> None:
    page = f"{SITE}/checkpoints/{versions[0]}"
    none = page.replace(versions[0][:8], "20200101")
    assert person.post(f"{none}/plan", form_on=SITE, at=typed_time(days=2)).status_code == 404
    admin.put("/_api/sites/default/blog", json={"locked": True})
    assert person.post(f"{page}/plan", form_on=SITE, at=typed_time(days=2)).status_code == 409
    assert planned(admin) == {}


def test_what_is_live_is_not_offered_for_later(person: Person, versions: list[str]) -> None:
    assert f"{versions[0]}/plan" in person.get(SITE).text
    assert f"{versions[1]}/plan" not in person.get(SITE).text
    assert f"{versions[1]}/plan" not in person.get(f"{SITE}/checkpoints/{versions[1]}").text


def test_without_a_version_before_there_is_nothing_to_come_back(person: Person, admin: Admin) -> None:
    archive = {"file": (io.BytesIO(zip_of({"index.html": "first"})), "site.zip")}
    admin.post("/_api/sites/default/blog/deploy?activate=false", data=archive)
    page = person.get(SITE).text
    assert 'name="at"' in page
    assert 'name="minutes"' not in page
