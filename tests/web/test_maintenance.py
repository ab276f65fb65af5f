"""The maintenance API: its own bodies, its three actions, what they leave on disk and in the log."""

import json
import logging
import os
import re
import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import Admin, assert_success, basic, everything_below, tree_of
from postgres import PASSWORD, find_binary
from werkzeug.test import TestResponse

URL = "/api/admin/maintenance"


def ask(client: FlaskClient, action: object, **kwargs: object) -> TestResponse:
    return client.post(URL, json={"action": action}, headers=basic(), **kwargs)


def backups(data: Path) -> list[Path]:
    return sorted((data.parent / "backups").iterdir())


def make_table(url: str, rows: int = 3) -> None:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes (id serial PRIMARY KEY, text text)")
        cursor.execute("INSERT INTO notes (text) SELECT 'note ' || n FROM generate_series(1, %s) n", (rows,))
    connection.close()


def notes(url: str) -> list[tuple[int, str]]:
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, text FROM notes ORDER BY id")
        found = cursor.fetchall()
    connection.close()
    return found


# --- Bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"backup"',
        b"null",
        b"{",
        b'{"action": null}',
        b'{"action": ["backup"]}',
        b'{"action": {}}',
        b'{"action": "Backup"}',
        b'{"action": "shutdown"}',
        b'{"action": ""}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_anything_but_the_three_actions_is_refused(client: FlaskClient, body: bytes) -> None:
    response = client.post(URL, data=body, headers=basic(), content_type="application/json")
    assert (response.status_code, response.json) == (400, {"error": "无效的操作类型"})


def test_a_body_that_a_form_could_send_does_nothing(client: FlaskClient, data: Path) -> None:
    response = client.post(URL, data=b'{"action": "backup"}', headers=basic(), content_type="text/plain")
    assert (response.status_code, response.json) == (400, {"error": "无效的操作类型"})
    assert not (data.parent / "backups").exists()


