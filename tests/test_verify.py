"""Verify and repair: every kind of damage is named, mended or set aside, and nothing else is touched."""

import errno
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from helpers import PROJECT, THOROUGH, Admin, assert_failure, assert_success, basic, everything_below, tree_of, unpacked

from pages.model import now
from pages.services import Services
from pages.verify import Report

CSS = "body { color: red }\n" * 100
FIRST: dict[str, bytes | str] = {"index.html": "<h1>one</h1>", "css/a.css": CSS, "empty/": "", "名.txt": "é"}
SECOND: dict[str, bytes | str] = {**FIRST, "index.html": "<h1>two</h1>", "only-in-two.txt": "2"}


@dataclass
class Bench:
    """An installation with the site default/blog (two checkpoints) and another site that no repair may touch."""

    app: Flask
    admin: Admin
    data: Path
    first: str
    second: str

    @property
    def services(self) -> Services:
        services: Services = self.app.extensions["pages"]
        return services

    def verify(self, **options: Any) -> Report:
        return self.services.verifier.run(now(), **options)

    @property
    def history(self) -> Path:
        return self.data / "sites-checkpoints/default/blog"

    def archive(self, checkpoint_id: str) -> Path:
        return self.history / f"checkpoints/{checkpoint_id}.tar.gz"

    def manifest(self, checkpoint_id: str) -> Path:
        return self.history / f"manifests/{checkpoint_id}.json"

    def version(self, checkpoint_id: str) -> Path:
        (found,) = (self.data / "trees/default/blog").glob(f"{checkpoint_id}.*")
        return found

    @property
    def live(self) -> Path:
        return self.version(self.second) / "site"

    @property
    def warm(self) -> Path:
        return self.version(self.first) / "site"

    @property
    def record(self) -> Path:
        return self.data / "registry/default/blog.json"

    def twins(self, checkpoint_id: str) -> Path:
        return self.data / "cache/encodings/default/blog" / self.version(checkpoint_id).name

    def others(self) -> dict[str, str]:
        """All there is of the other site."""
        found = everything_below(self.data)
        return {path: what for path, what in found.items() if "other" in path and not path.startswith("quarantine")}


@pytest.fixture
def bench(make_app: Callable[..., Flask], data: Path) -> Bench:
    app = make_app()
    admin = Admin(app.test_client())
    for site in ("blog", "other"):
        admin.create(site)
        first = admin.deployed(FIRST, f"default/{site}")["id"]
        second = admin.deployed(SECOND, f"default/{site}")["id"]
        if site == "blog":
            made = Bench(app, admin, data, first, second)
    return made


def flip(path: Path, at: int = -30) -> None:
    """Another bit in the middle of a file, its time as before."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(path: Path, data: bytes | str) -> None:
    """Write a file whose name may be a link to another one's content."""
    path.unlink()
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def edited(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def second_owner(bench: Bench) -> None:
    bench.admin.create("third", "third.localhost")
    edited(bench.data / "registry/default/third.json", domain="blog.localhost")


def orphan_history(bench: Bench) -> None:
    shutil.copytree(bench.history, bench.data / "sites-checkpoints/default/gone")


def abandoned_work(bench: Bench) -> None:
    folder = bench.data / "work/0123456789abcdef"
    folder.mkdir()
    (folder / "upload").write_text("half")
    os.utime(folder, (1, 1))


def link_to(path: Path, target: str) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name("elsewhere"))
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


def reordered(bench: Bench) -> None:
    metadata = json.loads((bench.history / "metadata.json").read_text())
    edited(bench.history / "metadata.json", checkpoints=[*metadata["checkpoints"][::-1], metadata["checkpoints"][0]])


def shorter(path: Path, left: int | None = None) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 if left is None else left])


