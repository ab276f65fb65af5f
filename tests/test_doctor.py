"""``pages doctor``: each check told what is so, in situations made for real."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result
from helpers import Admin, Server, everything_below, program, zip_of
from ports import free_port
from werkzeug.security import generate_password_hash

from pages import files
from pages.app import create_app
from pages.cli import main
from pages.config import load_config
from pages.doctor import CHECKS

Look = Callable[..., dict[str, list[tuple[str, str, str]]]]


def run(*options: str, **settings: str) -> Result:
    for name in [name for name in os.environ if name.startswith("PAGES_") or name == "DATABASE_URL"]:
        del os.environ[name]
    os.environ.update(settings)
    return CliRunner().invoke(main, ["doctor", *options])


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run some checks where settings and data are this test's; returns (level, message, todo) by check."""
    for name in list(os.environ):  # So that whatever a run sets is undone in the end.
        if name.startswith("PAGES_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.chdir(tmp_path)

    def look(*only: str, options: tuple[str, ...] = (), **settings: str) -> dict[str, list[tuple[str, str, str]]]:
        chosen = [word for name in only for word in ("--only", name)]
        done = run("--json", *chosen, *options, **{name.upper(): value for name, value in settings.items()})
        said = json.loads(done.stdout)
        assert done.stdout.count("\n") == 1
        found: dict[str, list[tuple[str, str, str]]] = {}
        for item in said["findings"]:
            found.setdefault(item["check"], []).append((item["level"], item["message"], item["todo"]))
        has_problem = any(level == "problem" for items in found.values() for level, _, _ in items)
        assert said["ok"] is not has_problem
        assert done.exit_code == int(has_problem)
        return found

    return look


def levels(found: list[tuple[str, str, str]]) -> list[str]:
    return [level for level, _, _ in found]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running installation with a site, whose API has a host of its own."""
    server = Server(tmp_path_factory.mktemp("used"), {"PAGES_ADMIN_HOSTS": "admin.example.com"})
    server.start()
    host = {"host": "admin.example.com"}
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}, **host).status == 201
    assert server.deploy(zip_of({"index.html": "page"}), host="admin.example.com").status == 200
    yield server
    server.stop()


def settings_of(server: Server) -> dict[str, str]:
    return {name: value for name, value in server.environment().items() if name.startswith("PAGES_")}


# --- Settings -------------------------------------------------------------------------------------


def test_settings_that_stop_the_start_are_told_and_nothing_else(look: Look, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nprot = 80\n")
    found = look()
    assert list(found) == ["settings"]
    assert levels(found["settings"]) == ["problem"]
    assert "prot" in found["settings"][0][1]


def test_a_variable_that_is_no_setting_is_a_warning(look: Look) -> None:
    (warning, fine) = look("settings", pages_prot="80")["settings"]
    assert warning[0] == "warning"
    assert "PAGES_PROT" in warning[1]
    assert fine[0] == "ok"


@pytest.mark.parametrize(
    ("settings", "mode", "level"),
    [
        ({}, None, "warning"),
        ({"pages_host": "0.0.0.0"}, None, "problem"),
        ({"pages_admin_pass": "secret"}, None, "ok"),
        ({"pages_host": "0.0.0.0", "pages_admin_pass": "secret"}, None, "ok"),
        ({}, 0o644, "warning"),
        ({}, 0o600, "ok"),
    ],
)
def test_a_password_that_others_know_is_told(
    look: Look, tmp_path: Path, settings: dict[str, str], mode: int | None, level: str
) -> None:
    if mode is not None:
        (tmp_path / "config.toml").write_text('[server]\nadmin_pass = "secret"\n')
        (tmp_path / "config.toml").chmod(mode)
    assert levels(look("password", **settings)["password"]) == [level]


def test_a_hash_may_be_read_by_others_and_one_of_admin_is_no_secret(look: Look, tmp_path: Path) -> None:
    for password, level in (("secret", "ok"), ("admin", "warning")):
        (tmp_path / "config.toml").write_text(f'[server]\nadmin_pass = "{generate_password_hash(password)}"\n')
        assert levels(look("password")["password"]) == [level]


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"pages_environment": "production"}, "warning"),
        ({"pages_environment": "production", "pages_admin_hosts": "admin.example.com"}, "ok"),
        ({}, "ok"),
    ],
)
def test_an_api_on_every_host_is_told_in_production(look: Look, settings: dict[str, str], level: str) -> None:
    assert levels(look("admin hosts", pages_admin_pass="secret", **settings)["admin hosts"]) == [level]


def test_a_tenants_site_on_an_admin_host_is_told(look: Look, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "wonder"\n')
    config = load_config({"PAGES_CONFIG": str(tmp_path / "config.toml"), "PAGES_DATA_DIR": "data"})
    admin = Admin(create_app(config).test_client())
    admin.create("blog", "blog.example.com", username="alice", aliases=["*.example.com"])
    admin.create("blog", "panel.example.com")
    for hosts, level in (("admin.example.com", "warning"), ("panel.example.com,localhost", "ok")):
        found = look("admin hosts", pages_admin_pass="secret", pages_admin_hosts=hosts)["admin hosts"]
        assert levels(found)[0] == level
        assert ("alice/blog" in found[0][1]) == (level == "warning")


# --- The data folder ------------------------------------------------------------------------------


def test_a_data_folder_to_come_is_fine_where_it_can_be_made(look: Look, tmp_path: Path) -> None:
    assert levels(look("data folder", pages_data_dir="new/data")["data folder"]) == ["ok"]
    (tmp_path / "file").touch()
    assert levels(look("data folder", pages_data_dir="file/data")["data folder"]) == ["problem"]
    assert not (tmp_path / "new").exists()


def test_a_data_folder_of_somebody_else_is_a_problem(look: Look) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data/work").mkdir(parents=True)
        os.chdir(folder)
        os.seteuid(65534)
        try:
            (found,) = look("data folder")["data folder"]
        finally:
            os.seteuid(0)
    assert found[0] == "problem"
    assert "chown" in found[2]


def test_root_is_told_that_it_is_not_the_one_who_will_write_and_tries_nothing(look: Look, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give folders away")
    (tmp_path / "data/work").mkdir(parents=True)
    os.chown(tmp_path / "data", 65534, 65534)
    before = (tmp_path / "data/work").stat()
    (found,) = look("data folder")["data folder"]
    assert found[0] == "warning"
    assert "runuser -u nobody" in found[2]
    assert (tmp_path / "data/work").stat() == before


@pytest.mark.parametrize(("what", "level"), [("symlink", "problem"), ("link", "problem"), ("swap", "warning")])
def test_a_file_system_that_lacks_something_is_told(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, level: str
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "data/work").mkdir(parents=True)
    if what == "swap":
        monkeypatch.setattr(files, "swapped", lambda *_: False)
    else:
        monkeypatch.setattr(os, what, refuse)
    assert levels(look("data folder")["data folder"]) == [level, "ok"]


def test_a_part_on_another_file_system_is_told(look: Look, tmp_path: Path) -> None:
    (tmp_path / "data/trees").mkdir(parents=True)
    assert levels(look("file system")["file system"]) == ["ok"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "data/cache").symlink_to(elsewhere)
        assert levels(look("file system")["file system"]) == ["ok"]
        (tmp_path / "data/sites").symlink_to(elsewhere)
        (found,) = look("file system")["file system"]
    assert found[0] == "problem"
    assert f"{tmp_path}/data/sites" in found[1]


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, "ok"),
        ({"pages_min_free_bytes": str(10**17)}, "problem"),
        ({"pages_max_upload_bytes": str(10**17)}, "warning"),
    ],
)
def test_too_little_room_is_told(look: Look, settings: dict[str, str], level: str) -> None:
    assert levels(look("room", **settings)["room"]) == [level, level]


def test_a_clock_that_was_set_back_is_told(look: Look, tmp_path: Path) -> None:
    (tmp_path / "data/locks").mkdir(parents=True)
    assert levels(look("clock")["clock"]) == ["ok"]
    future = datetime.now().timestamp() + 3600
    os.utime(tmp_path / "data/locks", (future, future))
    (found,) = look("clock")["clock"]
    assert found[0] == "warning"
    assert f"{tmp_path}/data/locks was touched 3" in found[1]


def test_a_low_limit_of_open_files_is_told(tmp_path: Path) -> None:
    command = f"cd {tmp_path} && ulimit -n 1024 && {sys.executable} -m pages doctor --json --only 'open files'"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert [item["level"] for item in json.loads(done.stdout)["findings"]] == ["warning"]


def test_a_restore_that_was_cut_short_is_told(look: Look, tmp_path: Path) -> None:
    assert levels(look("restore")["restore"]) == ["ok"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/restoring").touch()
    assert levels(look("restore")["restore"]) == ["problem"]


# --- What runs ------------------------------------------------------------------------------------


def test_a_running_service_is_healthy_also_with_a_host_of_its_own(look: Look, used: Server) -> None:
    assert levels(look("service", **settings_of(used))["service"]) == ["ok"]


def test_no_service_is_a_problem(look: Look) -> None:
    (found,) = look("service", pages_port=str(free_port()))["service"]
    assert found[0] == "problem"
    assert "refused" in found[1]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<h1>It works!</h1>", "not as Pages"),
        (404, b"{}", "not as Pages"),
        (503, b'{"success": false, "message": "x", "data": {"status": "unhealthy"}}', "503, unhealthy"),
    ],
)
def test_an_answer_that_is_not_healthy_is_a_problem(look: Look, status: int, body: bytes, said: str) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request).start()
        (found,) = look("service", pages_port=str(server.server_port))["service"]
    assert found[0] == "problem"
    assert said in found[1]


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_program_on_the_port_that_speaks_something_else_is_a_problem(look: Look, said: bytes) -> None:
    class Other(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(said)

    with TCPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request).start()
        (found,) = look("service", pages_port=str(server.server_address[1]))["service"]
    assert found[0] == "problem"
    assert "not as Pages" in found[1]


def test_a_database_that_can_be_dumped_is_fine(look: Look, database: str) -> None:
    assert levels(look("database", database_url=database)["database"]) == ["ok"]


@pytest.mark.parametrize("says", [None, "pg_dump (PostgreSQL) 9.0.1"])
def test_a_pg_dump_that_is_missing_or_old_is_told(look: Look, database: str, tmp_path: Path, says: str | None) -> None:
    pg_dump = tmp_path / "pg_dump"
    if says:
        pg_dump.write_text(f"#!/bin/sh\necho '{says}'\n")
        pg_dump.chmod(0o755)
    assert levels(look("database", database_url=database, pages_pg_dump_path=str(pg_dump))["database"]) == ["warning"]


def test_a_database_that_cannot_be_reached_is_a_problem_and_its_password_a_secret(look: Look) -> None:
    program("pg_dump")
    (found,) = look("database", database_url="postgresql://nobody:s3cret@127.0.0.1:1/none")["database"]
    assert found[0] == "problem"
    assert "s3cret" not in "".join(found)


def test_only_a_full_backup_of_late_is_fine(look: Look, used: Server) -> None:
    settings = settings_of(used)
    assert levels(look("backup", **settings)["backup"]) == ["warning"]
    for kind in ([], ["--full"]):
        backup = [sys.executable, "-m", "pages", "backup", *kind]
        subprocess.run(backup, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, check=True, timeout=60)
        assert levels(look("backup", **settings)["backup"]) == [("ok" if kind else "warning")]
    (full,) = (used.folder / "backups").glob("*.full.tar")
    old = datetime.now(UTC) - timedelta(days=3, hours=2)
    full.rename(full.with_name(f"backup-{old:%Y-%m-%dT%H-%M-%S}-000Z.full.tar"))
    (found,) = look("backup", **settings)["backup"]
    assert found[0] == "warning"
    assert "3 days and 2 hours" in found[1]


def test_with_a_database_its_own_backup_is_looked_for_too(look: Look, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-000Z"
    (tmp_path / f"backups/backup-{stamp}.full.tar").touch()
    url = "postgresql://nobody@127.0.0.1:1/none"
    assert levels(look("backup", database_url=url)["backup"]) == ["ok", "warning"]
    (tmp_path / f"backups/backup-{stamp}.sql").touch()
    assert levels(look("backup", database_url=url)["backup"]) == ["ok", "ok"]


# --- nginx ----------------------------------------------------------------------------------------


class NginxFiles:
    """/etc/nginx of a machine: a main file that includes conf.d, as Debian's does."""

    def __init__(self, folder: Path, user: str = "root") -> None:
        self.main = folder / "nginx.conf"
        self.ours = folder / "conf.d/pages.conf"
        self.ours.parent.mkdir(parents=True)
        self.main.write_text(
            f"user {user};\n# include nothing/*;\nhttp {{ include mime.types; include conf.d/*.conf; }}\n"
        )
        (folder / "mime.types").write_text("types { }\n")

    def make(self, *options: str, **settings: str) -> None:
        environ = {**os.environ, **{name.upper(): value for name, value in settings.items()}}
        done = CliRunner().invoke(main, ["nginx-config", *options], env=environ)
        self.ours.write_text(done.stdout)

    @property
    def options(self) -> tuple[str, str]:
        return ("--nginx-conf", str(self.main))


@pytest.fixture
def nginx(tmp_path: Path, look: Look) -> NginxFiles:
    return NginxFiles(tmp_path / "etc")


TLS = ("--listen", "192.0.2.1:8443", "--certificates", "tls", "--listen-plain", "8080")


@pytest.mark.parametrize("options", [(), ("--listen", "127.0.0.1:8080"), TLS[2:4], TLS])
def test_nginx_with_what_is_printed_now_is_fine_however_it_listens(
    look: Look, nginx: NginxFiles, options: tuple[str, ...]
) -> None:
    nginx.make(*options)
    assert levels(look("nginx", options=nginx.options)["nginx"]) == ["ok"]


@pytest.mark.parametrize("options", [(), TLS])
def test_a_configuration_of_other_settings_is_told_with_the_command_that_mends_it(
    look: Look, nginx: NginxFiles, options: tuple[str, ...]
) -> None:
    nginx.make(*options)
    (found,) = look("nginx", options=nginx.options, pages_max_upload_bytes="1000")["nginx"]
    assert found[0] == "warning"
    words = re.search(r"pages (nginx-config.*) > (\S+) &&", found[2])
    assert words is not None
    assert words[2] == str(nginx.ours)
    nginx.make(*words[1].split()[1:], pages_max_upload_bytes="1000")
    assert levels(look("nginx", options=nginx.options, pages_max_upload_bytes="1000")["nginx"]) == ["ok"]


@pytest.mark.parametrize("how", ["not made", "of another installation", "not included"])
def test_a_configuration_that_is_not_there_is_a_problem_in_production(look: Look, nginx: NginxFiles, how: str) -> None:
    if how == "of another installation":
        nginx.make(pages_data_dir="/srv/other")
    elif how == "not included":
        nginx.make()
        nginx.main.write_text(nginx.main.read_text().replace("include conf.d", "\n# include conf.d"))
    production = {"pages_environment": "production", "pages_admin_pass": "secret"}
    assert levels(look("nginx", options=nginx.options, **production)["nginx"]) == ["problem"]
    assert levels(look("nginx", options=nginx.options)["nginx"]) == ["warning"]


def test_includes_that_lead_in_a_circle_or_to_what_cannot_be_read_are_no_crash(look: Look, nginx: NginxFiles) -> None:
    nginx.main.write_text("http { include \"nginx.conf\"; include 'conf.d/*'; include none; }")
    nginx.make()
    assert levels(look("nginx", options=nginx.options)["nginx"]) == ["ok"]
    nginx.ours.unlink()
    nginx.ours.mkdir()
    (found,) = look("nginx", options=nginx.options)["nginx"]
    assert found[0] == "warning"
    assert "cannot be looked at" in found[1]


@pytest.mark.parametrize(
    ("user", "mode", "level"), [("nobody", 0o750, "problem"), ("nobody", 0o755, "ok"), ("root", 0o750, "ok")]
)
def test_a_folder_that_nginx_may_not_enter_is_a_problem(
    look: Look, used: Server, user: str, mode: int, level: str
) -> None:
    with tempfile.TemporaryDirectory() as name:  # Others may not enter pytest's own.
        folder = Path(name)
        folder.chmod(0o755)
        nginx = NginxFiles(folder / "etc", user)
        subprocess.run(["cp", "-a", used.data, folder / "data"], check=True)
        (folder / "data").chmod(mode)
        nginx.make(pages_data_dir=str(folder / "data"))
        found = look("nginx's access", options=nginx.options, pages_data_dir=str(folder / "data"))["nginx's access"]
    assert levels(found) == [level]
    assert level == "ok" or f"nobody may not use {folder}/data" in found[0][1]


def make_certificate(folder: Path, name: str, days: int) -> None:
    """A file as nginx reads it, certificate and key, that ends in so many days."""
    (folder / "names").mkdir(parents=True, exist_ok=True)
    key, pem = folder / "key", folder / "pem"
    command = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -days {days}"
    subprocess.run([program("openssl"), *command.split(), "-keyout", key, "-out", pem], check=True, capture_output=True)
    (folder / f"names/{name}.pem").write_bytes(pem.read_bytes() + key.read_bytes())


# From 2050 on, years are written with four digits.
@pytest.mark.parametrize(
    ("days", "left", "level"), [(90, -1, "problem"), (90, 10, "warning"), (90, 80, "ok"), (20000, 90, "ok")]
)
def test_a_certificate_is_told_before_and_after_it_ends(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, left: int, level: str
) -> None:
    make_certificate(tmp_path / "tls", "blog.example.com", days)
    command = [program("openssl"), "x509", "-in", tmp_path / "tls/pem", "-noout", "-enddate", "-dateopt", "iso_8601"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    end = datetime.fromisoformat(told.strip().removeprefix("notAfter="))
    monkeypatch.setattr("pages.doctor.command.now", lambda: end - timedelta(days=left))
    (found,) = look("certificates", options=("--certificates", "tls"))["certificates"]
    assert found[0] == level
    assert end.date().isoformat() in found[1]


def test_certificates_are_found_where_nginx_looks_for_them(look: Look, nginx: NginxFiles, tmp_path: Path) -> None:
    make_certificate(tmp_path / "tls", "a.example.com", 90)
    make_certificate(tmp_path / "tls", "b.example.com", 3)
    (tmp_path / "tls/names/c.example.com.pem").write_text("no certificate")
    nginx.make(*TLS)
    found = look("certificates", options=nginx.options)["certificates"]
    assert [(level, re.findall(r"[abc]\.example\.com", message)) for level, message, _ in found] == [
        ("problem", ["c.example.com"]),
        ("warning", ["b.example.com"]),
        ("ok", []),
    ]


# --- All of it ------------------------------------------------------------------------------------


def test_a_look_at_everything_changes_nothing(look: Look, used: Server, tmp_path: Path) -> None:
    def everything() -> dict[str, str]:
        return {name: what for name, what in everything_below(used.folder).items() if name != "log"}

    before = everything()
    found = look(**settings_of(used))
    assert everything() == before
    assert set(found) <= {"settings", *CHECKS}
    assert list(tmp_path.iterdir()) == []


def test_a_line_for_each_finding_and_what_to_do_below_it(look: Look) -> None:
    done = run("--only", "restore", "--only", "password")
    assert done.exit_code == 0
    assert re.fullmatch(
        r"warning  password: .*'admin'\n +> .*hash-password.*\nok       restore: .*\n0 problems, 1 warnings\.\n",
        done.output,
    )
    assert run("--strict", "--only", "password").exit_code == 1
    assert run("--strict", "--only", "restore").exit_code == 0