@pytest.mark.parametrize("headers", [{}, basic("admin", "wrong"), {"Authorization": "Bearer YWRtaW46YWRtaW4="}])
def test_without_credentials_the_answer_is_401_in_its_own_body(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.post(URL, json={"action": "backup"}, headers=headers)
    assert (response.status_code, response.json) == (401, {"error": "权限不足"})
    assert response.headers["WWW-Authenticate"] == 'Basic realm="Pages"'


def test_a_tenant_is_refused_in_its_own_body(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\n')
    response = make_app().test_client().post(URL, json={"action": "backup"}, headers=basic("alice", "secret"))
    assert (response.status_code, response.json) == (403, {"error": "权限不足"})


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_another_pages_request_is_refused_in_its_own_body(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.post(URL, json={"action": "clear-cache"}, headers={**basic(), **headers})
    assert (response.status_code, response.json) == (403, {"error": "权限不足"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_methods_on_its_path_belong_to_the_site(admin: Admin, method: str) -> None:
    admin.deployed({"api/admin/maintenance": "a page"})
    assert admin.visit(URL, method=method).status_code == 200


def test_other_methods_that_sites_refuse_are_refused_by_the_site(admin: Admin) -> None:
    response = admin.visit(URL, method="DELETE")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_it_does_not_exist_on_other_hosts_than_the_admins(make_app: Callable[..., Flask]) -> None:
    client = make_app(admin_hosts="admin.example.com").test_client()
    elsewhere = client.post(URL, json={"action": "clear-cache"}, headers=basic(), base_url="http://localhost")
    assert elsewhere.status_code == 404
    assert elsewhere.mimetype == "text/html"
    there = client.post(URL, json={"action": "clear-cache"}, headers=basic(), base_url="http://admin.example.com:8080")
    assert there.status_code == 200


@pytest.mark.parametrize("action", ["clear-cache", "backup", "restart"])
def test_the_timestamp_is_utc_with_milliseconds(client: FlaskClient, action: str) -> None:
    timestamp = ask(client, action).json["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp)


@pytest.mark.parametrize("action", ["clear-cache", "backup", "restart"])
def test_each_action_is_logged_with_who_from_where_and_how_it_ended(
    client: FlaskClient, action: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pages")
    ask(client, action, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    (line,) = [r.getMessage() for r in caplog.records if r.name == "pages.changes"]
    assert 'who="admin" from=192.0.2.7' in line
    assert action in line
    assert "200" in line


# --- Clear cache ----------------------------------------------------------------------------


def test_clear_cache_empties_the_cache_and_every_site_goes_on(admin: Admin, data: Path) -> None:
    checkpoints = [admin.deployed({"index.html": f"version {n} " * 100}) for n in range(4)]
    assert tree_of(data / "cache")
    response = ask(admin.client, "clear-cache")
    assert response.json.items() >= {"success": True, "message": "缓存清理成功"}.items()
    assert list((data / "cache").iterdir()) == []
    assert admin.visit().data.startswith(b"version 3")
    assert_success(admin.checkout(checkpoints[0]["id"]))
    assert admin.visit().data.startswith(b"version 0")


def test_clear_cache_makes_the_folder_anew_when_it_is_gone(admin: Admin, data: Path) -> None:
    (data / "cache").rmdir()
    assert ask(admin.client, "clear-cache").status_code == 200
    assert (data / "cache").is_dir()


def test_clear_cache_leaves_nothing_in_the_work_folder(admin: Admin, data: Path) -> None:
    (data / "cache" / "anything").mkdir()
    (data / "cache" / "anything" / "file").write_text("x")
    (data / "cache" / "link").symlink_to("/etc")
    ask(admin.client, "clear-cache")
    assert everything_below(data / "work") == {}


# --- Backup without a database --------------------------------------------------------------


def test_without_a_database_the_registry_and_all_metadata_are_backed_up(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed({"index.html": "x"})
    body = ask(admin.client, "backup").json
    assert body["message"] == "数据备份成功"
    (backup,) = backups(data)
    assert backup.name == body["backupFile"]
    assert re.fullmatch(r"backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z\.json", backup.name)
    saved = {f"{site['username']}/{site['id']}": site for site in json.loads(backup.read_bytes())["sites"]}
    assert saved["default/blog"]["record"] == json.loads((data / "registry/default/blog.json").read_bytes())
    assert saved["default/blog"]["metadata"]["current"] == checkpoint["id"]
    assert "default/default" in saved


def test_a_backup_keeps_the_text_of_a_record_that_cannot_be_read(admin: Admin, data: Path) -> None:
    (data / "registry/default/blog.json").write_text("{broken")
    assert ask(admin.client, "backup").status_code == 200
    saved = json.loads(backups(data)[0].read_bytes())["sites"]
    assert [site["record"] for site in saved if site["id"] == "blog"] == ["{broken"]


def test_backups_are_for_their_owner_only(admin: Admin, data: Path) -> None:
    ask(admin.client, "backup")
    assert stat.S_IMODE(backups(data)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((data.parent / "backups").stat().st_mode) == 0o700


def test_the_newest_are_kept_and_foreign_files_left_alone(make_app: Callable[..., Flask], data: Path) -> None:
    folder = data.parent / "backups"
    folder.mkdir()
    foreign = ["notes.txt", "backup-old.sql", "backup-2020-01-01T00-00-00-000Z.sql.gz"]
    for name in [*foreign, "backup-2020-01-01T00-00-00-000Z.sql", "backup-2021-01-01T00-00-00-000Z.json"]:
        (folder / name).write_text("x")
    client = make_app(backup_keep=3).test_client()
    names = [ask(client, "backup").json["backupFile"] for _ in range(4)]
    assert {path.name for path in folder.iterdir()} == {*foreign, *names[-3:]}


def test_ten_are_kept_by_default(client: FlaskClient, data: Path) -> None:
    for _ in range(12):
        ask(client, "backup")
    assert len(backups(data)) == 10


def test_backups_at_once_all_exist(client: FlaskClient, app: Flask, data: Path) -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(ask(app.test_client(), "backup").json["backupFile"]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 6
    assert sorted(names) == [path.name for path in backups(data)]


def test_a_backup_that_cannot_be_written_says_so_and_leaves_nothing(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    response = ask(make_app(backup_dir=tmp_path / "file" / "backups").test_client(), "backup")
    assert response.status_code == 500
    assert response.json["error"] == "操作失败"
    assert response.json["details"]


# --- Backup of a database -------------------------------------------------------------------


def test_a_database_is_backed_up_in_pg_dumps_custom_format(
    make_app: Callable[..., Flask], database: str, data: Path
) -> None:
    make_table(database)
    name = ask(make_app(DATABASE_URL=database).test_client(), "backup").json["backupFile"]
    (backup,) = backups(data)
    assert (backup.name, backup.suffix) == (name, ".sql")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    listing = subprocess.run(
        [str(find_binary("pg_restore")), "--list", str(backup)], capture_output=True, text=True, check=True
    ).stdout
    assert "notes" in listing


def test_without_pg_dump_every_table_is_backed_up_as_json(
    make_app: Callable[..., Flask], database: str, data: Path
) -> None:
    make_table(database)
    app = make_app(DATABASE_URL=database, pg_dump_path="/nowhere/pg_dump")
    assert ask(app.test_client(), "backup").json["backupFile"].endswith(".json")
    (backup,) = backups(data)
    assert b"note 2" in backup.read_bytes()
    json.loads(backup.read_bytes())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:s3cret-word@127.0.0.1:1/nothing",
        "postgresql://someone:s3cret-word@host.invalid/nothing",
        "postgresql://someone:s3cret-word%zz@127.0.0.1/nothing",
        "mysql://someone:s3cret-word@127.0.0.1/nothing",
    ],
)
def test_a_failed_backup_tells_no_secret_and_leaves_nothing(
    make_app: Callable[..., Flask], data: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    response = ask(make_app(DATABASE_URL=url).test_client(), "backup")
    assert response.status_code == 500
    assert response.json["error"] == "操作失败"
    assert response.json["details"]
    assert "s3cret-word" not in response.text
    assert "s3cret-word" not in caplog.text
    assert backups(data) == []


def test_a_wrong_password_is_an_error_and_not_a_json_export(
    make_app: Callable[..., Flask], database: str, data: Path
) -> None:
    from urllib.parse import quote

    wrong = database.replace(quote(PASSWORD, safe=""), "wrong")
    assert wrong != database
    response = ask(make_app(DATABASE_URL=wrong).test_client(), "backup")
    assert response.status_code == 500
    assert backups(data) == []


def test_a_pg_dump_that_hangs_is_ended_at_the_limit(
    make_app: Callable[..., Flask], database: str, data: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "pg_dump"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.0" && exit\nsleep 600\n')
    fake.chmod(0o755)
    app = make_app(DATABASE_URL=database, pg_dump_path=fake, backup_timeout=1)
    assert ask(app.test_client(), "backup").status_code == 500
    assert backups(data) == []


_FAILING = {
    "partial output, exit 1": "echo half > $target; exit 1",
    "nothing written": "exit 0",
    "an empty file": ": > $target; exit 0",
    "killed": "echo half > $target; kill -9 $$",
    "a password prompt": "read answer < /dev/tty; exit 1",
    "it reads its input": "cat; echo half > $target; exit 1",
    "megabytes of errors": "echo half > $target; yes 'error: s3cret-word' | head -c 5000000 >&2; exit 1",
    "it says the secret": 'echo "error: $PGPASSWORD" >&2; exit 1',
    "it hangs and ignores SIGTERM": "trap '' TERM; echo half > $target; while :; do sleep 1; done",
}


@pytest.mark.parametrize("fails", _FAILING.values(), ids=_FAILING.keys())
def test_a_pg_dump_that_fails_is_a_500_with_a_reason_and_no_secret_and_no_file(
    make_app: Callable[..., Flask], database: str, data: Path, tmp_path: Path, fails: str, monkeypatch: Any
) -> None:
    fake = tmp_path / "bin/pg_dump"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/bash\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.0" && exit\n'
        "for argument; do case $argument in --file=*) target=${argument#--file=};; esac; done\n" + fails + "\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    response = ask(make_app(DATABASE_URL=database, backup_timeout=2).test_client(), "backup")
    assert (response.status_code, response.json["error"]) == (500, "操作失败")
    assert 0 < len(response.json["details"]) < 1000
    assert PASSWORD not in response.text
    assert os.listdir(data.parent / "backups") == []


def test_a_database_that_takes_connections_and_says_nothing_is_given_up(
    make_app: Callable[..., Flask], data: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:s3cret-word@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        response = ask(make_app(DATABASE_URL=url).test_client(), "backup")
    assert response.status_code == 500
    assert "s3cret-word" not in response.text
    assert os.listdir(data.parent / "backups") == []


# --- Which backups are kept -----------------------------------------------------------------


def old_backup(data: Path, name: str, mtime: float = 0) -> None:
    folder = data.parent / "backups"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("old")
    os.utime(folder / name, (mtime, mtime))


def test_the_newest_are_told_by_their_names_whatever_the_files_times(
    make_app: Callable[..., Flask], data: Path
) -> None:
    client = make_app(backup_keep=2).test_client()
    for year, mtime in ((2001, 5000.0), (2002, 5000.0), (2003, 5000.0)):  # Copied in one go: equal times.
        old_backup(data, f"backup-{year}-01-01T00-00-00-000Z.sql", mtime)
    name = ask(client, "backup").json["backupFile"]
    assert {path.name for path in backups(data)} == {"backup-2003-01-01T00-00-00-000Z.sql", name}


def test_a_clock_that_went_back_does_not_cost_the_new_backup(make_app: Callable[..., Flask], data: Path) -> None:
    client = make_app(backup_keep=2).test_client()
    for year in (2901, 2902, 2903):
        old_backup(data, f"backup-{year}-01-01T00-00-00-000Z.sql")
    name = ask(client, "backup").json["backupFile"]
    assert name in {path.name for path in backups(data)}


def test_foreign_files_and_folders_stop_no_pruning_and_stay(make_app: Callable[..., Flask], data: Path) -> None:
    client = make_app(backup_keep=1).test_client()
    foreign = ["notes.txt", "backup-yesterday.sql", "backup-2001-01-01T00-00-00-000Z.sql.gz"]
    for name in foreign:
        old_backup(data, name)
    old_backup(data, "backup-2001-01-01T00-00-00-000Z.sql")
    name = ask(client, "backup").json["backupFile"]
    assert sorted(os.listdir(data.parent / "backups")) == sorted([*foreign, name])


def test_a_crash_while_pruning_is_made_up_for_by_the_next_backup(
    make_app: Callable[..., Flask], data: Path, monkeypatch: Any
) -> None:
    client = make_app(backup_keep=1).test_client()
    for year in (2001, 2002, 2003):
        old_backup(data, f"backup-{year}-01-01T00-00-00-000Z.json")

    def crash(path: Path, **kwargs: Any) -> None:
        raise KeyboardInterrupt  # Nothing of ours catches it: as if the process had ended there.

    with monkeypatch.context() as patched:
        unlink = Path.unlink
        patched.setattr(Path, "unlink", lambda p, **kw: crash(p) if "-2002-" in p.name else unlink(p, **kw))
        with pytest.raises(KeyboardInterrupt):
            ask(client, "backup")
    assert len(backups(data)) >= 2
    name = ask(client, "backup").json["backupFile"]
    assert [path.name for path in backups(data)] == [name]


# --- Restart --------------------------------------------------------------------------------


def test_restart_in_development_is_only_logged(client: FlaskClient) -> None:
    body = ask(client, "restart").json
    assert body["message"] == "开发环境：系统重启请求已记录"
    assert body["note"] == "在开发环境中，请手动重启服务器"


def test_restart_without_gunicorn_fails_and_signals_nobody(make_app: Callable[..., Flask]) -> None:
    app = make_app(environment="production", admin_pass="long enough")
    response = app.test_client().post(URL, json={"action": "restart"}, headers=basic("admin", "long enough"))
    assert response.status_code == 500
    assert response.json["error"] == "操作失败"