# What is done to the site, the kind of problem that is told (of all of them), and whether it is quarantined.
DAMAGE: dict[str, tuple[Callable[[Bench], object], set[str]]] = {
    "a bit of the current archive": (lambda b: flip(b.archive(b.second)), {"archive-damaged"}),
    "a bit of an older archive": (lambda b: flip(b.archive(b.first)), {"archive-damaged"}),
    "a truncated current archive": (lambda b: shorter(b.archive(b.second)), {"archive-damaged"}),
    "an archive cut by one byte": (lambda b: shorter(b.archive(b.first), -1), {"archive-damaged"}),
    "an empty archive": (lambda b: b.archive(b.second).write_bytes(b""), {"archive-damaged"}),
    "a missing current archive": (lambda b: b.archive(b.second).unlink(), {"archive-missing"}),
    "a missing older archive": (lambda b: b.archive(b.first).unlink(), {"archive-missing"}),
    "another checkpoint's archive": (
        lambda b: shutil.copy(b.archive(b.first), b.archive(b.second)),
        {"archive-other"},
    ),
    "a folder for an archive": (
        lambda b: (b.archive(b.first).unlink(), b.archive(b.first).mkdir()),
        {"archive-damaged"},
    ),
    "a link for an archive": (
        lambda b: link_to(b.archive(b.first), b.archive(b.second).name),
        {"archive-damaged"},
    ),
    "zeros after an archive": (
        lambda b: b.archive(b.first).write_bytes(b.archive(b.first).read_bytes() + bytes(9)),
        {"archive-size"},
    ),
    "an older archive gone with its tree": (
        lambda b: (b.archive(b.first).unlink(), shutil.rmtree(b.version(b.first))),
        {"archive-missing", "twin-orphan"},
    ),
    "a bit of a manifest": (lambda b: flip(b.manifest(b.second), 20), {"manifest-wrong"}),
    "a truncated manifest": (lambda b: shorter(b.manifest(b.second)), {"manifest-missing"}),
    "a missing manifest": (lambda b: b.manifest(b.first).unlink(), {"manifest-missing"}),
    "an orphan archive": (
        lambda b: shutil.copy(b.archive(b.first), b.archive("20200101-000000-" + b.first[-8:])),
        {"archive-orphan"},
    ),
    "an orphan manifest": (
        lambda b: shutil.copy(b.manifest(b.first), b.manifest("20200101-000000-" + b.first[-8:])),
        {"archive-orphan"},
    ),
    "a foreign file among the checkpoints": (
        lambda b: (b.history / "checkpoints/notes.txt").write_text("?"),
        {"archive-orphan"},
    ),
    "a foreign file beside the metadata": (lambda b: (b.history / "notes.txt").write_text("?"), {"foreign"}),
    "an empty metadata.json": (lambda b: (b.history / "metadata.json").write_bytes(b""), {"metadata-damaged"}),
    "a truncated metadata.json": (lambda b: shorter(b.history / "metadata.json"), {"metadata-damaged"}),
    "a missing metadata.json": (lambda b: (b.history / "metadata.json").unlink(), {"metadata-missing"}),
    "a folder for metadata.json": (
        lambda b: ((b.history / "metadata.json").unlink(), (b.history / "metadata.json").mkdir()),
        {"metadata-damaged"},
    ),
    "another site's metadata.json": (
        lambda b: edited(b.history / "metadata.json", site_id="other"),
        {"metadata-damaged"},
    ),
    "metadata out of order": (reordered, {"metadata-order"}),
    "an unknown current": (
        lambda b: edited(b.history / "metadata.json", current="20200101-000000-00000000"),
        {"metadata-current", "root-wrong"},
    ),
    "a bit of a live file": (lambda b: flip(b.live / "index.html", 5), {"tree-file-differs"}),
    "a bit of a warm file": (lambda b: flip(b.warm / "css/a.css"), {"tree-file-differs"}),
    "a live file of another size": (lambda b: (b.live / "名.txt").write_text("longer"), {"tree-file-differs"}),
    "a live file of another time": (lambda b: os.utime(b.live / "index.html", (1, 1)), {"tree-time"}),
    "a missing live file": (lambda b: (b.live / "only-in-two.txt").unlink(), {"tree-file-missing"}),
    "a missing live folder": (lambda b: (b.live / "empty").rmdir(), {"tree-file-missing"}),
    "a foreign live file": (lambda b: (b.live / "css/extra.css").write_text("x"), {"tree-file-foreign"}),
    "a foreign live folder": (lambda b: (b.live / "more").mkdir(), {"tree-file-foreign"}),
    "a foreign warm file": (lambda b: (b.warm / "extra").write_text("x"), {"tree-file-foreign"}),
    "a foreign name that is not UTF-8": (
        lambda b: os.mkdir(os.fsencode(b.live) + b"/\xff"),
        {"tree-file-foreign"},
    ),
    "a symlink in the live tree": (lambda b: (b.live / "link").symlink_to("/etc/passwd"), {"tree-kind"}),
    "a symlink for a live file": (lambda b: link_to(b.live / "index.html", "only-in-two.txt"), {"tree-kind"}),
    "a symlink in a warm tree": (lambda b: (b.warm / "link").symlink_to("index.html"), {"tree-kind"}),
    "a fifo in the live tree": (lambda b: os.mkfifo(b.live / "pipe"), {"tree-kind"}),
    "a folder for a live file": (
        lambda b: ((b.live / "index.html").unlink(), (b.live / "index.html").mkdir()),
        {"tree-kind"},
    ),
    "a file for a live folder": (
        lambda b: ((b.live / "empty").rmdir(), (b.live / "empty").write_text("")),
        {"tree-kind"},
    ),
    "a live file of a wrong mode": (lambda b: (b.live / "index.html").chmod(0o666), {"tree-mode"}),
    "a live program": (lambda b: (b.live / "css/a.css").chmod(0o755), {"tree-mode"}),
    "a live folder of a wrong mode": (lambda b: (b.live / "css").chmod(0o777), {"tree-mode"}),
    "a warm file of a wrong mode": (lambda b: (b.warm / "index.html").chmod(0o600), {"tree-mode"}),
    "a missing live tree": (lambda b: shutil.rmtree(b.version(b.second)), {"root-wrong", "twin-orphan"}),
    "an emptied live version": (lambda b: shutil.rmtree(b.live), {"tree-missing", "root-wrong", "twin-orphan"}),
    "a missing warm tree": (lambda b: shutil.rmtree(b.version(b.first)), {"twin-orphan"}),
    "an orphan tree": (
        lambda b: shutil.copytree(
            b.version(b.first), b.data / "trees/default/blog/20200101-000000-00000000.01234567", symlinks=True
        ),
        {"tree-orphan"},
    ),
    "a foreign folder among the trees": (lambda b: (b.data / "trees/default/blog/mine").mkdir(), {"foreign"}),
    "a foreign file in a version": (lambda b: (b.version(b.first) / "x").write_text("x"), {"foreign"}),
    "a missing link to the twins": (lambda b: (b.version(b.second) / ".encodings").unlink(), {"encodings-link"}),
    "a wrong link to the twins": (
        lambda b: link_to(b.version(b.second) / ".encodings", "../../../.."),
        {"encodings-link"},
    ),
    "a bit of a twin": (lambda b: flip(b.twins(b.second) / "css/a.css.gz", 40), {"twin-wrong"}),
    "a truncated twin": (lambda b: shorter(b.twins(b.first) / "css/a.css.gz"), {"twin-wrong"}),
    "a twin of another file": (lambda b: (b.twins(b.second) / "css/b.css.gz").write_bytes(b""), {"twin-wrong"}),
    "a twin of another time": (lambda b: os.utime(b.twins(b.second) / "css/a.css.gz", (1, 1)), {"twin-wrong"}),
    "orphan twins": (
        lambda b: shutil.copytree(b.twins(b.first), b.twins(b.first).with_name("20200101-000000-00000000.01234567")),
        {"twin-orphan"},
    ),
    "a root that leads nowhere": (lambda b: link_to(b.data / "sites/default/blog", "nowhere"), {"root-wrong"}),
    "a root that leads to the older version": (
        lambda b: link_to(b.data / "sites/default/blog", f"../../trees/default/blog/{b.version(b.first).name}/site"),
        {"root-wrong"},
    ),
    "a missing root": (lambda b: (b.data / "sites/default/blog").unlink(), {"root-wrong"}),
    "a file for a root": (
        lambda b: ((b.data / "sites/default/blog").unlink(), (b.data / "sites/default/blog").write_text("")),
        {"root-wrong"},
    ),
    "a truncated record": (lambda b: shorter(b.record), {"record-damaged", "public-wrong"}),
    "an empty record": (lambda b: b.record.write_bytes(b""), {"record-damaged", "public-wrong"}),
    "a record of another site": (lambda b: edited(b.record, id="other"), {"record-damaged", "public-wrong"}),
    "a record with an impossible domain": (lambda b: edited(b.record, domain="-"), {"record-damaged", "public-wrong"}),
    "a record that is a dangling link": (
        lambda b: link_to(b.record, "nowhere"),
        {"record-damaged", "domain-wrong", "public-wrong"},
    ),
    "a second owner": (second_owner, {"second-owner", "domain-wrong", "public-wrong"}),
    "a missing domain link": (
        lambda b: (b.data / "domains/blog.localhost").unlink(),
        {"domain-missing", "public-wrong"},
    ),
    "a domain link to another site": (
        lambda b: link_to(b.data / "domains/blog.localhost", "../registry/default/other.json"),
        {"domain-missing", "domain-wrong", "public-wrong"},
    ),
    "a file for the domain link": (
        lambda b: replaced(b.data / "domains/blog.localhost", "x"),
        {"domain-missing", "domain-wrong", "public-wrong"},
    ),
    "a dangling domain link": (
        lambda b: (b.data / "domains/gone.localhost").symlink_to("../registry/default/gone.json"),
        {"domain-wrong"},
    ),
    "a file among the domains": (lambda b: (b.data / "domains/x.localhost").write_text(""), {"domain-wrong"}),
    "a wrong public link": (
        lambda b: link_to(b.data / "public/blog.localhost", "../sites/default/other"),
        {"public-wrong"},
    ),
    "a missing public link": (lambda b: (b.data / "public/blog.localhost").unlink(), {"public-wrong"}),
    "a public link of nobody": (
        lambda b: (b.data / "public/gone.localhost").symlink_to("../sites/default/blog"),
        {"public-wrong"},
    ),
    "a folder among the public links": (lambda b: (b.data / "public/x.localhost").mkdir(), {"public-wrong"}),
    "a foreign file in the registry": (lambda b: (b.data / "registry/default/x.txt").write_text(""), {"foreign"}),
    "checkpoints without a record": (orphan_history, {"site-orphan"}),
    "trees without a record": (
        lambda b: shutil.copytree(b.version(b.first), b.data / "trees/gone/blog/x", symlinks=True),
        {"site-orphan"},
    ),
    "twins without a record": (
        lambda b: shutil.copytree(b.twins(b.first), b.data / "cache/encodings/a/b/c"),
        {"site-orphan"},
    ),
    "a root without a record": (
        lambda b: (b.data / "sites/default/gone").symlink_to("../../trees/default/blog"),
        {"site-orphan"},
    ),
    "what a dead process left": (abandoned_work, {"work-abandoned"}),
}


