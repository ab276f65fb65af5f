"""Switches to come: a checkout with a net, one at a time; in time, too late, twice, after a crash."""

import io
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, everything_below, wait_until, zip_of

import pages.plans
from pages import clock, files
from pages.clock import Clock
from pages.files import lock
from pages.services import Services
from pages.work import run_now

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
UNKNOWN = "20250101-100000-01d12345"
ONE: dict[str, bytes | str] = {"index.html": "one"}
TWO: dict[str, bytes | str] = {"index.html": "two"}
THREE: dict[str, bytes | str] = {"index.html": "three"}

NOTHING_TO_CONFIRM = "没有等待确认的切换"
NOTHING_PLANNED = "没有计划中的切换"
NOTHING_BEFORE = "没有可恢复的上一个检查点"
LOCKED = "站点已锁定发布，请先解除锁定"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions["pages"]
    return found


@pytest.fixture
def two(admin: Admin) -> tuple[str, str]:
    """Two checkpoints; the second is live."""
    return admin.deployed(ONE)["id"], admin.deployed(TWO)["id"]


def state(data: Path) -> dict[str, str]:
    """All that lasts in the data folder: a refused request must not change it."""
    passing = ("locks", "work", "ballast", "cache")
    return {name: what for name, what in everything_below(data).items() if not name.startswith(passing)}


def metadata_of(data: Path) -> Any:
    return json.loads((data / "sites-checkpoints/default/blog/metadata.json").read_bytes())


def due(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "due").iterdir()) if (data / "due").exists() else []


def after(seconds: float) -> datetime:
    return datetime.now().astimezone() + timedelta(seconds=seconds)


def with_net(admin: Admin, checkpoint_id: str, seconds: int = 60) -> Any:
    reply = admin.post(f"{CHECKPOINTS}/{checkpoint_id}/checkout?confirm_within={seconds}")
    return assert_success(reply, message="站点已切换到检查点")


def planned(admin: Admin, checkpoint_id: str, seconds: int = 60, more: str = "") -> Any:
    at = after(seconds).strftime("%Y-%m-%dT%H:%M:%S%z").replace("+", "%2B")
    return assert_success(admin.post(f"{CHECKPOINTS}/{checkpoint_id}/checkout?at={at}{more}"), 202, "已计划切换")


def confirm(admin: Admin, checkpoint_id: str) -> Any:
    return admin.post(f"{CHECKPOINTS}/{checkpoint_id}/confirm")


def stored(admin: Admin, content: dict[str, bytes | str]) -> str:
    """A new checkpoint that is not live."""
    data = {"file": (io.BytesIO(zip_of(content)), "a.zip")}
    return str(assert_success(admin.post(f"{SITE}/deploy?activate=false", data=data))["checkpoint"]["id"])


def shown(admin: Admin) -> str:
    return admin.visit().text


# --- With a net -----------------------------------------------------------------------------


def test_a_checkout_with_a_net_is_live_and_says_what_will_undo_it(admin: Admin, two: tuple[str, str]) -> None:
    first, second = two
    told = with_net(admin, first)
    assert told == {
        "username": "default", "id": "blog", "checkpoint_id": first,
        "confirm_until": told["confirm_until"], "back_to": second,
    }  # fmt: skip
    assert 58 <= (datetime.fromisoformat(told["confirm_until"]) - after(0)).total_seconds() <= 60
    listed = admin.checkpoints()
    assert listed["current"] == first
    assert listed["confirmation"] == {"checkpoint": first, "back_to": second, "until": told["confirm_until"]}
    assert shown(admin) == "one"


@pytest.mark.parametrize(("seconds", "page"), [(-3600, "one"), (0, "one"), (58, "one"), (62, "two"), (1e8, "two")])
def test_the_version_before_comes_back_when_the_time_is_over_and_not_before(
    admin: Admin, services: Services, two: tuple[str, str], seconds: float, page: str
) -> None:
    with_net(admin, two[0])
    services.plans.run_due(after(seconds))
    assert shown(admin) == page


