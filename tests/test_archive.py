"""The archive reader against the corpus: hostile, harmless, tools' own, bombs, mutants, and any tree at all."""

import ast
import io
import os
import resource
import struct
import subprocess
import sys
import tarfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import archive_corpus
import pytest
from archive_corpus import Harmless, Hostile
from archive_corpus.rules import RULES
from archive_corpus.tars import gz
from flask import Flask
from helpers import PROJECT, Admin, assert_failure, assert_success, everything_below, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pages import files
from pages.app import create_app
from pages.archive import Limits, archive_kind, read_archive
from pages.config import load_config
from pages.errors import BadArchive, PagesError, TooLarge, UnsupportedFormat

LIMITS = Limits(max_files=100_000, max_unpacked_bytes=256 * 1024 * 1024)
NARROW = (Limits(max_files=1, max_unpacked_bytes=200), Limits(max_files=3, max_unpacked_bytes=200))
MUTANTS = int(os.environ.get("PAGES_TEST_MUTANTS", "2500"))
EMPTY_FOLDER = b"an empty folder"


def unpacked(data: bytes, file_name: str, limits: Limits = LIMITS) -> dict[str, bytes]:
    """What the reader makes of an archive: files, and ``name/`` for folders that hold nothing."""
    tree = {}
    folders = set()
    for entry in read_archive(io.BytesIO(data), archive_kind(file_name), limits):
        content = b"".join(entry.chunks)
        if entry.is_folder:
            folders.add(entry.path)
        else:
            tree[entry.path] = content
    empty = {f for f in folders if not any(path.startswith(f + "/") for path in {*tree, *folders})}
    return tree | {f"{folder}/": EMPTY_FOLDER for folder in empty}


def expected(tree: dict[str, bytes]) -> dict[str, bytes]:
    """A corpus tree in the same form."""
    return {
        path: EMPTY_FOLDER if path.endswith("/") else content
        for path, content in tree.items()
        if not path.endswith("/") or not any(other != path and other.startswith(path) for other in tree)
    }


def on_disk(root: Path) -> dict[str, bytes]:
    empty = {f"{path.relative_to(root)}/" for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())}
    return tree_of(root) | dict.fromkeys(empty, EMPTY_FOLDER)


def by_name(case: Hostile | Harmless) -> str:
    return case.name


# --- The corpus itself ----------------------------------------------------------------------


@cache
def names_of_cases() -> frozenset[str]:
    return frozenset(case.name for case in (*archive_corpus.HOSTILE, *archive_corpus.bombs()))


def matching(patterns: str) -> dict[str, set[str]]:
    """The names of cases that each pattern finds."""
    names = names_of_cases()
    return {pattern: {name for name in names if fnmatch(name, pattern)} for pattern in patterns.split()}


def test_every_rule_has_cases_in_zips_and_tars_and_every_case_a_rule() -> None:
    found = [(rule, matching(f"{zips} {tars}")) for rule, zips, tars in RULES]
    assert [(rule, pattern) for rule, cases in found for pattern, names in cases.items() if not names] == []
    covered = {name for _, cases in found for names in cases.values() for name in names}
    assert names_of_cases() - covered == set()


def test_every_refusal_in_the_reader_is_one_that_a_case_meets() -> None:
    """The lines that raise, by what the corpus makes them raise: a new refusal needs a case."""
    met = set()
    cases = [(case.data, case.filename, limits) for case in archive_corpus.HOSTILE for limits in (LIMITS, *NARROW)]
    deep = packed_as_tar(tarfile.PAX_FORMAT)({f"{number}/" + "a/" * 400 + "b": b"" for number in range(3)})
    for data, filename, limits in (*cases, (gz(b"") * 1200, "a.tgz", LIMITS), (deep, "a.tgz", NARROW[1])):
        try:
            unpacked(data, filename, limits)
        except (BadArchive, TooLarge) as error:
            cause = error.__cause__ if isinstance(error, BadArchive) else error
            met.add(raised_at(cause or error))
    with suppress(UnsupportedFormat):
        archive_kind("a.rar")
    missing = {line for line in lines_that_raise() if line not in met}
    # Their way is another one: the name of the upload, and the prefix that every refusal gets.
    assert {text for _, _, text in missing} <= {
        "raise UnsupportedFormat()",
        "raise BadArchive(error.reason, kind) from error",
    }


def raised_at(error: BaseException) -> tuple[str, int, str]:
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).name, frames[-1].lineno or 0, (frames[-1].line or "")


def lines_that_raise() -> set[tuple[str, int, str]]:
    """(file, line, text) of every ``raise`` of a refusal in the reader."""
    found = set()
    for path in (PROJECT / "pages/archive").glob("*.py"):
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found.add((path.name, node.lineno, lines[node.lineno - 1].strip()))
    return found


