"""Deploys through HTTP: what is accepted, what is refused and how, and what a deploy leaves on the disk."""

import base64
import hashlib
import io
import itertools
import json
import os
import re
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, basic, everything_below, tar_of, tree_of, zip_of
from werkzeug.test import TestResponse

from pages import files

DEPLOY = "/_api/sites/default/blog/deploy"
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
SITE = {"index.html": b"<h1>new</h1>", "css/site.css": b"body{}", "docs/a/b.txt": b"deep"}
UNSUPPORTED = "不支持的文件格式，仅支持 zip、tar.gz、tgz"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk: what is durable when is tested with ``publish``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)


def part(name: str, content: bytes, file_name: str | None = None, *headers: str) -> bytes:
    """One part of a multipart form as it stands in the body, its head unescaped."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    head = "\r\n".join([disposition, *headers])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def send(admin: Admin, body: bytes, url: str = DEPLOY, **kwargs: Any) -> TestResponse:
    """A deploy with this very body."""
    return admin.post(url, data=body, content_type=f"multipart/form-data; boundary={BOUNDARY}", **kwargs)


def root_of(data: Path, site: str = "default/blog") -> Path:
    return (data / "sites" / site).resolve()


def folders_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()}


def stored_archive(data: Path, checkpoint: Any, site: str = "default/blog") -> Path:
    return data / "sites-checkpoints" / site / "checkpoints" / f"{checkpoint['id']}.tar.gz"


def tree_as_tar(files: dict[str, bytes]) -> bytes:
    """A tar.gz with folder entries for names that end in a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def with_entry(kind: bytes, **fields: Any) -> bytes:
    """A tar.gz with an innocent page and then one entry of this type."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        page = tarfile.TarInfo("index.html")
        page.size = 3
        archive.addfile(page, io.BytesIO(b"bad"))
        info = tarfile.TarInfo(fields.pop("name", "entry"))
        info.type = kind
        for name, value in fields.items():
            setattr(info, name, value)
        archive.addfile(info)
    return buffer.getvalue()


def damaged_zip() -> bytes:
    """A zip whose second entry's content is not what its CRC says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("index.html", b"bad")
        archive.writestr("second.txt", b"what it was")
    return buffer.getvalue().replace(b"what it was", b"what it is!")


