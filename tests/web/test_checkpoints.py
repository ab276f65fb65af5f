"""Checkpoints through HTTP: list, show, delete, check out, make by hand; what stands on the disk for each."""

import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, everything_below, tar_of, tree_of, wait_until, zip_of

import pages.publish
import pages.versions
from pages import files
from pages.web import checkpoints as checkpoint_views
from pages.web import deploys as deploy_views

SITE = "/_api/sites/default/blog"
CHECKPOINTS = f"{SITE}/checkpoints"
UNKNOWN = "20250101-100000-0ld12345"
FIELDS = ["id", "created_at", "file_size", "file_name", "source", "description"]
V1: dict[str, bytes | str] = {"index.html": b"one", "same.txt": b"same", "only1/x.txt": b"1"}
V2: dict[str, bytes | str] = {"index.html": b"two", "same.txt": b"same", "only2/y.txt": b"2"}
V3: dict[str, bytes | str] = {"index.html": b"three"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch, data: Path) -> Callable[[datetime], None]:
    """Stop the clock of deploys, checkouts and the rest at this time; all sites are older than that."""

    def set_to(time: datetime) -> None:
        for path in (data / "registry").glob("*/*.json"):
            long_ago = {"created_at": "2000-01-01T00:00:00+00:00", "updated_at": "2000-01-01T00:00:00+00:00"}
            path.write_text(json.dumps(json.loads(path.read_text()) | long_ago))
        for views in (deploy_views, checkpoint_views):
            monkeypatch.setattr(views, "now", lambda: time)

    return set_to


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Make this the local time zone (POSIX text, which needs no zone files)."""

    def set_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def as_the_seed_has_it(listed: dict[str, Any]) -> dict[str, Any]:
    """A list of checkpoints without what is shown of each beside the seed's fields."""
    return {**listed, "checkpoints": [{name: item[name] for name in FIELDS} for item in listed["checkpoints"]]}


def root_of(data: Path, site: str = "default/blog") -> Path:
    return (data / "sites" / site).resolve()


def history_of(data: Path, site: str = "default/blog") -> Path:
    return data / "sites-checkpoints" / site


def metadata_of(data: Path, site: str = "default/blog") -> Any:
    return json.loads((history_of(data, site) / "metadata.json").read_bytes())


def archive_of(data: Path, checkpoint: Any) -> Path:
    return history_of(data) / "checkpoints" / f"{checkpoint['id']}.tar.gz"


def manual(admin: Admin, **body: Any) -> Any:
    return assert_success(admin.post(CHECKPOINTS, json=body), 201, "检查点已创建")


def clear_cache(admin: Admin) -> None:
    response = admin.post("/api/admin/maintenance", json={"action": "clear-cache"})
    assert response.get_json()["message"] == "缓存清理成功"


def warm_copies(data: Path) -> list[str]:
    """The ids of the checkpoints that are kept unpacked, but for the live one."""
    live = root_of(data).resolve().parent
    return sorted(path.name[:24] for path in (data / "trees/default/blog").iterdir() if path != live)


def warm_copy(data: Path, checkpoint: dict[str, Any]) -> Path:
    """The unpacked tree of a checkpoint."""
    (copy,) = (data / "trees/default/blog").glob(f"{checkpoint['id']}.*/site")
    return copy


# --- List and show --------------------------------------------------------------------------


def test_a_new_site_has_no_checkpoints_and_no_current(admin: Admin) -> None:
    assert admin.checkpoints() == {"current": None, "checkpoints": [], "total": 0}


def test_the_list_holds_all_checkpoints_newest_first(admin: Admin) -> None:
    made = [admin.deployed(files) for files in (V1, V2, V3)]
    assert as_the_seed_has_it(admin.checkpoints()) == {"current": made[2]["id"], "checkpoints": made[::-1], "total": 3}


def test_a_checkpoint_has_the_seed_s_fields_in_the_list_and_alone(admin: Admin) -> None:
    made = admin.deployed(V1)
    assert list(admin.checkpoints()["checkpoints"][0])[:6] == FIELDS
    shown = assert_success(admin.get(f"{CHECKPOINTS}/{made['id']}"))
    assert list(shown) == FIELDS
    assert shown == made


