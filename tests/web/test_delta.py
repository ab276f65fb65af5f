"""Deploys that send only what is new: equal to a full upload, or refused; nothing of another site, nothing half."""

import gzip
import hashlib
import io
import json
import os
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, assert_success, everything_below, tar_of, tree_of, unpacked, zip_of
from werkzeug.test import TestResponse

from pages import files, model
from pages.app import create_app
from pages.config import load_config
from pages.stock import Stock
from pages.web import deploys, sites
from pages.work import run_now

DEPLOY = "/_api/sites/default/blog/deploy"
LACKING = "服务器缺少部分文件，请补充上传"
Files = dict[str, bytes | str]

OLD: Files = {
    "index.html": b"<h1>old</h1>",
    "css/site.css": b"body{}" * 100,
    "img/logo.bin": bytes(range(256)) * 6000,  # More than is held in memory.
    "img/copy.bin": bytes(range(256)) * 6000,
    "docs/a/b.txt": b"deep",
    "gone.txt": b"gone",
    "首页/图 1.svg": b"<svg/>",
    "empty.txt": b"",
}
NEW: Files = {
    **{path: content for path, content in OLD.items() if path != "gone.txt"},
    "index.html": b"<h1>new</h1>",
    "docs-2/new.html": b"new",
    "moved/b.txt": b"deep",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


def sha(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def manifest_of(site: Files) -> dict[str, Any]:
    """What a client says of a site; a name that ends in ``/`` is an empty folder."""
    return {
        "files": {path: sha(content) for path, content in site.items() if not path.endswith("/")},
        "folders": [path.removesuffix("/") for path in site if path.endswith("/")],
    }


def send(
    admin: Admin,
    manifest: object,
    sent: Files | None = None,
    *,
    url: str = DEPLOY,
    archive: tuple[bytes, str] | None = None,
    headers: dict[str, str] | None = None,
    **form: Any,
) -> TestResponse:
    """A deploy with a manifest (an object, or its very bytes), and an archive of ``sent`` unless that is None."""
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    data = {"manifest": (io.BytesIO(text), "manifest.json"), **form}
    if sent is not None:
        archive = (zip_of(sent), "new.zip")
    if archive is not None:
        data["file"] = (io.BytesIO(archive[0]), archive[1])
    return admin.post(url, data=data, headers=headers or {})


def missing(admin: Admin, *digests: str, site: str = "default/blog") -> Any:
    reply = admin.post(f"/_api/sites/{site}/deploy/missing", json={"digests": digests})
    return assert_success(reply)["missing"]


def lacking(reply: TestResponse) -> Any:
    """The digests that a 409 names."""
    assert_failure(reply, 409, LACKING)
    return json.loads(reply.data)["data"]["missing"]


def only_new(old: Files, new: Files) -> Files:
    known = {sha(content) for content in old.values()}
    return {path: content for path, content in new.items() if sha(content) not in known and not path.endswith("/")}


def stored_archive(data: Path, checkpoint: Any, site: str = "default/blog") -> Path:
    return data / "sites-checkpoints" / site / "checkpoints" / f"{checkpoint['id']}.tar.gz"


def live(data: Path, site: str = "default/blog") -> Path:
    return (data / "sites" / site).resolve()


def validators(admin: Admin, host: str, site: Files) -> dict[str, tuple[int, str | None, str | None, bytes]]:
    replies = {path: admin.visit(f"/{path}", host) for path in site if not path.endswith("/")}
    return {
        path: (reply.status_code, reply.headers.get("ETag"), reply.headers.get("Last-Modified"), reply.data)
        for path, reply in replies.items()
    }


# --- Equal to a full upload -----------------------------------------------------------------


class Twins:
    """Two sites with one history: what is sent whole to one is sent as a difference to the other."""

    def __init__(self, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
        self.admin = admin
        self._now = model.now()
        # The same clock for both: the same validators, the same times in the archives.
        for module in (deploys, sites):
            monkeypatch.setattr(module, "now", lambda: self._now)
        admin.create("whole")
        admin.create("part")

    def later(self) -> None:
        self._now += timedelta(seconds=10)

    def both(self, old: Files, new: Files) -> tuple[Any, Any]:
        """Deploy ``old`` to both, then ``new``: the checkpoints."""
        for site in ("default/whole", "default/part"):
            self.admin.deployed(old, site=site)
        self.later()
        whole = self.admin.deployed(dict(sorted(new.items())), site="default/whole")
        url = "/_api/sites/default/part/deploy"
        part = send(self.admin, manifest_of(new), only_new(old, new), url=url)
        return whole, assert_success(part, message="站点已部署")["checkpoint"]


@pytest.fixture
def twins(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> Twins:
    return Twins(admin, monkeypatch)


VERSIONS = {
    "some changed": (OLD, NEW),
    "nothing changed": (OLD, OLD),
    "all changed": (OLD, {path: bytes(content) + b"!" for path, content in OLD.items()}),  # type: ignore[arg-type]
    "folders": ({**OLD, "was/empty/": b""}, {**NEW, "is/empty/": b"", "img/empty/": b"", "a/": b"", "a-b/c": b"1"}),
    "rubbish": (OLD, {**NEW, ".DS_Store": b"r", "css/Thumbs.db": b"r", "__MACOSX/._x": b"r", "__MACOSX/y/": b""}),
    "swapped": ({"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"}),
    "one content in many places": ({"a": b"1"}, {"a": b"2", "b": b"2", "c/d": b"2", "e": b"1", "f": b"1"}),
    "rules": (OLD, {**NEW, "_redirects": b"/x /y\n", "_headers": b"/*\n  X-Own: yes\n"}),
    "long names": (OLD, {**NEW, "长" * 80 + ".txt": b"deep", "/".join(["p" * 90] * 11) + ".txt": b"x"}),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_the_outcome_equals_a_full_upload_of_the_same_content(twins: Twins, data: Path, case: str) -> None:
    old, new = VERSIONS[case]
    whole, part = twins.both(old, new)
    told = {name: value for name, value in whole.items() if name not in ("file_name", "description")}
    assert {name: value for name, value in part.items() if name not in ("file_name", "description")} == told
    assert everything_below(live(data, "default/part")) == everything_below(live(data, "default/whole"))
    sites = [validators(twins.admin, f"{site}.localhost", new) for site in ("part", "whole")]
    assert sites[0] == sites[1]


@pytest.mark.parametrize("case", VERSIONS)
def test_the_stored_archive_is_that_of_a_full_zip_in_the_order_of_names(twins: Twins, data: Path, case: str) -> None:
    """Byte for byte, with the same clock: so two differences to the same site are stored alike."""
    whole, part = twins.both(*VERSIONS[case])
    archives = [stored_archive(data, part, "default/part"), stored_archive(data, whole, "default/whole")]
    assert gzip.decompress(archives[0].read_bytes()) == gzip.decompress(archives[1].read_bytes())
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_the_stored_archive_unpacked_is_the_site(admin: Admin, data: Path, tmp_path: Path) -> None:
    admin.deployed(OLD)
    checkpoint = assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW)))["checkpoint"]
    assert tree_of(unpacked(stored_archive(data, checkpoint), tmp_path / "out")) == tree_of(live(data)) == NEW


def test_the_order_of_the_manifest_does_not_matter(twins: Twins, data: Path) -> None:
    new = {**NEW, "x/y/": b"", "x/z/": b""}
    shuffled = dict(random.Random(1).sample(list(new.items()), len(new)))
    found = []
    for site in ("whole", "part"):
        twins.admin.deployed(OLD, site=f"default/{site}")
    twins.later()
    for site, version in (("whole", new), ("part", shuffled)):
        reply = send(twins.admin, manifest_of(version), only_new(OLD, version), url=DEPLOY.replace("blog", site))
        found.append(stored_archive(data, assert_success(reply)["checkpoint"], f"default/{site}").read_bytes())
    assert found[0] == found[1]


def test_an_unchanged_file_keeps_its_validator_and_a_changed_one_gets_another(admin: Admin) -> None:
    admin.deployed(OLD)
    before = validators(admin, "blog.localhost", OLD)
    assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW)))
    after = validators(admin, "blog.localhost", NEW)
    assert {path for path in OLD if path in NEW and before[path] != after[path]} == {"index.html"}
    assert before["index.html"][1] != after["index.html"][1]


