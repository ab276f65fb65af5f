"""A repeated deploy sends what the server does not have, and the outcome is the same as of a whole upload."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from client.people import Answer, Person, Script, told
from client.test_deploying import live
from flask import Flask
from helpers import Admin, tree_of

from pages.client.digests import digests_of
from pages.client.folder import look_into

SITE: dict[str, bytes | str] = {f"pages/{number}.html": f"page {number}" for number in range(40)} | {
    "index.html": "home",
    "copy.html": "home",
    "big.bin": bytes(range(256)) * 1000,
    "空/页.html": "你好",
    "empty/": "",
}


@pytest.fixture
def uploads(app: Flask) -> list[int]:
    """The bytes of each request that is made from now on."""
    sizes: list[int] = []
    inner = app.wsgi_app

    def counting(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        sizes.append(0)

        class Counted:
            def read(self, *size: int) -> bytes:
                data: bytes = stream.read(*size)
                sizes[-1] += len(data)
                return data

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

        return inner({**environ, "wsgi.input": Counted()}, start_response)

    app.wsgi_app = counting  # type: ignore[method-assign]
    return sizes


def changed(site: Path) -> None:
    (site / "pages/7.html").write_text("page 7, changed")
    (site / "pages/new.html").write_text("new")
    (site / "pages/8.html").unlink()


def test_a_repeated_deploy_is_what_a_whole_upload_would_be(operator: Person, admin: Admin, data: Path) -> None:
    site = operator.made(SITE)
    operator.ok("deploy", site)
    changed(site)
    done = operator.ok("deploy", site)
    by_parts, archive = live(data), newest_archive(data)
    assert "Sent 2 of 44 files" in done.err
    operator.ok("deploy", site, "--full")
    assert by_parts == live(data) == tree_of(site)
    assert (data / "sites/default/blog/empty").is_dir()
    ids = [each["id"] for each in admin.checkpoints()["checkpoints"]]
    assert ids[0][-8:] == ids[1][-8:] != ids[2][-8:]
    assert newest_archive(data) == archive


def newest_archive(data: Path) -> list[tuple[str, bytes, int]]:
    """The entries of the newest checkpoint's archive, in their order."""
    path = max((data / "sites-checkpoints/default/blog/checkpoints").iterdir())
    with tarfile.open(path) as archive:
        return [(entry.name, entry.type, entry.mode) for entry in archive]


def test_only_what_changed_is_sent(operator: Person, uploads: list[int]) -> None:
    site = operator.made({**SITE, "noise.bin": os.urandom(2_000_000)})
    operator.ok("deploy", site)
    uploads.clear()
    changed(site)
    operator.ok("deploy", site)
    assert sum(uploads) < 20_000


def test_what_is_there_already_takes_no_archive(operator: Person, uploads: list[int], admin: Admin) -> None:
    site = operator.made(SITE)
    operator.ok("deploy", site)
    uploads.clear()
    operator.ok("deploy", site)
    done = operator.ok("deploy", site, "--message", "again")
    assert "Sent 0 of 44 files, 0 B of" in done.err
    assert sum(uploads) < 20_000
    assert [each["description"] for each in admin.checkpoints()["checkpoints"]] == ["again", *["部署: site.tar.gz"] * 2]


def test_terms_hold_for_a_repeated_deploy(operator: Person, admin: Admin, data: Path) -> None:
    site = operator.made(SITE)
    first = operator.ok("deploy", site, "--json").json()["checkpoint"]["id"]
    changed(site)
    assert operator.run("deploy", site, "--if-match", "20250101-000000-00000000").status == 5
    assert "~ pages/7.html" in operator.ok("deploy", site, "--dry-run").out
    operator.ok("deploy", site, "--no-activate")
    assert admin.checkpoints()["current"] == first
    assert live(data)["pages/7.html"] == b"page 7"


def test_an_unchanged_file_is_not_read_again(person: Person) -> None:
    site = person.made({"old.txt": "old", "young.txt": "young"})
    environ = person.environment()
    found = look_into(site)
    aged = settled(found.files)
    read: list[int] = []
    first = digests_of(type(found)(found.path, aged, ()), environ, read.append)
    (site / "old.txt").unlink()  # It cannot be read any more.
    old = tuple(file for file in aged if file.path == "old.txt")
    assert digests_of(type(found)(found.path, old, ()), environ, read.append) == {"old.txt": first["old.txt"]}


