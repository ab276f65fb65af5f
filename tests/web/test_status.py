"""Calls 6 and 7 and healthz: reload puts edits by hand in force, health tells the truth."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import Admin, Server, assert_failure, assert_success

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Move this process to another time zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def edit(data: Path, site: str = "default/blog", **changes: Any) -> None:
    """Change a record as an operator's editor does."""
    path = data / "registry" / f"{site}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, ensure_ascii=False, indent=4))


def reload(admin: Admin) -> Any:
    return assert_success(admin.post("/_api/reload"))


# --- Reload ---------------------------------------------------------------------------------


def test_reload_says_how_many_sites_are_enabled(admin: Admin) -> None:
    admin.create("off", enabled=False)
    data = assert_success(admin.post("/_api/reload"), message="重载成功，当前 2 个站点已生效")
    assert set(data) == {"sites_count", "reloaded_at", "problems"}
    assert (data["sites_count"], data["problems"]) == (2, [])
    assert TIME.fullmatch(data["reloaded_at"])


def test_reload_counts_none_when_there_is_none(admin: Admin) -> None:
    admin.delete("/_api/sites/default/blog")
    admin.delete("/_api/sites/default/default")
    assert_success(admin.post("/_api/reload"), message="重载成功，当前 0 个站点已生效")