def test_a_checkpoint_s_time_is_that_of_its_id_in_whole_seconds_with_the_offset(admin: Admin) -> None:
    made = admin.deployed(V1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", made["created_at"])
    assert datetime.fromisoformat(made["created_at"]).strftime("%Y%m%d-%H%M%S") == made["id"][:15]


def test_a_checkpoint_s_time_is_when_it_was_made(admin: Admin) -> None:
    before = datetime.now().astimezone().replace(microsecond=0)
    made = admin.deployed(V1)
    assert before <= datetime.fromisoformat(made["created_at"]) <= datetime.now().astimezone() + timedelta(seconds=2)


@pytest.mark.parametrize("zone", ["CST-8", "UTC0", "NST3:30", "<+1245>-12:45"])
def test_ids_and_times_are_local(
    admin: Admin, set_zone: Callable[[str], None], set_clock: Callable[[datetime], None], zone: str
) -> None:
    set_zone(zone)
    moment = datetime(2025, 1, 6, 16, 0, 5, 999_999).astimezone()
    set_clock(moment)
    made = admin.deployed(V1)
    assert made["created_at"] == moment.isoformat(timespec="seconds")
    assert made["id"].startswith("20250106-160005-")


# --- Show, delete and check out what is not there -------------------------------------------

CALLS = [("GET", ""), ("DELETE", ""), ("POST", "/checkout")]


@pytest.mark.parametrize(("method", "action"), CALLS)
@pytest.mark.parametrize(
    "checkpoint_id",
    [UNKNOWN, "20250101-100000-01234567", "x", "..", "%2e%2e", "metadata.json", "%00", "..%2f..", "a" * 5_000, "网"],
)
def test_an_unknown_checkpoint_is_a_404(admin: Admin, data: Path, method: str, action: str, checkpoint_id: str) -> None:
    admin.deployed(V1)
    before = everything_below(data)
    response = admin.call(method, f"{CHECKPOINTS}/{checkpoint_id}{action}")
    assert assert_failure(response, 404) in ("检查点不存在", "接口不存在")
    assert everything_below(data) == before


@pytest.mark.parametrize(("method", "action"), CALLS)
def test_an_unknown_checkpoint_s_message_is_the_contract_s(admin: Admin, method: str, action: str) -> None:
    assert_failure(admin.call(method, f"{CHECKPOINTS}/{UNKNOWN}{action}"), 404, "检查点不存在")


ON_SITES = [("GET", ""), ("POST", ""), *[(method, f"/{UNKNOWN}{action}") for method, action in CALLS]]


@pytest.mark.parametrize(("method", "path"), ON_SITES)
@pytest.mark.parametrize("site", ["default/nowhere", "nobody/blog", "default/%2e%2e", "default/%00", "n" * 300 + "/b"])
def test_an_unknown_site_is_a_404(admin: Admin, data: Path, method: str, path: str, site: str) -> None:
    before = everything_below(data)
    assert_failure(admin.call(method, f"/_api/sites/{site}/checkpoints{path}"), 404, "站点不存在")
    assert everything_below(data) == before


def test_another_site_s_checkpoint_is_a_404(admin: Admin) -> None:
    admin.create("other")
    made = admin.deployed(V1, site="default/other")
    admin.deployed(V2)
    for method, action in CALLS:
        assert_failure(admin.call(method, f"{CHECKPOINTS}/{made['id']}{action}"), 404, "检查点不存在")


@pytest.mark.parametrize(("method", "path"), ON_SITES)
@pytest.mark.parametrize("site", ["default/blog", "default/nowhere"])
def test_a_tenant_gets_403_for_another_s_site_whether_it_exists_or_not(
    make_app: Callable[..., Flask], tmp_path: Path, method: str, path: str, site: str
) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\n')
    client = make_app().test_client()
    Admin(client).create("blog")
    alice = Admin(client, "alice", "secret")
    assert_failure(alice.call(method, f"/_api/sites/{site}/checkpoints{path}"), 403, "权限不足")


# --- Delete ---------------------------------------------------------------------------------


def test_deleting_a_checkpoint_takes_it_out_of_the_list_and_off_the_disk(admin: Admin, data: Path) -> None:
    first, second = admin.deployed(V1), admin.deployed(V2)
    assert assert_success(admin.delete(f"{CHECKPOINTS}/{first['id']}"), 200, "检查点已删除") is None
    assert as_the_seed_has_it(admin.checkpoints()) == {"current": second["id"], "checkpoints": [second], "total": 1}
    assert [path.name for path in (history_of(data) / "checkpoints").iterdir()] == [f"{second['id']}.tar.gz"]
    assert not [path for path in everything_below(data) if first["id"] in path]


def test_deleting_a_checkpoint_twice_is_a_404(admin: Admin) -> None:
    first, _ = admin.deployed(V1), admin.deployed(V2)
    assert_success(admin.delete(f"{CHECKPOINTS}/{first['id']}"))
    assert_failure(admin.delete(f"{CHECKPOINTS}/{first['id']}"), 404, "检查点不存在")


def test_the_current_checkpoint_cannot_be_deleted(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    second = admin.deployed(V2)
    before = everything_below(data)
    assert_failure(admin.delete(f"{CHECKPOINTS}/{second['id']}"), 409, "不能删除当前激活的检查点")
    assert everything_below(data) == before


def test_what_was_current_before_a_checkout_can_be_deleted(admin: Admin) -> None:
    first, second = admin.deployed(V1), admin.deployed(V2)
    assert_success(admin.checkout(first["id"]))
    assert_failure(admin.delete(f"{CHECKPOINTS}/{first['id']}"), 409)
    assert_success(admin.delete(f"{CHECKPOINTS}/{second['id']}"))
    assert admin.visit("/").data == b"one"


def test_a_deleted_checkpoint_s_id_is_not_given_again(admin: Admin, set_clock: Callable[[datetime], None]) -> None:
    set_clock(datetime(2025, 1, 6, 16, 0, 0).astimezone())
    admin.deployed(V1)
    gone = admin.deployed(V2)
    first = admin.checkpoints()["checkpoints"][1]
    assert_success(admin.checkout(first["id"]))
    assert_success(admin.delete(f"{CHECKPOINTS}/{gone['id']}"))
    assert admin.deployed(V2)["id"] > gone["id"]


# --- Check out ------------------------------------------------------------------------------


def test_a_checkout_s_reply_is_the_seed_s(admin: Admin) -> None:
    first, _ = admin.deployed(V1), admin.deployed(V2)
    data = assert_success(admin.checkout(first["id"]), 200, "站点已切换到检查点")
    assert data == {"username": "default", "id": "blog", "checkpoint_id": first["id"]}


def test_a_checkout_serves_exactly_that_version(admin: Admin, data: Path) -> None:
    first, second = admin.deployed(V1), admin.deployed(V2)
    for checkpoint, version in ((first, V1), (second, V2), (first, V1)):
        assert_success(admin.checkout(checkpoint["id"]))
        assert tree_of(root_of(data)) == version
        assert admin.visit("/").data == version["index.html"]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_checkout_changes_only_current_and_updated_at(
    admin: Admin, data: Path, set_clock: Callable[[datetime], None], warm: bool
) -> None:
    set_clock(datetime(2025, 1, 6, 12, 0, 0).astimezone())
    first, second, _ = admin.deployed(V1), admin.deployed(V2), admin.deployed(V3)
    if not warm:
        clear_cache(admin)
    before, kept = metadata_of(data), everything_below(data / "registry")
    archives = everything_below(history_of(data) / "checkpoints")
    later = datetime(2025, 1, 6, 16, 0, 0).astimezone()
    set_clock(later)
    assert_success(admin.checkout(first["id"]))
    assert metadata_of(data) == {**before, "current": first["id"], "updated_at": later.isoformat()}
    assert everything_below(history_of(data) / "checkpoints") == archives
    assert everything_below(data / "registry") == kept
    assert second in metadata_of(data)["checkpoints"]


def test_a_checkout_leaves_the_site_s_record_alone(admin: Admin) -> None:
    first, _ = admin.deployed(V1), admin.deployed(V2)
    before = assert_success(admin.get(SITE))
    assert_success(admin.checkout(first["id"]))
    assert assert_success(admin.get(SITE)) == before


def test_checking_out_the_current_checkpoint_succeeds(admin: Admin, data: Path) -> None:
    first = admin.deployed(V1)
    assert_success(admin.checkout(first["id"]))
    assert tree_of(root_of(data)) == V1
    assert as_the_seed_has_it(admin.checkpoints()) == {"current": first["id"], "checkpoints": [first], "total": 1}


def test_a_checkout_leaves_the_work_folder_empty(admin: Admin, data: Path) -> None:
    first, _ = admin.deployed(V1), admin.deployed(V2)
    clear_cache(admin)
    assert_success(admin.checkout(first["id"]))
    assert list((data / "work").iterdir()) == []


@pytest.mark.parametrize("version", [V1, V2, V3, {"首页.html": "中", "空/": b"", "a b/c.txt": b"x" * 3_000_000}])
def test_a_checkout_after_the_cache_was_cleared_brings_the_version_back_byte_for_byte(
    admin: Admin, data: Path, version: dict[str, bytes | str]
) -> None:
    first = admin.deployed(version)
    before = everything_below(root_of(data))
    admin.deployed({"index.html": b"x"})
    admin.deployed({"index.html": b"y"})  # Now the first tree is in the cache alone.
    clear_cache(admin)
    assert_success(admin.checkout(first["id"]))
    assert everything_below(root_of(data)) == before


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_checkout_brings_back_the_validators_that_a_version_had(admin: Admin, warm: bool) -> None:
    first = admin.deployed(V1)
    tags = {path: admin.visit(f"/{path}").headers["ETag"] for path in V1}
    admin.deployed(V2)
    admin.deployed(V3)
    if not warm:
        clear_cache(admin)
    assert_success(admin.checkout(first["id"]))
    assert {path: admin.visit(f"/{path}").headers["ETag"] for path in V1} == tags


def test_a_changed_file_of_the_same_size_has_another_validator(admin: Admin) -> None:
    admin.deployed({"index.html": b"aaa"})
    first = admin.visit("/").headers["ETag"]
    admin.deployed({"index.html": b"bbb"})
    assert admin.visit("/").headers["ETag"] != first


# --- Warm copies ----------------------------------------------------------------------------


def test_a_warm_checkpoint_needs_no_unpacking(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = admin.deployed(V1), admin.deployed(V2), admin.deployed(V3)

    def refuse(*arguments: object) -> None:
        raise AssertionError("an archive was unpacked")

    monkeypatch.setattr(pages.versions, "read_stored_archive", refuse)
    for checkpoint, content in ((first, b"one"), (second, b"two"), (first, b"one")):
        assert_success(admin.checkout(checkpoint["id"]))
        assert admin.visit("/").data == content


@pytest.mark.parametrize(("warm", "most"), [(0, 1), (1, 1), (3, 3)])
def test_no_more_warm_copies_are_kept_than_the_setting_says(
    make_app: Callable[..., Flask], data: Path, warm: int, most: int
) -> None:
    admin = Admin(make_app(warm_checkpoints=warm).test_client())
    admin.create("blog")
    made = [admin.deployed({"index.html": str(number)}) for number in range(8)]
    assert len(warm_copies(data)) == most
    for checkpoint in made:
        assert_success(admin.checkout(checkpoint["id"]))
        assert len(warm_copies(data)) <= most


def test_the_versions_live_last_are_the_ones_kept_warm(admin: Admin, data: Path) -> None:
    made = [admin.deployed({"index.html": str(number)}) for number in range(8)]
    assert warm_copies(data) == sorted(checkpoint["id"] for checkpoint in made[4:7])


@pytest.mark.parametrize("warm", [0, 1, 3])
def test_every_checkpoint_can_be_checked_out_whatever_is_warm(make_app: Callable[..., Flask], warm: int) -> None:
    admin = Admin(make_app(warm_checkpoints=warm).test_client())
    admin.create("blog")
    made = [admin.deployed({"index.html": str(number)}) for number in range(6)]
    for number in (0, 5, 1, 0, 3, 3, 4, 2):
        assert_success(admin.checkout(made[number]["id"]))
        assert admin.visit("/").data == str(number).encode()


def test_the_cache_may_be_gone_altogether(admin: Admin, data: Path) -> None:
    made = [admin.deployed({"index.html": str(number)}) for number in range(4)]
    shutil.rmtree(data / "cache")
    assert_success(admin.checkout(made[0]["id"]))
    assert admin.visit("/").data == b"0"
    shutil.rmtree(data / "cache")
    admin.deployed({"index.html": b"new"})
    assert admin.visit("/").data == b"new"


def test_clearing_the_cache_leaves_what_is_served(admin: Admin, data: Path) -> None:
    first, _, _ = admin.deployed(V1), admin.deployed(V2), admin.deployed(V3)
    assert_success(admin.checkout(first["id"]))  # A tree that came out of the cache.
    clear_cache(admin)
    assert list((data / "cache").iterdir()) == []
    assert tree_of(root_of(data)) == V1


def test_a_warm_copy_that_was_changed_by_hand_is_not_served(admin: Admin, data: Path) -> None:
    first, _, _ = admin.deployed(V1), admin.deployed(V2), admin.deployed(V3)
    (warm_copy(data, first) / "index.html").write_bytes(b"bad")
    assert_success(admin.checkout(first["id"]))
    assert admin.visit("/").data == b"one"


def test_a_removal_of_the_cache_under_way_does_not_reach_a_tree_that_was_checked_out(admin: Admin, data: Path) -> None:
    first, _, _ = admin.deployed(V1), admin.deployed(V2), admin.deployed(V3)
    assert warm_copy(data, first).is_dir()
    assert not [path for path in (data / "cache").rglob("*") if path.name == "index.html"]


# More files than are looked through at a checkout.
LARGE = {f"{number}.html": f"page {number}" for number in range(300)}


def test_a_large_version_that_was_changed_by_hand_while_live_is_unpacked_anew(admin: Admin, data: Path) -> None:
    first = admin.deployed(LARGE)
    (root_of(data) / "7.html").write_bytes(b"bad")
    admin.deployed(V2)
    wait_until(lambda: first["id"] not in warm_copies(data), "the changed tree is dropped")
    assert_success(admin.checkout(first["id"]))
    assert admin.visit("/7.html").data == b"page 7"


def test_a_checkout_of_a_large_warm_version_looks_at_none_of_its_files(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = admin.deployed(LARGE), admin.deployed(V2)
    looked_at: list[Path] = []
    monkeypatch.setattr(pages.versions, "is_intact", lambda tree, manifest: looked_at.append(tree))
    assert_success(admin.checkout(first["id"]))
    assert looked_at == []
    assert tree_of(root_of(data)) == {name: text.encode() for name, text in LARGE.items()}


# --- metadata.json --------------------------------------------------------------------------


def test_metadata_on_disk_is_exactly_what_the_seed_shows(
    admin: Admin, data: Path, set_zone: Callable[[str], None], set_clock: Callable[[datetime], None]
) -> None:
    set_zone("CST-8")
    set_clock(datetime(2025, 1, 6, 12, 0, 0).astimezone())
    first = assert_success(admin.deploy(zip_of(V1), "site-v1.0.zip"))["checkpoint"]
    set_clock(datetime(2025, 1, 6, 16, 0, 0).astimezone())
    second = assert_success(admin.deploy(zip_of(V2), "网站-v2.0.zip"))["checkpoint"]
    expected = f"""{{
  "site_id": "blog",
  "username": "default",
  "current": "{second["id"]}",
  "checkpoints": [
    {{
      "id": "{second["id"]}",
      "created_at": "2025-01-06T16:00:00+08:00",
      "file_size": {archive_of(data, second).stat().st_size},
      "file_name": "网站-v2.0.zip",
      "source": "deploy",
      "description": "部署: 网站-v2.0.zip"
    }},
    {{
      "id": "{first["id"]}",
      "created_at": "2025-01-06T12:00:00+08:00",
      "file_size": {archive_of(data, first).stat().st_size},
      "file_name": "site-v1.0.zip",
      "source": "deploy",
      "description": "部署: site-v1.0.zip"
    }}
  ],
  "updated_at": "2025-01-06T16:00:00+08:00"
}}
"""
    assert (history_of(data) / "metadata.json").read_text(encoding="utf-8") == expected


def test_the_list_is_what_metadata_says(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    manual(admin, description="by hand")
    metadata, listed = metadata_of(data), as_the_seed_has_it(admin.checkpoints())
    assert listed["checkpoints"] == metadata["checkpoints"]
    assert listed["current"] == metadata["current"]


def test_what_one_process_wrote_another_lists_at_once(admin: Admin, make_app: Callable[..., Flask], data: Path) -> None:
    other = Admin(make_app().test_client())
    for version in (V1, V2):
        made = admin.deployed(version)
        assert other.checkpoints()["current"] == made["id"]
        assert other.visit("/").data == version["index.html"]


# --- By hand --------------------------------------------------------------------------------


def test_a_manual_checkpoint_has_the_seed_s_fields(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    made = manual(admin)
    assert list(made) == FIELDS
    assert made["source"] == "manual"
    assert made["description"] == "手动创建"
    assert made["file_name"] == f"{made['id']}.tar.gz"
    assert made["file_size"] == archive_of(data, made).stat().st_size


def test_a_manual_checkpoint_becomes_current_and_is_the_newest(admin: Admin) -> None:
    first = admin.deployed(V1)
    made = manual(admin)
    assert as_the_seed_has_it(admin.checkpoints()) == {"current": made["id"], "checkpoints": [made, first], "total": 2}


@pytest.mark.parametrize("description", ["上线前的备份", "x" * 500, "two\nlines", "<b>"])
def test_a_manual_checkpoint_s_description_is_the_one_given(admin: Admin, description: str) -> None:
    admin.deployed(V1)
    made = manual(admin, description=description)
    assert made["description"] == description
    assert admin.checkpoints()["checkpoints"][0]["description"] == description


@pytest.mark.parametrize("kwargs", [{}, {"json": {}}, {"data": b"", "content_type": "application/json"}])
def test_a_manual_checkpoint_needs_no_body(admin: Admin, kwargs: dict[str, Any]) -> None:
    admin.deployed(V1)
    assert assert_success(admin.post(CHECKPOINTS, **kwargs), 201)["description"] == "手动创建"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"description": 5}, "description"),
        ({"description": None}, "description"),
        ({"description": ["x"]}, "description"),
        ({"descripton": "x"}, "descripton"),
        ({"description": "x", "source": "deploy"}, "source"),
    ],
)
def test_a_bad_field_is_a_400_that_names_it(admin: Admin, data: Path, body: dict[str, Any], field: str) -> None:
    admin.deployed(V1)
    before = everything_below(data)
    assert field in assert_failure(admin.post(CHECKPOINTS, json=body), 400)
    assert everything_below(data) == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"text"', b"\xff", b'{"description": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_a_400(admin: Admin, body: bytes) -> None:
    admin.deployed(V1)
    assert_failure(admin.post(CHECKPOINTS, data=body, content_type="application/json"), 400)


def test_an_empty_root_is_a_409(admin: Admin, data: Path) -> None:
    before = everything_below(data)
    assert_failure(admin.post(CHECKPOINTS), 409)
    assert everything_below(data).keys() - before.keys() <= {"locks/sites/default/blog"}
    assert admin.checkpoints()["total"] == 0


def test_a_root_of_empty_folders_is_a_409(admin: Admin, data: Path) -> None:
    (root_of(data) / "empty/deeper").mkdir(parents=True)
    assert_failure(admin.post(CHECKPOINTS), 409)


def test_a_manual_checkpoint_takes_what_an_operator_put_into_a_new_site(admin: Admin, data: Path) -> None:
    (root_of(data) / "index.html").write_bytes(b"by hand")
    made = manual(admin)
    assert admin.visit("/").data == b"by hand"
    admin.deployed(V1)
    assert_success(admin.checkout(made["id"]))
    assert tree_of(root_of(data)) == {"index.html": b"by hand"}


def edit(data: Path) -> None:
    """Change, add and remove files of the live root by hand."""
    root = root_of(data)
    (root / "index.html").write_bytes(b"ONE")  # Of the same size.
    (root / "added/new.txt").parent.mkdir()
    (root / "added/new.txt").write_bytes(b"new")
    (root / "same.txt").unlink()


EDITED = {"index.html": b"ONE", "added/new.txt": b"new", "only1/x.txt": b"1"}


def test_a_manual_checkpoint_takes_an_edit_by_hand(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    edit(data)
    made = manual(admin)
    with tarfile.open(archive_of(data, made)) as archive:
        stored = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        assert {name: file.read() for name, file in stored.items() if file} == EDITED
    assert tree_of(root_of(data)) == EDITED


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_checking_out_the_original_brings_the_original_content_back(admin: Admin, data: Path, warm: bool) -> None:
    first = admin.deployed(V1)
    edit(data)
    made = manual(admin)
    if not warm:
        clear_cache(admin)
    assert_success(admin.checkout(first["id"]))
    assert tree_of(root_of(data)) == V1
    assert_success(admin.checkout(made["id"]))
    assert tree_of(root_of(data)) == EDITED


def test_checking_out_the_current_checkpoint_undoes_an_edit_by_hand(admin: Admin, data: Path) -> None:
    first = admin.deployed(V1)
    edit(data)
    assert_success(admin.checkout(first["id"]))
    assert tree_of(root_of(data)) == V1


def test_an_edited_version_does_not_come_back_after_another_deploy(admin: Admin, data: Path) -> None:
    first = admin.deployed(V1)
    edit(data)
    for version in (V2, V3):
        admin.deployed(version)
    assert_success(admin.checkout(first["id"]))
    assert tree_of(root_of(data)) == V1


def test_an_edited_file_has_another_validator_and_gets_its_own_back(admin: Admin, data: Path) -> None:
    first = admin.deployed(V1)
    original = admin.visit("/").headers["ETag"]
    edit(data)
    made = manual(admin)
    assert admin.visit("/").headers["ETag"] != original
    assert_success(admin.checkout(first["id"]))
    assert admin.visit("/").headers["ETag"] == original
    assert made["id"] != first["id"]


def test_a_manual_checkpoint_leaves_links_and_special_files_out_with_a_warning_each(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    root = root_of(data)
    (root / "inside").symlink_to("index.html")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "folder").symlink_to(root / "only1")
    os.mkfifo(root / "fifo")
    made = manual(admin)
    assert len(made["warnings"]) == 4
    for name in ("inside", "outside", "folder", "fifo"):
        assert any(name in warning for warning in made["warnings"])
    assert tree_of(root_of(data)) == V1
    with tarfile.open(archive_of(data, made)) as archive:
        assert all(member.isfile() or member.isdir() for member in archive)


def test_a_manual_checkpoint_without_links_has_no_warnings(admin: Admin) -> None:
    admin.deployed(V1)
    assert "warnings" not in manual(admin)


def test_a_root_of_links_alone_is_a_409(admin: Admin, data: Path) -> None:
    (root_of(data) / "link").symlink_to("/etc/passwd")
    assert_failure(admin.post(CHECKPOINTS), 409)


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt",
        "a b.txt",
        "中文.txt",
        ".hidden",
        "-rf",
        "a:b.txt",
        ".DS_Store",
        "Thumbs.db",
        "a\\b.txt",
        pytest.param("c:d.txt", id="drive"),
        pytest.param("new\nline", id="control"),
        pytest.param("\udcff.txt", id="not-utf8"),
        pytest.param("Ä".encode("latin-1").decode("utf-8", "surrogateescape") + "/x", id="not-utf8-folder"),
    ],
)
def test_a_manual_checkpoint_can_be_checked_out_whatever_the_root_holds(admin: Admin, data: Path, name: str) -> None:
    root = root_of(data)
    (root / "index.html").write_bytes(b"page")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"x")
    made = manual(admin)
    live = tree_of(root_of(data))
    admin.deployed(V1)
    admin.deployed(V2)
    clear_cache(admin)
    assert_success(admin.checkout(made["id"]))
    assert tree_of(root_of(data)) == live
    assert admin.visit("/").data == b"page"


@pytest.mark.parametrize("name", [".DS_Store", "a\\b.txt", "c:d.txt"])
def test_a_manual_checkpoint_keeps_a_file_or_warns_of_it(admin: Admin, data: Path, name: str) -> None:
    admin.deployed(V1)
    (root_of(data) / name).write_bytes(b"x")
    made = manual(admin)
    is_kept = (root_of(data) / name).exists()
    assert is_kept or any(name.replace("\\", "") in warning.replace("\\", "") for warning in made["warnings"])


def test_a_manual_checkpoint_that_an_operator_s_tar_unpacks_is_the_root(
    admin: Admin, data: Path, tmp_path: Path
) -> None:
    admin.deployed({"index.html": b"x", "空/": b"", "中/文.txt": b"y"})
    made = manual(admin)
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "xzf", archive_of(data, made), "-C", there], check=True)
    assert everything_below(there) == everything_below(root_of(data))