def test_an_untouched_installation_is_sound(bench: Bench) -> None:
    bench.admin.create("never-deployed")
    report = bench.verify()
    assert report.problems() == []
    assert report.is_sound
    assert (report.checked.sites, report.checked.checkpoints) == (4, 4)
    assert report.checked.bytes > 4 * bench.archive(bench.first).stat().st_size


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_and_a_repair_leaves_the_installation_sound(bench: Bench, damage: str) -> None:
    act, kinds = DAMAGE[damage]
    act(bench)
    before, others = everything_below(bench.data), bench.others()
    looked = bench.verify()
    assert {problem.kind for problem in looked.problems()} == kinds
    assert not looked.is_sound
    assert not any(problem.repaired for problem in looked.problems())
    assert everything_below(bench.data) == before, "looking changed something"
    assert all((bench.data / problem.file).parent.is_dir() for problem in looked.problems())
    msgspec.json.encode(looked.problems(chinese=True))

    repaired = bench.verify(repair=True)
    assert [problem for problem in repaired.problems() if not problem.repaired] == []
    assert {problem.kind for problem in repaired.problems()} <= kinds
    assert bench.verify().problems() == []
    assert bench.others() == others, "another site was touched"
    current = bench.admin.checkpoints()["current"]
    assert current == bench.second
    for path in ("index.html", "css/a.css", "名.txt"):
        shown = bench.admin.visit(f"/{path}")
        assert (shown.status_code, shown.data.decode()) == (200, SECOND[path])
    for checkpoint in bench.admin.checkpoints()["checkpoints"]:
        assert_success(bench.admin.post(f"/_api/sites/default/blog/checkpoints/{checkpoint['id']}/checkout"))
    assert bench.verify().problems() == []


