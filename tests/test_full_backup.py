"""Full backups: one file, whole or refused, from which everything comes back as it was; and drills."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner
from flask import Flask
from helpers import PROJECT, THOROUGH, Admin, assert_success, everything_below, tree_of
from postgres import Postgres
from web.test_maintenance import make_table

from pages import full_tar
from pages.app import create_app
from pages.cli import main
from pages.config import load_config
from pages.database import dump, export_tables
from pages.errors import OperationFailed
from pages.full_tar import FullTar, SavedSite
from pages.model import now
from pages.services import Services
from pages.work import run_now

CSS = "body { color: red }\n" * 100
LONG = "/".join(["很长的名字" * 10] * 3) + "/x.html"


class Place:
    """An installation in a folder, with its API and its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.settings = {"PAGES_DATA_DIR": str(folder / "data"), "PAGES_BACKUP_DIR": str(folder / "backups")}

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def backups(self) -> list[Path]:
        return sorted((self.folder / "backups").glob("backup-*"))

    def app(self) -> Flask:
        return create_app(load_config(self.settings), run_now)

    def admin(self) -> Admin:
        return Admin(self.app().test_client())

    @property
    def services(self) -> Services:
        services: Services = self.app().extensions["pages"]
        return services

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The command, in this process."""
        unset = {name: None for name in os.environ if name.startswith("PAGES_") or name == "DATABASE_URL"}
        done = CliRunner().invoke(main, arguments, env={**unset, **self.settings, **settings})
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def done(self, *arguments: str, **settings: str) -> str:
        ended = self.run(*arguments, **settings)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout.strip()

    def is_sound(self) -> bool:
        return self.services.verifier.run(now(), backups=False).problems() == []


@pytest.fixture
def old(tmp_path: Path) -> Place:
    """Sites: rolled back, disabled, never deployed but with files; and one with a root of an operator's own."""
    place = Place(tmp_path / "old")
    admin = place.admin()
    admin.create("blog")
    first = admin.deployed({"index.html": "one", "a.css": CSS, LONG: "long", "empty/": ""})["id"]
    admin.deployed({"index.html": "two", "a.css": CSS})
    assert_success(admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout"))
    admin.create("shop", username="alice", enabled=False)
    admin.deployed({"index.html": "shop"}, "alice/shop")
    admin.create("files", "files.localhost")
    (place.data / "sites/default/files/sub").mkdir()
    (place.data / "sites/default/files/sub/名.txt").write_text("dropped")
    (place.data / "sites/default/files/index.html").write_text("by hand")
    os.utime(place.data / "sites/default/files/index.html", (1_600_000_000, 1_600_000_000))
    admin.create("own", "own.localhost")
    (place.data / "sites/default/own").unlink()
    (place.data / "sites/default/own").mkdir()
    (place.data / "sites/default/own/index.html").write_text("own")
    return place


@pytest.fixture
def new(tmp_path: Path) -> Place:
    return Place(tmp_path / "new")


def served(place: Place) -> dict[str, tuple[int, bytes, str | None, str | None]]:
    """What visitors get: status, body and validators."""
    admin, found = place.admin(), {}
    paths = ("/", "/a.css", "/" + LONG, "/sub/名.txt", "/missing")
    for host in ("blog.localhost", "shop.localhost", "files.localhost", "own.localhost", "localhost"):
        for path in paths:
            reply = admin.visit(path, host)
            headers = reply.headers
            found[host + path] = (reply.status_code, reply.data, headers.get("ETag"), headers.get("Last-Modified"))
    return found


def kept(place: Place) -> dict[str, bytes]:
    """What has to be kept, byte for byte."""
    return {
        f"{folder}/{path}": content
        for folder in ("registry", "sites-checkpoints")
        for path, content in tree_of(place.data / folder).items()
    }


# --- Writing --------------------------------------------------------------------------------


def test_a_full_backup_is_one_tar_that_only_its_owner_reads(old: Place) -> None:
    backup = Path(old.done("backup", "--full"))
    assert backup.name.endswith(".full.tar")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    assert os.listdir(backup.parent) == [backup.name]
    with tarfile.open(backup) as tar:
        held = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
    assert {name: held[name] for name in kept(old)} == kept(old)
    members = json.loads(held["manifest.json"])["members"]
    assert {
        name: {"size": len(held[name]), "sha256": hashlib.sha256(held[name]).hexdigest()} for name in kept(old)
    } == {name: {key: members[name][key] for key in ("size", "sha256")} for name in kept(old)}
    listed = subprocess.run(["tar", "tf", backup], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert old.data.joinpath("work").exists()
    assert list(old.data.joinpath("work").iterdir()) == []


def test_the_newest_full_backups_are_kept_beside_those_of_other_kinds(old: Place) -> None:
    services = create_app(load_config({**old.settings, "PAGES_BACKUP_KEEP": "2"}), run_now).extensions["pages"]
    for _ in range(3):
        services.full_backups.back_up(now())
        services.upkeep.back_up()
    names = [path.name.partition(".")[2] for path in old.backups]
    assert sorted(names) == ["full.tar", "full.tar", "json", "json"]


def test_backups_of_one_site_push_out_no_others_and_are_not_what_a_drill_takes(old: Place) -> None:
    services = create_app(load_config({**old.settings, "PAGES_BACKUP_KEEP": "2"}), run_now).extensions["pages"]
    full, _ = services.full_backups.back_up(now())
    one, other = sorted(services.registry.names())[:2]
    for site in (one, one, one, other):
        services.full_backups.back_up(now(), site)
    assert full.exists()
    of_one = [path for path in old.backups if "@" in path.name]
    assert [path.name.partition(".")[2] for path in of_one] == ["{}@{}.tar".format(*name) for name in (one, one, other)]
    assert f"Drill of {full.name}" in old.done("backup", "--drill")


def test_a_backup_without_full_is_the_registrys_also_while_the_service_is_down(old: Place) -> None:
    backup = Path(old.done("backup"))
    assert json.loads(backup.read_bytes())["format"] == "pages-registry"


def test_an_output_file_is_written_once_and_never_over_another(old: Place, tmp_path: Path) -> None:
    assert old.done("backup", "--full", "--output", str(tmp_path / "x.tar")) == str(tmp_path / "x.tar")
    before = (tmp_path / "x.tar").read_bytes()
    again = old.run("backup", "--full", "--output", str(tmp_path / "x.tar"))
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert (tmp_path / "x.tar").read_bytes() == before
    assert not (old.folder / "backups").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "--site", "default/blog"),
        ("backup", "--output", "x"),
        ("backup", "--full", "--drill"),
        ("backup", "--full", "--site", "blog"),
        ("backup", "setup.py"),
        ("verify", "--site", "../.."),
    ],
)
def test_wrong_usage_is_status_2(old: Place, arguments: tuple[str, ...]) -> None:
    assert old.run(*arguments).returncode == 2