def test_reload_puts_a_domain_edited_by_hand_in_force(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": "x"})
    edit(data, domain="Neu.例子.localhost.")
    reload(admin)
    assert admin.visit(host="neu.xn--fsqu00a.localhost").data == b"x"
    assert admin.visit(host="blog.localhost").status_code == 404
    assert sorted(path.name for path in (data / "domains").iterdir()) == ["localhost", "neu.xn--fsqu00a.localhost"]


def test_reload_puts_domains_swapped_by_hand_in_force(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": "blog"})
    edit(data, domain="localhost")
    edit(data, "default/default", domain="blog.localhost")
    assert reload(admin)["problems"] == []
    assert admin.visit(host="localhost").data == b"blog"
    assert admin.visit(host="blog.localhost").data != b"blog"


def test_reload_puts_up_a_site_whose_record_was_written_by_hand(admin: Admin, data: Path) -> None:
    shutil.copy(data / "registry/default/blog.json", data / "registry/default/docs.json")
    edit(data, "default/docs", id="docs", domain="docs.localhost")
    assert reload(admin)["sites_count"] == 3
    admin.deployed({"index.html": "docs"}, site="default/docs")
    assert admin.visit(host="docs.localhost").data == b"docs"


def test_reload_names_every_record_that_cannot_be_read(admin: Admin, data: Path) -> None:
    (data / "registry/default/bad.json").write_text('{"id": "bad"')
    (data / "registry/other").mkdir()
    (data / "registry/other/worse.json").write_bytes(b"\xff")
    found = reload(admin)
    assert found["sites_count"] == 2
    assert [problem["file"] for problem in found["problems"]] == [
        "registry/default/bad.json", "registry/other/worse.json",
    ]  # fmt: skip
    assert all(set(problem) == {"file", "reason"} and problem["reason"] for problem in found["problems"])


def test_reload_names_a_record_whose_domain_another_site_has(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": "x"})
    edit(data, "default/default", domain="blog.localhost")
    (problem,) = reload(admin)["problems"]
    assert problem["file"] == "registry/default/default.json"
    assert admin.visit().data == b"x"


def test_reload_takes_links_away_that_belong_to_nobody(admin: Admin, data: Path) -> None:
    (data / "domains/stale.localhost").symlink_to("../registry/default/gone.json")
    (data / "domains/old.localhost").symlink_to("../registry/default/blog.json")
    reload(admin)
    assert sorted(path.name for path in (data / "domains").iterdir()) == ["blog.localhost", "localhost"]


def test_reload_minds_no_file_that_is_no_record(admin: Admin, data: Path) -> None:
    for name in ["notes.txt", ".blog.json.swp", "blog.json~", "README"]:
        (data / "registry/default" / name).write_text("x")
    (data / "registry/stray.json").write_text("x")
    (data / "registry/.git").mkdir()
    assert reload(admin)["problems"] == []


def test_reload_survives_a_name_that_is_no_utf_8(admin: Admin, data: Path) -> None:
    folder = Path(str(data / "registry") + "/\udcff")
    folder.mkdir()
    (folder / "a.json").write_text("{}")
    assert len(reload(admin)["problems"]) == 1


def test_reload_twice_is_reload_once(admin: Admin, data: Path) -> None:
    edit(data, domain="new.localhost")
    (data / "registry/default/bad.json").write_text("")
    first, second = reload(admin), reload(admin)
    assert first | {"reloaded_at": ""} == second | {"reloaded_at": ""}


@pytest.mark.parametrize("body", [b"", b"{", b'{"x": 1}', b"\xff"])
def test_reload_reads_no_body(admin: Admin, body: bytes) -> None:
    assert_success(admin.post("/_api/reload", data=body))


# --- Health ---------------------------------------------------------------------------------


def test_health_counts_the_enabled_sites(admin: Admin, data: Path) -> None:
    admin.create("off", enabled=False)
    (data / "registry/default/bad.json").write_text("{")
    found = assert_success(admin.get("/_api/health"))
    assert set(found) == {"status", "sites_count", "timestamp"}
    assert (found["status"], found["sites_count"]) == ("healthy", 2)
    assert TIME.fullmatch(found["timestamp"])


def break_by_removal(data: Path) -> None:
    data.rename(data.with_name("moved"))


def break_by_a_file(data: Path) -> None:
    break_by_removal(data)
    data.write_text("")


@pytest.mark.parametrize("breaks", [break_by_removal, break_by_a_file])
def test_health_is_bad_with_a_reason_when_the_data_folder_cannot_be_written(
    admin: Admin, data: Path, breaks: Callable[[Path], None]
) -> None:
    breaks(data)
    reply = admin.get("/_api/health")
    assert_failure(reply, 503)
    assert json.loads(reply.data)["data"]["status"] == "unhealthy"


@pytest.mark.parametrize("breaks", [break_by_removal, break_by_a_file])
def test_healthz_is_bad_and_gives_no_reason(client: FlaskClient, data: Path, breaks: Callable[[Path], None]) -> None:
    breaks(data)
    reply = client.get("/_api/healthz")
    reason = assert_failure(Admin(client).get("/_api/health"), 503)
    assert assert_failure(reply, 503) != reason
    assert json.loads(reply.data)["data"] == {"status": "unhealthy"}


def test_health_is_good_again_when_the_data_folder_is(admin: Admin, data: Path) -> None:
    break_by_removal(data)
    assert_failure(admin.get("/_api/health"), 503)
    data.with_name("moved").rename(data)
    assert assert_success(admin.get("/_api/health"))["sites_count"] == 2


def test_healthz_tells_nothing_but_the_status(client: FlaskClient) -> None:
    assert json.loads(client.get("/_api/healthz").data) == {"success": True, "data": {"status": "healthy"}}


def test_asking_for_health_leaves_nothing_behind(admin: Admin, data: Path) -> None:
    before = sorted(data.rglob("*"))
    for path in ["/_api/health", "/_api/healthz"]:
        assert_success(admin.get(path))
    assert sorted(data.rglob("*")) == before


# --- Times ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "offset"),
    [("Asia/Shanghai", "+08:00"), ("UTC", "+00:00"), ("America/St_Johns", None), ("Etc/GMT+12", "-12:00")],
)
def test_every_time_has_the_local_offset(
    admin: Admin, zone: Callable[[str], None], name: str, offset: str | None
) -> None:
    zone(name)
    offset = offset or datetime.now().astimezone().isoformat()[-6:]
    times = [
        admin.create("docs")["created_at"],
        assert_success(admin.put("/_api/sites/default/blog", json={"enabled": True}))["updated_at"],
        reload(admin)["reloaded_at"],
        assert_success(admin.get("/_api/health"))["timestamp"],
        admin.deployed({"a": "b"})["created_at"],
    ]
    assert all(TIME.fullmatch(text) and text.endswith(offset) for text in times)
    assert all(abs((datetime.now().astimezone() - datetime.fromisoformat(text)).total_seconds()) < 60 for text in times)


# --- Several processes ----------------------------------------------------------------------


def test_every_worker_sees_what_one_of_them_or_an_operator_writes(server: Server) -> None:
    for turn in range(10):  # On a new connection each, so at either worker.
        index = f"{turn}.html"
        if turn % 2:
            edit(server.data, index=index)
        else:
            assert server.api("PUT", "/_api/sites/default/blog", {"index": index}).status == 200
        for _ in range(4):
            assert server.api("GET", "/_api/sites/default/blog").json()["data"]["index"] == index


def test_an_application_over_a_broken_record_starts(make_app: Callable[..., Flask], data: Path) -> None:
    Admin(make_app().test_client()).create("blog")
    (data / "registry/default/blog.json").write_text("{")
    admin = Admin(make_app().test_client())
    assert assert_success(admin.get("/_api/health"))["sites_count"] == 1
