"""What a call is asked for besides: ``If-Match``, ``Idempotency-Key``, not to go live, only to try; a locked site."""

import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, basic, everything_below, tree_of, zip_of
from werkzeug.test import TestResponse

from pages import files

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
DEPLOY = f"{SITE}/deploy"
UNKNOWN = "20250101-100000-01d12345"
ONE: dict[str, bytes | str] = {"index.html": "one"}
TWO: dict[str, bytes | str] = {"index.html": "two"}
THREE: dict[str, bytes | str] = {"index.html": "three", "more/page.html": "more"}

STORED = "检查点已保存，未激活"
DEPLOYED = "站点已部署"
TRIED = "试运行通过，未做任何更改"
REUSED = "幂等键已用于其他内容，请更换 Idempotency-Key"
LOCKED = "站点已锁定发布，请先解除锁定"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


def send(
    admin: Admin, content: dict[str, bytes | str], query: str = "", site: str = SITE, **headers: str
) -> TestResponse:
    """A deploy; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = {"file": (io.BytesIO(zip_of(content)), "site.zip")}
    return admin.post(f"{site}/deploy{query}", data=data, headers=named)


def state(data: Path) -> dict[str, str]:
    """All that lasts in the data folder: a refused request must not change it."""
    passing = ("locks", "work", "ballast", "cache")
    return {name: what for name, what in everything_below(data).items() if not name.startswith(passing)}


def metadata_of(data: Path, site: str = "default/blog") -> Any:
    return json.loads((data / "sites-checkpoints" / site / "metadata.json").read_bytes())


def moved_on(current: str | None) -> str:
    return f"站点已变化，当前检查点为 {current or '无'}"


# --- If-Match -------------------------------------------------------------------------------


# Every call that takes a condition, as what it does with the site's (current, other) checkpoints.
Call = Callable[[Admin, str, str, dict[str, str]], TestResponse]
CALLS: dict[str, Call] = {
    "deploy": lambda admin, current, other, headers: send(admin, THREE, **headers),
    "deploy that is only tried": lambda admin, current, other, headers: send(admin, THREE, "?dry_run=true", **headers),
    "deploy that is stored": lambda admin, current, other, headers: send(admin, THREE, "?activate=false", **headers),
    "checkout": lambda admin, current, other, headers: admin.post(f"{CHECKPOINTS}/{other}/checkout", headers=headers),
    "checkout with a net": lambda admin, current, other, headers: admin.post(
        f"{CHECKPOINTS}/{other}/checkout?confirm_within=60", headers=headers
    ),
    "checkout at a time": lambda admin, current, other, headers: admin.post(
        f"{CHECKPOINTS}/{other}/checkout?at={in_an_hour()}", headers=headers
    ),
    "delete a checkpoint": lambda admin, current, other, headers: admin.delete(
        f"{CHECKPOINTS}/{other}", headers=headers
    ),
    "delete the site": lambda admin, current, other, headers: admin.delete(SITE, headers=headers),
}


def in_an_hour() -> str:
    return (datetime.now() + timedelta(hours=1)).isoformat(timespec="seconds")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("condition", ['"{current}"', "{current}", "*", '"x", "{current}"', '"{other}","{current}"'])
def test_a_call_is_made_while_the_site_is_as_its_condition_says(admin: Admin, call: str, condition: str) -> None:
    other, current = admin.deployed(ONE)["id"], admin.deployed(TWO)["id"]
    sent = {"If-Match": condition.format(current=current, other=other)}
    assert CALLS[call](admin, current, other, sent).status_code in (200, 202)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "condition", ['"{other}"', '"x"', "", '"{current}x"', 'W/"{current}"', '"x", W/"{current}"', '"*"', '"", ""']
)
def test_a_call_is_refused_once_the_site_has_moved_on(admin: Admin, data: Path, call: str, condition: str) -> None:
    other, current = admin.deployed(ONE)["id"], admin.deployed(TWO)["id"]
    before = state(data)
    sent = {"If-Match": condition.format(current=current, other=other)}
    assert_failure(CALLS[call](admin, current, other, sent), 412, moved_on(current))
    assert state(data) == before
    assert admin.visit().data == b"two"


@pytest.mark.parametrize("condition", ["*", '"x"', f'"{UNKNOWN}"'])
@pytest.mark.parametrize("query", ["", "?dry_run=true", "?activate=false"])
def test_a_site_without_checkpoints_fulfils_no_condition(admin: Admin, data: Path, query: str, condition: str) -> None:
    before = state(data)
    assert_failure(send(admin, ONE, query, If_Match=condition), 412, moved_on(None))
    assert_failure(admin.delete(SITE, headers={"If-Match": condition}), 412, moved_on(None))
    assert state(data) == before


def test_of_two_deploys_from_the_same_state_one_is_made(admin: Admin) -> None:
    first = admin.deployed(ONE)["id"]
    assert_success(send(admin, TWO, If_Match=f'"{first}"'))
    assert_failure(send(admin, THREE, If_Match=f'"{first}"'), 412)
    assert admin.visit().data == b"two"


def test_a_checkpoint_of_another_site_is_no_condition_to_fulfil(admin: Admin) -> None:
    admin.create("other")
    elsewhere = admin.deployed(ONE, site="default/other")["id"]
    here = admin.deployed(TWO)["id"]
    assert_failure(send(admin, THREE, If_Match=f'"{elsewhere}"'), 412, moved_on(here))


def test_a_site_whose_metadata_is_broken_is_not_deleted_on_a_condition(admin: Admin, data: Path) -> None:
    current = admin.deployed(ONE)["id"]
    (data / "sites-checkpoints/default/blog/metadata.json").write_text("{")
    assert_failure(admin.delete(SITE, headers={"If-Match": f'"{current}"'}), 500)
    assert_success(admin.delete(SITE), message="站点删除成功")


# --- What is judged first -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?activate=no", "字段 activate 必须是 true 或 false"),
        ("?activate=", "字段 activate 必须是 true 或 false"),
        ("?activate=True", "字段 activate 必须是 true 或 false"),
        ("?dry_run=1", "字段 dry_run 必须是 true 或 false"),
        ("?dry_run=true&activate=0", "字段 activate 必须是 true 或 false"),
    ],
)
def test_a_bad_flag_is_refused_and_named(admin: Admin, data: Path, query: str, message: str) -> None:
    before = state(data)
    assert_failure(send(admin, ONE, query), 400, message)
    assert state(data) == before


BAD_KEYS = ["", "x" * 256, "tab\there", "é"]


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key)[:12])
def test_a_bad_key_is_refused_and_named(admin: Admin, data: Path, key: str) -> None:
    before = state(data)
    message = "字段 Idempotency-Key 必须是 1 到 255 个可打印的 ASCII 字符"
    assert_failure(send(admin, ONE, Idempotency_Key=key), 400, message)
    assert state(data) == before


@pytest.mark.parametrize("key", ["x", "x" * 255, 'a "b" ~', "8e03978e-40d5-43dd-bc93-6894a57f9324"])
def test_a_key_may_be_any_printable_text(admin: Admin, key: str) -> None:
    first = assert_success(send(admin, ONE, Idempotency_Key=key))["checkpoint"]
    assert assert_success(send(admin, ONE, Idempotency_Key=key))["checkpoint"] == first


def test_a_deploy_is_judged_in_the_order_of_the_contract(admin: Admin) -> None:
    """Each request has all the faults of those after it; the first of them is told."""
    first = admin.deployed(ONE)["id"]
    admin.deployed(TWO)
    assert_success(send(admin, ONE, Idempotency_Key="k"))
    stale = {"If-Match": f'"{first}"', "Idempotency-Key": "k"}
    nowhere = "/_api/sites/default/nope/deploy"
    form = {"file": (io.BytesIO(b"rubbish"), "a.zip")}
    nobody = admin.client.post(f"{nowhere}?activate=x", headers={**stale, "Authorization": basic("x")["Authorization"]})
    assert_failure(nobody, 401)
    assert_failure(admin.post(f"{nowhere}?activate=x", headers=stale), 400, "字段 activate 必须是 true 或 false")
    assert_failure(admin.post(nowhere, headers=stale), 400, "缺少文件")
    assert_failure(admin.post(nowhere, data=form, headers=stale), 404, "站点不存在")
    form = {"file": (io.BytesIO(b"rubbish"), "a.zip")}
    assert "解压 zip 失败" in assert_failure(admin.post(DEPLOY, data=form, headers=stale), 400)
    assert_failure(send(admin, THREE, If_Match=stale["If-Match"], Idempotency_Key="k"), 422, REUSED)
    assert_failure(send(admin, THREE, If_Match=stale["If-Match"]), 412)


@pytest.mark.parametrize("parameter", ["confirm_within=0", "at=yesterday"])
def test_a_checkout_is_judged_in_the_order_of_the_contract(admin: Admin, parameter: str) -> None:
    first, second = admin.deployed(ONE)["id"], admin.deployed(TWO)["id"]
    assert_success(admin.put(SITE, json={"locked": True}))
    stale = {"If-Match": f'"{first}"'}
    nowhere = f"/_api/sites/default/nope/checkpoints/{first}/checkout"
    assert_failure(admin.post(f"{nowhere}?{parameter}", headers=stale), 400)
    assert_failure(admin.post(nowhere, headers=stale), 404, "站点不存在")
    for query in ("", "?confirm_within=9", f"?at={in_an_hour()}"):
        unknown = admin.post(f"{CHECKPOINTS}/{UNKNOWN}/checkout{query}", headers=stale)
        assert_failure(unknown, 404, "检查点不存在")
        assert_failure(admin.post(f"{CHECKPOINTS}/{first}/checkout{query}", headers=stale), 412, moved_on(second))
        assert_failure(admin.post(f"{CHECKPOINTS}/{first}/checkout{query}"), 409, LOCKED)


def test_a_deletion_is_judged_in_the_order_of_the_contract(admin: Admin) -> None:
    first, second = admin.deployed(ONE)["id"], admin.deployed(TWO)["id"]
    stale = {"If-Match": f'"{first}"'}
    assert_failure(admin.delete("/_api/sites/default/nope", headers=stale), 404, "站点不存在")
    assert_failure(admin.delete(f"{CHECKPOINTS}/{UNKNOWN}", headers=stale), 404, "检查点不存在")
    assert_failure(admin.delete(f"{CHECKPOINTS}/{second}", headers=stale), 412, moved_on(second))
    assert_failure(admin.delete(f"{CHECKPOINTS}/{second}"), 409, "不能删除当前激活的检查点")


# --- Idempotency-Key ------------------------------------------------------------------------


def test_the_same_request_again_makes_nothing_and_answers_the_same(admin: Admin, data: Path) -> None:
    first = send(admin, ONE, Idempotency_Key="k")
    before = state(data)
    again = send(admin, ONE, Idempotency_Key="k")
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert state(data) == before


def test_what_is_the_same_is_the_content_and_not_the_archive(admin: Admin) -> None:
    first = assert_success(send(admin, ONE, Idempotency_Key="k"))["checkpoint"]
    data = {"file": (io.BytesIO(zip_of({"dist/index.html": "one"})), "other.zip"), "root": "dist"}
    again = assert_success(admin.post(DEPLOY, data=data, headers={"Idempotency-Key": "k"}))["checkpoint"]
    assert again == first


def test_another_content_under_the_same_key_is_refused(admin: Admin, data: Path) -> None:
    send(admin, ONE, Idempotency_Key="k")
    before = state(data)
    assert_failure(send(admin, TWO, Idempotency_Key="k"), 422, REUSED)
    assert_failure(send(admin, TWO, "?activate=false", Idempotency_Key="k"), 422, REUSED)
    assert state(data) == before


def test_another_key_or_none_makes_another_checkpoint_of_the_same_content(admin: Admin) -> None:
    sent = [send(admin, ONE, **headers) for headers in ({"Idempotency_Key": "a"}, {"Idempotency_Key": "b"}, {}, {})]
    assert len({assert_success(reply)["checkpoint"]["id"] for reply in sent}) == 4


def test_a_key_is_its_site_s_alone(admin: Admin) -> None:
    admin.create("other")
    assert_success(send(admin, ONE, Idempotency_Key="k"))
    assert_success(send(admin, TWO, site="/_api/sites/default/other", Idempotency_Key="k"), message=DEPLOYED)


def test_a_replay_after_a_later_deploy_brings_nothing_back(admin: Admin) -> None:
    first = assert_success(send(admin, ONE, Idempotency_Key="k"))["checkpoint"]
    admin.deployed(TWO)
    again = assert_success(send(admin, ONE, Idempotency_Key="k"), message=STORED)
    assert (again["checkpoint"], again["activated"]) == (first, False)
    assert admin.visit().data == b"two"


def test_a_replay_wins_over_a_condition_that_it_has_itself_made_untrue(admin: Admin) -> None:
    before = admin.deployed(ONE)["id"]
    made = assert_success(send(admin, TWO, If_Match=f'"{before}"', Idempotency_Key="k"))["checkpoint"]
    again = send(admin, TWO, If_Match=f'"{before}"', Idempotency_Key="k")
    assert assert_success(again, message=DEPLOYED)["checkpoint"] == made


def test_a_refused_deploy_takes_no_key(admin: Admin) -> None:
    admin.deployed(ONE)
    assert_failure(send(admin, TWO, If_Match='"x"', Idempotency_Key="k"), 412)
    assert_success(send(admin, THREE, Idempotency_Key="k"), message=DEPLOYED)


def test_a_trial_takes_no_key(admin: Admin) -> None:
    assert_success(send(admin, TWO, "?dry_run=true", Idempotency_Key="k"), message=TRIED)
    assert_success(send(admin, THREE, Idempotency_Key="k"), message=DEPLOYED)


def test_a_key_whose_checkpoint_was_deleted_makes_a_new_one(admin: Admin, data: Path) -> None:
    first = assert_success(send(admin, ONE, Idempotency_Key="k"))["checkpoint"]["id"]
    admin.deployed(TWO)
    assert_success(admin.delete(f"{CHECKPOINTS}/{first}"))
    again = assert_success(send(admin, ONE, Idempotency_Key="k"), message=DEPLOYED)["checkpoint"]["id"]
    assert again != first
    assert metadata_of(data)["uploads"] == [{"key": "k", "checkpoint": again}]
    assert admin.visit().data == b"one"


@pytest.mark.parametrize("quota", [{"quota_checkpoints": 1}, {"quota_bytes": 200}])
def test_a_key_is_replayed_where_a_quota_has_no_room_left(
    make_app: Callable[..., Flask], quota: dict[str, int]
) -> None:
    """A pipeline that got no answer to the deploy that filled the quota asks again."""
    admin = Admin(make_app(**quota).test_client())
    admin.create("blog")
    first = send(admin, ONE, Idempotency_Key="k")
    assert_success(first, message=DEPLOYED)
    again = send(admin, ONE, Idempotency_Key="k")
    assert (again.status_code, again.data) == (200, first.data)
    assert_failure(send(admin, TWO, Idempotency_Key="other"), 403)
    assert_failure(send(admin, TWO), 403)


def test_the_last_hundred_keys_are_remembered(admin: Admin, data: Path) -> None:
    made = [assert_success(send(admin, ONE, "?activate=false", Idempotency_Key=f"k{n}")) for n in range(101)]
    ids = [each["checkpoint"]["id"] for each in made]
    assert len(metadata_of(data)["uploads"]) == 100
    assert assert_success(send(admin, ONE, Idempotency_Key="k1"))["checkpoint"]["id"] == ids[1]
    assert assert_success(send(admin, ONE, Idempotency_Key="k100"))["checkpoint"]["id"] == ids[100]
    assert assert_success(send(admin, ONE, Idempotency_Key="k0"))["checkpoint"]["id"] not in ids


def test_the_same_key_many_times_at_once_makes_one_checkpoint(server: Server) -> None:
    headers = {"Idempotency-Key": "k"}

    def once(_number: int) -> Any:
        return _posted(server, ONE, headers)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(once, range(16)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert server.api("GET", CHECKPOINTS).json()["data"]["total"] == 1


def _posted(server: Server, content: dict[str, bytes | str], headers: dict[str, str]) -> Any:
    boundary = "----terms"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    body = head.encode() + zip_of(content) + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return server.request("POST", DEPLOY, body, headers={**basic(), **kind, **headers})


def test_of_many_deploys_at_once_from_the_same_state_one_is_made(server: Server) -> None:
    assert server.deploy(zip_of(ONE)).status == 200
    first = server.api("GET", CHECKPOINTS).json()["data"]["current"]
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda n: _posted(server, {"index.html": str(n)}, {"If-Match": f'"{first}"'}), range(12))
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200] + [412] * 11
    assert server.api("GET", CHECKPOINTS).json()["data"]["total"] == 2


# --- Not to go live -------------------------------------------------------------------------


def test_a_stored_version_is_the_newest_checkpoint_and_not_live(admin: Admin) -> None:
    live = admin.deployed(ONE)
    stored = assert_success(send(admin, TWO, "?activate=false"), message=STORED)
    assert stored["activated"] is False
    listed = admin.checkpoints()
    assert listed["current"] == live["id"]
    assert [each["id"] for each in listed["checkpoints"]] == [stored["checkpoint"]["id"], live["id"]]
    assert admin.visit().data == b"one"
    assert_success(admin.checkout(stored["checkpoint"]["id"]))
    assert admin.visit().data == b"two"


def test_a_version_stored_first_leaves_a_new_site_empty(admin: Admin) -> None:
    stored = assert_success(send(admin, ONE, "?activate=false"), message=STORED)["checkpoint"]["id"]
    assert admin.checkpoints()["current"] is None
    assert admin.visit().status_code == 404
    assert_success(admin.checkout(stored))
    assert admin.visit().data == b"one"


def test_what_is_said_to_be_activated_is(admin: Admin) -> None:
    reply = assert_success(send(admin, ONE, "?activate=true"), message=DEPLOYED)
    assert "activated" not in reply
    assert admin.visit().data == b"one"


def test_a_stored_version_needs_no_unpacking_when_it_goes_live(admin: Admin, data: Path) -> None:
    admin.deployed(ONE)
    stored = assert_success(send(admin, TWO, "?activate=false"))["checkpoint"]["id"]
    (data / f"sites-checkpoints/default/blog/checkpoints/{stored}.tar.gz").unlink()
    assert_success(admin.checkout(stored))
    assert admin.visit().data == b"two"


def test_ids_sort_by_age_whatever_goes_live(admin: Admin) -> None:
    made = [assert_success(send(admin, ONE, query))["checkpoint"]["id"] for query in ("", "?activate=false") * 3]
    assert sorted(made) == made
    assert len(set(made)) == 6


@pytest.mark.parametrize("warm", [1, 3])
def test_stored_versions_do_not_pile_up_unpacked(make_app: Callable[..., Flask], data: Path, warm: int) -> None:
    admin = Admin(make_app(warm_checkpoints=warm).test_client())
    admin.create("blog")
    admin.deployed(ONE)
    for number in range(6):
        assert_success(send(admin, {"index.html": str(number)}, "?activate=false"))
    # And the one that was live before, which visitors may be on.
    assert len(list((data / "trees/default/blog").iterdir())) == warm + 2
    assert admin.visit().data == b"one"


# --- Only to try ----------------------------------------------------------------------------


def test_a_trial_tells_what_would_change_and_changes_nothing(admin: Admin, data: Path) -> None:
    made = admin.deployed({"index.html": "one", "same.txt": "same", "gone/page.html": "gone"})
    before = state(data)
    content: dict[str, bytes | str] = {"index.html": "two!", "same.txt": "same", "new/page.html": "new"}
    told = assert_success(send(admin, content, "?dry_run=true"), message=TRIED)
    digest = told.pop("digest")
    assert told == {
        "username": "default",
        "id": "blog",
        "files": 3,
        "bytes": 11,
        "added": {"total": 1, "paths": ["new/page.html"]},
        "removed": {"total": 1, "paths": ["gone/page.html"]},
        "changed": {"total": 1, "paths": ["index.html"]},
    }
    assert state(data) == before
    assert list((data / "work").iterdir()) == []
    deployed = admin.deployed(content)
    assert deployed["id"].endswith(digest[:8])
    assert made["id"] != deployed["id"]


def test_a_trial_on_a_new_site_adds_all(admin: Admin) -> None:
    told = assert_success(send(admin, THREE, "?dry_run=true"), message=TRIED)
    assert told["added"] == {"total": 2, "paths": ["index.html", "more/page.html"]}
    assert (told["removed"]["total"], told["changed"]["total"]) == (0, 0)


def test_a_trial_names_a_thousand_paths_and_counts_all(admin: Admin) -> None:
    content: dict[str, bytes | str] = {f"{number:04}.txt": "" for number in range(1001)}
    told = assert_success(send(admin, content, "?dry_run=true"))
    assert told["added"]["total"] == 1001
    assert told["added"]["paths"] == sorted(content)[:1000]


@pytest.mark.parametrize(
    ("content", "name", "status", "message"),
    [
        (b"rubbish", "a.zip", 400, "解压 zip 失败"),
        (b"", "a.tar.gz", 400, "解压 tar.gz 失败"),
        (zip_of({"../x": "x"}), "a.zip", 400, "解压 zip 失败"),
        (zip_of({}), "a.zip", 400, "压缩包中没有文件"),
        (zip_of(ONE), "a.rar", 400, "不支持的文件格式，仅支持 zip、tar.gz、tgz"),
        (zip_of({"a": bytes(3000)}), "a.zip", 413, "max_unpacked_bytes"),
    ],
)
def test_a_trial_is_refused_as_the_deploy_would_be(
    make_app: Callable[..., Flask], data: Path, content: bytes, name: str, status: int, message: str
) -> None:
    admin = Admin(make_app(max_unpacked_bytes=2000).test_client())
    admin.create("blog")
    before = state(data)
    told = [
        assert_failure(admin.post(f"{DEPLOY}{query}", data={"file": (io.BytesIO(content), name)}), status)
        for query in ("?dry_run=true", "")
    ]
    assert told[0] == told[1]
    assert message in told[0]
    assert state(data) == before


@pytest.mark.parametrize("quota", [{"quota_checkpoints": 1}, {"quota_bytes": 600}])
def test_a_trial_counts_with_the_quota(make_app: Callable[..., Flask], quota: dict[str, int]) -> None:
    admin = Admin(make_app(**quota).test_client())
    admin.create("blog")
    admin.deployed(ONE)
    large: dict[str, bytes | str] = {"index.html": os.urandom(600)}
    told = [assert_failure(send(admin, large, query), 403) for query in ("?dry_run=true", "")]
    assert "超出配额" in told[0]


def test_a_trial_on_a_locked_site_or_beside_other_terms_is_a_trial(admin: Admin, data: Path) -> None:
    assert_success(admin.put(SITE, json={"locked": True}))
    before = state(data)
    assert_success(send(admin, ONE, "?dry_run=true&activate=false", Idempotency_Key="k"), message=TRIED)
    assert state(data) == before


# --- A locked site --------------------------------------------------------------------------


WHILE_LOCKED = "站点已锁定发布：此版本已保存，未激活"


def test_a_deploy_to_a_locked_site_is_stored(admin: Admin) -> None:
    live = admin.deployed(ONE)["id"]
    assert_success(admin.put(SITE, json={"locked": True}))
    told = assert_success(send(admin, TWO), message=STORED)
    assert (told["activated"], told["warnings"]) == (False, [WHILE_LOCKED])
    assert admin.visit().data == b"one"
    assert admin.checkpoints()["current"] == live
    assert_failure(admin.checkout(told["checkpoint"]["id"]), 409, LOCKED)
    assert_success(admin.put(SITE, json={"locked": False}))
    assert_success(admin.checkout(told["checkpoint"]["id"]))
    assert admin.visit().data == b"two"


def test_who_asks_not_to_go_live_is_not_warned(admin: Admin) -> None:
    assert_success(admin.put(SITE, json={"locked": True}))
    assert "warnings" not in assert_success(send(admin, ONE, "?activate=false"), message=STORED)


def test_no_checkpoint_by_hand_goes_live_on_a_locked_site(admin: Admin, data: Path) -> None:
    admin.deployed(ONE)
    root = (data / "sites/default/blog").resolve()
    (root / "index.html").write_text("by hand")
    assert_success(admin.put(SITE, json={"locked": True}))
    # It makes nothing live that is not: the root is what visitors see already.
    assert_success(admin.post(CHECKPOINTS), 201)
    assert admin.visit().data == b"by hand"


@pytest.mark.parametrize("kind", ["checkout", "checkout?confirm_within=9"])
def test_a_checkout_on_a_locked_site_changes_nothing(admin: Admin, data: Path, kind: str) -> None:
    first = admin.deployed(ONE)["id"]
    admin.deployed(TWO)
    assert_success(admin.put(SITE, json={"locked": True}))
    before = state(data)
    assert_failure(admin.post(f"{CHECKPOINTS}/{first}/{kind}"), 409, LOCKED)
    assert state(data) == before


# --- Warnings -------------------------------------------------------------------------------


def test_every_line_without_effect_is_warned_of_and_the_others_have_theirs(admin: Admin) -> None:
    content: dict[str, bytes | str] = {
        "index.html": "one",
        "_redirects": "/a /b\n/c\n/d /e 999\n",
        "_headers": "X-Before: any\n/*\n  X-Good: yes\n  Set-Cookie: a=b\n",
    }
    tried = assert_success(send(admin, content, "?dry_run=true"))["warnings"]
    told = assert_success(send(admin, content))["warnings"]
    assert told == tried
    assert [text.partition("已忽略")[0] for text in told] == [
        "_redirects 第 2 行", "_redirects 第 3 行", "_headers 第 1 行", "_headers 第 4 行",
    ]  # fmt: skip
    assert admin.visit("/a").headers["Location"] == "/b"
    assert admin.visit("/").headers["X-Good"] == "yes"


def test_a_replay_has_the_warnings_of_its_archive(admin: Admin) -> None:
    content: dict[str, bytes | str] = {"page.html": "x"}
    first = send(admin, content, Idempotency_Key="k")
    assert assert_success(first)["warnings"]
    assert send(admin, content, Idempotency_Key="k").data == first.data


# --- Tenants --------------------------------------------------------------------------------


@pytest.fixture
def tenants(make_app: Callable[..., Flask], tmp_path: Path) -> tuple[Admin, Admin]:
    """Alice with the site alice/own, and Bob with bob/blog that has two checkpoints."""
    tables = "".join(f'[users.{name}]\npass = "{name}"\n' for name in ("alice", "bob"))
    (tmp_path / "config.toml").write_text(tables)
    app = make_app(config=str(tmp_path / "config.toml"))
    alice, bob = Admin(app.test_client(), "alice", "alice"), Admin(app.test_client(), "bob", "bob")
    alice.create("own")
    bob.create("blog")
    return alice, bob


TENANTS_CALLS = [
    ("POST", "deploy?activate=false"), ("POST", "deploy?dry_run=true"), ("POST", "checkpoints/{id}/checkout"),
    ("POST", "checkpoints/{id}/checkout?confirm_within=60"), ("POST", "checkpoints/{id}/confirm"),
    ("POST", "checkpoints/{id}/checkout?at={at}"), ("DELETE", "plan"), ("PUT", "checkpoints/{id}"),
    ("POST", "checkpoints/prune"), ("POST", "checkpoints/{id}/preview"), ("GET", "previews"), ("DELETE", "previews"),
    ("GET", "checkpoints/{id}/diff/{id}"), ("GET", "explain?url=/"), ("GET", "explain?url=/&checkpoint={id}"),
]  # fmt: skip


def _sent(user: Admin, method: str, path: str) -> TestResponse:
    body: dict[str, Any] = {}
    if "deploy" in path:
        body = {"data": {"file": (io.BytesIO(zip_of(ONE)), "a.zip")}}
    elif method == "PUT":
        body = {"json": {"pinned": True}}
    return user.call(method, path, **body)


@pytest.mark.parametrize(("method", "path"), TENANTS_CALLS, ids=" ".join)
def test_a_tenant_may_do_it_on_its_own_site_and_nowhere_else(
    tenants: tuple[Admin, Admin], data: Path, method: str, path: str
) -> None:
    alice, bob = tenants
    first = bob.deployed(ONE, site="bob/blog")["id"]
    bob.deployed(TWO, site="bob/blog")
    path = path.format(id=first, at=in_an_hour())
    before = state(data)
    for site in ("bob/blog", "bob/nope", "carol/nope"):
        assert_failure(_sent(alice, method, f"/_api/sites/{site}/{path}"), 403, "权限不足")
    assert state(data) == before
    if path == "plan" or path.endswith("confirm"):
        assert_success(bob.post(f"/_api/sites/bob/blog/checkpoints/{first}/checkout?confirm_within=60"))
        assert_success(bob.post(f"/_api/sites/bob/blog/checkpoints/{first}/checkout?at={in_an_hour()}"), 202)
    assert _sent(bob, method, f"/_api/sites/bob/blog/{path}").status_code in (200, 201, 202)


def test_nothing_of_a_refused_deploy_is_left(admin: Admin, data: Path) -> None:
    admin.deployed(ONE)
    for headers in ({"If_Match": '"x"'}, {"Idempotency_Key": ""}):
        send(admin, TWO, **headers)
    assert list((data / "work").iterdir()) == []
    assert tree_of((data / "sites/default/blog").resolve()) == {"index.html": b"one"}
