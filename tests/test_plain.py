"""An uploaded tar.gz that is plain becomes the checkpoint's archive as it is; any other is written anew."""

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import archive_corpus
import pytest
from archive_corpus import Harmless
from archive_corpus.tars import END, GNU, HOME, V7, entry, every, folder, gz, gz_checked, long, page, pax, tar_of
from helpers import tree_of

from pages.archive import Limits, Plainness, read_archive, read_stored_archive
from pages.config import Config
from pages.errors import BadArchive, TooLarge
from pages.model import Site, now
from pages.services import Services, build_services
from pages.staging import Staging
from pages.uploads import Sent

LIMITS = Limits(max_files=100_000, max_unpacked_bytes=256 * 1024 * 1024)


@pytest.fixture
def services(make_config: Callable[..., Config]) -> Services:
    services = build_services(make_config())
    services.recover()
    return services


@pytest.fixture
def site(services: Services) -> Site:
    fields = {"id": "blog", "username": "default", "domain": "blog.localhost", "index": "index.html", "enabled": True}
    return services.publisher.create(fields, now())


@pytest.fixture
def stored(services: Services, site: Site, tmp_path: Path) -> Callable[..., bytes]:
    """Deploy a tar.gz; returns the archive of its checkpoint."""

    def deploy(data: bytes, root: str = "") -> bytes:
        upload = tmp_path / "upload"
        upload.unlink(missing_ok=True)
        upload.write_bytes(data)
        made = services.publisher.deploy(site, Sent(upload, "site.tar.gz", root), now()).checkpoint
        return services.histories.archive(site, made.id).read_bytes()

    return deploy


