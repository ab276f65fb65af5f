"""Archives damaged in a million ways: each is refused in good order, or read as every other program reads it.

``PAGES_TEST_SEED`` makes another set of mutants. A failing one is written to the file that the message names;
``python tests/faults/test_fuzz_archives.py SEED NUMBER`` makes a mutant of the hand-made archives again.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import archive_corpus
import pytest
from archive_fuzzing import Plan, as_argument
from archive_mutants import Mutants
from flask import Flask
from helpers import PROJECT, THOROUGH, Admin, everything_below

from pages import files
from pages.app import create_app
from pages.config import load_config
from pages.work import run_now

SEED = int(os.environ.get("PAGES_TEST_SEED", "20261121"))
MUTANTS = 1_000_000 if THOROUGH else 20_000
ON_DISK = 6_000 if THOROUGH else 40
DEPLOYS = 5_000 if THOROUGH else 150
WORKERS = min(os.cpu_count() or 1, 8)


@pytest.fixture(scope="module")
def failures() -> Iterator[Path]:
    """Where failing mutants are written; outlives the run when there are any."""
    folder = Path(tempfile.mkdtemp(prefix="pages-failing-mutants-"))
    yield folder
    with suppress(OSError):
        folder.rmdir()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[archive_corpus.Harmless]:
    """What is damaged: the corpus, and small archives of the tools that are here."""
    return [*archive_corpus.HARMLESS, *archive_corpus.small_tool_archives(tmp_path_factory.mktemp("tools"))]


def test_every_mutant_is_refused_in_good_order_or_read_as_other_programs_do(
    seeds: list[archive_corpus.Harmless], failures: Path, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    cases.write_bytes(pickle.dumps(seeds))
    counts: Counter[str] = Counter()
    wrong = []
    for line in run_workers(cases, failures, tmp_path):
        counts.update(line.get("counts", {}))
        wrong += [line["failure"]] if "failure" in line else []
    assert wrong == [], "\n".join(wrong[:20])
    tried = sum(number for name, number in counts.items() if name != "on disk")
    assert tried == MUTANTS // WORKERS * WORKERS, counts
    # A fuzzer that reaches nothing proves nothing.
    assert counts["a.zip accepted"] > tried / 20
    assert counts["a.tar.gz accepted"] > tried / 20
    assert counts["on disk"] > ON_DISK / 3


def test_every_case_of_the_corpus_keeps_within_its_memory_and_time(tmp_path: Path) -> None:
    """64 MiB more than at the start, by the kernel's own limit, and 10 s of processor time."""
    cases, bombs = tmp_path / "cases", archive_corpus.bombs() if THOROUGH else []
    cases.write_bytes(pickle.dumps([*archive_corpus.HARMLESS, *archive_corpus.HOSTILE, *bombs]))
    command = [sys.executable, str(PROJECT / "tests/faults/archive_fuzzing.py"), "corpus", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def environment() -> dict[str, str]:
    path = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests/faults")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "MALLOC_ARENA_MAX": "1", "PYTHONUTF8": "1"}


def run_workers(cases: Path, failures: Path, folder: Path) -> Iterator[dict[str, object]]:
    """All that the workers say; each tries every so-manieth mutant."""
    running = []
    for first in range(WORKERS):
        plan = Plan(
            SEED, first, WORKERS, MUTANTS // WORKERS, ON_DISK // WORKERS, str(folder), str(failures), str(cases)
        )
        command = [sys.executable, str(PROJECT / "tests/faults/archive_fuzzing.py"), as_argument(plan)]
        log = (folder / f"log-{first}").open("w+")
        running.append((subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment()), log))
    for process, log in running:
        code = process.wait()
        log.seek(0)
        lines = log.read().splitlines()
        log.close()
        assert code == 0, "\n".join(lines[-30:])
        yield from (json.loads(line) for line in lines)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Path]]:
    """An application with a site that has a version."""
    folder, before = tmp_path_factory.mktemp("mutants"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(files, "sync_file_system", lambda path: None)
        os.chdir(folder)
        app = create_app(load_config({"PAGES_DATA_DIR": str(folder / "data")}), run_now)
        os.chdir(before)
        Admin(app.test_client()).create("blog")
        yield app, folder / "data"


def test_no_mutant_that_is_uploaded_fails_the_server_or_touches_the_old_site(
    published: tuple[Flask, Path], failures: Path
) -> None:
    app, data = published
    admin, mutants = Admin(app.test_client()), Mutants(archive_corpus.HARMLESS, SEED)
    admin.deployed({"index.html": b"old"})
    before, statuses = everything_below(data), Counter[int]()
    for number in range(DEPLOYS):
        filename, what, archive = mutants.make(number)
        status = admin.deploy(archive, filename).status_code
        statuses[status] += 1
        about = failures / f"seed-{SEED}-upload-{number}-{filename}"
        is_well = status in (200, 400, 413) and (status == 200 or everything_below(data) == before)
        if not is_well:
            about.write_bytes(archive)
        assert is_well, f"{about}: {what}: {status}"
        if status == 200:
            admin.delete("/_api/sites/default/blog")
            admin.create("blog")
            admin.deployed({"index.html": b"old"})
            before = everything_below(data)
    assert statuses[200] > DEPLOYS / 20


if __name__ == "__main__":
    seed, number = map(int, sys.argv[1:3])
    filename, what, data = Mutants(archive_corpus.HARMLESS, seed).make(number)
    Path(f"mutant-{filename}").write_bytes(data)
    print(f"mutant-{filename}: {what}")