def test_a_checkout_of_the_checkpoint_unpacks_it(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    part = assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW)))["checkpoint"]
    for number in range(3):
        admin.deployed({"index.html": str(number)})
    clear_cache(admin)
    assert_success(admin.checkout(part["id"]))
    assert tree_of(live(data)) == NEW
    assert assert_success(admin.post("/_api/verify", json={}))["problems"] == []


# --- What is asked for ----------------------------------------------------------------------


def test_only_what_no_unpacked_version_has_is_missing(admin: Admin) -> None:
    admin.deployed(OLD)
    admin.deployed({"index.html": b"in between"})
    wanted = manifest_of(NEW)["files"]
    assert missing(admin, *wanted.values()) == [wanted["index.html"], wanted["docs-2/new.html"]]


def test_each_digest_is_told_once(admin: Admin) -> None:
    admin.deployed(OLD)
    assert missing(admin, sha("x"), sha("deep"), sha("x")) == [sha("x")]
    assert missing(admin) == []


def test_a_site_without_a_version_lacks_everything(admin: Admin) -> None:
    assert missing(admin, sha("deep")) == [sha("deep")]


def test_a_version_that_is_not_unpacked_counts_for_nothing(admin: Admin) -> None:
    admin.deployed({"a": b"first"})
    for number in range(4):
        admin.deployed({"a": str(number)})
    admin.post("/api/admin/maintenance", json={"action": "clear-cache"})
    assert missing(admin, sha("first"), sha("3"), sha("2")) == [sha("first")]