def test_what_came_back_is_current_and_waits_for_nothing(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with_net(admin, two[0])
    services.plans.run_due(after(62))
    listed = admin.checkpoints()
    assert listed["current"] == two[1]
    assert "confirmation" not in listed
    assert "confirmation" not in metadata_of(data)
    assert due(data) == []
    assert f"{two[0]} was not confirmed: back to {two[1]}" in caplog.text
    before = state(data)
    services.plans.run_due(after(1000))
    assert state(data) == before


def test_what_is_confirmed_in_time_stays(admin: Admin, services: Services, data: Path, two: tuple[str, str]) -> None:
    with_net(admin, two[0])
    told = assert_success(confirm(admin, two[0]), message="切换已确认")
    assert told == {"username": "default", "id": "blog", "checkpoint_id": two[0]}
    assert "confirmation" not in admin.checkpoints()
    services.plans.run_due(after(1000))
    assert shown(admin) == "one"
    assert due(data) == []


def test_a_confirmation_that_comes_too_late_is_told(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    with_net(admin, two[0])
    services.plans.run_due(after(62))
    assert_failure(confirm(admin, two[0]), 409, NOTHING_TO_CONFIRM)
    assert shown(admin) == "two"


@pytest.mark.parametrize("which", ["the one before", UNKNOWN, "x"])
def test_only_what_was_checked_out_can_be_confirmed(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], which: str
) -> None:
    with_net(admin, two[0])
    before = state(data)
    assert_failure(confirm(admin, two[1] if which == "the one before" else which), 409, NOTHING_TO_CONFIRM)
    assert state(data) == before
    services.plans.run_due(after(62))
    assert shown(admin) == "two"


def test_nothing_is_confirmed_where_nothing_waits(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    before = state(data)
    for checkpoint_id in (*two, UNKNOWN):
        assert_failure(confirm(admin, checkpoint_id), 409, NOTHING_TO_CONFIRM)
    assert_failure(admin.post("/_api/sites/default/nope/checkpoints/x/confirm"), 404, "站点不存在")
    assert state(data) == before


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "", "2592001", "1e3", "٣", "9" * 20, " 1", "true"])
def test_a_bad_time_for_confirming_is_refused(admin: Admin, data: Path, two: tuple[str, str], value: str) -> None:
    before = state(data)
    reply = admin.post(f"{CHECKPOINTS}/{two[0]}/checkout?confirm_within={value}")
    assert_failure(reply, 400, "字段 confirm_within 必须是 1 到 2592000 的整数（秒）")
    assert state(data) == before


def test_there_must_be_something_to_return_to(admin: Admin, data: Path) -> None:
    first = stored(admin, ONE)
    before = state(data)
    reply = admin.post(f"{CHECKPOINTS}/{first}/checkout?confirm_within=60")
    assert_failure(reply, 409, NOTHING_BEFORE)
    assert state(data) == before
    assert_success(admin.checkout(first))
    before = state(data)
    assert_failure(admin.post(f"{CHECKPOINTS}/{first}/checkout?confirm_within=60"), 409, NOTHING_BEFORE)
    assert state(data) == before


MEANWHILE: dict[str, Callable[[Admin, str, str], Any]] = {
    "a deploy": lambda admin, first, second: admin.deployed(THREE),
    "a checkout": lambda admin, first, second: assert_success(admin.checkout(second)),
    "a checkout of the same": lambda admin, first, second: assert_success(admin.checkout(first)),
    "a checkpoint by hand": lambda admin, first, second: assert_success(admin.post(CHECKPOINTS), 201),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_what_goes_live_meanwhile_takes_the_net_away(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], meanwhile: str
) -> None:
    with_net(admin, two[0])
    MEANWHILE[meanwhile](admin, *two)
    page = shown(admin)
    assert "confirmation" not in admin.checkpoints()
    services.plans.run_due(after(62))
    assert shown(admin) == page
    assert due(data) == []