# --- What a repair keeps --------------------------------------------------------------------


def quarantined(bench: Bench) -> dict[str, bytes]:
    """What is in quarantine, under the paths it had, and the reasons."""
    (folder,) = (bench.data / "quarantine").iterdir()
    return tree_of(folder)


def test_what_cannot_be_rebuilt_is_in_quarantine_under_its_path_with_the_reason(bench: Bench) -> None:
    shutil.rmtree(bench.version(bench.first))
    flip(bench.archive(bench.first))
    damaged = bench.archive(bench.first).read_bytes()
    bench.verify(repair=True)
    kept = quarantined(bench)
    path = f"sites-checkpoints/default/blog/checkpoints/{bench.first}.tar.gz"
    assert kept[path] == damaged
    assert f"{path}: archive-damaged" in kept["reasons.txt"].decode()
    assert [c["id"] for c in bench.admin.checkpoints()["checkpoints"]] == [bench.second]


def test_a_live_tree_that_was_edited_by_hand_is_kept_in_quarantine(bench: Bench) -> None:
    version = bench.version(bench.second).name
    (bench.live / "index.html").write_text("edited for hours")
    bench.verify(repair=True)
    assert quarantined(bench)[f"trees/default/blog/{version}/site/index.html"] == b"edited for hours"
    assert bench.admin.visit("/").data == b"<h1>two</h1>"


