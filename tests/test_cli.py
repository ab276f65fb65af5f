"""The ``pages`` command and the Makefile's targets: restore, maintenance, start-up, passwords."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import PROJECT, Server, everything_below, tree_of, zip_of
from web.test_maintenance import make_table, notes
from werkzeug.security import check_password_hash

from pages.database import dump, export_tables


def pages(*arguments: str, cwd: Path = PROJECT, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PAGES_") and k != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-m", "pages", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(PROJECT), **settings},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def on(server: Server) -> dict[str, str]:
    return {k: v for k, v in server.environment().items() if k.startswith("PAGES_") or k == "DATABASE_URL"}


# --- Restore --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dump", "tables"])
def test_a_restored_database_equals_the_one_backed_up(kind: str, postgres, database: str, tmp_path: Path) -> None:
    make_table(database, rows=50)
    backup = tmp_path / "backup"
    if kind == "dump":
        dump(database, backup, timeout=60)
    else:
        export_tables(database, backup)
    copy = postgres.create_database(f"copy_{kind}")
    try:
        done = pages("restore", str(backup), DATABASE_URL=copy)
        assert done.returncode == 0, done.stderr
        assert notes(copy) == notes(database)
    finally:
        postgres.drop_database(f"copy_{kind}")


def test_a_database_with_tables_is_not_overwritten_unless_asked(database: str, tmp_path: Path) -> None:
    make_table(database, rows=2)
    dump(database, tmp_path / "backup", timeout=60)
    refused = pages("restore", str(tmp_path / "backup"), DATABASE_URL=database)
    assert refused.returncode == 1
    assert "--clean" in refused.stderr
    assert pages("restore", "--clean", str(tmp_path / "backup"), DATABASE_URL=database).returncode == 0
    assert len(notes(database)) == 2


def test_a_restored_registry_and_its_archives_serve_what_was_served(make_server: Callable[..., Server]) -> None:
    old = make_server("old")
    for site, tenant in (("blog", "default"), ("shop", "alice")):
        assert (
            old.api("POST", "/_api/sites", {"id": site, "username": tenant, "domain": f"{site}.localhost"}).status
            == 201
        )
        assert old.deploy(zip_of({"index.html": f"{site} one", "a/b.css": "x"}), site=f"{tenant}/{site}").status == 200
        assert old.deploy(zip_of({"index.html": f"{site} two"}), site=f"{tenant}/{site}").status == 200
    reply = old.api("POST", "/api/admin/maintenance", {"action": "backup"}).json()
    backup = old.folder / "backups" / reply["backupFile"]

    new = make_server("new", start=False)
    new.port = 1  # Not started yet; any port does for the settings.
    done = pages("restore", str(backup), **on(new))
    assert done.returncode == 0, done.stderr
    assert tree_of(new.data / "registry") == tree_of(old.data / "registry")
    restored = {k: json.loads(v) for k, v in tree_of(new.data / "sites-checkpoints").items()}
    saved = {
        k: json.loads(v) for k, v in tree_of(old.data / "sites-checkpoints").items() if k.endswith("metadata.json")
    }
    assert restored == saved

    shutil.copytree(old.data / "sites-checkpoints", new.data / "sites-checkpoints", dirs_exist_ok=True)
    new.port = 0
    new.start()
    for site in ("blog", "shop"):
        assert new.request("GET", "/", host=f"{site}.localhost").body == f"{site} two".encode()
    assert new.request("GET", "/", host="localhost").status in (200, 404)
    assert new.api("GET", "/_api/sites").json() == old.api("GET", "/_api/sites").json()


def test_a_file_copy_of_registry_and_checkpoints_serves_every_deployed_site(make_server: Callable[..., Server]) -> None:
    old = make_server("old")
    old.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"})
    old.deploy(zip_of({"index.html": "kept"}))
    new = make_server("new", start=False)
    for folder in ("registry", "sites-checkpoints"):
        shutil.copytree(old.data / folder, new.data / folder)
    new.start()
    assert new.request("GET", "/", host="blog.localhost").body == b"kept"


def test_a_registry_is_not_restored_over_sites(server: Server) -> None:
    reply = server.api("POST", "/api/admin/maintenance", {"action": "backup"}).json()
    before = everything_below(server.data / "registry")
    done = pages("restore", str(server.folder / "backups" / reply["backupFile"]), **on(server))
    assert done.returncode == 1
    assert "empty" in done.stderr
    assert everything_below(server.data / "registry") == before


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"PGDMPgarbage", b"hello", b'{"format": "pages-registry", "version": 1}']
)
def test_what_is_no_backup_is_refused_with_a_sentence(content: bytes, database: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    done = pages("restore", str(tmp_path / "file"), DATABASE_URL=database, PAGES_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ")


def test_restoring_a_database_without_one_configured_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"PGDMP")
    done = pages("restore", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr


# --- Verify and back up ---------------------------------------------------------------------


def test_verify_tells_what_is_wrong_and_its_status_says_whether_anything_is(server: Server) -> None:
    server.deploy(zip_of({"index.html": "kept"}))
    sound = pages("verify", **on(server))
    assert (sound.returncode, sound.stderr) == (0, "")
    assert sound.stdout.startswith("Checked 2 sites, 1 checkpoints, ")
    (page,) = (server.data / "trees").glob("default/blog/2*/site/index.html")
    page.write_text("worn")
    told = pages("verify", **on(server))
    assert told.returncode == 1
    assert told.stdout.splitlines()[0] == f"{page.relative_to(server.data)}: is not what was deployed"
    alone = pages("verify", "--site", "default/default", **on(server))
    assert alone.returncode == 0
    as_json = json.loads(pages("verify", "--json", **on(server)).stdout)
    assert [problem["file"] for problem in as_json["problems"]] == [str(page.relative_to(server.data))]
    assert as_json["checked"]["checkpoints"] == 1
    repaired = pages("verify", "--repair", **on(server))
    assert repaired.returncode == 0
    assert "[repaired]" in repaired.stdout
    assert server.request("GET", "/", host="blog.localhost").body == b"kept"


def test_verify_of_a_site_that_is_none_is_a_failure(server: Server) -> None:
    done = pages("verify", "--site", "default/gone", **on(server))
    assert (done.returncode, done.stderr) == (1, "Error: there is no site default/gone\n")


def test_what_the_file_system_refuses_is_told_in_a_sentence(server: Server, tmp_path: Path) -> None:
    done = pages("backup", "--full", "--output", str(tmp_path / "missing" / "x.tar"), **on(server))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {tmp_path}/missing/")
    assert done.stderr.count("\n") == 1


def test_a_name_with_control_characters_takes_one_line_and_the_quarantine_is_named(server: Server) -> None:
    (server.data / "sites" / "no\nwhere\x1b[31m").symlink_to("x")
    done = pages("verify", "--repair", **on(server))
    (folder,) = (server.data / "quarantine").iterdir()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert str(folder) in done.stdout
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("command", [["verify"], ["backup", "--full"]])
def test_without_an_installation_nothing_is_made(tmp_path: Path, command: list[str]) -> None:
    done = pages(*command, PAGES_DATA_DIR=str(tmp_path / "none"), PAGES_BACKUP_DIR=str(tmp_path / "backups"))
    assert done.returncode == 1
    assert "no installation" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("target", "said"), [("verify", "sound"), ("backup-full", ".full.tar"), ("drill", "restored")])
def test_the_makefile_target_works_beside_the_service(server: Server, target: str, said: str) -> None:
    if not (PROJECT / ".venv/.run").exists() and not (PROJECT / ".venv/.test").exists():
        pytest.skip("not run through make")
    pages("backup", "--full", **on(server))
    command = ["make", "-s", "-o", ".venv/.run", target]
    # What `make test` itself was told is not meant for this target.
    environment = {name: value for name, value in server.environment().items() if name not in ("ARGS", "MAKEFLAGS")}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout.lower()


def test_systemd_understands_the_timers(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    names = [f"pages-{what}.{kind}" for what in ("verify", "backup", "certificates") for kind in ("service", "timer")]
    for name in names:
        text = (PROJECT / "deploy" / name).read_text(encoding="utf-8")
        text = re.sub("/opt/pages/(?:venv/bin/pages|deploy/certificates)", str(shutil.which("true")), text)
        (tmp_path / name).write_text(text)
    command = [program, "verify", "--man=no", *(str(tmp_path / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not any(name in done.stderr for name in names), done.stderr
    assert done.returncode == 0, done.stderr


# --- Maintenance ----------------------------------------------------------------------------


def test_the_maintenance_command_asks_the_running_service(server: Server) -> None:
    done = pages("maintenance", "backup", **on(server))
    assert done.returncode == 0, done.stderr
    assert (server.folder / "backups" / json.loads(done.stdout)["backupFile"]).is_file()


@pytest.mark.parametrize("target", ["backup", "clear-cache", "restart"])
def test_the_makefile_target_asks_the_running_service(server: Server, target: str) -> None:
    if not (PROJECT / ".venv/.run").exists() and not (PROJECT / ".venv/.test").exists():
        pytest.skip("not run through make")
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/.run", target],
        cwd=PROJECT,
        env=server.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"] is True


def test_a_failed_action_is_a_failed_command(make_server: Callable[..., Server]) -> None:
    server = make_server(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    done = pages("maintenance", "backup", **on(server))
    assert done.returncode == 1
    assert "操作失败" in done.stdout


def test_the_maintenance_command_works_where_the_api_has_a_host_of_its_own(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_ADMIN_HOSTS="admin.example.com")
    assert pages("maintenance", "clear-cache", **on(server)).returncode == 0


def test_without_a_running_service_the_command_says_so() -> None:
    done = pages("maintenance", "backup", PAGES_PORT="1")
    assert done.returncode == 1
    assert "Is it running?" in done.stderr


# --- Settings and passwords -----------------------------------------------------------------


def test_check_accepts_the_shipped_settings() -> None:
    assert pages("check").returncode == 0


def test_check_names_the_key_that_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nprot = 80\n")
    done = pages("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "prot" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_hash_made_by_hash_password_lets_its_password_in(make_server: Callable[..., Server]) -> None:
    made = pages("hash-password", stdin="correct horse\n").stdout.strip()
    assert check_password_hash(made, "correct horse")
    server = make_server(PAGES_ADMIN_PASS=made)
    import base64

    token = base64.b64encode(b"admin:correct horse").decode()
    assert server.request("GET", "/_api/sites", headers={"Authorization": f"Basic {token}"}).status == 200


def test_an_empty_password_is_not_hashed() -> None:
    assert pages("hash-password", stdin="\n").returncode == 1