# --- The reader -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", archive_corpus.HOSTILE, ids=by_name)
def test_every_hostile_archive_is_refused_by_the_reader_or_holds_no_file(case: Hostile) -> None:
    try:
        tree = unpacked(case.data, case.filename)
    except (BadArchive, TooLarge):
        return
    # That there is no file at all is judged by the deploy, which knows the field "root" as well.
    assert [path for path in tree if not path.endswith("/")] == [], case.why


@pytest.mark.parametrize("case", archive_corpus.HARMLESS, ids=by_name)
def test_every_harmless_archive_gives_exactly_its_tree(case: Harmless) -> None:
    assert unpacked(case.data, case.filename) == expected(case.tree)


@pytest.mark.parametrize("case", archive_corpus.HARMLESS, ids=by_name)
def test_no_harmless_archive_cut_short_gives_another_tree(case: Harmless) -> None:
    for cut in (1, 2, 4, 8, 20, 64, len(case.data) // 3, len(case.data) // 2):
        # (Padding and empty gzip members may be missing: nothing is lost with them.)
        with suppress(BadArchive, TooLarge):
            assert unpacked(case.data[:-cut], case.filename) == expected(case.tree)


def test_what_real_tools_make_gives_exactly_its_tree(tmp_path: Path) -> None:
    wrong = {}
    for case in archive_corpus.tool_archives(tmp_path):
        try:
            if unpacked(case.data, case.filename) != expected(case.tree):
                wrong[case.name] = "another tree"
        except PagesError as error:
            wrong[case.name] = str(error)
    assert wrong == {}


def test_what_real_tools_make_with_an_option_too_much_is_refused_with_the_reason(tmp_path: Path) -> None:
    wrong = {}
    for case in archive_corpus.refused_tool_archives(tmp_path):
        try:
            unpacked(case.data, case.filename)
            wrong[case.name] = "accepted"
        except BadArchive as error:
            if case.why not in str(error):
                wrong[case.name] = str(error)
    assert wrong == {}


def test_no_mutant_raises_anything_but_a_refusal() -> None:
    wrong = {}
    for name, data in archive_corpus.mutants(seed=20_250_106, count=MUTANTS):
        try:
            unpacked(data, name)
        except (BadArchive, TooLarge):
            pass
        except Exception as error:
            wrong[name] = repr(error)
    assert wrong == {}


# --- Bombs ----------------------------------------------------------------------------------

BOMB_LIMITS = Limits(max_files=20_000, max_unpacked_bytes=64 * 1024 * 1024)
BOMB_MEMORY = 64 * 1024 * 1024
BOMB_SECONDS = 15.0


def test_every_bomb_is_refused_in_bounded_time_and_memory() -> None:
    """In a process of its own: the peak of this one's memory was reached long ago."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def _measure_bombs() -> Iterator[str]:
    """What is wrong with how each bomb is taken, a line each."""
    bombs = archive_corpus.bombs()
    unpacked(archive_corpus.HARMLESS[0].data, archive_corpus.HARMLESS[0].filename)
    for bomb in bombs:
        # Peak memory never shrinks: what came before a bomb makes it harmless to measure, not wrong.
        start, memory = time.process_time(), _peak_memory()
        outcome = "accepted"
        try:
            for entry in read_archive(io.BytesIO(bomb.data), archive_kind(bomb.filename), BOMB_LIMITS):
                for _ in entry.chunks:
                    pass
        except (BadArchive, TooLarge) as error:
            outcome = type(error).__name__
        seconds, grown = time.process_time() - start, _peak_memory() - memory
        if outcome == "accepted" or (bomb.why.startswith("limit") and outcome != "TooLarge"):
            yield f"{bomb.name} ({bomb.why}): {outcome}"
        if seconds > BOMB_SECONDS:
            yield f"{bomb.name}: took {seconds:.1f} s"
        if grown > BOMB_MEMORY:
            yield f"{bomb.name}: took {grown} bytes"


def _peak_memory() -> int:
    """The most this process ever held since the last call, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # Then it is the most since the start.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# --- Through HTTP ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Path]]:
    """An application with a site that has a version; every refusal must leave it as it is."""
    folder = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(files, "sync_file_system", lambda path: None)
        patch.chdir(folder)
        app = create_app(load_config({"PAGES_DATA_DIR": str(folder / "data")}))
        admin = Admin(app.test_client())
        admin.create("blog")
        admin.deployed({"index.html": b"old"})
        yield app, folder / "data"


@pytest.mark.parametrize("case", archive_corpus.HOSTILE, ids=by_name)
def test_every_hostile_upload_is_refused_whole(published: tuple[Flask, Path], case: Hostile) -> None:
    app, data = published
    before = everything_below(data)
    response = Admin(app.test_client()).deploy(case.data, case.filename)
    assert response.status_code in (400, 413), case.why
    message = assert_failure(response, response.status_code)
    if response.status_code == 400:
        assert message.startswith(f"解压 {archive_kind(case.filename)} 失败: ")
    assert everything_below(data) == before


@pytest.mark.parametrize("case", archive_corpus.HARMLESS, ids=by_name)
def test_every_harmless_upload_is_published_as_its_tree(published: tuple[Flask, Path], case: Harmless) -> None:
    app, data = published
    admin = Admin(app.test_client())
    admin.create("harmless")
    try:
        assert_success(admin.deploy(case.data, case.filename, site="default/harmless"))
        assert on_disk(data / "sites/default/harmless") == expected(case.tree)
    finally:
        assert_success(admin.delete("/_api/sites/default/harmless"))


# --- Any tree -------------------------------------------------------------------------------

REFUSED_IN_NAMES = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\")
NAMES = (
    st.text(REFUSED_IN_NAMES, min_size=1, max_size=12)
    .filter(lambda name: name not in (".", "..", "__MACOSX", ".DS_Store", "Thumbs.db"))
    .filter(lambda name: name[1:2] != ":")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def without_conflicts(tree: dict[str, bytes]) -> bool:
    return not any(other.startswith(path + "/") for path in tree for other in tree)


TREES = st.dictionaries(PATHS, st.binary(max_size=2_000), min_size=1, max_size=8).filter(without_conflicts)


def packed_as_zip(method: int, streamed: bool) -> Callable[[dict[str, bytes]], bytes]:
    def pack(tree: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(_Pipe(buffer) if streamed else buffer, "w", method) as archive:  # type: ignore[arg-type]
            for name, content in tree.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return pack


class _Pipe:
    """A file that cannot seek: lengths and checksums then come after the content."""

    def __init__(self, buffer: io.BytesIO) -> None:
        self.write, self.flush = buffer.write, buffer.flush


def packed_as_tar(form: int) -> Callable[[dict[str, bytes]], bytes]:
    def pack(tree: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=form, compresslevel=1) as archive:
            for name, content in tree.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return pack


@pytest.mark.parametrize(
    ("pack", "file_name"),
    [
        pytest.param(packed_as_zip(zipfile.ZIP_STORED, streamed=False), "a.zip", id="zip-stored"),
        pytest.param(packed_as_zip(zipfile.ZIP_DEFLATED, streamed=False), "a.zip", id="zip-deflated"),
        pytest.param(packed_as_zip(zipfile.ZIP_DEFLATED, streamed=True), "a.zip", id="zip-streamed"),
        pytest.param(packed_as_zip(zipfile.ZIP_STORED, streamed=True), "a.zip", id="zip-stored-streamed"),
        pytest.param(packed_as_tar(tarfile.PAX_FORMAT), "a.tar.gz", id="tar-pax"),
        pytest.param(packed_as_tar(tarfile.GNU_FORMAT), "a.tgz", id="tar-gnu"),
    ],
)
@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_any_tree_comes_out_as_it_was_packed(
    pack: Callable[[dict[str, bytes]], bytes], file_name: str, tree: dict[str, bytes]
) -> None:
    assert unpacked(pack(tree), file_name) == tree


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), kind=st.sampled_from(["zip", "tar.gz"]))
def test_no_bytes_at_all_raise_anything_but_a_refusal(data: bytes, kind: str) -> None:
    magic = b"PK\x03\x04" if kind == "zip" else b"\x1f\x8b\x08\x00"
    for candidate in (data, magic + data, data + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, len(data), 0)):
        with suppress(BadArchive, TooLarge):
            assert unpacked(candidate, f"a.{kind}") == {}