def test_a_version_that_is_only_stored_leaves_the_net(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    with_net(admin, two[0])
    stored(admin, THREE)
    services.plans.run_due(after(62))
    assert shown(admin) == "two"


def test_a_second_net_returns_to_what_was_live_before_the_first(
    admin: Admin, services: Services, two: tuple[str, str]
) -> None:
    third = admin.deployed(THREE)["id"]
    with_net(admin, two[0], 100)
    told = with_net(admin, two[1], 60)
    assert told["back_to"] == third
    services.plans.run_due(after(62))
    assert shown(admin) == "three"
    services.plans.run_due(after(200))
    assert shown(admin) == "three"


def test_a_net_can_be_drawn_out(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    with_net(admin, two[0], 60)
    assert with_net(admin, two[0], 200)["back_to"] == two[1]
    services.plans.run_due(after(62))
    assert shown(admin) == "one"
    services.plans.run_due(after(202))
    assert shown(admin) == "two"


# --- At a time ------------------------------------------------------------------------------


def test_a_planned_checkout_is_answered_at_once_and_made_later(
    admin: Admin, services: Services, data: Path, two: tuple[str, str]
) -> None:
    told = planned(admin, two[0])
    at = told["at"]
    assert told == {
        "username": "default", "id": "blog", "checkpoint_id": two[0], "at": at, "confirm_within": 0,
    }  # fmt: skip
    assert admin.checkpoints()["plan"] == {"checkpoint": two[0], "at": at, "confirm_within": 0}
    services.plans.run_due(after(50))
    assert shown(admin) == "two"
    services.plans.run_due(after(62))
    assert shown(admin) == "one"
    listed = admin.checkpoints()
    assert listed["current"] == two[0]
    assert "plan" not in listed
    assert due(data) == []


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2020-01-01T00:00:00", "2020-01-01T00:00:00+00:00", "9999-12-31T23:59:59", "12:00", "\0",
        "1700000000", "2026-13-01T00:00:00", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00",
        "0001-01-01T00:00:00",
    ],
)  # fmt: skip
def test_a_time_that_is_none_or_is_not_to_come_is_refused(
    admin: Admin, data: Path, two: tuple[str, str], text: str
) -> None:
    before = state(data)
    message = assert_failure(admin.post(f"{CHECKPOINTS}/{two[0]}/checkout", query_string={"at": text}), 400)
    assert message in (
        "字段 at 必须是 ISO 8601 时间，例如 2026-12-01T08:00:00+08:00（+ 写作 %2B）",
        "字段 at 必须是一年之内的将来时间",
    )
    assert state(data) == before


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-1, False), (0, False), (1, True), (366 * 86400, True), (366 * 86400 + 1, False)]
)
def test_a_time_is_within_a_year(
    admin: Admin, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, seconds: int, accepted: bool
) -> None:
    fixed = after(0)
    monkeypatch.setattr("pages.web.terms.now", lambda: fixed)
    at = (fixed + timedelta(seconds=seconds)).isoformat()
    reply = admin.post(f"{CHECKPOINTS}/{two[0]}/checkout", query_string={"at": at})
    if accepted:
        assert_success(reply, 202)
    else:
        assert_failure(reply, 400, "字段 at 必须是一年之内的将来时间")


@pytest.mark.parametrize("offset", ["", "Z", "+08:00", "-11:30"])
def test_a_time_without_an_offset_is_the_server_s(
    admin: Admin, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, offset: str
) -> None:
    monkeypatch.setenv("TZ", "XYZ-5:45")
    time.tzset()
    try:
        moment = (datetime.now() + timedelta(days=2)).replace(microsecond=0).isoformat() + offset
        reply = admin.post(f"{CHECKPOINTS}/{two[0]}/checkout", query_string={"at": moment})
        told = datetime.fromisoformat(assert_success(reply, 202)["at"])
        assert told == datetime.fromisoformat(moment).astimezone()
        assert told.utcoffset() == timedelta(hours=5, minutes=45)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_later_plan_takes_the_place_of_the_one_before(
    admin: Admin, services: Services, data: Path, two: tuple[str, str]
) -> None:
    admin.deployed(THREE)
    planned(admin, two[0], 30)
    planned(admin, two[1], 60)
    services.plans.run_due(after(32))
    assert shown(admin) == "three"
    services.plans.run_due(after(62))
    assert shown(admin) == "two"
    assert due(data) == []


