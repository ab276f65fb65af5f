"""Which checkpoints are kept: by number, age and size, for whom, and what never goes; pins; what each takes."""

import io
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, everything_below, zip_of
from hypothesis import given
from hypothesis import strategies as st

from pages import files
from pages.app import create_app
from pages.errors import SiteBusy
from pages.model import Checkpoint, Confirmation, History, Plan, Preview, Retention
from pages.retention import superfluous
from pages.services import Services

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
PRUNE = f"{CHECKPOINTS}/prune"
UNKNOWN = "20250101-100000-01d12345"
PRUNED = "检查点清理完成"
TRIED = "试运行完成，未删除任何检查点"
NOW = datetime.fromisoformat("2026-06-15T12:00:00+00:00")
ALL = Retention(0, 0, 0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions["pages"]
    return found


def state(data: Path) -> dict[str, str]:
    """All that lasts in the data folder: a refused request must not change it."""
    passing = ("locks", "work", "ballast", "cache")
    return {name: what for name, what in everything_below(data).items() if not name.startswith(passing)}


def deploy_many(admin: Admin, count: int, site: str = "default/blog") -> list[str]:
    """The ids of so many new checkpoints, the oldest first."""
    return [admin.deployed({"index.html": f"version {number:04}"}, site=site)["id"] for number in range(count)]


def ids(admin: Admin, site: str = "default/blog") -> list[str]:
    """The ids that there are, the oldest first; each has its archive and manifest, and nothing else has."""
    data = admin.client.application.extensions["pages"].config.data_dir
    found = [each["id"] for each in admin.checkpoints(site)["checkpoints"]][::-1]
    for folder, suffix in (("checkpoints", ".tar.gz"), ("manifests", ".json")):
        stored = (data / "sites-checkpoints" / site / folder).glob("*")
        assert sorted(path.name.removesuffix(suffix) for path in stored) == found
    return found


def prune(admin: Admin, query: str = "", **body: Any) -> Any:
    return assert_success(admin.post(f"{PRUNE}{query}", json=body), message=TRIED if query else PRUNED)


# --- By number, age and size ----------------------------------------------------------------


def history(*ages_and_sizes: tuple[float, int], current: int | None = 0, **needed: Any) -> History:
    """A site with checkpoints so many days old and so many bytes large, the newest first."""
    checkpoints = []
    for number, (days, size) in enumerate(ages_and_sizes):
        time = NOW - timedelta(days=days)
        name = f"{time:%Y%m%d-%H%M%S}-{number:08x}"
        checkpoints.append(Checkpoint(name, time.isoformat(timespec="seconds"), size, "a.zip", "deploy", ""))
    live = None if current is None else checkpoints[current].id
    numbered = {name: make(checkpoints) for name, make in needed.items()}
    return History("blog", "default", live, tuple(checkpoints), NOW.isoformat(), **numbered)


FIVE = ((0, 100), (1, 100), (5, 100), (10, 100), (100, 100))
UNLIKE = ((0, 10), (1, 500), (5, 20), (10, 300), (100, 40))


@pytest.mark.parametrize(
    ("sizes", "limits", "kept"),
    [
        (FIVE, (0, 0, 0), [0, 1, 2, 3, 4]),
        (FIVE, (None, None, None), [0, 1, 2, 3, 4]),
        (FIVE, (1, 0, 0), [0]),
        (FIVE, (3, 0, 0), [0, 1, 2]),
        (FIVE, (5, 0, 0), [0, 1, 2, 3, 4]),
        (FIVE, (6, 0, 0), [0, 1, 2, 3, 4]),
        (FIVE, (0, 1, 0), [0]),  # What is a day old is not younger than a day.
        (FIVE, (0, 2, 0), [0, 1]),
        (FIVE, (0, 36525, 0), [0, 1, 2, 3, 4]),
        (FIVE, (4, 2, 0), [0, 1, 2, 3]),  # Either is enough.
        (FIVE, (1, 6, 0), [0, 1, 2]),
        (FIVE, (0, 0, 1), [0]),
        (FIVE, (0, 0, 100), [0]),
        (FIVE, (0, 0, 199), [0]),
        (FIVE, (0, 0, 200), [0, 1]),
        (FIVE, (0, 0, 500), [0, 1, 2, 3, 4]),
        (FIVE, (4, 0, 250), [0, 1]),
        (FIVE, (2, 0, 500), [0, 1]),
        (FIVE, (1, 6, 250), [0, 1]),
        (UNLIKE, (0, 0, 100), [0]),  # No older one takes the place of one that is too large.
        (UNLIKE, (0, 0, 529), [0, 1]),
        (UNLIKE, (0, 0, 530), [0, 1, 2]),
        (UNLIKE, (3, 0, 10**9), [0, 1, 2]),
        ((), (1, 1, 1), []),
        (((0, 10),), (1, 1, 1), [0]),
    ],
)
def test_the_limits_keep(sizes: tuple[tuple[float, int], ...], limits: tuple[Any, ...], kept: list[int]) -> None:
    known = history(*sizes, current=0 if sizes else None)
    doomed = superfluous(known, Retention(*limits), NOW)
    left = [number for number, each in enumerate(known.checkpoints) if each not in doomed]
    assert left == kept
    assert doomed == sorted(doomed, key=lambda each: each.id)


def soon(checkpoint: Checkpoint) -> Preview:
    return Preview(checkpoint.id, (NOW + timedelta(hours=1)).isoformat())


@pytest.mark.parametrize(
    ("needed", "kept"),
    [
        ({"current": 3}, [0, 3]),
        ({"current": 4, "pinned": lambda c: (c[2].id, c[3].id)}, [0, 2, 3, 4]),
        ({"previews": lambda c: (soon(c[3]),)}, [0, 3]),
        ({"previews": lambda c: (Preview(c[3].id, NOW.isoformat()),)}, [0]),
        ({"confirmation": lambda c: Confirmation(c[0].id, c[3].id, NOW.isoformat())}, [0, 3]),
        ({"plan": lambda c: Plan(c[4].id, NOW.isoformat())}, [0, 4]),
        ({"current": None}, [0]),
        ({"current": 1, "pinned": lambda c: (c[1].id, "20250101-100000-01d12345")}, [0, 1]),
    ],
)
@pytest.mark.parametrize("limits", [(1, 0, 0), (1, 0, 10**9), (0, 1, 0), (1, 1, 10**9)])
def test_what_is_needed_stays_whatever_the_limits_say(
    needed: dict[str, Any], kept: list[int], limits: tuple[int, int, int]
) -> None:
    known = history(*FIVE, **needed)
    doomed = superfluous(known, Retention(*limits), NOW)
    assert [number for number, each in enumerate(known.checkpoints) if each not in doomed] == kept


@pytest.mark.parametrize(
    ("limit", "kept"), [(1, [2, 4]), (200, [2, 4]), (299, [2, 4]), (300, [0, 2, 4]), (400, [0, 1, 2, 4])]
)
def test_what_is_needed_counts_first(limit: int, kept: list[int]) -> None:
    known = history(*FIVE, current=2, pinned=lambda c: (c[4].id,))
    doomed = superfluous(known, Retention(0, 0, limit), NOW)
    assert [number for number, each in enumerate(known.checkpoints) if each not in doomed] == kept


limits = st.one_of(st.none(), st.integers(0, 8))


@given(
    ages=st.lists(st.floats(0, 50, allow_nan=False), max_size=8).map(sorted),
    sizes=st.lists(st.integers(1, 9), min_size=8, max_size=8),
    count=limits,
    days=st.one_of(st.none(), st.integers(0, 60)),
    most=st.one_of(st.none(), st.integers(0, 40)),
    chosen=st.data(),
)
def test_for_any_history_what_is_kept_fits_and_what_goes_is_not_needed(
    ages: list[float], sizes: list[int], count: int | None, days: int | None, most: int | None, chosen: Any
) -> None:
    current = chosen.draw(st.sampled_from(range(len(ages)))) if ages else None
    pins = chosen.draw(st.sets(st.sampled_from(range(len(ages))))) if ages else set()
    known = history(*zip(ages, sizes, strict=False), current=current, pinned=lambda c: tuple(c[n].id for n in pins))
    doomed = {each.id for each in superfluous(known, Retention(count, days, most), NOW)}
    needed = {known.current, *known.pinned}
    kept = [each for each in known.checkpoints if each.id not in doomed]
    others = [each for each in kept if each.id not in needed]
    assert not doomed & needed
    if not any((count, days, most)):
        assert not doomed
    if most and others:
        assert sum(each.file_size for each in kept) <= most
    places = {each.id: place for place, each in enumerate(known.checkpoints)}
    if count or days:
        for each in others:
            young = bool(days) and datetime.fromisoformat(each.created_at) > NOW - timedelta(days=days or 0)
            assert places[each.id] < (count or 0) or young
    if not most:
        assert all(places[each] >= (count or 0) for each in doomed)
    # Of what goes by its size, nothing newer than what stays.
    if most and not (count or days):
        oldest = max((places[each.id] for each in others), default=-1)
        assert all(places[each] > oldest for each in doomed)


# --- The call -------------------------------------------------------------------------------


def test_pruning_deletes_and_tells_what_went(admin: Admin, data: Path) -> None:
    made = deploy_many(admin, 4)
    listed = {each["id"]: each for each in admin.checkpoints()["checkpoints"]}
    told = prune(admin, count=2)
    assert ids(admin) == made[2:]
    assert told["limits"] == {"count": 2, "days": 0, "bytes": 0}
    assert told["dry_run"] is False
    assert [each["id"] for each in told["checkpoints"]] == made[:2]
    assert told["bytes"] == sum(listed[each]["file_size"] for each in made[:2])
    assert not list((data / "trees/default/blog").glob(f"{made[0]}*"))
    assert admin.visit().text == "version 0003"
    assert prune(admin, count=2)["checkpoints"] == []


@pytest.mark.parametrize(("query", "body"), [("?dry_run=true", {}), ("", {"dry_run": True})])
def test_a_dry_run_tells_the_same_and_changes_nothing(
    admin: Admin, data: Path, query: str, body: dict[str, Any]
) -> None:
    deploy_many(admin, 4)
    before = state(data)
    tried = assert_success(admin.post(f"{PRUNE}{query}", json={"count": 1, **body}), message=TRIED)
    assert state(data) == before
    told = prune(admin, count=1)
    assert {**tried, "dry_run": False} == told
    assert tried["dry_run"] is True


def test_what_the_body_says_goes_before_the_query(admin: Admin) -> None:
    deploy_many(admin, 3)
    body = {"count": 1, "dry_run": False}
    assert_success(admin.post(f"{PRUNE}?dry_run=true", json=body), message=PRUNED)
    assert len(ids(admin)) == 1


def test_without_limits_all_are_kept(admin: Admin, data: Path) -> None:
    deploy_many(admin, 3)
    before = state(data)
    for reply in (admin.post(PRUNE), admin.post(PRUNE, json={}), admin.post(PRUNE, json={"count": None})):
        assert assert_success(reply)["checkpoints"] == []
    assert state(data) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"count": -1}, "字段 count 必须是 0 到 9007199254740991 的整数"),
        ({"count": "1"}, "字段 count 必须是 0 到 9007199254740991 的整数"),
        ({"count": True}, "字段 count 必须是 0 到 9007199254740991 的整数"),
        ({"count": 1.5}, "字段 count 必须是 0 到 9007199254740991 的整数"),
        ({"count": 2**53}, "字段 count 必须是 0 到 9007199254740991 的整数"),
        ({"days": 36526}, "字段 days 必须是 0 到 36525 的整数"),
        ({"days": []}, "字段 days 必须是 0 到 36525 的整数"),
        ({"bytes": {}}, "字段 bytes 必须是 0 到 9007199254740991 的整数"),
        ({"dry_run": "true"}, "字段 dry_run 必须是 true 或 false"),
        ({"dry_run": None}, "字段 dry_run 必须是 true 或 false"),
        ({"size": 1}, "未知字段 size"),
        ([], "请求体必须是 JSON 对象"),
    ],
)
def test_a_bad_limit_is_refused_and_named(admin: Admin, data: Path, body: Any, message: str) -> None:
    deploy_many(admin, 2)
    before = state(data)
    assert_failure(admin.post(PRUNE, json=body), 400, message)
    assert state(data) == before


