"""What of a folder is published, by ``.pagesignore`` and without it."""

import inspect
import os
import sys

import pytest
from client.people import Person

from pages.client.exits import Failed
from pages.client.folder import look_into

ALWAYS: dict[str, bytes | str] = dict.fromkeys(
    [
        "index.html", "a/b/page.html", "a/b/draft.md", "a/notes.md", "build/x.js", "a/build/y.js", "back up/z.txt",
        "#odd", "!odd", ".well-known/security.txt", "中文.md",
    ],
    "x",
)  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "left_out"),
    [
        ("", []),
        ("# a comment\n\n   \n", []),
        ("*.md", ["a/b/draft.md", "a/notes.md", "中文.md"]),
        ("*.md\n!notes.md", ["a/b/draft.md", "中文.md"]),
        ("/*.md", ["中文.md"]),
        ("build", ["build/x.js", "a/build/y.js"]),
        ("build/", ["build/x.js", "a/build/y.js"]),
        ("/build", ["build/x.js"]),
        ("a/build", ["a/build/y.js"]),
        ("a/**/draft.md", ["a/b/draft.md"]),
        ("a/*\n!a/b", ["a/notes.md", "a/build/y.js"]),
        ("a\n!a/b/page.html", ["a/b/page.html", "a/b/draft.md", "a/notes.md", "a/build/y.js"]),
        ("back up/", ["back up/z.txt"]),
        ("\\#odd\n\\!odd", ["#odd", "!odd"]),
        ("中*", ["中文.md"]),
        ("\ufeff*.md\r\n/build\r\n", ["a/b/draft.md", "a/notes.md", "中文.md", "build/x.js"]),
        (".*", [".well-known/security.txt"]),
    ],
)
def test_the_file_says_what_is_left_out(person: Person, lines: str, left_out: list[str]) -> None:
    site = person.made({**ALWAYS, ".pagesignore": lines})
    assert {file.path for file in look_into(site).files} == set(ALWAYS) - set(left_out)


RUBBISH: dict[str, bytes | str] = dict.fromkeys(
    [
        ".git/config", "a/.git/config", ".DS_Store", "a/.DS_Store", "Thumbs.db", "__MACOSX/x", ".pages.toml",
        "node_modules/x/index.js",
    ],
    "",
)  # fmt: skip


def test_what_nobody_means_to_publish_is_left_out(person: Person) -> None:
    site = person.made({"index.html": "x", "a/node_modules/y.js": "x", **RUBBISH})
    assert [file.path for file in look_into(site).files] == ["a/node_modules/y.js", "index.html"]
    assert look_into(site).folders == ("a", "a/node_modules")


def test_a_line_takes_one_of_those_back_but_not_what_the_server_refuses(person: Person) -> None:
    site = person.made({"index.html": "x", ".pagesignore": "!/node_modules\n!Thumbs.db\n", **RUBBISH})
    assert [file.path for file in look_into(site).files] == ["index.html", "node_modules/x/index.js"]


def test_what_is_left_out_is_not_looked_at(person: Person) -> None:
    site = person.made({"index.html": "x", ".pagesignore": "private/\npipe\nlink\n", "private/secret": "x"})
    os.mkfifo(site / "pipe")
    (site / "link").symlink_to("/etc/passwd")
    (site / "private").chmod(0)
    try:
        found = look_into(site)
        assert ([file.path for file in found.files], found.folders) == (["index.html"], ())
    finally:
        (site / "private").chmod(0o755)


def test_folders_in_folders_without_end_are_told(person: Person) -> None:
    site = person.made({"index.html": "x", "/".join(["d"] * 150 + ["x"]): "x"})
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 120)
    try:
        with pytest.raises(Failed) as failed:
            look_into(site)
    finally:
        sys.setrecursionlimit(limit)
    assert failed.value.exit_code == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", b"!\n", b"[z-a]\n"])
def test_a_file_that_cannot_be_understood_is_told(person: Person, content: bytes) -> None:
    site = person.made({"index.html": "x", ".pagesignore": content})
    with pytest.raises(Failed) as failed:
        look_into(site)
    assert ".pagesignore" in failed.value.message
    assert failed.value.exit_code == 2