def test_putting_a_quarantined_file_back_undoes_the_repair(bench: Bench) -> None:
    name = "20200101-000000-" + bench.first[-8:]
    shutil.copy(bench.archive(bench.first), bench.archive(name))
    before = tree_of(bench.history)
    bench.verify(repair=True)
    assert tree_of(bench.history) != before
    (folder,) = (bench.data / "quarantine").iterdir()
    for path in tree_of(folder):
        if path != "reasons.txt":
            (folder / path).rename(bench.data / path)
    assert tree_of(bench.history) == before


def test_the_current_checkpoint_is_never_given_up(bench: Bench) -> None:
    """Neither its archive nor its tree is sound: what is served stays, and the operator is told."""
    flip(bench.archive(bench.second))
    (bench.live / "index.html").write_text("edited")
    report = bench.verify(repair=True)
    assert {p.kind for p in report.problems() if not p.repaired} == {"archive-damaged", "tree-file-differs"}
    assert bench.admin.visit("/").data == b"edited"
    assert bench.admin.checkpoints()["current"] == bench.second
    assert not (bench.data / "quarantine").exists()


def test_an_archive_rebuilt_from_the_live_tree_unpacks_to_what_was_deployed(bench: Bench, tmp_path: Path) -> None:
    before = tree_of(bench.live)
    bench.archive(bench.second).unlink()
    bench.verify(repair=True)
    assert tree_of(unpacked(bench.archive(bench.second), tmp_path / "out")) == before
    assert (tmp_path / "out/empty").is_dir()
    size = bench.archive(bench.second).stat().st_size
    assert bench.admin.checkpoints()["checkpoints"][0]["file_size"] == size


def test_metadata_rebuilt_from_archives_keeps_ids_times_and_current(bench: Bench) -> None:
    before = bench.admin.checkpoints()
    (bench.history / "metadata.json").unlink()
    bench.verify(repair=True)
    after = bench.admin.checkpoints()
    kept = ("id", "created_at", "file_size")
    assert after["current"] == before["current"]
    assert [[c[k] for k in kept] for c in after["checkpoints"]] == [[c[k] for k in kept] for c in before["checkpoints"]]