def unpacked_by_tar(data: bytes, folder: Path) -> tuple[dict[str, bytes], str]:
    """What ``tar xzf`` makes of an archive, and what it says about it."""
    folder.mkdir()
    (folder.parent / "by-tar.tar.gz").write_bytes(data)
    command = ["tar", "xzf", str(folder.parent / "by-tar.tar.gz"), "-C", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return tree_of(folder), done.stderr


def is_plain(data: bytes) -> bool:
    plainness = Plainness()
    for _ in read_archive(io.BytesIO(data), "tar.gz", LIMITS, plainness):
        pass
    return plainness.holds


def by_python(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for name in ("index.html", "a/b.txt", "文档/说明.html", "n" * 90 + "/" + "m" * 90):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 3, 1_700_000_000
            archive.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


PLAIN = {
    "usual": gz(tar_of(folder("a", mode=b"0000755\0"), page("a/b.html"))),
    "with-a-dot": gz(folder("./", mode=b"0000755\0") + entry("./index.html", b"x") + END),
    "group-may-write": gz(tar_of(page(mode=b"0000664\0"))),
    "numbers-end-in-a-space": gz(tar_of(page(mode=b"000644 \0", uid=b"001750 \0", gid=b"001750 \0"))),
    "long-name-of-gnu": gz(tar_of(long("n" * 200 + ".html"), page(magic=GNU))),
    "pax-times": gz(tar_of(pax(mtime="1700000000.5", atime="1700000000"), page())),
    "a-commit-s-id": gz(every(comment="0123abc") + HOME + END),
    "name-of-the-file": gz(HOME + END, 8, b"site.tar\0"),
    "python-pax": by_python(tarfile.PAX_FORMAT),
    "python-gnu": by_python(tarfile.GNU_FORMAT),
}
NOT_PLAIN = {
    "rubbish": gz(tar_of(page("a/.DS_Store"))),
    "rubbish-folder": gz(tar_of(page("__MACOSX/._index.html"))),
    "setuid": gz(tar_of(page(mode=b"0004755\0"))),
    "setgid": gz(tar_of(page(mode=b"0002755\0"))),
    "sticky": gz(tar_of(folder("a", mode=b"0001755\0"))),
    "anybody-may-write": gz(tar_of(page(mode=b"0000646\0"))),
    "anybody-may-write-a-folder": gz(tar_of(folder("a", mode=b"0000777\0"))),
    "owner-may-not-read": gz(tar_of(page(mode=b"0000244\0"))),
    "owner-may-not-write": gz(tar_of(page(mode=b"0000444\0"))),
    "owner-may-not-enter": gz(tar_of(folder("a", mode=b"0000644\0"))),
    "root-s-mode": gz(folder("./", mode=b"0000555\0") + entry("./index.html", b"x") + END),
    "mode-with-a-type": gz(tar_of(page(mode=b"0100644\0"))),
    "mode-missing": gz(tar_of(page(mode=b""))),
    "time-is-no-number": gz(tar_of(page(mtime=b"yesterday"))),
    "owner-is-no-number": gz(tar_of(page(uid=b"nobody"))),
    "binary-size": gz(tar_of(page(data=b"x", size=b"\x80" + (1).to_bytes(11, "big")))),
    "short-size": gz(tar_of(page(data=b"x", size=b"1"))),
    "doubled-slash": gz(tar_of(page("a//b.html"))),
    "dot-within": gz(tar_of(page("a/./b.html"))),
    "two-dots-in-front": gz(tar_of(page("././b.html"))),
    "folder-of-type-file": gz(tar_of(entry("a/"))),
    "file-of-type-nul": gz(tar_of(page(kind=b"\0"))),
    "file-of-type-7": gz(tar_of(page(kind=b"7"))),
    "old-format": gz(tar_of(page(magic=V7))),
    "target-of-no-link": gz(tar_of(page(linkname=b"index.html"))),
    "gnu-with-other-fields": gz(tar_of(page(magic=GNU, prefix=b"14371541372\0"))),
    "end-of-header": gz(tar_of(page(rest=b"tar\0"))),
    "pax-size": gz(tar_of(pax(size="1"), page(data=b"x"))),
    "pax-charset": gz(tar_of(pax(hdrcharset="BINARY"), page())),
    "pax-attribute": gz(tar_of(pax(SCHILY_xattr_user_a="b"), page())),
    "pax-time": gz(tar_of(pax(mtime="soon"), page())),
    "pax-global-time": gz(tar_of(every(mtime="soon"), page())),
    "long-name-without-its-end": gz(tar_of(long("n", end=b""), page(magic=GNU))),
    "global-header-at-the-end": gz(HOME + every(comment="0123abc") + END),
    "two-members": gz(HOME) + gz(END),
    "zeros-after-the-member": gz(HOME + END) + bytes(512),
    "half-a-block-at-the-end": gz(HOME + END + bytes(100)),
    "checksum-of-the-header": gz_checked(HOME + END, 0, b""),
    "comment-in-gzip": gz(HOME + END, 16, b"comment\0"),
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_a_plain_tar_gz_is_kept_byte_for_byte_and_every_tar_makes_the_same_of_it(
    stored: Callable[..., bytes], services: Services, site: Site, tmp_path: Path, data: bytes
) -> None:
    assert stored(data) == data
    served = tree_of(services.paths.site_root("default", "blog").resolve())
    assert unpacked_by_tar(data, tmp_path / "by-tar") == (served, "")
    assert_digest_of_id(services, site, data)


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_any_other_tar_gz_is_written_anew_as_a_plain_one(
    stored: Callable[..., bytes], services: Services, site: Site, tmp_path: Path, data: bytes
) -> None:
    written = stored(data)
    assert written != data
    assert is_plain(written)
    served = tree_of(services.paths.site_root("default", "blog").resolve())
    assert unpacked_by_tar(written, tmp_path / "by-tar") == (served, "")
    assert_digest_of_id(services, site, written)


def assert_digest_of_id(services: Services, site: Site, archive: bytes) -> None:
    current = services.histories.read(site).current
    again = Staging(services.paths.work / "again")
    again.add(read_stored_archive(io.BytesIO(archive)), None)
    assert current
    assert again.digest().startswith(current[-8:])


def test_one_folder_of_a_tar_gz_is_written_anew(stored: Callable[..., bytes], tmp_path: Path) -> None:
    written = stored(PLAIN["usual"], "a")
    with tarfile.open(fileobj=io.BytesIO(written)) as archive:
        assert archive.getnames() == ["b.html"]


def test_a_kept_archive_outlives_the_upload_and_gives_the_site_again(
    stored: Callable[..., bytes], services: Services, site: Site, tmp_path: Path
) -> None:
    stored(PLAIN["usual"])
    first = services.histories.read(site).current
    (tmp_path / "upload").unlink()
    stored(PLAIN["python-pax"])
    assert first
    services.upkeep.clear_cache()
    services.publisher.checkout(site, first, now())
    assert set(tree_of(services.paths.site_root("default", "blog").resolve())) == {"index.html", "a/b.html"}


def test_an_upload_on_another_disk_is_copied(stored: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert stored(PLAIN["usual"]) == PLAIN["usual"]


def by_name(case: Harmless) -> str:
    return case.name


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_what_tar_and_bsdtar_make_of_a_folder_is_plain(tmp_path: Path, tool: str) -> None:
    (tmp_path / "site/a").mkdir(parents=True)
    (tmp_path / "site/index.html").write_bytes(b"home")
    (tmp_path / "site/a" / ("long" * 50)).write_bytes(b"x" * 1000)
    (tmp_path / "site/a/说明.html").write_bytes(b"x")
    for path in (tmp_path / "site").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "site").chmod(0o755)
    subprocess.run([tool, "czf", tmp_path / "a.tgz", "-C", tmp_path / "site", "."], check=True)
    assert is_plain((tmp_path / "a.tgz").read_bytes())


@pytest.mark.parametrize(
    "case", [case for case in archive_corpus.HARMLESS if not case.filename.endswith(".zip")], ids=by_name
)
def test_a_harmless_archive_that_is_plain_is_unpacked_by_tar_to_its_tree(tmp_path: Path, case: Harmless) -> None:
    if is_plain(case.data):
        files = {path: content for path, content in case.tree.items() if not path.endswith("/")}
        assert unpacked_by_tar(case.data, tmp_path / "by-tar") == (files, "")


def test_a_mutant_that_is_plain_is_unpacked_by_tar_to_what_was_read(tmp_path: Path) -> None:
    wrong = {}
    for number, (name, data) in enumerate(archive_corpus.mutants(seed=20_250_314, count=1500)):
        plainness = Plainness()
        tree = {}
        try:
            if name.endswith(".zip"):
                continue
            for item in read_archive(io.BytesIO(data), "tar.gz", LIMITS, plainness):
                content = b"".join(item.chunks)
                if not item.is_folder:
                    tree[item.path] = content
        except (BadArchive, TooLarge):
            continue
        if plainness.holds and unpacked_by_tar(data, tmp_path / str(number)) != (tree, ""):
            wrong[name] = unpacked_by_tar(data, tmp_path / f"{number}-again")[1]
    assert wrong == {}


# --- The thread that inflates ---------------------------------------------------------------


def test_a_reader_that_is_closed_or_fails_leaves_no_thread() -> None:
    before = threading.active_count()
    large = gz(tar_of(page("large", os.urandom(4_000_000))), level=1)
    reader = read_archive(io.BytesIO(large), "tar.gz", LIMITS)
    next(reader)
    reader.close()
    assert threading.active_count() == before
    with pytest.raises(BadArchive):
        for _ in read_archive(io.BytesIO(large[:-9]), "tar.gz", LIMITS):
            pass
    assert threading.active_count() == before


def test_a_deploy_that_fails_while_it_unpacks_leaves_no_thread(
    stored: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        stored(gz(tar_of(page("large", os.urandom(4_000_000))), level=1))
    assert threading.active_count() == before
    assert caught.value.errno == 28
