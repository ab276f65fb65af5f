"""``pages deploy``: what is served is the folder, or nothing has changed."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client.people import Person
from helpers import Admin, tree_of, zip_of

from pages.client import folder as folders
from pages.client.exits import Failed
from pages.client.folder import look_into
from pages.client.packing import packed

CONTENT: dict[str, bytes | str] = {
    "index.html": "<h1>Hello</h1>",
    "css/style.css": "body { color: #222 }" * 100,
    "empty.txt": "",
    "img/" + "long-" * 40 + "name.bin": bytes(range(256)) * 2000,
    "中文/页面.html": "<p>你好</p>",
    "a name with spaces & signs.txt": "x",
    "no files/in here/": "",
}


def live(data: Path) -> dict[str, bytes]:
    """What is served of default/blog."""
    return tree_of(Path(os.path.realpath(data / "sites/default/blog")))


def test_what_is_served_is_the_folder(operator: Person, data: Path) -> None:
    site = operator.made(CONTENT)
    done = operator.ok("deploy", site)
    assert live(data) == tree_of(site)
    assert (data / "sites/default/blog/no files/in here").is_dir()
    assert done.out.startswith("Live: default/blog at checkpoint 2")
    assert "http://blog.localhost:" in done.out


def test_the_folder_one_is_in_is_deployed_unless_another_is_named(operator: Person, data: Path) -> None:
    site = operator.made({"index.html": "here", ".pages.toml": 'site = "default/blog"'}, "")
    del operator.settings["PAGES_SITE"]
    for name in ("home", "config.toml"):
        (site / ".pagesignore").open("a").write(f"{name}\n")
    operator.ok("deploy")
    assert live(data) == {"index.html": b"here"}


def test_the_folder_that_is_deployed_has_the_first_word_on_its_site(operator: Person, data: Path) -> None:
    del operator.settings["PAGES_SITE"]
    site = operator.made({"index.html": "x"})
    (operator.folder / ".pages.toml").write_text('site = "default/blog"')
    operator.ok("deploy", site)
    (site / ".pages.toml").write_text('site = "default/gone"')
    assert operator.run("deploy", site).status == 4
    assert live(data) == {"index.html": b"x"}


@pytest.mark.parametrize("name", ["site.zip", "site.tar.gz", "site.tgz", 'a "b" 中.zip'])
def test_an_archive_is_sent_as_it_is(operator: Person, data: Path, name: str) -> None:
    archive = operator.folder / name
    if name.endswith("zip"):
        archive.write_bytes(zip_of({"index.html": "packed"}))
    else:
        found = look_into(operator.made({"index.html": "packed"}))
        archive.write_bytes(b"".join(packed(found.files, found.folders, lambda _: None)))
    checkpoint = operator.ok("deploy", archive, "--json").json()["checkpoint"]
    assert live(data) == {"index.html": b"packed"}
    assert checkpoint["file_name"] == name


def test_a_folder_of_an_archive_can_be_the_site(operator: Person, data: Path) -> None:
    (operator.folder / "a.zip").write_bytes(zip_of({"dist/index.html": "inner", "src/x.js": "x"}))
    operator.ok("deploy", "a.zip", "--root", "dist")
    assert live(data) == {"index.html": b"inner"}


def test_the_same_folder_gives_the_same_bytes_in_any_order_at_any_time(person: Person) -> None:
    one, other = person.made(CONTENT, "one"), person.made(dict(reversed(CONTENT.items())), "other")
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    archives = [b"".join(packed(f.files, f.folders, lambda _: None)) for f in map(look_into, (one, other))]
    assert archives[0] == archives[1]


def test_nothing_is_kept_of_a_rehearsal(operator: Person, data: Path, admin: Admin) -> None:
    operator.ok("deploy", operator.made({"index.html": "one", "gone.txt": "x"}))
    (operator.folder / "site/gone.txt").unlink()
    done = operator.ok("deploy", operator.made({"index.html": "two", "new.txt": "y"}), "--dry-run")
    assert done.out.splitlines()[1:] == ["+ new.txt", "- gone.txt", "~ index.html"]
    assert live(data) == {"index.html": b"one", "gone.txt": b"x"}
    assert admin.checkpoints()["total"] == 1


def test_what_is_not_activated_is_stored_and_not_live(operator: Person, data: Path, admin: Admin) -> None:
    operator.ok("deploy", operator.made({"index.html": "one"}))
    done = operator.ok("deploy", operator.made({"index.html": "two"}), "--no-activate")
    assert "has not changed" in done.out
    assert live(data) == {"index.html": b"one"}
    assert admin.checkpoints()["total"] == 2


def test_a_deploy_on_another_version_than_expected_changes_nothing(operator: Person, data: Path) -> None:
    first = operator.ok("deploy", operator.made({"index.html": "one"}), "--json").json()["checkpoint"]["id"]
    operator.ok("deploy", operator.made({"index.html": "two"}), "--if-match", first)
    refused = operator.run("deploy", operator.made({"index.html": "three"}), "--if-match", first)
    assert refused.status == 5
    assert live(data) == {"index.html": b"two"}


def test_a_site_is_created_only_when_asked(operator: Person, admin: Admin) -> None:
    site = operator.made({"index.html": "new"})
    missing = operator.run("deploy", site, "--site", "alice/new")
    assert missing.status == 4
    assert "--create --domain" in missing.err
    for _ in range(2):
        operator.ok("deploy", site, "--site", "alice/new", "--create", "--domain", "new.localhost")
    assert admin.visit(host="new.localhost").data == b"new"
    assert admin.checkpoints("alice/new")["total"] == 2


def test_warnings_of_the_server_are_shown(operator: Person) -> None:
    done = operator.ok("deploy", operator.made({"inner/index.html": "x"}), "--quiet")
    assert done.out == ""
    assert done.err.startswith("Warning: ")
    assert "inner" in done.err


# --- Links and odd files --------------------------------------------------------------------


def test_links_within_the_folder_are_followed(operator: Person, data: Path) -> None:
    site = operator.made({"index.html": "x", "real/page.html": "page"})
    (site / "linked.html").symlink_to("real/page.html")
    (site / "folder").symlink_to(site / "real")
    operator.ok("deploy", site)
    assert live(data) == {"index.html": b"x"} | {
        name: b"page" for name in ("real/page.html", "linked.html", "folder/page.html")
    }


def linked(target: str) -> Callable[[Path], None]:
    return lambda site: (site / "link").symlink_to(target)


def fifo(site: Path) -> None:
    os.mkfifo(site / "pipe")


def unix_socket(site: Path) -> None:
    os.chdir(site)  # A socket's path is short.
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (linked("/etc/passwd"), "out of the folder"),
        (linked("../secret"), "out of the folder"),
        (linked(".."), "out of the folder"),
        (linked("nowhere"), "link to nothing"),
        (linked("."), "a folder that it is in"),
        (linked("link"), "link"),
        (fifo, "neither a file nor a folder"),
        (unix_socket, "neither a file nor a folder"),
        (lambda site: (site / os.fsdecode(b"\xff.html")).write_text("x"), "not UTF-8"),
    ],
)
def test_what_cannot_be_published_is_refused_with_its_name(
    operator: Person, admin: Admin, make: Callable[[Path], Any], said: str
) -> None:
    site = operator.made({"index.html": "x"})
    (operator.folder / "secret").write_text("secret")
    make(site)
    done = operator.run("deploy", site)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert admin.checkpoints()["total"] == 0


def test_a_link_beside_the_folder_with_the_same_beginning_leads_out(operator: Person) -> None:
    operator.made({"x": "x"}, "site-private")
    site = operator.made({"index.html": "x"})
    (site / "link").symlink_to("../site-private/x")
    assert operator.run("deploy", site).status == 2


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten", "is replaced by a link", "is gone"])
@pytest.mark.parametrize("full", [True, False])
def test_a_file_that_changes_while_it_is_sent_publishes_nothing(
    operator: Person, admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch, change: str, full: bool
) -> None:
    operator.ok("deploy", operator.made({"index.html": "old"}))
    site = operator.made({"index.html": "new", "z.bin": os.urandom(400_000)})
    victim = site / "z.bin"

    def changed(path: Path) -> Any:
        found = look_into(path)
        if change == "grows":
            victim.write_bytes(victim.read_bytes() + b"more")
        elif change == "shrinks":
            os.truncate(victim, 10)
        elif change == "is rewritten":
            victim.write_bytes(bytes(400_000))
        else:
            victim.unlink()
            if change == "is replaced by a link":
                victim.symlink_to("/etc/passwd")
        return found

    monkeypatch.setattr("pages.client.deploy.look_into", changed)
    done = operator.run("deploy", site, *(["--full"] if full else []))
    assert done.status == 1
    assert "z.bin" in done.err
    assert live(data) == {"index.html": b"old"}
    assert admin.checkpoints()["total"] == 1


def test_a_file_that_changes_between_two_of_its_pieces_has_no_end(person: Person) -> None:
    site = person.made({"big.bin": bytes(600_000)})
    pieces = look_into(site).files[0].chunks()
    next(pieces)
    with open(site / "big.bin", "r+b") as file:  # Of the same size still.
        file.write(b"new")
    with pytest.raises(Failed):
        list(pieces)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "nothing to publish"),
        ({".git/config": "x", ".DS_Store": "x"}, "nothing to publish"),
        ({"package.json": "{}", "src/main.js": "x"}, "build it first"),
        ({"package.json": "{}", "dist/index.html": "x"}, "/site/dist"),
    ],
)
def test_a_folder_that_is_no_site_is_refused(operator: Person, content: dict[str, bytes | str], said: str) -> None:
    (operator.folder / "site").mkdir()
    done = operator.run("deploy", operator.made(content))
    assert done.status == 2
    assert said in done.err


def test_who_insists_publishes_a_folder_that_looks_like_sources(operator: Person, data: Path) -> None:
    operator.ok("deploy", operator.made({"package.json": "{}"}), "--yes")
    assert live(data) == {"package.json": b"{}"}


@pytest.mark.parametrize("folder", ["/", "home"])
def test_neither_the_root_nor_a_home_is_a_site(operator: Person, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = operator.made({"index.html": "x"}, "home")
    found = folders.Folder(home if folder == "home" else Path("/"), look_into(home).files, ())
    monkeypatch.setenv("HOME", str(home))
    assert str(folders.why_not(found)).endswith("is no site")


@pytest.mark.parametrize(
    "arguments",
    [
        ["site", "--create"],
        ["site", "--domain", "x.localhost"],
        ["site", "--root", "dist"],
        ["site", "--site", "nonsense"],
        ["site/index.html"],
        ["missing"],
    ],
)
def test_a_deploy_that_cannot_be_meant_is_a_usage_error(operator: Person, arguments: list[str]) -> None:
    operator.made({"index.html": "x"})
    assert operator.run("deploy", *arguments).status == 2