def test_what_a_damaged_metadata_file_still_says_is_taken_from_it(bench: Bench) -> None:
    before = bench.admin.checkpoints()
    shorter(bench.history / "metadata.json", -20)
    bench.verify(repair=True)
    assert bench.admin.checkpoints() == before


def test_times_without_their_offset_stop_no_repair_and_no_update(bench: Bench) -> None:
    path = bench.history / "metadata.json"
    metadata = json.loads(path.read_text())
    for checkpoint in metadata["checkpoints"]:
        checkpoint["created_at"] = checkpoint["created_at"][:19]
    edited(path, checkpoints=metadata["checkpoints"][::-1])
    assert_success(bench.admin.put("/_api/sites/default/blog", json={"index": "x.html"}))
    assert bench.verify(repair=True).is_sound
    assert [c["id"] for c in bench.admin.checkpoints()["checkpoints"]] == [bench.second, bench.first]


@pytest.mark.parametrize("at", range(0, 1000, 7 if THOROUGH else 167))
def test_metadata_cut_anywhere_is_rebuilt(bench: Bench, at: int) -> None:
    before = bench.admin.checkpoints()
    shorter(bench.history / "metadata.json", at % (bench.history / "metadata.json").stat().st_size)
    assert bench.verify(repair=True).is_sound
    after = bench.admin.checkpoints()
    assert [c["id"] for c in after["checkpoints"]] == [c["id"] for c in before["checkpoints"]]
    assert after["current"] == before["current"]


def test_validators_are_the_same_after_a_tree_was_rebuilt(bench: Bench) -> None:
    before = bench.admin.visit("/css/a.css").headers["ETag"]
    (bench.live / "index.html").unlink()
    bench.verify(repair=True)
    assert bench.admin.visit("/css/a.css").headers["ETag"] == before


def test_a_disabled_site_is_not_made_public_by_the_repair_of_its_record(bench: Bench) -> None:
    assert_success(bench.admin.put("/_api/sites/default/blog", json={"enabled": False}))
    shorter(bench.record)
    assert bench.verify(repair=True).is_sound
    site = assert_success(bench.admin.get("/_api/sites/default/blog"))
    assert (site["domain"], site["enabled"]) == ("blog.localhost", False)
    assert bench.admin.visit("/").status_code == 404


def test_the_second_owner_of_a_domain_keeps_its_content_and_gets_another_domain(bench: Bench) -> None:
    second_owner(bench)
    bench.verify(repair=True)
    third = assert_success(bench.admin.get("/_api/sites/default/third"))
    assert third["domain"].endswith(".invalid")
    assert bench.admin.visit("/").data == b"<h1>two</h1>"
    assert_success(bench.admin.put("/_api/sites/default/third", json={"domain": "third.localhost"}))
    assert bench.verify().problems() == []


def test_a_record_that_nothing_tells_the_domain_of_goes_into_quarantine_with_its_site(bench: Bench) -> None:
    shorter(bench.record)
    (bench.data / "domains/blog.localhost").unlink()
    archive = bench.archive(bench.second).read_bytes()
    assert bench.verify(repair=True).is_sound
    assert bench.verify().problems() == []
    kept = quarantined(bench)
    assert "registry/default/blog.json" in kept
    assert kept[f"sites-checkpoints/default/blog/checkpoints/{bench.second}.tar.gz"] == archive


def test_many_problems_of_one_tree_are_counted_and_not_all_told(bench: Bench) -> None:
    for number in range(50):
        (bench.live / f"extra{number}").write_text("x")
    problems = bench.verify().problems()
    assert len(problems) == 21
    assert problems[-1].reason == "30 more names in it are wrong"