def test_a_socket_in_the_root_does_no_harm(admin: Admin, data: Path) -> None:
    admin.deployed(V1)
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root_of(data))  # A socket's path may not be long.
        listener.bind("socket")
    assert manual(admin)["warnings"]


# --- Ids ------------------------------------------------------------------------------------


def ids_of(admin: Admin) -> list[str]:
    """All ids, oldest first."""
    return [checkpoint["id"] for checkpoint in admin.checkpoints()["checkpoints"]][::-1]


def test_the_same_content_in_one_second_gets_two_ids(
    admin: Admin, data: Path, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(datetime(2025, 1, 6, 23, 59, 59).astimezone())
    first, second = admin.deployed(V1), admin.deployed(V1)
    assert first["id"] == f"20250106-235959-{first['id'][-8:]}"
    assert second["id"] == f"20250107-000000-{first['id'][-8:]}"
    assert archive_of(data, first).exists()
    assert archive_of(data, second).exists()


def test_many_fast_deploys_have_ids_of_their_own_that_sort_by_age(admin: Admin) -> None:
    made = [admin.deployed(version)["id"] for version in (V1, V1, V2, V1, V3, V1, V2, V2)]
    made += [manual(admin)["id"], manual(admin)["id"]]
    assert len(set(made)) == len(made)
    assert made == sorted(made)
    assert ids_of(admin) == made


@pytest.mark.parametrize(
    "back",
    [timedelta(seconds=1), timedelta(hours=1), timedelta(days=400), timedelta(days=365 * 30)],
    ids=["second", "hour", "year", "decades"],
)
def test_ids_sort_by_age_when_the_clock_goes_back(
    admin: Admin, set_clock: Callable[[datetime], None], back: timedelta
) -> None:
    clock = datetime(2025, 1, 6, 16, 0, 0).astimezone()
    made = []
    for shift in (timedelta(0), -back, -back, timedelta(seconds=30), -back):
        set_clock(clock + shift)
        made.append(admin.deployed({"index.html": b"same"})["id"])
        made.append(admin.deployed({"index.html": str(len(made))})["id"])
    assert made == sorted(set(made))
    assert ids_of(admin) == made


def test_ids_sort_by_age_when_the_newest_was_deleted_and_the_clock_went_back(
    admin: Admin, set_clock: Callable[[datetime], None]
) -> None:
    clock = datetime(2025, 1, 6, 16, 0, 0).astimezone()
    set_clock(clock)
    first, second = admin.deployed(V1), admin.deployed(V2)
    set_clock(clock - timedelta(hours=1))
    assert_success(admin.checkout(first["id"]))
    assert_success(admin.delete(f"{CHECKPOINTS}/{second['id']}"))
    assert admin.deployed(V3)["id"] > second["id"]


def test_ids_sort_by_age_over_the_hour_that_comes_twice(
    admin: Admin, set_zone: Callable[[str], None], set_clock: Callable[[datetime], None]
) -> None:
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3")
    made = []
    # 2025-10-26 03:00 CEST is 02:00 CET again.
    for moment in ("00:30", "00:59", "01:00", "01:30", "02:30"):
        set_clock(datetime.fromisoformat(f"2025-10-26T{moment}:00+00:00").astimezone())
        made.append(admin.deployed({"index.html": moment}))
    ids, times = [c["id"] for c in made], [datetime.fromisoformat(c["created_at"]) for c in made]
    assert ids == sorted(set(ids))
    assert times == sorted(set(times))


def test_ids_sort_by_age_when_the_server_moves_west(
    admin: Admin, set_zone: Callable[[str], None], set_clock: Callable[[datetime], None]
) -> None:
    made = []
    for hours, zone in enumerate(("CST-8", "UTC0", "PST8", "CST-8")):
        set_zone(zone)
        set_clock(datetime.fromisoformat(f"2025-01-06T0{hours}:00:00+00:00").astimezone())
        made.append(admin.deployed({"index.html": zone})["id"])
    assert made == sorted(set(made))


def test_a_checkout_with_the_clock_back_does_not_date_the_metadata_before_its_checkpoints(
    admin: Admin, data: Path, set_clock: Callable[[datetime], None]
) -> None:
    clock = datetime(2025, 1, 6, 16, 0, 0).astimezone()
    set_clock(clock)
    first, second = admin.deployed(V1), admin.deployed(V2)
    set_clock(clock - timedelta(days=1))
    assert_success(admin.checkout(first["id"]))
    assert metadata_of(data)["updated_at"] >= second["created_at"]


# --- Sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_file_size_is_the_stored_archive_s_whatever_was_uploaded(
    admin: Admin, data: Path, pack: Callable[[dict[str, bytes | str]], bytes]
) -> None:
    upload = pack({**V1, "big.bin": os.urandom(300_000)})
    made = assert_success(admin.deploy(upload, "a.zip" if pack is zip_of else "a.tgz"))["checkpoint"]
    assert made["file_size"] == archive_of(data, made).stat().st_size
    assert made["file_size"] > 300_000


