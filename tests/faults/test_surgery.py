"""Files damaged on disk: the damage stays where it is, is told, and costs nothing that was whole."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.invariants import state, violations
from flask import Flask
from helpers import THOROUGH, Admin, assert_failure, assert_success, everything_below, tree_of, zip_of

PAGE = {"index.html": "version {} " * 40, "a/b.txt": "same"}
RECORD = "registry/default/blog.json"
METADATA = "sites-checkpoints/default/blog/metadata.json"
BROKEN = {RECORD: "站点配置损坏", METADATA: "检查点元数据损坏，站点未改变"}


def page(number: int) -> dict[str, bytes | str]:
    return {name: content.replace("{}", str(number)) for name, content in PAGE.items()}


@pytest.fixture
def published(admin: Admin) -> Admin:
    """Two sites; ``blog`` has three checkpoints, of which the last is live."""
    admin.create("other")
    admin.deployed(page(0), site="default/other")
    for number in (1, 2, 3):
        admin.deployed(page(number))
    return admin


def _damages(whole: bytes) -> Iterator[tuple[str, bytes | None]]:
    """A file's content damaged in every way; ``None`` is a folder in its place."""
    yield from {
        "empty": b"",
        "zeros": bytes(len(whole)),
        "a mark of UTF-8 before it": b"\xef\xbb\xbf" + whole,
        "UTF-16": whole.decode().encode("utf-16"),
        "a list": b"[]",
        "a number": b"1",
        "null": b"null",
        "an empty object": b"{}",
        "a list of it": b"[" + whole + b"]",
        "twice": whole + whole,
        "nested without end": b"[" * 100_000,
        "folder": None,
    }.items()
    for cut in range(0, len(whole), 1 if THOROUGH else max(1, len(whole) // 12)):
        yield f"cut at {cut}", whole[:cut]
    chance = random.Random("flips")
    for _ in range(1_000 if THOROUGH else 12):
        at = chance.randrange(len(whole))
        yield f"byte {at}", whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :]


def _put(path: Path, content: bytes | None) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)


@pytest.mark.parametrize("file", [RECORD, METADATA])
def test_a_damaged_file_harms_no_other_site_and_loses_nothing(
    published: Admin, make_app: Callable[..., Flask], data: Path, file: str
) -> None:
    path, whole = data / file, (data / file).read_bytes()
    before, archives = state(data), everything_below(data / "sites-checkpoints/default/blog/checkpoints")
    for turn, (what, content) in enumerate(_damages(whole)):
        _put(path, content)
        if turn % 10 == 0:
            published.client = make_app().test_client()
        assert_success(published.post("/_api/reload"))
        assert published.visit(host="other.localhost").data.startswith(b"version 0"), what
        # A changed letter may make a record that is another, and whole. One that cannot be read is told as such.
        assert published.visit().status_code in ((200, 404, 500) if file == RECORD else (200,)), what
        for method, call in (("GET", ""), ("GET", "/checkpoints"), ("PUT", "")):
            reply = published.call(
                method, f"/_api/sites/default/blog{call}", **({"json": {}} if method == "PUT" else {})
            )
            assert reply.status_code in (200, 500), what
            assert reply.status_code == 200 or assert_failure(reply, 500) in BROKEN.values(), what
        assert_success(published.get("/_api/sites"))
        assert_success(published.get("/_api/health"))
        assert everything_below(data / "sites-checkpoints/default/blog/checkpoints") == archives, what
        assert published.visit(host="other.localhost").status_code == 200, what
    _put(path, whole)
    published.client = make_app().test_client()
    assert_success(published.post("/_api/reload"))
    assert state(data) == before
    assert violations(data) == []


@pytest.mark.parametrize("content", [b"", b"{", None], ids=["empty", "cut", "folder"])
def test_with_damaged_metadata_nothing_is_deployed_and_the_site_goes_on(
    published: Admin, data: Path, content: bytes | None
) -> None:
    _put(data / METADATA, content)
    before = everything_below(data / "sites-checkpoints")
    assert_failure(published.deploy(zip_of(page(9))), 500, BROKEN[METADATA])
    assert_failure(published.post("/_api/sites/default/blog/checkpoints"), 500, BROKEN[METADATA])
    assert published.visit().data.startswith(b"version 3")
    assert everything_below(data / "sites-checkpoints") == before
    assert list((data / "work").iterdir()) == []