def test_what_is_in_a_folder_that_an_operator_put_there_counts_for_nothing(admin: Admin, data: Path) -> None:
    root = data / "sites/default/blog"
    root.unlink()
    root.mkdir()
    (root / "index.html").write_text("by hand")
    assert missing(admin, sha("by hand")) == [sha("by hand")]


@pytest.mark.parametrize("other", ["default/other", "alice/blog"])
def test_another_site_s_content_is_neither_told_nor_given(admin: Admin, data: Path, other: str) -> None:
    username, site_id = other.split("/")
    admin.create(site_id, f"{username}-{site_id}.localhost", username=username)
    secret: Files = {"index.html": b"secret"}
    admin.deployed(secret, site=other)
    admin.deployed(OLD)
    assert missing(admin, sha("secret")) == [sha("secret")]
    assert missing(admin, sha("secret"), site=other) == []
    before = everything_below(data)
    assert lacking(send(admin, manifest_of(secret))) == [sha("secret")]
    assert everything_below(data) == before


def test_a_site_made_anew_has_nothing_of_the_one_that_was(admin: Admin) -> None:
    admin.deployed(OLD)
    admin.delete("/_api/sites/default/blog")
    admin.create("blog")
    assert missing(admin, sha("deep")) == [sha("deep")]


BAD_DIGESTS: list[Any] = [
    None,
    "x",
    {},
    [1],
    [None],
    [""],
    ["0" * 63],
    ["0" * 65],
    ["0" * 64 + "\n"],
    ["A" * 64],
    ["g" * 64],
    [["0" * 64]],
    ["../" + "0" * 61],
]


@pytest.mark.parametrize("digests", BAD_DIGESTS, ids=repr)
def test_what_is_no_list_of_digests_is_refused(admin: Admin, digests: Any) -> None:
    message = assert_failure(admin.post(f"{DEPLOY}/missing", json={"digests": digests}), 400)
    assert "digests" in message


def test_an_unknown_field_and_no_digests_are_refused(admin: Admin) -> None:
    assert "more" in assert_failure(admin.post(f"{DEPLOY}/missing", json={"digests": [], "more": 1}), 400)
    assert "digests" in assert_failure(admin.post(f"{DEPLOY}/missing", json={}), 400)
    assert_failure(admin.post(f"{DEPLOY}/missing", data=b"{}"), 415)


def test_as_many_digests_may_be_asked_for_as_a_site_may_have_files(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app(max_files=20_000).test_client())
    admin.create("blog")
    digests = [f"{number:064x}" for number in range(20_000)]
    assert missing(admin, *digests) == digests
    message = assert_failure(admin.post(f"{DEPLOY}/missing", json={"digests": [*digests, sha("")]}), 413)
    assert "max_files = 20000" in message
    assert_failure(admin.post(f"{DEPLOY}/missing", json={"digests": digests * 2}), 413)


# --- What the server has lost ---------------------------------------------------------------