# --- A new site of the same name ------------------------------------------------------------


def test_a_later_site_of_the_same_name_starts_without_checkpoints(admin: Admin, data: Path) -> None:
    made = admin.deployed(V1)
    assert_success(admin.delete(SITE))
    admin.create("blog")
    assert admin.checkpoints() == {"current": None, "checkpoints": [], "total": 0}
    assert_failure(admin.checkout(made["id"]), 404, "检查点不存在")
    assert tree_of(root_of(data)) == {}
    assert warm_copies(data) == []


# --- Depth ----------------------------------------------------------------------------------


def test_the_deepest_tree_there_may_be_can_be_deployed_kept_checked_out_and_deleted(admin: Admin, data: Path) -> None:
    deep = {"index.html": b"top", "a/" * 511 + "x": b"bottom"}  # A path of 1,023 bytes.
    first = admin.deployed(deep)
    second = manual(admin)
    for version in (V1, V2):
        admin.deployed(version)
    assert_success(admin.checkout(first["id"]))
    clear_cache(admin)
    assert_success(admin.checkout(second["id"]))
    assert tree_of(root_of(data)) == deep
    assert_success(admin.delete(f"{CHECKPOINTS}/{first['id']}"))
    assert_success(admin.delete(SITE))
    assert list((data / "work").iterdir()) == []