def settled(files: Any) -> Any:
    """These files as if they had been written long ago."""
    import dataclasses

    class Aged(type(files[0])):  # type: ignore[misc]
        def _check(self, descriptor: int) -> None:
            pass

    return tuple(
        Aged(**{**{f.name: getattr(file, f.name) for f in dataclasses.fields(file)},
                "identity": (*file.identity[:3], 1_000, 1_000)})
        for file in files
    )  # fmt: skip


def test_a_file_that_was_just_written_is_read_again(person: Person) -> None:
    site = person.made({"a.txt": "one"})
    environ = person.environment()
    before = look_into(site)
    one = digests_of(before, environ, lambda _: None)
    cache = next((person.folder / "cache/pages").iterdir())
    assert json.loads(cache.read_bytes()) == []
    assert cache.stat().st_mode & 0o777 == 0o600
    (site / "a.txt").write_text("two")
    assert digests_of(look_into(site), environ, lambda _: None) != one


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[[1]]", b'{"a": 1}'])
def test_a_damaged_cache_is_no_cache(person: Person, content: bytes) -> None:
    found = look_into(person.made({"a.txt": "one"}))
    right = digests_of(found, person.environment(), lambda _: None)
    next((person.folder / "cache/pages").iterdir()).write_bytes(content)
    assert digests_of(found, person.environment(), lambda _: None) == right


# --- Servers that cannot, or not any more ---------------------------------------------------

DEPLOYED = told(200, "ok", {"username": "default", "id": "blog", "checkpoint": {"id": "20260101-000000-00000000"}})
ROUTE_MISSING = told(404, "接口不存在")


def asks(person: Person, answers: list[Answer], *arguments: str) -> tuple[Any, Script]:
    with Script(answers) as script:
        done = person.run(
            "deploy", person.made(SITE), "--json", "-s", "default/blog", *arguments,
            PAGES_URL=script.url, PAGES_TOKEN="pages_0_1",
        )  # fmt: skip
    return done, script


@pytest.mark.parametrize("refusal", [ROUTE_MISSING, told(405, "请求方法不允许")])
@pytest.mark.parametrize("site", [told(200, "", {"id": "blog"}), told(403, "权限不足")])
def test_a_server_that_cannot_tell_what_it_lacks_gets_all(person: Person, refusal: Answer, site: Answer) -> None:
    done, script = asks(person, [refusal, site, DEPLOYED])
    assert done.status == 0, done.err
    assert [asked.path.rpartition("/")[2] for asked in script.asked] == ["missing", "blog", "deploy"]
    assert b'name="manifest"' not in script.asked[-1].body


def test_nothing_is_sent_to_a_site_that_is_not_there(person: Person) -> None:
    done, script = asks(person, [told(404, "站点不存在"), told(404, "站点不存在")])
    assert done.status == 4
    assert len(script.asked) == 2


def test_what_has_gone_from_the_server_meanwhile_is_sent_as_well(person: Person) -> None:
    digests = digests_of(look_into(person.made(SITE)), person.environment(), lambda _: None)
    answers = [
        told(200, "", {"missing": [digests["pages/1.html"]]}),
        told(409, "服务器缺少部分文件，请补充上传", {"missing": [digests["pages/2.html"]]}),
        DEPLOYED,
    ]
    done, script = asks(person, answers)
    assert done.status == 0, done.err
    keys = {asked.headers["Idempotency-Key"] for asked in script.asked[1:]}
    assert len(keys) == 1
    manifests = [asked.body.split(b"\r\n\r\n")[1].split(b"\r\n--")[0] for asked in script.asked[1:]]
    assert [json.loads(each)["folders"] for each in manifests] == [["empty"], ["empty"]]
    assert json.loads(manifests[0])["files"] == digests
    assert [sent(asked.body) for asked in script.asked[1:]] == [["pages/1.html"], ["pages/1.html", "pages/2.html"]]


def sent(form: bytes) -> list[str]:
    """The names in the archive of a form."""
    archive = form.split(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    with tarfile.open(fileobj=io.BytesIO(archive)) as entries:
        return entries.getnames()


def test_full_asks_nothing_and_sends_all(person: Person) -> None:
    done, script = asks(person, [DEPLOYED], "--full")
    assert done.status == 0, done.err
    assert len(script.asked) == 1


def test_a_first_deploy_is_an_ordinary_upload(person: Person) -> None:
    digests = digests_of(look_into(person.made(SITE)), person.environment(), lambda _: None)
    done, script = asks(person, [told(200, "", {"missing": sorted(set(digests.values()))}), DEPLOYED])
    assert done.status == 0, done.err
    assert len(script.asked) == 2