def test_a_backup_that_reads_back_otherwise_is_no_backup(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def rotten(descriptor: int) -> None:
        real(descriptor)
        if ".writing-" in os.readlink(f"/proc/self/fd/{descriptor}"):
            os.pwrite(descriptor, b"rot", 3000)

    services = old.services
    monkeypatch.setattr(os, "fsync", rotten)
    with pytest.raises(OperationFailed):
        services.full_backups.back_up(now())
    assert os.listdir(old.folder / "backups") == []


def test_a_missing_archive_is_told_and_the_rest_backed_up(old: Place) -> None:
    archive = next((old.data / "sites-checkpoints/alice/shop/checkpoints").iterdir())
    archive.unlink()
    done = old.run("backup", "--full")
    assert done.returncode == 0
    assert archive.name in done.stderr
    assert full_tar.check(Path(done.stdout.strip())).sites[0].missing != []


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EMLINK, errno.EPERM])
def test_where_a_file_can_have_no_second_name_it_is_copied(
    old: Place, new: Place, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("pages.full_backup.os.link", refusing(old.data, code))
    done = old.run("backup", "--full")
    assert done.stderr == ""
    new.done("restore", done.stdout.strip())
    assert kept(new) == kept(old)


def test_a_file_that_is_there_and_cannot_be_saved_is_not_left_out(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.full_backup.os.link", refusing(old.data, errno.ENOSPC))
    monkeypatch.setattr("pages.full_backup.shutil.copyfile", refusing(old.data, errno.ENOSPC))
    done = old.run("backup", "--full")
    assert (done.returncode, "No space left" in done.stderr) == (1, True)
    assert old.backups == []


def test_a_disk_that_fills_during_a_backup_is_told_in_a_sentence(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pages.full_backup.os.posix_fadvise", full)
    done = old.run("backup", "--full")
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")
    assert old.backups == []


def refusing(folder: Path, code: int) -> Callable[..., None]:
    """``os.link`` on a disk that has no room or no second names for what is below a folder."""
    link = os.link

    def refused(source: Path, target: Path, **options: Any) -> None:
        if source.is_relative_to(folder):
            raise OSError(code, os.strerror(code), str(source))
        link(source, target, **options)

    return refused


def test_a_backup_while_sites_are_deployed_holds_what_its_metadata_names(old: Place, new: Place) -> None:
    services, stop = old.services, threading.Event()

    def deploy() -> None:
        admin = old.admin()
        number = 0
        while not stop.is_set():
            number += 1
            ids = [admin.deployed({"index.html": f"{number} {n}"})["id"] for n in range(3)]
            assert_success(admin.delete(f"/_api/sites/default/blog/checkpoints/{ids[0]}"))

    thread = threading.Thread(target=deploy)
    thread.start()
    try:
        for _ in range(50 if THOROUGH else 5):
            backup, missing = services.full_backups.back_up(now())
            assert missing == []
    finally:
        stop.set()
        thread.join()
    new.done("restore", str(backup))
    assert new.is_sound()


# --- Restoring ------------------------------------------------------------------------------


def test_everything_comes_back_on_another_machine(old: Place, new: Place) -> None:
    backup = old.done("backup", "--full")
    new.done("restore", backup)
    assert kept(new) == kept(old)
    assert served(new) == served(old)
    assert served(new)["files.localhost/"][1] == b"by hand"
    assert new.is_sound()
    assert [p for p in os.listdir(new.data) if p in ("restoring", "lost", "quarantine")] == []
    admin = new.admin()
    assert admin.deployed({"index.html": "three"})["id"] == admin.checkpoints()["current"]
    assert admin.deployed({"index.html": "files deployed"}, "default/files")


def test_one_site_comes_back_beside_others(old: Place, new: Place) -> None:
    backup = old.done("backup", "--full")
    new.admin().create("mine")
    before = {path: what for path, what in everything_below(new.data).items() if "mine" in path}
    new.done("restore", backup, "--site", "default/blog")
    assert served(new)["blog.localhost/"] == served(old)["blog.localhost/"]
    assert {path: what for path, what in everything_below(new.data).items() if "mine" in path} == before
    assert new.is_sound()
    assert not (new.data / "registry/alice").exists()


def test_a_backup_of_one_site_holds_that_site_alone(old: Place, new: Place) -> None:
    backup = old.done("backup", "--full", "--site", "default/files")
    new.admin()
    new.done("restore", backup, "--site", "default/files")
    assert served(new)["files.localhost/sub/名.txt"][1] == b"dropped"
    assert new.run("restore", backup, "--site", "default/blog").returncode == 1


@pytest.mark.parametrize(
    ("site", "domain", "message"), [("blog", "x.localhost", "exists"), ("other", "blog.localhost", "domain is taken")]
)
def test_a_site_whose_name_or_domain_is_taken_changes_nothing(
    old: Place, new: Place, site: str, domain: str, message: str
) -> None:
    backup = old.done("backup", "--full")
    new.admin().create(site, domain)
    before = everything_below(new.data)
    refused = new.run("restore", backup, "--site", "default/blog")
    assert refused.returncode == 1
    assert message in refused.stderr
    assert everything_below(new.data) == before


def test_a_full_backup_does_not_go_over_sites(old: Place) -> None:
    backup = old.done("backup", "--full")
    before = everything_below(old.data)
    refused = old.run("restore", backup)
    assert (refused.returncode, "empty" in refused.stderr) == (1, True)
    assert everything_below(old.data) == before


@pytest.mark.parametrize("left", ["sites-checkpoints", "sites"])
def test_a_full_backup_does_not_go_over_what_a_lost_registry_leaves(old: Place, left: str) -> None:
    """Checkpoints newer than the backup, and files that are nowhere else."""
    backup = old.done("backup", "--full")
    old.admin().deployed({"index.html": "newer than the backup"})
    for folder in {"registry", "sites-checkpoints", "sites"} - {left}:
        shutil.rmtree(old.data / folder)
    before = everything_below(old.data)
    refused = old.run("restore", backup)
    assert (refused.returncode, "empty" in refused.stderr) == (1, True)
    assert everything_below(old.data) == before


def test_a_damaged_installation_comes_back_as_it_was(old: Place, new: Place) -> None:
    (old.data / "registry/alice/shop.json").write_text("{")
    (old.data / "sites-checkpoints/default/blog/metadata.json").write_text("[]")
    new.done("restore", old.done("backup", "--full"))
    assert kept(new) == kept(old)


def test_a_registry_backup_keeps_newer_metadata_that_it_replaces(old: Place) -> None:
    backup = old.done("backup")
    old.admin().deployed({"index.html": "newer than the backup"})
    metadata = old.data / "sites-checkpoints/default/blog/metadata.json"
    newer = metadata.read_bytes()
    shutil.rmtree(old.data / "registry")
    old.done("restore", backup)
    assert metadata.read_bytes() != newer
    assert [path.read_bytes() for path in (old.data / "lost").glob("default/blog.*/metadata.json")] == [newer]
    assert not list((old.data / "lost").glob("alice/*"))


# --- Damaged and hostile files --------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    place = Place(tmp_path / "small")
    admin = place.admin()
    admin.create("blog")
    admin.deployed({"index.html": "one"})
    backup, _ = place.services.full_backups.back_up(now(), ("default", "blog"))
    return backup


def test_a_bit_flipped_anywhere_is_noticed(small: Path, tmp_path: Path) -> None:
    content, altered = small.read_bytes(), tmp_path / "altered.tar"
    places = range(len(content)) if THOROUGH else random.Random(1).sample(range(len(content)), 200)
    for at in places:
        altered.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        with pytest.raises(OperationFailed):
            full_tar.check(altered)


def test_a_file_cut_short_or_lengthened_is_noticed(small: Path, tmp_path: Path) -> None:
    content, altered = small.read_bytes(), tmp_path / "altered.tar"
    for end in [*range(0, len(content), 1 if THOROUGH else 97), len(content) - 1]:
        altered.write_bytes(content[:end])
        with pytest.raises(OperationFailed):
            full_tar.check(altered)
    altered.write_bytes(content + b"\0")
    with pytest.raises(OperationFailed):
        full_tar.check(altered)


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_file_changes_nothing(small: Path, new: Place, damage: str) -> None:
    content = small.read_bytes()
    small.write_bytes(content[:6000] if damage == "cut" else content.replace(b"default", b"defbult", 1))
    for arguments in ([], ["--site", "default/blog"]):
        refused = new.run("restore", str(small), *arguments)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
    assert [path for path in everything_below(new.data) if not path.startswith(("locks", "work"))] == []
    assert list((new.data / "work").iterdir()) == []


HOSTILE = [
    "../../escaped",
    "/etc/escaped",
    "registry/../../escaped.json",
    "registry/a/../b.json",
    "sites-checkpoints/a/b/checkpoints/../../../escaped",
    "roots/a/b/../../../escaped",
    "roots/a/b//double",
    "roots/a/b/./dot",
    "domains/a.localhost",
    "config.toml",
    "registry/-a/b.json",
]


@contextmanager
def forged(path: Path) -> Iterator[FullTar]:
    """A backup whose every digest is right, with whatever is put into it."""
    with open(path, "wb") as file:
        tar = FullTar(file, "2026-01-01T00:00:00+00:00", 1)
        yield tar
        tar.finish([SavedSite("a", "b", "initial", [])])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_though_every_digest_is_right(new: Place, tmp_path: Path, name: str) -> None:
    (tmp_path / "content").write_text("x")
    with forged(tmp_path / "forged.tar") as tar:
        tar.add_file(name, tmp_path / "content")
    refused = new.run("restore", str(tmp_path / "forged.tar"))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("escaped*"))
    assert [path for path in everything_below(new.data) if not path.startswith(("locks", "work"))] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "forged.tar", "w") as tar:
        for name in (full_tar.HEADER, "registry/a/b.json"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (kind if "/" in name else tarfile.REGTYPE), "/etc/passwd"
            tar.addfile(info, io.BytesIO())
    with pytest.raises(OperationFailed):
        full_tar.check(tmp_path / "forged.tar")


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "content").write_text("x")
    with forged(tmp_path / "forged.tar") as tar:
        tar.add_file("registry/a/b.json", tmp_path / "content")
        tar.add_file("registry/a/b.json", tmp_path / "content")
    with pytest.raises(OperationFailed, match="twice"):
        full_tar.check(tmp_path / "forged.tar")


# --- Cut short ------------------------------------------------------------------------------

KILLED = """
import os, sys
left = int(sys.argv[1])
def counted(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*args, **kwargs)
    return call
import pages.cli
for name in ("rename", "link", "fsync", "symlink", "mkdir", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
pages.cli.main(sys.argv[2:])
"""


def killed(place: Place, calls: int, *arguments: str) -> int:
    environment = {**os.environ, **place.settings, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", KILLED, str(calls), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False, cwd=PROJECT).returncode


def test_a_restore_that_is_killed_anywhere_is_finished_by_the_next_run(old: Place, tmp_path: Path) -> None:
    backup = old.done("backup", "--full")
    wanted = served(old)
    for calls in range(10, 400, 7 if THOROUGH else 97):
        place = Place(tmp_path / f"new{calls}")
        status = killed(place, calls, "restore", backup)
        if status == 9:
            again = place.run("restore", backup)
            # Killed when all was in place already, and only what start-up does was left.
            assert again.returncode == 0 or "has sites already" in again.stderr, again.stderr
        place.services.recover()
        place.services.reload()
        assert kept(place) == kept(old)
        assert served(place) == wanted
        assert place.is_sound()
        if status == 0:
            break


def test_a_backup_that_is_killed_leaves_no_file_that_could_be_taken_for_one(old: Place) -> None:
    status, calls = 9, 3
    while status == 9:
        status = killed(old, calls, "backup", "--full")
        calls += 5 if THOROUGH else 47
        for backup in old.backups:
            full_tar.check(backup)
    assert status == 0
    assert [name for name in os.listdir(old.folder / "backups") if name.startswith(".")] == []
    assert old.backups


# --- Drills ---------------------------------------------------------------------------------


def live(place: Place) -> dict[str, str]:
    return everything_below(place.data)


def test_a_drill_restores_the_newest_backup_and_touches_nothing(old: Place) -> None:
    old.done("backup")
    old.done("backup", "--full")
    before = live(old)
    told = old.done("backup", "--drill")
    assert "full.tar" in told
    assert "sound" in told
    assert "Nothing differs" in told
    assert live(old) == before
    assert list((old.folder / "backups/.drill").iterdir()) == []


def test_a_newer_backup_of_another_kind_keeps_no_full_one_from_the_drill(old: Place) -> None:
    full = Path(old.done("backup", "--full"))
    registry = Path(old.done("backup"))
    told = old.done("backup", "--drill")
    assert full.name in told
    assert registry.name in told


def test_a_drill_names_what_went_on_since(old: Place) -> None:
    old.done("backup", "--full")
    admin = old.admin()
    admin.deployed({"index.html": "newer"})
    admin.create("late")
    assert_success(admin.delete("/_api/sites/alice/shop"))
    told = old.done("backup", "--drill")
    assert "default/blog: the live checkpoints differ" in told
    assert "default/late: only live" in told
    assert "alice/shop: only in the backup" in told


def test_a_drill_of_a_damaged_backup_fails(old: Place) -> None:
    backup = Path(old.done("backup", "--full"))
    backup.write_bytes(backup.read_bytes()[:-5000])
    failed = old.run("backup", "--drill", str(backup))
    assert failed.returncode == 1
    assert "could not be restored" in failed.stdout


def test_a_drill_of_a_backup_of_a_damaged_site_fails_and_names_it(old: Place) -> None:
    archive = next((old.data / "sites-checkpoints/alice/shop/checkpoints").iterdir())
    archive.write_bytes(archive.read_bytes()[:-9] + b"x" * 9)
    old.done("backup", "--full")
    failed = old.run("backup", "--drill")
    assert failed.returncode == 1
    assert archive.name in failed.stdout


def test_a_drill_of_a_registry_backup_reads_every_record(old: Place) -> None:
    old.done("backup")
    assert "Nothing differs" in old.done("backup", "--drill")
    (old.data / "registry/alice/shop.json").write_text("{")
    old.done("backup")
    failed = old.run("backup", "--drill")
    assert failed.returncode == 1
    assert "alice/shop" in failed.stdout


def test_without_a_backup_the_drill_says_so(old: Place) -> None:
    failed = old.run("backup", "--drill")
    assert (failed.returncode, "no backup" in failed.stderr) == (1, True)


def databases(postgres: Postgres) -> set[str]:
    connection = psycopg2.connect(postgres.url())
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        names = {name for (name,) in cursor}
    connection.close()
    return names


@pytest.mark.parametrize("kind", ["dump", "tables"])
def test_a_drill_of_a_database_counts_its_rows_in_a_database_of_its_own(
    kind: str, old: Place, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    make_table(database, rows=50)
    (dump if kind == "dump" else export_tables)(database, tmp_path / "backup", **_options(kind))
    before = databases(postgres)
    told = old.done("backup", "--drill", str(tmp_path / "backup"), DATABASE_URL=database)
    assert "1 tables, 50 rows" in told
    assert "Nothing differs" in told
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text) VALUES ('new')")
        cursor.execute("CREATE TABLE more ()")
    connection.close()
    told = old.done("backup", "--drill", str(tmp_path / "backup"), DATABASE_URL=database)
    assert "public.notes: 50 rows, live 51 rows" in told
    assert "public.more: no such table, live 0 rows" in told
    assert databases(postgres) == before


def _options(kind: str) -> dict[str, Any]:
    return {"timeout": 60} if kind == "dump" else {}


def test_a_damaged_dump_fails_the_drill_and_leaves_no_database(
    old: Place, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    make_table(database, rows=5000)
    dump(database, tmp_path / "backup", timeout=60)
    content = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(content[: len(content) - 2000])
    before = databases(postgres)
    failed = old.run("backup", "--drill", str(tmp_path / "backup"), DATABASE_URL=database)
    assert failed.returncode == 1
    assert databases(postgres) == before


def test_where_no_database_may_be_created_the_dump_is_only_listed(
    old: Place, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    make_table(database, rows=5)
    dump(database, tmp_path / "backup", timeout=60)
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE modest LOGIN PASSWORD 'secret'")
    connection.close()
    modest = f"postgresql://modest:secret@127.0.0.1:{postgres.port}/{database.rpartition('/')[2]}"
    listed = old.run("backup", "--drill", str(tmp_path / "backup"), DATABASE_URL=modest)
    assert listed.returncode == 3, listed.stdout + listed.stderr
    assert "only be listed" in listed.stdout
    assert "secret" not in listed.stdout + listed.stderr