# --- Formats --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_name", "pack"),
    [
        ("site.zip", zip_of),
        ("SITE.ZIP", zip_of),
        ("Site.Zip", zip_of),
        ("v1.2.tar.zip", zip_of),
        ("网站.zip", zip_of),
        ("my site (1).zip", zip_of),
        ("site.tar.gz", tar_of),
        ("SITE.TAR.GZ", tar_of),
        ("site.tgz", tar_of),
        ("Site.TGZ", tar_of),
        ("网站.tar.gz", tar_of),
    ],
)
def test_the_extension_in_any_case_says_the_format(
    admin: Admin, data: Path, file_name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    assert_success(admin.deploy(pack(SITE), file_name), message="站点已部署")
    assert tree_of(root_of(data)) == SITE


@pytest.mark.parametrize(
    "file_name",
    [
        "site",
        "site.rar",
        "site.7z",
        "site.tar",
        "site.gz",
        "site.tar.bz2",
        "site.tar.xz",
        "zip",
        "tgz",
        "网站",
        "site.zip.exe",
        "site.zipx",
        "sitezip",
        "site.tar.gz.txt",
        "site.zip/",
    ],
)
def test_any_other_extension_is_refused(admin: Admin, file_name: str) -> None:
    assert_failure(admin.deploy(zip_of(SITE), file_name), 400, UNSUPPORTED)


@pytest.mark.parametrize(
    ("file_name", "content", "kind"),
    [
        ("a.zip", tar_of(SITE), "zip"),
        ("a.zip", b"", "zip"),
        ("a.zip", b"PK", "zip"),
        ("a.zip", b"<html>this is no zip</html>", "zip"),
        ("a.zip", b"Rar!\x1a\x07\x00" + bytes(100), "zip"),
        ("a.tar.gz", zip_of(SITE), "tar.gz"),
        ("a.tar.gz", b"", "tar.gz"),
        ("a.tar.gz", b"\x1f\x8b", "tar.gz"),
        ("a.tar.gz", b"BZh91AY&SY" + bytes(100), "tar.gz"),
        ("a.tgz", zip_of(SITE), "tar.gz"),
        ("a.TGZ", b"no tgz at all", "tar.gz"),
    ],
)
def test_content_that_is_not_what_the_extension_says_is_refused(
    admin: Admin, file_name: str, content: bytes, kind: str
) -> None:
    message = assert_failure(admin.deploy(content, file_name), 400)
    assert message.startswith(f"解压 {kind} 失败: ")


# --- The reply and the site -----------------------------------------------------------------


def test_the_reply_holds_username_id_and_checkpoint_and_no_more(admin: Admin) -> None:
    data = assert_success(admin.deploy(zip_of(SITE), "site-v2.0.zip"), 200, "站点已部署")
    assert set(data) == {"username", "id", "checkpoint"}
    assert (data["username"], data["id"]) == ("default", "blog")


def test_the_reply_s_checkpoint_has_the_seed_s_fields(admin: Admin) -> None:
    checkpoint = assert_success(admin.deploy(zip_of(SITE), "site-v2.0.zip"))["checkpoint"]
    assert list(checkpoint) == ["id", "created_at", "file_size", "file_name", "source", "description"]
    assert checkpoint["file_name"] == "site-v2.0.zip"
    assert checkpoint["source"] == "deploy"
    assert checkpoint["description"] == "部署: site-v2.0.zip"


def test_a_deploy_is_live_when_it_is_acknowledged(admin: Admin) -> None:
    admin.deployed(SITE)
    assert admin.visit("/").data == b"<h1>new</h1>"


def test_a_deploy_replaces_the_whole_site(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": b"old", "gone/old.html": b"old"})
    admin.deployed(SITE)
    assert tree_of(root_of(data)) == SITE


def test_a_deploy_leaves_the_record_alone(admin: Admin) -> None:
    before = assert_success(admin.get("/_api/sites/default/blog"))
    admin.deployed(SITE)
    assert assert_success(admin.get("/_api/sites/default/blog")) == before


def test_a_deploy_changes_no_other_site(admin: Admin, data: Path) -> None:
    admin.create("other", username="user1")
    admin.deployed({"index.html": b"other"}, site="user1/other")
    before = everything_below(data / "sites-checkpoints" / "user1")
    admin.deployed(SITE)
    assert everything_below(data / "sites-checkpoints" / "user1") == before
    assert admin.visit("/", "other.localhost").data == b"other"


@pytest.mark.parametrize("pack", [zip_of, tree_as_tar])
@pytest.mark.parametrize(
    "files",
    [
        {"index.html": b""},
        {"index.html": b"x", "empty/": b"", "deep/er/": b""},
        {"index.html": b"x", ".well-known/security.txt": b"y", ".nojekyll": b""},
        {"首页.html": "中文".encode(), "图片/标志 1.svg": b"<svg/>"},
        {"a b/c d.txt": b"1", "it's.txt": b"2", "100% & +.html": b"3", "a#b?.html": b"4", "-rf": b"5"},
        {"A.txt": b"upper", "a.txt": b"lower"},
        {"x" * 255: b"longest part", "/".join(["y" * 101] * 10): b"long path"},
        {"1.bin": bytes(3_000_000), "2.bin": os.urandom(70_000)},
    ],
    ids=["empty-file", "empty-folders", "dotfiles", "chinese", "odd-names", "case", "long", "large"],
)
def test_the_unpacked_tree_equals_the_archive(
    admin: Admin, data: Path, files: dict[str, bytes], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    name = "a.zip" if pack is zip_of else "a.tar.gz"
    assert_success(admin.deploy(pack(files), name))
    implied = {str(parent) for path in files for parent in Path(path).parents} - {"."}
    explicit = {path.rstrip("/") for path in files if path.endswith("/")}
    assert tree_of(root_of(data)) == {path: content for path, content in files.items() if not path.endswith("/")}
    assert folders_of(root_of(data)) == implied | explicit


@pytest.mark.parametrize("mode", [0, 0o777, 0o4755, 0o600])
def test_modes_in_the_archive_are_ignored(admin: Admin, data: Path, mode: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type, folder.mode = tarfile.DIRTYPE, mode
        archive.addfile(folder)
        page = tarfile.TarInfo("folder/index.html")
        page.mode, page.uid = mode, 12345
        archive.addfile(page)
    assert_success(admin.deploy(buffer.getvalue(), "a.tgz"))
    root = root_of(data)
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "folder/index.html").stat().st_mode) == 0o644
    assert (root / "folder/index.html").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "name", ["__MACOSX/._index.html", "__MACOSX/css/._site.css", ".DS_Store", "css/.DS_Store", "css/Thumbs.db"]
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_what_systems_add_by_themselves_is_left_out(
    admin: Admin, data: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    archive = pack({**SITE, name: b"rubbish"})
    checkpoint = assert_success(admin.deploy(archive, "a.zip" if pack is zip_of else "a.tgz"))["checkpoint"]
    assert tree_of(root_of(data)) == SITE
    with tarfile.open(stored_archive(data, checkpoint)) as stored:
        assert {member.name for member in stored if member.isfile()} == set(SITE)


@pytest.mark.parametrize(
    ("encoding", "flag"), [("gb18030", 0), ("utf-8", 0), ("utf-8", 0x800)], ids=["gb18030", "utf-8", "utf-8-flag"]
)
def test_chinese_names_of_a_zip_come_out_right_whatever_made_it(
    admin: Admin, data: Path, encoding: str, flag: int
) -> None:
    raw = "新闻/今天.html".encode(encoding)
    placeholder = b"n" * len(raw)
    archive = zip_of({placeholder.decode(): b"news", "index.html": b""}).replace(placeholder, raw)
    if flag:  # In both of the entry's headers.
        archive = re.sub(rb"(PK\x03\x04..|PK\x01\x02....)\0\0", b"\\1\0\x08", archive, flags=re.DOTALL)
    assert_success(admin.deploy(archive))
    assert tree_of(root_of(data)) == {"新闻/今天.html": b"news", "index.html": b""}


def test_a_chinese_name_can_be_visited(admin: Admin) -> None:
    admin.deployed({"新闻/今天.html": b"news", "index.html": b""})
    assert admin.visit("/新闻/今天.html").data == b"news"


def test_backslashes_in_a_zip_are_separators(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": b"", "css\\site.css": b"body{}"})
    assert tree_of(root_of(data)) == {"index.html": b"", "css/site.css": b"body{}"}


# --- The stored archive ---------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zip_of, tree_as_tar])
def test_the_stored_archive_unpacked_by_tar_is_exactly_the_site(
    admin: Admin, data: Path, tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    files = {
        **SITE,
        "首页.html": "中文".encode(),
        "empty/": b"",
        "长" * 80 + ".txt": b"a long name",
        "/".join(["p" * 90] * 11) + ".txt": b"a long path",
        "big.bin": os.urandom(2_500_000),
        ".DS_Store": b"left out",
    }
    name = "a.zip" if pack is zip_of else "a.tar.gz"
    checkpoint = assert_success(admin.deploy(pack(files), name))["checkpoint"]
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "xzf", stored_archive(data, checkpoint), "-C", there], check=True)
    assert everything_below(there) == everything_below(root_of(data))
    assert tree_of(there) == tree_of(root_of(data))


def test_the_stored_archive_holds_nothing_but_files_and_folders_once_each(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed({**SITE, "empty/": b"", "./index2.html": b"", "docs/": b""})
    with tarfile.open(stored_archive(data, checkpoint)) as stored:
        members = stored.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    names = [member.name for member in members]
    assert sorted(names) == sorted({*SITE, "index2.html", "empty", "css", "docs", "docs/a"})


def test_file_size_is_that_of_the_stored_archive(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed(SITE)
    assert checkpoint["file_size"] == stored_archive(data, checkpoint).stat().st_size


def test_one_archive_and_its_metadata_are_what_a_deploy_adds_to_the_checkpoints(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed(SITE)
    folder = data / "sites-checkpoints" / "default" / "blog"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [f"{checkpoint['id']}.tar.gz"]
    assert (folder / "metadata.json").is_file()


# --- The content's hash ---------------------------------------------------------------------


def hash_of(admin: Admin, archive: bytes, name: str = "a.zip", **form: str) -> str:
    checkpoint = assert_success(admin.deploy(archive, name, **form))["checkpoint"]
    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}", checkpoint["id"])
    return str(checkpoint["id"][-8:])


def stored_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6)), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("archive", "name", "form"),
    [
        (tar_of(SITE), "a.tar.gz", {}),
        (tar_of(SITE, mtime=1_700_000_000), "b.tgz", {}),
        (stored_zip(SITE), "a.zip", {}),
        (zip_of(dict(reversed(SITE.items()))), "other-name.zip", {}),
        (zip_of({**SITE, "css/": b"", "docs/": b"", "docs/a/": b""}), "a.zip", {}),
        (zip_of({**SITE, ".DS_Store": b"left out"}), "a.zip", {}),
        (zip_of({f"./{path}": content for path, content in SITE.items()}), "a.zip", {}),
        (zip_of({f"dist/{path}": content for path, content in SITE.items()}), "a.zip", {"root": "dist"}),
    ],
    ids=["tar", "tar-times", "stored", "order", "folder-entries", "rubbish", "dot-slash", "root"],
)
def test_the_same_content_has_the_same_hash_however_it_is_packed(
    admin: Admin, archive: bytes, name: str, form: dict[str, str]
) -> None:
    assert hash_of(admin, archive, name, **form) == hash_of(admin, zip_of(SITE))


@pytest.mark.parametrize(
    "files",
    [
        {**SITE, "index.html": b"<h1>New</h1>"},
        {**SITE, "extra.txt": b""},
        {"index.html": SITE["index.html"], "css/site.css": SITE["css/site.css"]},
        {"index.htm": SITE["index.html"], **{path: SITE[path] for path in list(SITE)[1:]}},
        {"index.html": SITE["css/site.css"], "css/site.css": SITE["index.html"], "docs/a/b.txt": b"deep"},
    ],
    ids=["content", "added", "removed", "renamed", "swapped"],
)
def test_other_content_has_another_hash(admin: Admin, files: dict[str, bytes]) -> None:
    assert hash_of(admin, zip_of(files)) != hash_of(admin, zip_of(SITE))


def test_the_hash_is_not_that_of_the_upload(admin: Admin) -> None:
    archive = zip_of(SITE)
    assert hash_of(admin, archive) != hashlib.sha256(archive).hexdigest()[:8]


# --- The form -------------------------------------------------------------------------------

ARCHIVE = zip_of(SITE)
WHOLE = part("file", ARCHIVE, "a.zip") + END


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", None),
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (END, f"multipart/form-data; boundary={BOUNDARY}"),
        (ARCHIVE, "application/zip"),
        (ARCHIVE, "application/octet-stream"),
        (json.dumps({"file": "site.zip"}).encode(), "application/json"),
        (b"file=site.zip", "application/x-www-form-urlencoded"),
        (WHOLE, "multipart/form-data"),
        (WHOLE, "multipart/form-data; boundary=another"),
        (WHOLE, "multipart/mixed; boundary=" + BOUNDARY),
        (part("file", b"site.zip") + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (part("file", ARCHIVE, "") + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (part("archive", ARCHIVE, "a.zip") + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (part("root", b"dist") + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (part("file", ARCHIVE, "a.zip"), f"multipart/form-data; boundary={BOUNDARY}"),
        (WHOLE[:-6], f"multipart/form-data; boundary={BOUNDARY}"),
        (WHOLE[: len(WHOLE) // 2], f"multipart/form-data; boundary={BOUNDARY}"),
        (WHOLE[:80], f"multipart/form-data; boundary={BOUNDARY}"),
    ],
    ids=[
        "nothing",
        "empty",
        "no-parts",
        "raw",
        "raw-binary",
        "json",
        "urlencoded",
        "no-boundary",
        "other-boundary",
        "mixed",
        "text-field",
        "no-name",
        "other-field",
        "only-root",
        "no-end",
        "cut-end",
        "cut-file",
        "cut-head",
    ],
)
def test_a_form_without_a_file_is_refused(admin: Admin, body: bytes, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert_failure(admin.post(DEPLOY, data=body, headers=headers), 400, "缺少文件")


def test_a_body_shorter_than_it_says_is_refused(admin: Admin, data: Path) -> None:
    admin.deployed({"index.html": b"old"})
    before = everything_below(data)
    assert_failure(send(admin, WHOLE[:-30], headers={"Content-Length": str(len(WHOLE))}), 400)
    assert everything_below(data) == before


@pytest.mark.parametrize(
    "parts",
    [
        part("file", ARCHIVE, "a.zip") + part("file", ARCHIVE, "a.zip"),
        part("file", ARCHIVE, "a.zip") + part("file", zip_of({"index.html": b"2"}), "b.zip"),
        part("file", ARCHIVE, "a.zip") + part("extra", b"text", "b.txt"),
        part("extra", b"text", "b.txt") + part("file", ARCHIVE, "a.zip"),
        part("file", ARCHIVE, "a.zip") + part("file", b"", "b.zip"),
    ],
    ids=["same", "different", "other-field-after", "other-field-before", "empty-second"],
)
def test_two_files_are_refused(admin: Admin, data: Path, parts: bytes) -> None:
    admin.deployed({"index.html": b"old"})
    before = everything_below(data)
    assert_failure(send(admin, parts + END), 400)
    assert everything_below(data) == before


@pytest.mark.parametrize("field", ["Root", "roots", "username", "文件"])
def test_an_unknown_field_is_refused_by_its_name(admin: Admin, data: Path, field: str) -> None:
    before = everything_below(data)
    message = assert_failure(admin.deploy(ARCHIVE, **{field: "x"}), 400)
    assert field in message
    assert everything_below(data) == before


def test_a_file_is_not_decoded_by_a_transfer_encoding(admin: Admin) -> None:
    encoded = part("file", base64.b64encode(ARCHIVE), "a.zip", "Content-Transfer-Encoding: base64")
    message = assert_failure(send(admin, encoded + END), 400)
    assert message.startswith("解压 zip 失败: ")


@pytest.mark.parametrize(
    "parts",
    [
        b"".join(part("root", b"") for _ in range(1_100)),
        part("root", b"x" * 1_100_000),
        part("file", ARCHIVE, "a" * 1_100_000 + ".zip"),
    ],
    ids=["many-parts", "large-field", "large-head"],
)
def test_a_form_beyond_measure_is_refused_as_too_large(admin: Admin, data: Path, parts: bytes) -> None:
    before = everything_below(data)
    assert_failure(send(admin, parts + END), 413)
    assert everything_below(data) == before


def test_text_before_the_first_part_and_after_the_last_is_ignored(admin: Admin, data: Path) -> None:
    assert_success(send(admin, b"preamble\r\n" + WHOLE + b"epilogue\r\n"))
    assert tree_of(root_of(data)) == SITE


@pytest.mark.parametrize("name", ["a\xff.zip", "\udcff.zip"])
def test_a_file_name_that_is_not_utf8_does_no_harm(admin: Admin, name: str) -> None:
    raw = part("file", ARCHIVE, "NAME").replace(b"NAME", name.encode("latin-1", "replace")[:-4] + b"\xff.zip")
    assert send(admin, raw + END).status_code in (200, 400)


LONG = "n" * 300


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("site.zip", "site.zip"),
        ("../../x.zip", "x.zip"),
        ("/etc/passwd.zip", "passwd.zip"),
        ("C:\\\\fake path\\\\a.zip", "a.zip"),
        ("..\\\\..\\\\x.zip", "x.zip"),
        ("a\x01b\x1f.zip", "ab.zip"),
        ("a\x00b.zip", "ab.zip"),
        ("a\u200b\u202eb.zip", "ab.zip"),
        ("网站 v2.zip", "网站 v2.zip"),
        ("<script>.zip", "<script>.zip"),
        (f"{LONG}.zip", f"{LONG[:251]}.zip"),
        (f"{LONG * 17}.zip", f"{LONG[:251]}.zip"),
    ],
)
def test_an_uploaded_file_s_name_is_cleaned_to_a_label(admin: Admin, sent: str, stored: str) -> None:
    checkpoint = assert_success(send(admin, part("file", ARCHIVE, sent) + END))["checkpoint"]
    assert checkpoint["file_name"] == stored
    assert checkpoint["description"] == f"部署: {stored}"


def test_a_very_long_name_of_a_tar_gz_is_shortened_and_accepted(admin: Admin) -> None:
    checkpoint = assert_success(admin.deploy(tar_of(SITE), f"{LONG}.tar.gz"))["checkpoint"]
    assert len(checkpoint["file_name"]) <= 255


DOOR = {
    "no closing boundary": (part("file", ARCHIVE, "a.zip"), 400),
    "cut inside the closing boundary": (WHOLE[:-6], 400),
    "cut inside the file": (WHOLE[: len(WHOLE) // 2], 400),
    "a head that is not UTF-8": (WHOLE.replace(b'name="file"', b'name="f\xffle"'), 400),
    "file as a text field": (part("file", b"site.zip") + END, 400),
    "two files": (part("file", ARCHIVE, "a.zip") * 2 + END, 400),
    "no file name": (part("file", ARCHIVE, "") + END, 400),
    "base64": (part("file", base64.b64encode(ARCHIVE), "a.zip", "Content-Transfer-Encoding: base64") + END, 400),
    "another format": (part("file", ARCHIVE, "a.rar") + END, 400),
    "a name that hides its format": (part("file", ARCHIVE, "a.zip\x00.txt") + END, 400),
    "1,001 parts": (part("root", b"") * 1_001 + WHOLE, 413),
    "a text field of 1 MB": (part("root", b"x" * 1_100_000) + WHOLE, 413),
    "a head of 1 MB": (part("file", ARCHIVE, "a" * 1_100_000 + ".zip") + END, 413),
    "a path as a name": (part("file", ARCHIVE, "../../x.zip") + END, 200),
    "a Windows path as a name": (part("file", ARCHIVE, "C:\\x\\a.zip") + END, 200),
    "NUL in a name": (part("file", ARCHIVE, "a\x00.zip") + END, 200),
    "a name of 5,000 characters": (part("file", ARCHIVE, "n" * 5_000 + ".zip") + END, 200),
}


def test_the_upload_door_of_a_real_server_answers_every_odd_form_and_only_good_ones_change_the_site(
    server: Server,
) -> None:
    headers = {**basic(), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    wrong = {}
    for what, (body, status) in DOOR.items():
        assert server.deploy(zip_of({"index.html": what})).status == 200
        reply = server.request("POST", DEPLOY, body, headers=headers)
        page = server.request("GET", "/", host="blog.localhost").body
        served = SITE["index.html"] if status == 200 else what.encode()
        if (reply.status, reply.json()["success"], page) != (status, status == 200, served):
            wrong[what] = (reply.status, reply.body, page)
    assert wrong == {}
    assert "Traceback" not in server.log


def test_an_extended_file_name_is_understood(admin: Admin) -> None:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''%E7%BD%91%2Ezip\r\n\r\n"
    response = send(admin, head.encode() + ARCHIVE + b"\r\n" + END)
    assert assert_success(response)["checkpoint"]["file_name"] == "网.zip"


# --- The field "root" -----------------------------------------------------------------------

NESTED = {
    "README.md": b"readme",
    "dist/index.html": b"dist",
    "dist/css/site.css": b"css",
    "dist2/index.html": b"dist2",
    "网站/index.html": b"cn",
    "a/b/c/index.html": b"deep",
    "empty/": b"",
}


@pytest.mark.parametrize(
    ("root", "tree"),
    [
        ("dist", {"index.html": b"dist", "css/site.css": b"css"}),
        ("dist/", {"index.html": b"dist", "css/site.css": b"css"}),
        ("./dist", {"index.html": b"dist", "css/site.css": b"css"}),
        ("dist/css", {"site.css": b"css"}),
        ("dist2", {"index.html": b"dist2"}),
        ("网站", {"index.html": b"cn"}),
        ("a/b/c", {"index.html": b"deep"}),
        ("a", {"b/c/index.html": b"deep"}),
        ("", {path: content for path, content in NESTED.items() if not path.endswith("/")}),
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tree_as_tar])
def test_the_root_field_publishes_one_folder(
    admin: Admin, data: Path, root: str, tree: dict[str, bytes], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    assert_success(admin.deploy(pack(NESTED), "a.zip" if pack is zip_of else "a.tgz", root=root))
    assert tree_of(root_of(data)) == tree


@pytest.mark.parametrize(
    "root",
    [
        "nowhere",
        "dis",
        "DIST",
        "dist/nowhere",
        "README.md",
        "dist/index.html",
        "dist/index.html/x",
        "..",
        "dist/../dist",
        "/etc",
        "../dist",
        "C:/dist",
        "dist\x00",
        "d\x01",
        "empty",
    ],
)
def test_a_root_that_is_no_folder_with_files_is_refused(admin: Admin, data: Path, root: str) -> None:
    admin.deployed({"index.html": b"old"})
    before = everything_below(data)
    assert_failure(admin.deploy(zip_of(NESTED), root=root), 400)
    assert everything_below(data) == before


def test_what_is_outside_of_root_is_judged_all_the_same(admin: Admin) -> None:
    message = assert_failure(admin.deploy(zip_of({"../x": b"", **NESTED}), root="dist"), 400)
    assert message.startswith("解压 zip 失败: ")


def test_the_root_field_may_stand_before_or_after_the_file(admin: Admin, data: Path) -> None:
    for parts in itertools.permutations([part("root", b"dist2"), part("file", zip_of(NESTED), "a.zip")]):
        admin.deployed({"index.html": b"between"})
        assert_success(send(admin, b"".join(parts) + END))
        assert tree_of(root_of(data)) == {"index.html": b"dist2"}


def test_the_stored_archive_of_a_root_holds_that_folder_alone(admin: Admin, data: Path) -> None:
    checkpoint = admin.deployed(NESTED, root="dist")
    with tarfile.open(stored_archive(data, checkpoint)) as stored:
        assert sorted(stored.getnames()) == ["css", "css/site.css", "index.html"]


# --- Warnings about the index ---------------------------------------------------------------


def warnings_of(admin: Admin, files: dict[str, bytes], **form: str) -> list[str]:
    return list(assert_success(admin.deploy(zip_of(files), **form)).get("warnings", []))


def test_an_index_at_the_root_gives_no_warnings(admin: Admin) -> None:
    assert "warnings" not in assert_success(admin.deploy(zip_of({"index.html": b"", "a/index.html": b""})))


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ({"dist/index.html": b""}, "dist"),
        ({"网站/index.html": b"", "网站/a.css": b""}, "网站"),
        ({"a/b/c/index.html": b""}, "a/b/c"),
        ({"a/b/index.html": b"", "z/index.html": b""}, "z"),
    ],
)
def test_an_index_elsewhere_succeeds_with_a_warning_that_names_the_folder(
    admin: Admin, files: dict[str, bytes], folder: str
) -> None:
    (warning,) = warnings_of(admin, files)
    assert folder in warning
    assert "index.html" in warning


@pytest.mark.parametrize("files", [{"readme.txt": b""}, {"INDEX.HTML": b""}, {"index.htm": b""}, {"xindex.html": b""}])
def test_a_site_without_any_index_succeeds_with_a_warning(admin: Admin, files: dict[str, bytes]) -> None:
    (warning,) = warnings_of(admin, files)
    assert "index.html" in warning


def test_the_folder_that_a_warning_names_works_as_root(admin: Admin) -> None:
    files = {"a/b/index.html": b"found"}
    assert warnings_of(admin, files)
    assert warnings_of(admin, files, root="a/b") == []
    assert admin.visit("/").data == b"found"


def test_the_warning_is_about_the_site_s_own_index(admin: Admin) -> None:
    admin.create("docs", index="home.html")
    reply = assert_success(admin.deploy(zip_of({"index.html": b""}), site="default/docs"))
    assert "home.html" in reply["warnings"][0]
    assert "warnings" not in assert_success(admin.deploy(zip_of({"home.html": b""}), site="default/docs"))


# --- Limits ---------------------------------------------------------------------------------


@pytest.fixture
def limited(make_app: Callable[..., Flask]) -> Callable[..., Admin]:
    """An admin with a site that has one version, under these limits."""

    def make(**limits: int) -> Admin:
        admin = Admin(make_app(**limits).test_client())
        admin.create("blog")
        admin.deployed({"index.html": b"old"})
        return admin

    return make


def noise_zip(size: int) -> bytes:
    """A zip of exactly this many bytes."""
    buffer = io.BytesIO()
    empty = len(stored_zip({"index.html": b""}))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("index.html"), os.urandom(size - empty))
    assert len(buffer.getvalue()) == size
    return buffer.getvalue()


def test_an_upload_of_exactly_the_limit_is_accepted(limited: Callable[..., Admin]) -> None:
    assert_success(limited(max_upload_bytes=5_000).deploy(noise_zip(5_000)))


@pytest.mark.parametrize("size", [5_001, 100_000, 3_000_000])
def test_an_upload_over_the_limit_is_a_413_that_says_which_and_how_much(
    limited: Callable[..., Admin], size: int
) -> None:
    message = assert_failure(limited(max_upload_bytes=5_000).deploy(noise_zip(size)), 413)
    assert "max_upload_bytes" in message
    assert "5000" in message


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_unpacked_bytes_of_exactly_the_limit_are_accepted(
    limited: Callable[..., Admin], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    archive = pack({"index.html": bytes(60_000), "b": bytes(40_000)})
    assert_success(limited(max_unpacked_bytes=100_000).deploy(archive, "a.zip" if pack is zip_of else "a.tgz"))


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize("files", [{"index.html": bytes(100_001)}, {"index.html": bytes(60_000), "b": bytes(40_001)}])
def test_unpacked_bytes_over_the_limit_are_a_413_that_says_which_and_how_much(
    limited: Callable[..., Admin], pack: Callable[[dict[str, bytes]], bytes], files: dict[str, bytes]
) -> None:
    admin = limited(max_unpacked_bytes=100_000)
    message = assert_failure(admin.deploy(pack(files), "a.zip" if pack is zip_of else "a.tgz"), 413)
    assert "max_unpacked_bytes" in message
    assert "100000" in message


@pytest.mark.parametrize("pack", [zip_of, tree_as_tar])
def test_as_many_files_as_the_limit_are_accepted(
    limited: Callable[..., Admin], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    archive = pack({f"{n}.html": b"" for n in range(5)})
    assert_success(limited(max_files=5).deploy(archive, "a.zip" if pack is zip_of else "a.tgz"))


@pytest.mark.parametrize("pack", [zip_of, tree_as_tar])
@pytest.mark.parametrize(
    "names",
    [["1", "2", "3", "4", "5", "6"], ["1/", "2/", "3/", "4/", "5/", "index.html"]],
    ids=["files", "folders"],
)
def test_more_files_than_the_limit_are_a_413_that_says_which_and_how_much(
    limited: Callable[..., Admin], pack: Callable[[dict[str, bytes]], bytes], names: list[str]
) -> None:
    archive = pack(dict.fromkeys(names, b""))
    message = assert_failure(limited(max_files=5).deploy(archive, "a.zip" if pack is zip_of else "a.tgz"), 413)
    assert "max_files" in message
    assert "5" in message


@pytest.mark.parametrize(
    ("limits", "archive"),
    [
        ({"max_upload_bytes": 5_000}, noise_zip(5_001)),
        ({"max_upload_bytes": 5_000}, noise_zip(3_000_000)),
        ({"max_unpacked_bytes": 1_000}, zip_of({"index.html": b"new", "big": bytes(5_000_000)})),
        ({"max_files": 5}, zip_of({f"{n}.html": b"" for n in range(50)})),
    ],
    ids=["upload", "upload-far", "unpacked", "files"],
)
def test_an_upload_over_a_limit_leaves_the_old_site_and_no_litter(
    limited: Callable[..., Admin], data: Path, limits: dict[str, int], archive: bytes
) -> None:
    admin = limited(**limits)
    before = everything_below(data)
    assert_failure(admin.deploy(archive), 413)
    assert everything_below(data) == before
    assert admin.visit("/").data == b"old"


# --- What a refusal leaves ------------------------------------------------------------------

REFUSED: dict[str, tuple[str, bytes]] = {
    "symlink": ("a.tgz", with_entry(tarfile.SYMTYPE, linkname="index.html")),
    "symlink out": ("a.tgz", with_entry(tarfile.SYMTYPE, linkname="/etc/passwd")),
    "hard link": ("a.tgz", with_entry(tarfile.LNKTYPE, linkname="index.html")),
    "device": ("a.tgz", with_entry(tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "fifo": ("a.tgz", with_entry(tarfile.FIFOTYPE)),
    "absolute": ("a.tgz", tar_of({"index.html": b"bad", "/tmp/x": b""})),
    "parent": ("a.tgz", tar_of({"index.html": b"bad", "a/../../x": b""})),
    "zip parent": ("a.zip", zip_of({"index.html": b"bad", "../x": b""})),
    "zip backslash parent": ("a.zip", zip_of({"index.html": b"bad", "..\\x": b""})),
    "zip drive": ("a.zip", zip_of({"index.html": b"bad", "C:\\x": b""})),
    "zip crc": ("a.zip", damaged_zip()),
    "zip cut": ("a.zip", zip_of(SITE)[:-10]),
    "zip trailing": ("a.zip", zip_of(SITE) + b"more"),
    "tar cut": ("a.tar.gz", tar_of(SITE)[:-10]),
    "tar trailing": ("a.tar.gz", tar_of(SITE) + b"more"),
    "file where a folder is needed": ("a.zip", zip_of({"index.html": b"bad", "a": b"", "a/b": b""})),
    "nothing": ("a.zip", zip_of({})),
    "only folders": ("a.zip", zip_of({"a/": b"", "b/c/": b""})),
    "only rubbish": ("a.zip", zip_of({"__MACOSX/._a": b"", ".DS_Store": b""})),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_upload_leaves_the_old_site_no_checkpoint_and_no_litter(admin: Admin, data: Path, case: str) -> None:
    admin.deployed({"index.html": b"old", "a/b.css": b"old"})
    before = everything_below(data)
    name, archive = REFUSED[case]
    assert_failure(admin.deploy(archive, name), 400)
    assert everything_below(data) == before
    assert list((data / "work").iterdir()) == []
    assert admin.visit("/").data == b"old"


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_upload_leaves_a_new_site_as_it_was(admin: Admin, data: Path, case: str) -> None:
    before = everything_below(data)
    name, archive = REFUSED[case]
    assert_failure(admin.deploy(archive, name), 400)
    assert everything_below(data).keys() - before.keys() <= {"locks/sites/default/blog"}
    assert admin.checkpoints() == {"current": None, "checkpoints": [], "total": 0}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_archive_s_message_begins_as_the_seed_has_it(admin: Admin, case: str) -> None:
    name, archive = REFUSED[case]
    message = assert_failure(admin.deploy(archive, name), 400)
    assert message.startswith("解压 zip 失败: " if name == "a.zip" else "解压 tar.gz 失败: ")
    assert len(message) > len("解压 tar.gz 失败: ")


def test_a_refusal_names_no_path_of_the_server(admin: Admin, tmp_path: Path) -> None:
    for name, archive in REFUSED.values():
        assert str(tmp_path) not in assert_failure(admin.deploy(archive, name), 400)


def test_a_good_deploy_after_a_refused_one_works(admin: Admin) -> None:
    name, archive = REFUSED["symlink"]
    assert_failure(admin.deploy(archive, name), 400)
    admin.deployed(SITE)
    assert admin.visit("/").data == SITE["index.html"]


def test_an_accepted_deploy_leaves_the_work_folder_empty(admin: Admin, data: Path) -> None:
    admin.deployed(SITE)
    assert list((data / "work").iterdir()) == []


# --- Order of judgement ---------------------------------------------------------------------


@pytest.fixture
def alice(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Admin]:
    """A tenant, beside a site ``default/blog`` that is not hers."""
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "secret"\n')
    client = make_app().test_client()
    Admin(client).create("blog")
    return Admin(client, "alice", "secret")


BAD_FORM = {"data": b"", "content_type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("site", ["default/nowhere", "nobody/blog", "default/..", "default/%00", "a" * 200 + "/b"])
def test_a_deploy_to_an_unknown_site_is_a_404(admin: Admin, data: Path, site: str) -> None:
    before = everything_below(data)
    assert_failure(admin.deploy(ARCHIVE, site=site), 404, "站点不存在")
    assert everything_below(data) == before


@pytest.mark.parametrize("site", ["default/blog", "default/nowhere"])
def test_a_bad_form_goes_before_whose_the_site_is(alice: Admin, site: str) -> None:
    assert_failure(alice.post(f"/_api/sites/{site}/deploy", **BAD_FORM), 400, "缺少文件")
    assert_failure(alice.deploy(ARCHIVE, "a.rar", site=site), 400, UNSUPPORTED)


@pytest.mark.parametrize("site", ["default/blog", "default/nowhere"])
def test_whose_the_site_is_goes_before_its_existence(alice: Admin, site: str) -> None:
    assert_failure(alice.deploy(ARCHIVE, site=site), 403, "权限不足")


def test_a_bad_form_goes_before_existence(admin: Admin) -> None:
    assert_failure(admin.post("/_api/sites/default/nowhere/deploy", **BAD_FORM), 400, "缺少文件")
    assert_failure(admin.deploy(ARCHIVE, "a.rar", site="default/nowhere"), 400, UNSUPPORTED)


def test_credentials_go_before_the_form(admin: Admin) -> None:
    stranger = Admin(admin.client, "admin", "wrong")
    assert_failure(stranger.post(DEPLOY, **BAD_FORM), 401, "认证失败")
    assert_failure(stranger.deploy(ARCHIVE), 401, "认证失败")


def test_a_tenant_deploys_to_its_own_site(alice: Admin) -> None:
    alice.create("mine")
    alice.deployed(SITE, site="alice/mine")
    assert alice.visit("/", "mine.localhost").data == SITE["index.html"]


def test_a_refused_tenant_leaves_nothing(alice: Admin, data: Path) -> None:
    before = everything_below(data)
    assert_failure(alice.deploy(ARCHIVE), 403)
    assert everything_below(data) == before