def test_without_an_archive_all_has_to_be_there(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    again = {path: content for path, content in OLD.items() if path.startswith("img")}
    checkpoint = assert_success(send(admin, manifest_of(again)))["checkpoint"]
    assert tree_of(live(data)) == again
    assert checkpoint["file_name"] == f"{checkpoint['id']}.tar.gz"
    assert checkpoint["description"] == f"部署: {checkpoint['id']}.tar.gz"


def test_what_is_neither_sent_nor_there_is_a_409_with_its_digests_and_changes_nothing(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    before = everything_below(data)
    assert set(lacking(send(admin, manifest_of(NEW)))) == {sha("<h1>new</h1>"), sha("new")}
    assert lacking(send(admin, manifest_of(NEW), {"index.html": b"<h1>new</h1>"})) == [sha("new")]
    assert everything_below(data) == before


Damage = Callable[[Path], object]
DAMAGE: dict[str, Damage] = {
    "edited": lambda path: path.write_bytes(b"edited by hand"),
    "appended": lambda path: path.write_bytes(path.read_bytes() + b"!"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "removed": lambda path: path.unlink(),
    "touched": lambda path: os.utime(path, ns=(1, 1)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link": lambda path: (path.rename(f"{path}.x"), path.symlink_to(f"{path.name}.x")),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "its folder a link": lambda path: (path.parent.rename(f"{path.parent}.x"), path.parent.symlink_to("css.x")),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_somebody_changed_is_not_there(admin: Admin, data: Path, damage: str) -> None:
    admin.deployed(OLD)
    DAMAGE[damage](live(data) / "css/site.css")
    digest = sha(OLD["css/site.css"])
    assert missing(admin, digest, sha("deep")) == [digest]
    assert lacking(send(admin, manifest_of(NEW), only_new(OLD, NEW))) == [digest]
    more = {**only_new(OLD, NEW), "css/site.css": OLD["css/site.css"]}
    assert_success(send(admin, manifest_of(NEW), more))
    assert tree_of(live(data)) == NEW


@pytest.mark.parametrize("path", ["css/site.css", "img/logo.bin"])
def test_a_file_changed_with_its_size_and_time_kept_is_found_out(admin: Admin, data: Path, path: str) -> None:
    site = {name: content for name, content in NEW.items() if name != "img/copy.bin"}
    admin.deployed(site)
    file = live(data) / path
    status = file.stat()
    file.write_bytes(bytes(len(site[path])))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = everything_below(data)
    assert lacking(send(admin, manifest_of(site))) == [sha(site[path])]
    assert everything_below(data) == before
    assert_success(send(admin, manifest_of(site), {path: site[path]}))
    assert tree_of(live(data)) == site


def test_another_place_of_the_same_content_stands_in(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    (live(data) / "img/logo.bin").unlink()
    assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW)))
    assert tree_of(live(data)) == NEW


def test_a_manifest_of_the_checkpoint_that_was_tampered_with_gives_no_wrong_site(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed({"index.html": b"one", "b.txt": b"two"})
    (path,) = data.rglob(f"{checkpoint['id']}.json")
    path.write_text(path.read_text().replace(sha("two"), sha("wrong")))
    wanted: Files = {"index.html": b"one", "c.txt": b"wrong"}
    assert lacking(send(admin, manifest_of(wanted))) == [sha("wrong")]


# --- Meanwhile ------------------------------------------------------------------------------


@pytest.fixture
def when_looked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something after a deploy has seen that all is there, before it copies anything."""

    def arrange(action: Callable[[], object]) -> None:
        look, pending = Stock.lacking, [action]

        def looked(stock: Stock, digests: Any) -> list[str]:
            found = look(stock, digests)
            if pending:
                pending.pop()()
            return found

        monkeypatch.setattr(Stock, "lacking", looked)

    return arrange


def clear_cache(admin: Admin) -> None:
    admin.post("/api/admin/maintenance", json={"action": "clear-cache"})


def test_versions_that_are_cleared_away_during_a_deploy_make_it_a_409_with_all_that_is_lost(
    admin: Admin, data: Path, when_looked: Callable[[Callable[[], object]], None]
) -> None:
    admin.deployed(OLD)
    admin.deployed({"index.html": b"2"})
    admin.deployed({"index.html": b"3"})
    when_looked(lambda: clear_cache(admin))
    lost = set(lacking(send(admin, manifest_of(NEW), only_new(OLD, NEW))))
    assert lost == {sha(content) for path, content in NEW.items() if path in OLD and path != "index.html"}
    assert tree_of(live(data)) == {"index.html": b"3"}
    assert list((data / "work").iterdir()) == []
    assert_success(send(admin, manifest_of(NEW), NEW))
    assert tree_of(live(data)) == NEW


def test_a_deploy_that_takes_a_version_away_meanwhile_makes_a_409_or_nothing_wrong(
    admin: Admin, data: Path, when_looked: Callable[[Callable[[], object]], None]
) -> None:
    admin.deployed(OLD)

    def three_more() -> None:
        for number in range(4):
            admin.deployed({"index.html": str(number)})

    when_looked(three_more)
    assert_failure(send(admin, manifest_of(NEW), only_new(OLD, NEW)), 409, LACKING)
    assert tree_of(live(data)) == {"index.html": b"3"}


def test_while_versions_come_and_go_every_answer_is_the_whole_site_or_a_409(app: Flask, admin: Admin) -> None:
    texts: Files = {f"{number}.txt": f"{number}" * 200 for number in range(60)}
    admin.deployed({**texts, "index.html": b"0"})
    ended = threading.Event()

    def disturb() -> None:
        other = Admin(app.test_client())
        while not ended.is_set():
            other.deploy(zip_of({"index.html": os.urandom(8)}))
            clear_cache(other)

    thread = threading.Thread(target=disturb)
    thread.start()
    outcomes = []
    try:
        for number in range(12):
            wanted: Files = {**texts, "index.html": str(number)}
            reply = send(admin, manifest_of(wanted), {"index.html": str(number)})
            if reply.status_code == 409:
                outcomes.append(lacking(reply))
                reply = send(admin, manifest_of(wanted), wanted)
            digest = assert_success(reply)["checkpoint"]["id"][-8:]
            assert digest == full_digest(wanted)[:8]
    finally:
        ended.set()
        thread.join()
    assert all(found for found in outcomes)


def full_digest(site: Files) -> str:
    """What contract 3 says of a site's digest."""
    lines = [path.encode() + b"\0" + bytes.fromhex(sha(content)) for path, content in site.items()]
    folders = {str(folder) for path in site for folder in Path(path).parents} - {"."}
    return sha(b"".join(sorted([*lines, *(folder.encode() + b"/\0" for folder in folders)])))


# --- An archive and a manifest that do not fit ----------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        {"index.html": b"<h1>new</h1>", "docs-2/new.html": b"new", "more.txt": b"more"},
        {"index.html": b"<h1>NEW</h1>", "docs-2/new.html": b"new"},
        {"index.html": b"<h1>new</h1>", "docs-2/new.html": b"new", "css/site.css": b"tampered"},
        {"Index.html": b"<h1>new</h1>", "docs-2/new.html": b"new"},
        {"index.html/": b"", "docs-2/new.html": b"new"},
        {"index.html": b"<h1>new</h1>", "docs-2/new.html": b"new", "folder/": b""},
        {"index.html": b"<h1>new</h1>", "docs-2/new.html": b"new", "css": b"a file"},
        {"dist/index.html": b"<h1>new</h1>", "dist/docs-2/new.html": b"new"},
        {"../index.html": b"<h1>new</h1>"},
        {"/index.html": b"<h1>new</h1>"},
    ],
    ids=["unnamed", "other", "tampered", "case", "folder-for-file", "unnamed-folder", "file-for-folder", "below", "up",
         "absolute"],
)  # fmt: skip
def test_an_archive_that_the_manifest_does_not_know_is_refused(admin: Admin, data: Path, sent: Files) -> None:
    admin.deployed(OLD)
    before = everything_below(data)
    assert_failure(send(admin, manifest_of(NEW), sent), 400)
    assert everything_below(data) == before


@pytest.mark.parametrize(
    "archive",
    [(b"", "a.zip"), (b"x", "a.zip"), (zip_of({"index.html": b"x"})[:-9], "a.zip"), (tar_of({"a": b""}), "a.zip"),
     (zip_of({}), "a.rar")],
)  # fmt: skip
def test_a_bad_archive_is_refused_with_a_manifest_as_without(
    admin: Admin, data: Path, archive: tuple[bytes, str]
) -> None:
    admin.deployed(OLD)
    before = everything_below(data)
    assert_failure(send(admin, manifest_of(OLD), archive=archive), 400)
    assert everything_below(data) == before


@pytest.mark.parametrize(
    ("pack", "name"), [(zip_of, "a.zip"), (tar_of, "a.tar.gz"), (tar_of, "a.tgz")], ids=["zip", "tar.gz", "tgz"]
)
def test_what_is_new_may_come_in_any_format_with_rubbish_and_known_folders(
    admin: Admin, data: Path, pack: Callable[[Files], bytes], name: str
) -> None:
    admin.deployed(OLD)
    sent: Files = {**only_new(OLD, NEW), ".DS_Store": b"left out", "css/site.css": OLD["css/site.css"]}
    sent |= {"docs-2/": b"", "css/": b""} if pack is zip_of else {}
    assert_success(send(admin, manifest_of(NEW), archive=(pack(sent), name)))
    assert tree_of(live(data)) == NEW


def test_one_place_of_a_new_content_is_enough(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    wanted: Files = {"a": b"new", "b/c": b"new", "d": b"deep"}
    assert_success(send(admin, manifest_of(wanted), {"b/c": b"new"}))
    assert tree_of(live(data)) == wanted


def test_an_empty_archive_is_as_good_as_none(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    assert_success(send(admin, manifest_of(OLD), {}))
    assert tree_of(live(data)) == OLD


def test_all_may_be_sent_with_a_manifest_to_a_site_that_has_nothing(admin: Admin, data: Path) -> None:
    assert_success(send(admin, manifest_of(NEW), NEW))
    assert tree_of(live(data)) == NEW


# --- Hostile manifests ----------------------------------------------------------------------

X = sha("deep")
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"<html>",
    "cut": b'{"files": {"a": "' + X.encode(),
    "utf-16": json.dumps({"files": {"a": X}}).encode("utf-16"),
    "not utf-8": b'{"files": {"\xff": "' + X.encode() + b'"}}',
    "bom": b"\xef\xbb\xbf" + json.dumps({"files": {"a": X}}).encode(),
    "lone surrogate": b'{"files": {"\\ud800": "' + X.encode() + b'"}}',
    "two": json.dumps({"files": {"a": X}}).encode() * 2,
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "no files": b"{}",
    "only folders": b'{"files": {}, "folders": ["a"]}',
    "only rubbish": json.dumps({"files": {".DS_Store": X, "__MACOSX/a": X}}).encode(),
    "files a list": b'{"files": ["a"]}',
    "files null": b'{"files": null}',
    "folders an object": json.dumps({"files": {"a": X}, "folders": {}}).encode(),
    "folders of numbers": json.dumps({"files": {"a": X}, "folders": [1]}).encode(),
    "an unknown field": json.dumps({"files": {"a": X}, "more": 1}).encode(),
    "a digest that is a number": b'{"files": {"a": 1}}',
    "a digest that is none": b'{"files": {"a": "x"}}',
    "a digest in capitals": json.dumps({"files": {"a": X.upper()}}).encode(),
    "a digest that is too long": json.dumps({"files": {"a": X + "0"}}).encode(),
    "a digest and a line": json.dumps({"files": {"a": X + "\n"}}).encode(),
    "a path for a digest": json.dumps({"files": {"a": "../../../etc/passwd"}}).encode(),
    "a file twice": b'{"files": {"a": "%b", "a": "%b"}}' % (X.encode(), sha("new").encode()),
    "a file twice, escaped": b'{"files": {"a": "%b", "\\u0061": "%b"}}' % (X.encode(), X.encode()),
    "files twice": b'{"files": {"a": "%b"}, "files": {"b": "%b"}}' % (X.encode(), X.encode()),
    "deep": b'{"files": ' + b'{"a":' * 100_000,
    "deep lists": b"[" * 100_000,
    "deep and unknown": b'{"x": ' + b"[" * 100_000,
    "many empty objects": b'{"folders": [' + b"{}," * 100_000 + b"{}]}",
    "not a number": b'{"files": NaN}',
}
NAMES = [
    "",
    ".",
    "./",
    "..",
    "../up.txt",
    "a/../../up.txt",
    "a/..",
    "/etc/passwd",
    "//a",
    "C:/a",
    "a\\b",
    "..\\a",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a/",
    "a/.",
    "x" * 256,
    "/".join(["y" * 101] * 11),
]
PAIRS = [
    (["a", "a/b"], []),
    (["a/b", "a"], []),
    (["a"], ["a"]),
    (["a/b"], ["a/b"]),
    (["a"], ["a/b"]),
    (["a", "./a"], []),
    (["a/b", "a//b"], []),
    (["a"], ["b", "b"]),
    (["a"], ["b", "b/"]),
]


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Admin, Path]:
    """A site that nothing here changes."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    admin = Admin(create_app(load_config({"PAGES_DATA_DIR": str(data)}), run_now).test_client())
    admin.create("blog")
    admin.deployed({"index.html": b"old", "b.txt": b"deep"})
    return admin, data


def assert_refused(hostile_site: tuple[Admin, Path], manifest: object) -> str:
    admin, data = hostile_site
    before = everything_below(data)
    message = assert_failure(send(admin, manifest), 400)
    assert everything_below(data) == before
    assert message.startswith("字段 manifest ")
    return message


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_refused(hostile_site: tuple[Admin, Path], case: str) -> None:
    assert_refused(hostile_site, HOSTILE[case])


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_file_s_name_is_judged_as_an_archive_s_is(hostile_site: tuple[Admin, Path], name: str) -> None:
    assert_refused(hostile_site, {"files": {"b.txt": X, name: X}})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (".", "./", "a/", "a/.")],
                         ids=lambda name: repr(name[:20]))  # fmt: skip
def test_a_folder_s_name_is_judged_as_an_archive_s_is(hostile_site: tuple[Admin, Path], name: str) -> None:
    assert_refused(hostile_site, {"files": {"b.txt": X}, "folders": [name]})


@pytest.mark.parametrize("pair", PAIRS, ids=repr)
def test_names_in_each_others_way_are_refused(
    hostile_site: tuple[Admin, Path], pair: tuple[list[str], list[str]]
) -> None:
    assert_refused(hostile_site, {"files": dict.fromkeys(pair[0], X), "folders": pair[1]})


def test_odd_forms_of_harmless_names_are_what_they_are_in_an_archive(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    manifest = {"files": {"./a//b.txt": X, "-rf": X, "100% & +#?.html": X}, "folders": ["./", "c/./d/", "a/"]}
    assert_success(send(admin, manifest))
    assert tree_of(live(data)) == {"a/b.txt": b"deep", "-rf": b"deep", "100% & +#?.html": b"deep"}
    assert (live(data) / "c/d").is_dir()


# --- Limits ---------------------------------------------------------------------------------


@pytest.fixture
def limited(make_app: Callable[..., Flask], data: Path) -> Callable[..., Admin]:
    """An admin of an application with these settings, and a site of three files."""

    def make(**settings: Any) -> Admin:
        first = Admin(make_app().test_client())
        first.create("blog")
        first.deployed({"a": b"1" * 100, "b": b"2" * 100, "c": b"3" * 100})
        return Admin(make_app(**settings).test_client())

    return make


def test_more_names_than_max_files_are_a_413(limited: Callable[..., Admin]) -> None:
    admin = limited(max_files=3)
    one = sha("1" * 100)
    assert_success(send(admin, {"files": {"a": one, "b": one}, "folders": ["c"]}))
    message = assert_failure(send(admin, {"files": {"a": one, "b": one}, "folders": ["c", "d"]}), 413)
    assert message == "条目数超过上限 max_files = 3"


def test_very_many_short_names_are_a_413_before_they_are_read(limited: Callable[..., Admin]) -> None:
    admin = limited(max_files=100)
    names = b",".join(b'"%d"' % number for number in range(9000))
    reply = send(admin, b'{"files": {"a": "' + X.encode() + b'"}, "folders": [' + names + b"]}")
    assert_failure(reply, 413, "条目数超过上限 max_files = 100")


def test_a_manifest_beyond_its_bytes_is_a_413(limited: Callable[..., Admin], data: Path) -> None:
    admin = limited(max_files=3)
    before = everything_below(data)
    most = 3 * 512 + 64 * 1024
    text = json.dumps({"files": {"a": sha("1" * 100)}}).encode()
    assert assert_failure(send(admin, text.ljust(most + 1)), 413) == f"字段 manifest 超过上限 {most} 字节"
    assert everything_below(data) == before
    assert_success(send(admin, text.ljust(most)))


def test_implied_folders_are_bounded_as_well(limited: Callable[..., Admin]) -> None:
    admin = limited(max_files=3)
    deep = {f"{number}/" + "/".join("d" * 500): sha("1" * 100) for number in range(3)}
    assert "max_files" in assert_failure(send(admin, {"files": deep}), 413)


def test_what_comes_out_counts_and_not_what_is_sent(limited: Callable[..., Admin], data: Path) -> None:
    admin = limited(max_unpacked_bytes=350)
    one = sha("1" * 100)
    assert_success(send(admin, {"files": {"a": one, "b": one, "c": one, "d": sha("4" * 50)}}, {"d": b"4" * 50}))
    before = everything_below(data)
    manifest = {"files": {"a": one, "b": one, "c": one, "d": sha("4" * 51)}}
    message = assert_failure(send(admin, manifest, {"d": b"4" * 51}), 413)
    assert "max_unpacked_bytes = 350" in message
    assert everything_below(data) == before


def test_an_upload_limit_holds_for_archive_and_manifest_together(limited: Callable[..., Admin]) -> None:
    admin = limited(max_upload_bytes=1000)
    assert_failure(send(admin, {"files": {"a": X}}, archive=(os.urandom(1001), "a.zip")), 413)
    assert_failure(send(admin, {"files": {"a": X}}, archive=(os.urandom(2_000_000), "a.zip")), 413)


def test_a_quota_counts_what_comes_out(make_app: Callable[..., Flask], data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\nquota_bytes = 30000\n')
    admin = Admin(make_app().test_client(), "alice", "secret")
    admin.create("blog")
    noise = random.Random(1).randbytes(10_000)
    admin.deployed({"a": noise}, site="alice/blog")
    before = everything_below(data)
    url = "/_api/sites/alice/blog/deploy"
    reply = send(admin, manifest_of({"a": noise, "b": noise, "c": noise}), url=url)
    assert "quota_bytes = 30000" in assert_failure(reply, 403)
    assert everything_below(data) == before


def test_a_tenant_asks_about_its_own_sites_only(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\n')
    client = make_app().test_client()
    admin, alice = Admin(client), Admin(client, "alice", "secret")
    admin.create("blog")
    admin.deployed(OLD)
    for site in ("default/blog", "default/nowhere"):
        assert_failure(alice.post(f"/_api/sites/{site}/deploy/missing", json={"digests": [X]}), 403, "权限不足")
        assert_failure(send(alice, {"files": {"a": X}}, url=f"/_api/sites/{site}/deploy"), 403, "权限不足")
    assert_failure(alice.post("/_api/sites/alice/nowhere/deploy/missing", json={"digests": [X]}), 404, "站点不存在")
    assert_failure(send(alice, b"[]", url=DEPLOY), 400)


# --- With the other terms of a deploy -------------------------------------------------------


def test_a_root_is_refused_with_a_manifest(admin: Admin) -> None:
    admin.deployed(OLD)
    assert "root" in assert_failure(send(admin, manifest_of(OLD), root="css"), 400)
    assert_success(send(admin, manifest_of(OLD), root=""))


def test_a_dry_run_tells_what_would_come_and_stores_nothing(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    before = everything_below(data)
    trial = assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW), url=f"{DEPLOY}?dry_run=true"))
    assert (trial["files"], trial["digest"]) == (len(NEW), full_digest(NEW))
    assert trial["changed"] == {"total": 1, "paths": ["index.html"]}
    assert trial["added"]["paths"] == ["docs-2/new.html", "moved/b.txt"]
    assert set(lacking(send(admin, manifest_of(NEW), url=f"{DEPLOY}?dry_run=true"))) == {
        sha("new"),
        sha("<h1>new</h1>"),
    }
    assert everything_below(data) == before


def test_a_key_stands_for_one_content_however_it_is_sent(admin: Admin) -> None:
    admin.deployed(OLD)
    key = {"Idempotency-Key": "build-1"}
    first = assert_success(send(admin, manifest_of(NEW), only_new(OLD, NEW), headers=key))["checkpoint"]
    assert assert_success(send(admin, manifest_of(NEW), headers=key))["checkpoint"] == first
    assert assert_success(send(admin, manifest_of(NEW), NEW, headers=key))["checkpoint"] == first
    assert_failure(send(admin, manifest_of(OLD), headers=key), 422)
    assert admin.checkpoints()["total"] == 2


def test_a_condition_and_no_activation_hold(admin: Admin) -> None:
    first = admin.deployed(OLD)
    reply = send(admin, manifest_of(OLD), headers={"If-Match": '"20200101-000000-00000000"'})
    assert_failure(reply, 412)
    reply = send(admin, manifest_of(OLD), headers={"If-Match": f'"{first["id"]}"'}, url=f"{DEPLOY}?activate=false")
    assert assert_success(reply)["activated"] is False
    assert admin.checkpoints()["current"] == first["id"]


def test_warnings_are_those_of_the_whole_site(admin: Admin) -> None:
    admin.deployed({"a/index.html": b"1", "_redirects": b"/old /new 999\n"})
    wanted: Files = {"a/index.html": b"1", "_redirects": b"/old /new 999\n", "x": b"x"}
    warnings = assert_success(send(admin, manifest_of(wanted), {"x": b"x"}))["warnings"]
    assert [warning.split()[0] for warning in warnings] == ["首页", "_redirects"]


# --- The form -------------------------------------------------------------------------------


def test_a_manifest_that_is_no_file_is_refused(admin: Admin) -> None:
    archive = (io.BytesIO(zip_of(OLD)), "a.zip")
    reply = admin.post(DEPLOY, data={"file": archive, "manifest": json.dumps(manifest_of(OLD))})
    assert assert_failure(reply, 400) == "字段 manifest 必须作为文件上传"


@pytest.mark.parametrize("name", ["manifest", "file"])
def test_two_files_of_a_kind_are_refused(admin: Admin, name: str) -> None:
    admin.deployed(OLD)
    text = json.dumps(manifest_of(OLD)).encode()
    files = {"manifest": [(io.BytesIO(text), "m.json")], "file": [(io.BytesIO(zip_of({})), "a.zip")]}
    files[name].append((io.BytesIO(text), "a.zip"))
    assert_failure(admin.post(DEPLOY, data=files), 400, "一次只能上传一个文件")


def test_a_third_file_is_refused(admin: Admin) -> None:
    admin.deployed(OLD)
    assert_failure(send(admin, manifest_of(OLD), {}, other=(io.BytesIO(b""), "x")), 400, "一次只能上传一个文件")
    assert_failure(send(admin, manifest_of(OLD), other=(io.BytesIO(b""), "x")), 400, "一次只能上传一个文件")


def test_parts_may_come_in_either_order(admin: Admin, data: Path) -> None:
    admin.deployed(OLD)
    text = json.dumps(manifest_of(NEW)).encode()
    parts = [
        ("file", (io.BytesIO(zip_of(only_new(OLD, NEW))), "a.zip")),
        ("manifest", (io.BytesIO(text), "清单.txt")),
    ]
    assert_success(admin.post(DEPLOY, data=dict(parts)))
    assert tree_of(live(data)) == NEW


@pytest.mark.parametrize("text", ["v2.1", "修复导航\n第二行", "x" * 500, " "])
def test_a_description_is_the_checkpoint_s(admin: Admin, text: str) -> None:
    assert admin.deployed(OLD, description=text)["description"] == text
    assert admin.checkpoints()["checkpoints"][0]["description"] == text
    reply = send(admin, manifest_of(OLD), description=text)
    assert assert_success(reply)["checkpoint"]["description"] == text


@pytest.mark.parametrize("text", ["", "x" * 501])
def test_a_description_that_is_empty_or_too_long_is_refused(admin: Admin, data: Path, text: str) -> None:
    before = everything_below(data)
    assert "description" in assert_failure(admin.deploy(zip_of(OLD), description=text), 400)
    assert everything_below(data) == before
