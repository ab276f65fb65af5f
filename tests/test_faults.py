"""Faults of one thing that must not become everybody's: broken folders, files, disks and respawns."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, everything_below, wait_until, zip_of

from pages import files
from pages.config import as_json, config_in_force, load_config, pin
from pages.errors import ConfigError
from pages.registry import Registry
from pages.trees import Trees


def worker_pids(server: Server) -> list[int]:
    assert server.process is not None
    # Not by ps: a small system has none.
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(server.process.pid):
                found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.parametrize("what", ["folder", "garbage"])
def test_one_broken_metadata_stops_neither_reload_nor_start(
    admin: Admin, make_app: Callable[..., Flask], data: Path, what: str
) -> None:
    admin.create("other")
    admin.deployed({"index.html": "other"}, site="default/other")
    metadata = data / "sites-checkpoints/default/blog/metadata.json"
    metadata.unlink()
    metadata.mkdir() if what == "folder" else metadata.write_bytes(b"{")
    assert_success(admin.post("/_api/reload"))
    assert_failure(admin.get("/_api/sites/default/blog/checkpoints"), 500, "检查点元数据损坏，站点未改变")
    again = Admin(make_app().test_client())
    assert again.visit(host="other.localhost").data == b"other"


def test_a_work_folder_that_cannot_be_removed_stops_no_start(
    admin: Admin, make_app: Callable[..., Flask], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "work/0123456789abcdef/tree").mkdir(parents=True)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files, "remove_tree", refuse)
    assert Admin(make_app().test_client()).visit(host="localhost").status_code == 200


def test_a_lost_worker_is_replaced_with_the_settings_from_before(make_server: Callable[..., Server]) -> None:
    server = make_server(start=False)
    settings = server.folder / "config.toml"
    settings.write_text("[server]\nworkers = 1\n")
    server.settings["PAGES_CONFIG"] = str(settings)
    server.start()
    (before,) = worker_pids(server)
    settings.write_text("[server]\nnonsense = 1\n")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: worker_pids(server) not in ([], [before]) and server.answers(), "a new worker answers")
    assert server.api("GET", "/_api/sites").status == 200


def test_pinned_settings_survive_an_upgrade_that_knows_others(
    make_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.config._pinned", None)
    config = make_config(port=4321, admin_hosts="a.example", lock_timeout="2.5")
    pin(as_json(config))
    assert config_in_force() == config
    other = json.loads(as_json(config)) | {"a_setting_of_tomorrow": 1}
    del other["threads"]
    pin(json.dumps(other).encode())
    assert (config_in_force().port, config_in_force().threads) == (4321, 8)


def test_a_disk_that_is_full_at_the_switch_leaves_no_version_waiting_to_go_live(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = admin.deployed({"index.html": "old"})

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Trees, "prepare", full)
        assert_failure(admin.deploy(zip_of({"index.html": "new"})), 507)
    assert admin.checkpoints()["current"] == first["id"]
    assert_success(admin.post("/_api/reload"))
    assert admin.visit().data == b"old"


def test_a_create_that_fails_leaves_what_an_operator_had_put_there(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "sites/default/ready").mkdir()
    (data / "sites/default/ready/index.html").write_text("precious")
    before = everything_below(data / "sites")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "add", full)
        assert_failure(admin.post("/_api/sites", json={"id": "ready", "domain": "ready.localhost"}), 507)
    assert everything_below(data / "sites") == before
    admin.create("ready")
    assert admin.visit(host="ready.localhost").data == b"precious"


def test_checkpoints_of_a_record_that_was_taken_away_are_kept(admin: Admin, data: Path) -> None:
    made = admin.deployed({"index.html": "x"})
    (data / "registry/default/blog.json").unlink()
    assert_success(admin.post("/_api/reload"))
    admin.create("blog")
    assert admin.checkpoints()["checkpoints"] == []
    assert [path.name for path in (data / "lost").rglob("*.tar.gz")] == [f"{made['id']}.tar.gz"]


@pytest.mark.parametrize("intent", ["", "create", "20260101-000000-00000000"])
def test_a_start_after_a_crash_keeps_the_checkpoints_of_a_record_that_was_taken_away(
    admin: Admin, make_app: Callable[..., Flask], data: Path, intent: str
) -> None:
    made = admin.deployed({"index.html": "x"})
    (data / "registry/default/blog.json").unlink()
    left = data / "work/0123456789abcdef"  # Of a process that died in a deploy, or in a create.
    left.mkdir()
    (left / "note").write_text("default/blog")
    (left / "intent").write_text(intent)
    make_app()
    assert [path.name for path in data.rglob("*.tar.gz")] == [f"{made['id']}.tar.gz"]
    assert list((data / "work").iterdir()) == []


def test_a_record_that_leads_nowhere_can_be_deleted(admin: Admin, data: Path) -> None:
    record = data / "registry/default/blog.json"
    record.unlink()
    record.symlink_to("/nowhere")
    assert_success(admin.delete("/_api/sites/default/blog"))
    admin.create("blog")


@pytest.mark.parametrize(
    "file", ["registry/default/blog.json", "sites-checkpoints/default/blog/metadata.json"], ids=["record", "metadata"]
)
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(admin: Admin, data: Path, file: str) -> None:
    admin.deployed({"index.html": "x"})
    (data / file).unlink()
    os.mkfifo(data / file)
    assert_success(admin.post("/_api/reload"))
    assert_success(admin.get("/_api/sites"))
    assert admin.get("/_api/sites/default/blog/checkpoints").status_code == 500
    problems = assert_success(admin.post("/_api/verify"))["problems"]
    assert file in [problem["file"] for problem in problems]


@pytest.mark.parametrize(
    "change",
    [{"current": "../../../../x"}, {"current": "a\0b"}, {"updated_at": "9999-12-31T23:59:59+00:00"}],
    ids=["path", "nul", "year"],
)
def test_metadata_out_of_all_reason_is_damage_and_not_an_error_of_ours(
    admin: Admin, data: Path, change: dict[str, str]
) -> None:
    admin.deployed({"index.html": "x"})
    metadata = data / "sites-checkpoints/default/blog/metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | change))
    assert_failure(admin.deploy(zip_of({"index.html": "y"})), 500, "检查点元数据损坏，站点未改变")
    assert admin.visit().data == b"x"


def test_a_date_says_nothing_about_another_index(admin: Admin) -> None:
    admin.deployed({"index.html": "one", "home.html": "two"})
    date = admin.visit().headers["Last-Modified"]
    assert admin.visit(If_Modified_Since=date).status_code == 304
    assert_success(admin.put("/_api/sites/default/blog", json={"index": "home.html"}))
    assert admin.visit(If_Modified_Since=date).data == b"two"


def test_a_date_says_nothing_about_the_site_that_had_the_domain_before(admin: Admin) -> None:
    admin.create("other")
    admin.deployed({"index.html": "blog!"})
    admin.deployed({"index.html": "other"}, site="default/other")
    date = admin.visit().headers["Last-Modified"]
    assert_success(admin.put("/_api/sites/default/blog", json={"domain": "elsewhere.localhost"}))
    assert_success(admin.put("/_api/sites/default/other", json={"domain": "blog.localhost"}))
    assert admin.visit(If_Modified_Since=date).data == b"other"


def test_a_tenant_may_put_back_the_admin_host_that_it_was_given(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[server]\nadmin_hosts = ["panel.localhost"]\n[users.bob]\npass = "b"\n')
    client = make_app().test_client()
    host = {"base_url": "http://panel.localhost"}
    body = {"id": "s", "domain": "panel.localhost", "username": "bob"}
    site = assert_success(Admin(client).post("/_api/sites", json=body, **host), 201)
    assert_success(Admin(client, "bob", "b").put("/_api/sites/bob/s", json=site, **host))


def test_a_name_encoding_other_than_utf_8_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(ConfigError, match="PYTHONUTF8"):
        load_config({})