def test_the_query_is_judged_as_well(admin: Admin) -> None:
    assert_failure(admin.post(f"{PRUNE}?dry_run=yes"), 400, "字段 dry_run 必须是 true 或 false")
    assert_failure(admin.post("/_api/sites/default/nope/checkpoints/prune"), 404, "站点不存在")
    assert_failure(admin.post("/_api/sites/default/nope/checkpoints/prune", json={"count": -1}), 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_prune_is_no_checkpoint(admin: Admin, method: str) -> None:
    assert admin.call(method, PRUNE).status_code == 405


def test_pruning_leaves_what_is_needed(admin: Admin) -> None:
    made = deploy_many(admin, 6)
    assert_success(admin.put(f"{CHECKPOINTS}/{made[0]}", json={"pinned": True}))
    assert_success(admin.post(f"{CHECKPOINTS}/{made[1]}/preview"), 201)
    assert_success(admin.post(f"{CHECKPOINTS}/{made[2]}/checkout?confirm_within=600"))
    at = (datetime.now() + timedelta(hours=1)).isoformat()
    assert_success(admin.post(f"{CHECKPOINTS}/{made[3]}/checkout", query_string={"at": at}), 202)
    told = prune(admin, count=1)
    assert [each["id"] for each in told["checkpoints"]] == [made[4]]
    assert ids(admin) == [made[0], made[1], made[2], made[3], made[5]]


def test_a_checkpoint_that_comes_to_be_needed_meanwhile_stays(
    admin: Admin, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deploy_many(admin, 4)
    delete = services.publisher.delete_checkpoint

    def pin_first(site: Any, checkpoint_id: str, *rest: Any, **more: Any) -> None:
        if checkpoint_id == made[1]:
            services.publisher.pin(site, checkpoint_id, pinned=True)
        delete(site, checkpoint_id, *rest, **more)

    monkeypatch.setattr(services.publisher, "delete_checkpoint", pin_first)
    assert [each["id"] for each in prune(admin, count=1)["checkpoints"]] == [made[0], made[2]]
    assert ids(admin) == [made[1], made[3]]


def test_a_busy_site_is_not_pruned(admin: Admin, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy_many(admin, 3)

    def busy(*_: Any, **__: Any) -> None:
        raise SiteBusy()

    monkeypatch.setattr(services.publisher, "delete_checkpoint", busy)
    assert_failure(admin.post(PRUNE, json={"count": 1}), 409, "站点正忙，请稍后重试")


# --- By itself ------------------------------------------------------------------------------


def test_the_limits_are_kept_after_every_deploy(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(keep_checkpoints=3).test_client())
    admin.create("blog")
    made = deploy_many(admin, 6)
    assert ids(admin) == made[3:]


def test_the_limits_are_kept_after_a_stored_one_and_one_by_hand(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(keep_checkpoints=2).test_client())
    admin.create("blog")
    made = deploy_many(admin, 2)
    data = {"file": (io.BytesIO(zip_of({"index.html": "stored"})), "a.zip")}
    stored = assert_success(admin.post(f"{SITE}/deploy?activate=false", data=data))["checkpoint"]["id"]
    assert ids(admin) == [made[1], stored]
    manual = assert_success(admin.post(CHECKPOINTS), 201)["id"]
    assert ids(admin) == [stored, manual]


def test_the_answer_waits_for_no_pruning(make_config: Callable[..., Any]) -> None:
    tasks: list[Callable[[], None]] = []
    admin = Admin(create_app(make_config(keep_checkpoints=1), tasks.append).test_client())
    admin.create("blog")
    made = deploy_many(admin, 2)
    assert ids(admin) == made
    for task in tasks:
        task()
    assert ids(admin) == made[1:]


@pytest.mark.parametrize(
    ("configured", "own", "left"),
    [
        (2, None, 2),
        (2, {"count": None}, 2),
        (2, {"count": 0}, 5),
        (2, {"count": 4}, 4),
        (2, {"days": 10}, 5),
        (2, {"days": 10, "count": None}, 5),
        (2, {"bytes": 1}, 1),
        (0, None, 5),
        (0, {"count": 3}, 3),
        (0, {"bytes": 1}, 1),
        (0, {"days": 1}, 5),
        (0, {"days": 0, "bytes": 0, "count": 0}, 5),
    ],
)
def test_a_site_s_own_limits_go_before_the_configured_ones(
    make_app: Callable[..., Flask], configured: int, own: Any, left: int
) -> None:
    admin = Admin(make_app(keep_checkpoints=configured).test_client())
    admin.create("blog", **({} if own is None else {"retention": own}))
    assert len(deploy_many(admin, 5)) == 5
    assert len(ids(admin)) == left
    assert prune(admin)["checkpoints"] == []


def test_a_call_s_own_limits_go_before_the_site_s(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(keep_checkpoints=4).test_client())
    admin.create("blog", retention={"bytes": 10**9})
    deploy_many(admin, 4)
    assert prune(admin, "?dry_run=true", count=0)["limits"] == {"count": 0, "days": 0, "bytes": 10**9}
    assert prune(admin, "?dry_run=true", days=3)["limits"] == {"count": 4, "days": 3, "bytes": 10**9}
    assert prune(admin, "?dry_run=true", bytes=None)["limits"] == {"count": 4, "days": 0, "bytes": 10**9}
    told = prune(admin, "?dry_run=true", bytes=1, count=2)
    assert told["limits"] == {"count": 2, "days": 0, "bytes": 1}
    assert len(told["checkpoints"]) == 3


def test_limits_that_are_changed_hold_from_the_next_deploy_on(admin: Admin) -> None:
    made = deploy_many(admin, 4)
    assert_success(admin.put(SITE, json={"retention": {"count": 2}}))
    assert ids(admin) == made
    made += deploy_many(admin, 1)
    assert ids(admin) == made[-2:]


def test_one_site_s_limits_touch_no_other(admin: Admin) -> None:
    admin.create("other", retention={"count": 1})
    mine = deploy_many(admin, 3)
    theirs = deploy_many(admin, 3, "default/other")
    assert ids(admin) == mine
    assert ids(admin, "default/other") == theirs[-1:]


def test_a_rollback_survives_the_deploys_after_it(make_app: Callable[..., Flask]) -> None:
    """Who locks a site that was rolled back keeps what is live, however much pipelines store."""
    admin = Admin(make_app(keep_checkpoints=2).test_client())
    admin.create("blog")
    first, _ = deploy_many(admin, 2)
    assert_success(admin.checkout(first))
    assert_success(admin.put(SITE, json={"locked": True}))
    for number in range(4):
        data = {"file": (io.BytesIO(zip_of({"index.html": f"later {number}"})), "a.zip")}
        assert_success(admin.post(f"{SITE}/deploy", data=data))
    assert ids(admin)[0] == first
    assert len(ids(admin)) == 3
    assert admin.visit().text == "version 0000"


# --- Pins -----------------------------------------------------------------------------------


PIN_BODIES = [
    ({}, "字段 pinned 必须是 true 或 false"), ({"pinned": 1}, "字段 pinned 必须是 true 或 false"),
    ({"pinned": None}, "字段 pinned 必须是 true 或 false"), ({"pinned": "true"}, "字段 pinned 必须是 true 或 false"),
    ({"pinned": True, "description": "x"}, "未知字段 description"), ({"id": "x"}, "未知字段 id"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), PIN_BODIES)
def test_a_bad_pin_is_refused_and_named(admin: Admin, data: Path, body: Any, message: str) -> None:
    (made,) = deploy_many(admin, 1)
    before = state(data)
    assert_failure(admin.put(f"{CHECKPOINTS}/{made}", json=body), 400, message)
    assert_failure(admin.put(f"/_api/sites/default/nope/checkpoints/{made}", json=body), 400, message)
    assert state(data) == before


def test_only_what_there_is_can_be_pinned(admin: Admin, data: Path) -> None:
    (made,) = deploy_many(admin, 1)
    before = state(data)
    assert_failure(admin.put(f"{CHECKPOINTS}/{UNKNOWN}", json={"pinned": True}), 404, "检查点不存在")
    nowhere = f"/_api/sites/default/nope/checkpoints/{made}"
    assert_failure(admin.put(nowhere, json={"pinned": True}), 404, "站点不存在")
    assert state(data) == before


def test_a_pinned_checkpoint_stays_until_it_is_unpinned(admin: Admin, data: Path) -> None:
    first, second = deploy_many(admin, 2)
    told = assert_success(admin.put(f"{CHECKPOINTS}/{first}", json={"pinned": True}), message="检查点更新成功")
    assert told == {"checkpoint_id": first, "pinned": True}
    assert {each["id"]: each["pinned"] for each in admin.checkpoints()["checkpoints"]} == {first: True, second: False}
    before = state(data)
    assert_failure(admin.delete(f"{CHECKPOINTS}/{first}"), 409, "检查点已固定，请先取消固定")
    assert_success(admin.put(f"{CHECKPOINTS}/{first}", json={"pinned": True}))  # Twice is once.
    assert prune(admin, count=1)["checkpoints"] == []
    assert state(data) == before
    told = assert_success(admin.put(f"{CHECKPOINTS}/{first}", json={"pinned": False}))
    assert told == {"checkpoint_id": first, "pinned": False}
    assert_success(admin.put(f"{CHECKPOINTS}/{second}", json={"pinned": False}))
    assert_success(admin.delete(f"{CHECKPOINTS}/{first}"), message="检查点已删除")


def test_a_pin_changes_nothing_that_is_served(admin: Admin) -> None:
    first, second = deploy_many(admin, 2)
    before = admin.visit()
    assert_success(admin.put(f"{CHECKPOINTS}/{first}", json={"pinned": True}))
    after = admin.visit()
    assert admin.checkpoints()["current"] == second
    assert (after.data, after.headers["ETag"]) == (before.data, before.headers["ETag"])


# --- What each takes ------------------------------------------------------------------------


def test_the_list_tells_what_each_takes_with_its_unpacked_files(admin: Admin, data: Path) -> None:
    page = os.urandom(5000)
    made = [admin.deployed({"index.html": page + bytes([n])}) for n in range(2)]
    listed = admin.checkpoints()
    for each, checkpoint in zip(listed["checkpoints"], made[::-1], strict=True):
        archive = data / "sites-checkpoints/default/blog/checkpoints" / f"{checkpoint['id']}.tar.gz"
        assert each["file_size"] == archive.stat().st_size
        assert each["size_on_disk"] == each["file_size"] + 5001
    for tree in (data / "trees/default/blog").glob(f"{made[0]['id']}.*"):
        tree.rename(data / "cache" / tree.name)
    assert admin.checkpoints()["checkpoints"][1]["size_on_disk"] == made[0]["file_size"]


def test_metadata_says_only_what_there_is_to_say(admin: Admin, data: Path) -> None:
    deploy_many(admin, 1)
    known = json.loads((data / "sites-checkpoints/default/blog/metadata.json").read_bytes())
    assert list(known) == ["site_id", "username", "current", "checkpoints", "updated_at"]