# --- Limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack", [packed_as_zip(zipfile.ZIP_DEFLATED, streamed=False), packed_as_tar(tarfile.PAX_FORMAT)]
)
@pytest.mark.parametrize(
    ("limits", "is_refused"),
    [
        (Limits(3, 300), False),
        (Limits(2, 300), True),
        (Limits(3, 299), True),
        (Limits(1, 1), True),
    ],
)
def test_limits_are_the_most_that_is_read(
    pack: Callable[[dict[str, bytes]], bytes], limits: Limits, is_refused: bool
) -> None:
    data = pack({"a": bytes(100), "b": bytes(100), "c": bytes(100)})
    name = "a.zip" if data.startswith(b"PK") else "a.tgz"
    if is_refused:
        with pytest.raises(TooLarge):
            unpacked(data, name, limits)
    else:
        assert len(unpacked(data, name, limits)) == 3


def test_rubbish_counts_against_the_limits_though_it_is_left_out() -> None:
    data = packed_as_tar(tarfile.PAX_FORMAT)({"index.html": b"", "__MACOSX/._index.html": bytes(5_000)})
    assert unpacked(data, "a.tgz") == {"index.html": b""}
    with pytest.raises(TooLarge):
        unpacked(data, "a.tgz", Limits(10, 4_000))


if __name__ == "__main__":
    for line in _measure_bombs():
        print(line)