def test_a_cancelled_plan_is_not_made(admin: Admin, services: Services, data: Path, two: tuple[str, str]) -> None:
    planned(admin, two[0])
    assert_success(admin.delete(f"{SITE}/plan"), message="已取消计划中的切换")
    assert "plan" not in admin.checkpoints()
    services.plans.run_due(after(62))
    assert shown(admin) == "two"
    before = state(data)
    assert_failure(admin.delete(f"{SITE}/plan"), 409, NOTHING_PLANNED)
    assert state(data) == before


def test_there_is_no_plan_of_a_site_that_is_not_there(admin: Admin) -> None:
    assert_failure(admin.delete("/_api/sites/default/nope/plan"), 404, "站点不存在")


def test_a_plan_outlives_deploys_and_checkouts(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    planned(admin, two[0])
    admin.deployed(THREE)
    services.plans.run_due(after(62))
    assert shown(admin) == "one"


def test_a_planned_checkout_may_have_a_net(admin: Admin, services: Services, data: Path, two: tuple[str, str]) -> None:
    assert planned(admin, two[0], 60, "&confirm_within=100")["confirm_within"] == 100
    services.plans.run_due(after(62))
    assert shown(admin) == "one"
    assert admin.checkpoints()["confirmation"]["back_to"] == two[1]
    services.plans.run_due(after(150))
    assert shown(admin) == "one"
    services.plans.run_due(after(165))
    assert shown(admin) == "two"
    assert due(data) == []


def test_a_planned_checkout_with_a_net_can_be_confirmed(admin: Admin, services: Services, two: tuple[str, str]) -> None:
    planned(admin, two[0], 60, "&confirm_within=100")
    assert_failure(confirm(admin, two[0]), 409, NOTHING_TO_CONFIRM)
    services.plans.run_due(after(62))
    assert_success(confirm(admin, two[0]))
    services.plans.run_due(after(1000))
    assert shown(admin) == "one"


def test_a_net_and_a_plan_that_are_due_together_end_with_the_plan(
    admin: Admin, services: Services, two: tuple[str, str]
) -> None:
    admin.deployed(THREE)
    with_net(admin, two[1], 30)
    planned(admin, two[0], 40)
    services.plans.run_due(after(1000))
    assert shown(admin) == "one"
    assert "confirmation" not in admin.checkpoints()


def test_a_plan_with_a_net_that_was_made_before_by_hand_is_given_up(
    admin: Admin, services: Services, two: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    planned(admin, two[0], 60, "&confirm_within=100")
    assert_success(admin.checkout(two[0]))
    services.plans.run_due(after(62))
    assert shown(admin) == "one"
    assert "plan" not in admin.checkpoints()
    assert NOTHING_BEFORE in caplog.text


# --- What a switch to come needs ------------------------------------------------------------


AWAITED = "检查点正等待切换，请先确认或取消"


def test_what_a_net_needs_cannot_be_deleted(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    with_net(admin, two[0])
    before = state(data)
    assert_failure(admin.delete(f"{CHECKPOINTS}/{two[1]}"), 409, AWAITED)
    assert state(data) == before
    assert_success(confirm(admin, two[0]))
    assert_success(admin.delete(f"{CHECKPOINTS}/{two[1]}"))


def test_what_a_plan_needs_cannot_be_deleted(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    planned(admin, two[0])
    before = state(data)
    assert_failure(admin.delete(f"{CHECKPOINTS}/{two[0]}"), 409, AWAITED)
    assert state(data) == before
    assert_success(admin.delete(f"{SITE}/plan"))
    assert_success(admin.delete(f"{CHECKPOINTS}/{two[0]}"))


def test_a_checkpoint_that_there_is_not_cannot_be_planned(admin: Admin, data: Path, two: tuple[str, str]) -> None:
    before = state(data)
    reply = admin.post(f"{CHECKPOINTS}/{UNKNOWN}/checkout", query_string={"at": after(60).isoformat()})
    assert_failure(reply, 404, "检查点不存在")
    assert state(data) == before


# --- What happens in between ----------------------------------------------------------------


KINDS: dict[str, Callable[[Admin, str], Any]] = {"a net": with_net, "a plan": planned}


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_waits_while_the_site_is_locked(
    admin: Admin,
    services: Services,
    data: Path,
    two: tuple[str, str],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    KINDS[kind](admin, two[0])
    before = shown(admin)
    assert_success(admin.put(SITE, json={"locked": True}))
    services.plans.run_due(after(62))
    assert shown(admin) == before
    assert due(data)
    assert_success(admin.put(SITE, json={"locked": False}))
    services.plans.run_due(after(63))
    assert shown(admin) == before  # It is not asked again at every tick.
    later = time.monotonic() + 11
    monkeypatch.setattr(pages.plans.time, "monotonic", lambda: later)
    services.plans.run_due(after(73))
    assert shown(admin) == {"one": "two", "two": "one"}[before]
    assert due(data) == []


def lose(data: Path, checkpoint_id: str) -> None:
    """Take away a checkpoint's archive, and every tree of it."""
    (data / f"sites-checkpoints/default/blog/checkpoints/{checkpoint_id}.tar.gz").unlink()
    for tree in (data / "trees/default/blog").glob(f"{checkpoint_id}.*"):
        tree.rename(data / "cache" / tree.name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_to_what_is_lost_is_given_up_and_logged(
    admin: Admin,
    services: Services,
    data: Path,
    two: tuple[str, str],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    KINDS[kind](admin, two[0])
    before = shown(admin)
    lose(data, two[1] if kind == "a net" else two[0])
    services.plans.run_due(after(62))
    assert shown(admin) == before
    listed = admin.checkpoints()
    assert not {"plan", "confirmation"} & set(listed)
    assert "archive" in caplog.text or "is missing" in caplog.text
    assert due(data) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_site_that_was_deleted_meanwhile_is_left_alone(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], kind: str
) -> None:
    KINDS[kind](admin, two[0])
    assert_success(admin.delete(SITE))
    services.plans.run_due(after(62))
    assert due(data) == []
    assert_failure(admin.get(CHECKPOINTS), 404)


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_site_of_the_same_name_has_no_part_in_it(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], kind: str
) -> None:
    KINDS[kind](admin, two[0])
    assert_success(admin.delete(SITE))
    admin.create("blog")
    admin.deployed(THREE)
    services.plans.run_due(after(62))
    assert shown(admin) == "three"
    assert due(data) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_disabled_site_is_switched_and_stays_disabled(
    admin: Admin, services: Services, two: tuple[str, str], kind: str
) -> None:
    KINDS[kind](admin, two[0])
    assert_success(admin.put(SITE, json={"enabled": False}))
    services.plans.run_due(after(62))
    assert admin.visit().status_code == 404
    assert admin.checkpoints()["current"] == (two[1] if kind == "a net" else two[0])


@pytest.mark.parametrize("damage", ["metadata", "record"])
def test_a_site_that_cannot_be_read_holds_up_no_other(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin.create("other")
    first = admin.deployed(ONE, site="default/other")["id"]
    admin.deployed(TWO, site="default/other")
    planned(admin, two[0], 30)
    at = after(40).isoformat()
    assert_success(admin.post(f"/_api/sites/default/other/checkpoints/{first}/checkout", query_string={"at": at}), 202)
    broken = "sites-checkpoints/default/blog/metadata.json" if damage == "metadata" else "registry/default/blog.json"
    (data / broken).write_text("{")
    services.plans.run_due(after(62))
    assert admin.visit(host="other.localhost").text == "one"
    assert "a switch is due" in caplog.text


def test_a_busy_site_is_tried_again(
    make_app: Callable[..., Flask],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app(lock_timeout=0.05)
    admin, services = Admin(app.test_client()), app.extensions["pages"]
    admin.create("blog")
    first = admin.deployed(ONE)["id"]
    admin.deployed(TWO)
    planned(admin, first)
    with lock(services.paths.site_lock("default", "blog"), 1), caplog.at_level("INFO", "pages.plans"):
        services.plans.run_due(after(62))
    assert shown(admin) == "two"
    assert "a switch is due and waits" in caplog.text
    later = time.monotonic() + 11
    monkeypatch.setattr(pages.plans.time, "monotonic", lambda: later)
    services.plans.run_due(after(73))
    assert shown(admin) == "one"


def test_a_busy_registry_is_waited_for_as_well(
    make_app: Callable[..., Flask], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version with rules has to be taken from nginx before it goes live, which needs the registry's lock."""
    app = make_app(lock_timeout=0.05)
    admin, services = Admin(app.test_client()), app.extensions["pages"]
    admin.create("blog")
    first = admin.deployed({**ONE, "_redirects": "/a /b"})["id"]
    admin.deployed(TWO)
    assert (data / "public/blog.localhost").is_symlink()
    planned(admin, first)
    with lock(services.paths.registry_lock, 1):
        services.plans.run_due(after(62))
    assert shown(admin) == "two"
    assert admin.checkpoints()["plan"]["checkpoint"] == first
    later = time.monotonic() + 11
    monkeypatch.setattr(pages.plans.time, "monotonic", lambda: later)
    services.plans.run_due(after(73))
    assert shown(admin) == "one"


def test_a_full_disk_is_waited_for(
    admin: Admin, services: Services, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(admin, two[0])

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(services.histories, "write", full)
        services.plans.run_due(after(62))
    assert shown(admin) == "two"
    later = time.monotonic() + 11
    monkeypatch.setattr(pages.plans.time, "monotonic", lambda: later)
    services.plans.run_due(after(73))
    assert shown(admin) == "one"


def test_an_error_that_nobody_foresaw_holds_up_no_other_site(
    admin: Admin, services: Services, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.create("other")
    first = admin.deployed(ONE, site="default/other")["id"]
    admin.deployed(TWO, site="default/other")
    planned(admin, two[0], 30)
    at = after(40).isoformat()
    assert_success(admin.post(f"/_api/sites/default/other/checkpoints/{first}/checkout", query_string={"at": at}), 202)
    switch = services.publisher.switch

    def failing(work: Any, site: Any, *rest: Any) -> Any:
        if site.id == "blog":
            raise ValueError("nobody foresaw it")
        return switch(work, site, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(services.publisher, "switch", failing)
        services.plans.run_due(after(62))
    assert admin.visit(host="other.localhost").text == "one"
    later = time.monotonic() + 61
    monkeypatch.setattr(pages.plans.time, "monotonic", lambda: later)
    services.plans.run_due(after(73))
    assert shown(admin) == "one"


def test_what_is_due_is_done_by_one_of_two_workers(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    apps = [make_app(), make_app()]
    admin = Admin(apps[0].test_client())
    admin.create("blog")
    first = admin.deployed(ONE)["id"]
    admin.deployed(TWO)
    planned(admin, first, 60, "&confirm_within=1000")
    caplog.set_level(logging.INFO)
    ready = threading.Barrier(2)

    def run(app: Flask) -> None:
        ready.wait()
        app.extensions["pages"].plans.run_due(after(62))

    threads = [threading.Thread(target=run, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown(admin) == "one"
    assert caplog.text.count("as planned") == 1
    assert admin.checkpoints()["confirmation"]["checkpoint"] == first


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_went_back_makes_nothing_early(
    admin: Admin, services: Services, two: tuple[str, str], kind: str
) -> None:
    KINDS[kind](admin, two[0])
    before = shown(admin)
    for seconds in (-1e8, 10, -3600, 59):
        services.plans.run_due(after(seconds))
        assert shown(admin) == before
    services.plans.run_due(after(62))
    assert shown(admin) != before


def test_a_clock_that_jumps_ahead_does_all_in_order(
    admin: Admin, services: Services, two: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    planned(admin, two[0], 60, "&confirm_within=100")
    services.plans.run_due(after(10_000))
    # The net is counted from when the switch was made, by whatever clock there was.
    assert shown(admin) == "one"
    services.plans.run_due(after(10_110))
    assert shown(admin) == "two"


@pytest.mark.parametrize(
    "name", ["x", "", "abc,default,blog", "00000000001,default", "00000000001,..,blog", "00000000001,default,blog,x",
             "00000000001,default,nope", "00000000001,nobody,blog", "99999999999,default,blog", "-1,default,blog"]
)  # fmt: skip
def test_files_that_are_nobody_s_do_no_harm(
    admin: Admin, services: Services, data: Path, two: tuple[str, str], name: str
) -> None:
    (data / "due").mkdir(exist_ok=True)
    if name:
        (data / "due" / name).touch()
    planned(admin, two[0])
    services.plans.run_due(after(62))
    assert shown(admin) == "one"


def test_metadata_that_was_put_back_by_hand_is_noted_by_a_reload(
    admin: Admin, services: Services, data: Path, two: tuple[str, str]
) -> None:
    planned(admin, two[0])
    for path in (data / "due").iterdir():
        path.unlink()
    assert_success(admin.post("/_api/reload"))
    services.plans.run_due(after(62))
    assert shown(admin) == "one"


@pytest.mark.parametrize("text", ["2026-12-01T00:00:00", "soon", "", "0001-01-01T00:00:00"])
def test_a_time_in_the_metadata_that_is_none_is_damage(
    admin: Admin, data: Path, two: tuple[str, str], text: str
) -> None:
    planned(admin, two[0])
    path = data / "sites-checkpoints/default/blog/metadata.json"
    known = json.loads(path.read_bytes())
    known["plan"]["at"] = text
    path.write_text(json.dumps(known))
    assert_failure(admin.get(CHECKPOINTS), 500, "检查点元数据损坏，站点未改变")


# --- The clock ------------------------------------------------------------------------------


def test_the_clock_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(clock, "_SECONDS", 0.001)
    calls: list[datetime] = []

    def run_due(now: datetime) -> None:
        calls.append(now)
        raise ValueError("whatever")

    ticking = Clock(run_due, run_now)
    ticking.start()
    wait_until(lambda: len(calls) >= 3, "the clock ticks")
    ticking.stop()
    assert all(now.tzinfo for now in calls)
    assert "What is due cannot be done" in caplog.text


def test_the_clock_waits_for_what_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_SECONDS", 0.001)
    tasks: list[Callable[[], None]] = []
    calls: list[datetime] = []
    ticking = Clock(calls.append, tasks.append)
    ticking.start()
    wait_until(lambda: tasks, "the clock ticks")
    ticking._is_over.wait(0.05)
    assert len(tasks) == 1
    tasks[0]()
    wait_until(lambda: len(tasks) == 2, "it ticks again")
    ticking.stop()
    assert len(calls) == 1


def _planned_on(server: Server, checkpoint_id: str, query: str) -> Any:
    reply = server.api("POST", f"{CHECKPOINTS}/{checkpoint_id}/checkout?{query}")
    assert reply.status in (200, 202), reply.body
    return reply.json()["data"]


def _soon(seconds: float) -> str:
    return after(seconds).isoformat().replace("+", "%2B")


def _page(server: Server) -> bytes:
    return server.request("GET", "/", host="blog.localhost").body


def test_a_running_server_does_what_is_due(server: Server) -> None:
    ids = [server.deploy(zip_of(content)).json()["data"]["checkpoint"]["id"] for content in (ONE, TWO)]
    _planned_on(server, ids[0], f"at={_soon(1)}&confirm_within=1")
    wait_until(lambda: _page(server) == b"one", "the plan is made")
    wait_until(lambda: _page(server) == b"two", "the net returns")
    wait_until(lambda: due(server.data) == [], "nothing is left")
    assert server.log.count("as planned") == 1
    assert server.log.count("was not confirmed") == 1


@pytest.mark.parametrize("query", ["confirm_within=2", "at={soon}"])
def test_a_server_that_was_killed_does_it_after_its_start(server: Server, query: str) -> None:
    ids = [server.deploy(zip_of(content)).json()["data"]["checkpoint"]["id"] for content in (ONE, TWO)]
    _planned_on(server, ids[0], query.format(soon=_soon(2)))
    before = _page(server)
    server.kill()
    wait_until(lambda: time.time() > int(due(server.data)[0][:11]) + 1, "its time is over")
    server.start()
    wait_until(lambda: _page(server) != before, "it happens")
    assert {before, _page(server)} == {b"one", b"two"}
    wait_until(lambda: due(server.data) == [], "nothing is left")