def _archive_damages(whole: bytes) -> Iterator[tuple[str, bytes | None]]:
    yield from {"missing": None, "empty": b"", "zeros": bytes(len(whole)), "text": b"x" * len(whole)}.items()
    for cut in range(1, len(whole), 1 if THOROUGH else max(1, len(whole) // 15)):
        yield f"cut at {cut}", whole[:cut]
    for at in range(0, len(whole), 1 if THOROUGH else max(1, len(whole) // 25)):
        yield f"byte {at}", whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
    yield "more behind it", whole + b"x"


def test_a_damaged_archive_is_never_served(published: Admin, data: Path) -> None:
    """A checkout unpacks what was deployed, or says that it cannot and changes nothing."""
    oldest = published.checkpoints()["checkpoints"][-1]["id"]
    newest = published.checkpoints()["current"]
    archive = data / f"sites-checkpoints/default/blog/checkpoints/{oldest}.tar.gz"
    whole = archive.read_bytes()
    expected = {name: content.encode() for name, content in page(1).items() if isinstance(content, str)}
    for what, content in [*_archive_damages(whole), ("whole", whole)]:
        for tree in (data / "trees/default/blog").glob(f"{oldest}.*"):
            shutil.rmtree(tree)
        archive.unlink() if content is None else archive.write_bytes(content)
        reply = published.checkout(oldest)
        if reply.status_code == 200:
            assert tree_of((data / "sites/default/blog").resolve()) == expected, what
            assert_success(published.checkout(newest))
        else:
            assert_failure(reply, 500, "检查点归档损坏或缺失，站点未改变")
            assert what != "whole"
        assert published.visit().data.startswith(b"version 3"), what
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(whole)
    assert violations(data) == []


@pytest.mark.parametrize("gone", ["trees", "trees/default/blog", "cache", "sites/default/blog", "public", "domains"])
def test_what_is_derived_is_made_again_at_a_start(
    published: Admin, make_app: Callable[..., Flask], data: Path, gone: str
) -> None:
    before = state(data)
    path = data / gone
    path.unlink() if path.is_symlink() else shutil.rmtree(path)
    published.client = make_app().test_client()
    assert_success(published.post("/_api/reload"))
    assert published.visit().data.startswith(b"version 3")
    assert published.visit(host="other.localhost").data.startswith(b"version 0")
    assert violations(data) == []
    # The welcome site was never deployed: its page is nowhere else.
    assert gone == "trees" or state(data) == before


def test_an_fsync_that_fails_fails_its_operation_and_is_not_tried_again(
    published: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync the kernel may call clean what it never wrote: a second one proves nothing."""
    real, synced, failed = os.fsync, [], []

    def fsync(fail_at: int) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            status = os.fstat(descriptor)
            synced.append(status.st_ino)
            if len(synced) == fail_at:
                failed.append((status.st_ino, os.path.isdir(f"/proc/self/fd/{descriptor}")))
                raise OSError(errno.EIO, "Input/output error")
            assert not failed or failed[0][1] or status.st_ino != failed[0][0], "the same file is synced again"
            real(descriptor)

        return call

    tried = 0
    for number in range(1, 20):
        synced.clear()
        failed.clear()
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync(number))
            reply = published.deploy(zip_of(page(100 + number)))
        if not failed:
            break
        tried += 1
        assert_failure(reply, 500)
        assert violations(data) == []
        assert_success(published.deploy(zip_of(page(200 + number))))
        assert published.visit().data.startswith(f"version {200 + number}".encode())
    assert tried >= 5
    assert reply.status_code == 200


def test_a_disk_that_can_only_be_read_serves_every_site(published: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        for name in ("mkdir", "rename", "unlink", "symlink", "rmdir"):
            patched.setattr(os, name, refuse)
        assert published.visit().data.startswith(b"version 3")
        assert published.visit(host="other.localhost").status_code == 200
        assert published.deploy(zip_of(page(4))).status_code == 503
        assert published.get("/_api/health").status_code == 503
    assert_success(published.deploy(zip_of(page(4))))