def test_folders_and_links_of_an_operators_own_are_no_problem(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.html").write_text("mine")
    bench.admin.create("folder")
    (bench.data / "sites/default/folder").unlink()
    shutil.copytree(tmp_path / "mine", bench.data / "sites/default/folder")
    bench.admin.create("linked")
    link_to(bench.data / "sites/default/linked", str(tmp_path / "mine"))
    (bench.data / "sites/default/to-come").mkdir()
    before = everything_below(bench.data)
    assert bench.verify(repair=True).problems() == []
    assert everything_below(bench.data) == before


def test_modes_follow_the_umask_of_the_service(make_app: Callable[..., Flask]) -> None:
    before = os.umask(0o027)
    try:
        app = make_app()
        admin = Admin(app.test_client())
        admin.create("blog")
        admin.deployed(FIRST)
    finally:
        os.umask(before)
    assert app.extensions["pages"].verifier.run(now()).problems() == []


def test_one_site_is_verified_alone(bench: Bench) -> None:
    flip(bench.archive(bench.second))
    report = bench.verify(only=("default", "other"))
    assert report.problems() == []
    assert (report.checked.sites, report.checked.checkpoints) == (1, 2)
    assert [p.kind for p in bench.verify(only=("default", "blog")).problems()] == ["archive-damaged"]


def test_a_backup_that_is_not_whole_is_told_and_set_aside(bench: Bench) -> None:
    whole = bench.services.upkeep.back_up()
    full, _ = bench.services.full_backups.back_up(now())
    assert bench.verify().problems() == []
    flip(full, 3000)
    shorter(whole)
    assert sorted(p.file for p in bench.verify().problems()) == sorted([str(full), str(whole)])
    assert bench.verify(repair=True).is_sound
    assert sorted(path.name for path in (full.parent / "quarantine").iterdir()) == sorted([full.name, whole.name])
    assert bench.verify().problems() == []


def test_a_dump_that_pg_restore_is_too_old_for_stays_a_backup(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/pg_restore"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'pg_restore: error: unsupported version (1.99) in file header' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    folder = bench.services.config.backup_dir
    folder.mkdir()
    dump = folder / "backup-2026-01-01T00-00-00-000Z.sql"
    dump.write_bytes(b"PGDMP" + bytes(2000))
    assert bench.verify(repair=True).problems() == []
    assert dump.exists()


# --- What cannot be read now ----------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("what", ["archive", "manifest", "metadata", "record", "tree", "backup"])
def test_what_cannot_be_read_for_reasons_of_the_process_is_told_and_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str, code: int
) -> None:
    full, _ = bench.services.full_backups.back_up(now())
    backups = everything_below(full.parent)
    before = everything_below(bench.data)
    path = {
        "archive": bench.archive(bench.first),
        "manifest": bench.manifest(bench.first),
        "metadata": bench.history / "metadata.json",
        "record": bench.record,
        "tree": bench.live,
        "backup": full,
    }[what]
    with monkeypatch.context() as patched:
        for function in (
            "pages.verify.checkpoints.read_archive",
            "pages.verify.checkpoints.read_tree",
            "pages.verify.unpacked.read_tree",
            "pages.full_tar.check",
            "pages.files.read",
        ):
            patched.setattr(function, refusing(function, path, code))
        if what == "archive":
            patched.setattr(
                "pages.verify.checkpoints.read_tree", refusing("pages.verify.content.read_tree", None, code)
            )
        report = bench.verify(repair=True)
    assert not report.is_sound
    assert [problem.file for problem in report.problems() if problem.repaired] in ([], ["public/blog.localhost"])
    bench.services.reload()  # A site whose record cannot be read is not public; this one is again.
    assert everything_below(full.parent) == backups
    assert everything_below(bench.data) == before
    assert bench.verify().problems() == []


def refusing(function: str, path: Path | None, code: int) -> Callable[..., Any]:
    """The same function, that cannot read ``path`` (None: anything)."""
    really = pkgutil.resolve_name(function)

    def refused(its_path: Path | str, *rest: Any) -> Any:
        if path is None or str(its_path) == str(path):
            raise OSError(code, os.strerror(code), str(its_path))
        return really(its_path, *rest)

    return refused


# --- Beside a serving installation, and when it is cut short --------------------------------


def test_verify_finds_nothing_while_sites_are_deployed_checked_out_and_deleted(bench: Bench) -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def change() -> None:
        try:
            other = Admin(bench.app.test_client())
            while not stop.is_set():
                other.create("passing")
                ids = [other.deployed({"index.html": str(n), "a.css": CSS}, "default/passing")["id"] for n in range(5)]
                other.post(f"/_api/sites/default/passing/checkpoints/{ids[1]}/checkout")
                other.delete(f"/_api/sites/default/passing/checkpoints/{ids[0]}")
                other.put("/_api/sites/default/passing", json={"domain": "moved.localhost"})
                assert_success(other.delete("/_api/sites/default/passing"))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200 if THOROUGH else 12):
            assert bench.verify(repair=True).problems() == []
    finally:
        stop.set()
        thread.join()
    assert errors == []
    assert not (bench.data / "quarantine").exists()


KILLED = """
import os, sys
from pages.config import load_config
from pages.model import now
from pages.services import build_services
left = int(sys.argv[1])
def counted(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*args, **kwargs)
    return call
for name in ("rename", "link", "fsync", "symlink", "mkdir", "unlink", "open"):
    setattr(os, name, counted(getattr(os, name)))
report = build_services(load_config()).verifier.run(now(), repair=True)
os._exit(0 if report.is_sound else 1)
"""

CUT_SHORT = [
    "a bit of the current archive",
    "an older archive gone with its tree",
    "a truncated metadata.json",
    "a missing live file",
    "a truncated record",
]


@pytest.mark.parametrize("damage", DAMAGE if THOROUGH else CUT_SHORT)
def test_a_repair_that_is_killed_anywhere_is_finished_by_the_next_one(bench: Bench, damage: str) -> None:
    DAMAGE[damage][0](bench)
    environment = {**os.environ, "PAGES_DATA_DIR": str(bench.data), "PYTHONPATH": str(PROJECT)}
    environment["PAGES_BACKUP_DIR"] = str(bench.data.parent / "backups")
    calls, status = 5, 9
    while status == 9:
        done = subprocess.run([sys.executable, "-c", KILLED, str(calls)], env=environment, check=False)
        status, calls = done.returncode, calls + (9 if THOROUGH else 41)
        bench.services.recover()
        assert bench.admin.visit("/", host="other.localhost").data == b"<h1>two</h1>"
    assert status == 0
    assert bench.verify().problems() == []
    assert bench.admin.checkpoints()["current"] == bench.second
    assert bench.admin.visit("/").data == b"<h1>two</h1>"


# --- The call -------------------------------------------------------------------------------


def test_the_call_returns_problems_and_what_was_checked(bench: Bench) -> None:
    flip(bench.live / "index.html", 5)
    version = bench.version(bench.second).name
    data = assert_success(bench.admin.post("/_api/verify"), message="检查完成")
    assert data["problems"] == [
        {
            "site": "default/blog",
            "file": f"trees/default/blog/{version}/site/index.html",
            "kind": "tree-file-differs",
            "reason": "内容与部署时不同",
            "repaired": False,
        }
    ]
    assert set(data["checked"]) == {"sites", "checkpoints", "files", "bytes"}
    data = assert_success(bench.admin.post("/_api/verify", json={"repair": True, "site": "default/blog"}))
    assert [problem["repaired"] for problem in data["problems"]] == [True]
    assert assert_success(bench.admin.post("/_api/verify", json={}))["problems"] == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"repair": "yes"}, 400, "字段 repair 必须是 true 或 false"),
        ({"site": 7}, 400, "字段 site 必须是 username/id 的形式"),
        ({"site": "blog"}, 400, "字段 site 必须是 username/id 的形式"),
        ({"site": "../x"}, 400, "字段 site 必须是 username/id 的形式"),
        ({"sites": []}, 400, "未知字段 sites"),
        ({"site": "default/gone"}, 404, "站点不存在"),
    ],
)
def test_a_wrong_body_is_refused(bench: Bench, body: dict[str, Any], status: int, message: str) -> None:
    assert_failure(bench.admin.post("/_api/verify", json=body), status, message)


def test_a_tenant_may_not_verify(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\n')
    client = make_app(config=tmp_path / "config.toml").test_client()
    assert_failure(client.post("/_api/verify", headers=basic("alice", "secret")), 403, "权限不足")
    assert_failure(client.post("/_api/verify"), 401, "认证失败")
