"""Any tree of files, packed by several writers: deployed as it was, stored as it was, and of one digest."""

import gzip
import io
import os
import random
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_oracles import on_disk
from helpers import THOROUGH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pages import files
from pages.config import load_config
from pages.model import Site, now
from pages.services import Services, build_services
from pages.uploads import Sent
from pages.work import run_now

NAMES = (
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=12)
    .filter(lambda name: name not in (".", "..", "__MACOSX", ".DS_Store", "Thumbs.db"))
    .filter(lambda name: name[1:2] != ":")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(PATHS, st.binary(max_size=2_000), min_size=1, max_size=6).filter(
    lambda tree: not any(other.startswith(path + "/") for path in tree for other in tree)
)
Tree = dict[str, bytes]
Writer = Callable[[Tree, random.Random, Path], tuple[str, bytes]]


def by_zipfile(tree: Tree, chance: random.Random, folder: Path) -> tuple[str, bytes]:
    buffer, names = io.BytesIO(), chance.sample(sorted(tree), len(tree))
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name, (chance.randint(1980, 2100), 1, 1, 0, 0, 0))
            archive.writestr(info, tree[name], chance.choice((0, 8)), chance.randint(1, 9))
    return "a.zip", buffer.getvalue()


def by_tarfile(tree: Tree, chance: random.Random, folder: Path) -> tuple[str, bytes]:
    buffer, names = io.BytesIO(), chance.sample(sorted(tree), len(tree))
    form = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(tree[name]), chance.randrange(1 << 31), 0o644
            archive.addfile(info, io.BytesIO(tree[name]))
    return "a.tar.gz", gzip.compress(buffer.getvalue(), chance.randint(0, 9), mtime=chance.randrange(1 << 31))


def by_program(*command: str) -> Writer:
    """A program that packs a folder; its output is the archive."""

    def pack(tree: Tree, chance: random.Random, folder: Path) -> tuple[str, bytes]:
        for name in chance.sample(sorted(tree), len(tree)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tree[name])
            os.utime(path, (chance.randrange(1 << 31),) * 2)
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        return "a.tgz" if "tar" in command[0] and "zip" not in command else "a.zip", done.stdout

    return pack


WRITERS = (
    by_zipfile,
    by_tarfile,
    by_program("tar", "-czf", "-", "."),
    by_program("bsdtar", "-czf", "-", "."),
    by_program("bsdtar", "--format", "zip", "-cf", "-", "."),
    by_program("zip", "-qr", "-", "."),
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The services of an empty installation."""
    folder, before = tmp_path_factory.mktemp("trees"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(files, "sync_file_system", lambda path: None)
        os.chdir(folder)
        services = build_services(load_config({"PAGES_DATA_DIR": str(folder / "data")}), run_now)
        os.chdir(before)
        services.recover()
        yield services


@pytest.fixture(scope="module")
def site(services: Services) -> Site:
    fields = {"id": "blog", "username": "default", "domain": "blog.localhost", "index": "index.html", "enabled": True}
    return services.publisher.create(fields, now())


@settings(max_examples=500 if THOROUGH else 8, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES, seed=st.integers(0, 1 << 32))
def test_any_tree_is_deployed_and_stored_as_it_was_with_one_digest_whoever_packed_it(
    services: Services, site: Site, tree: Tree, seed: int
) -> None:
    digests = set()
    for writer in WRITERS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "in").mkdir()
            filename, data = writer(tree, random.Random(seed), folder / "in")
            (folder / "upload").write_bytes(data)
            checkpoint = services.publisher.deploy(site, Sent(folder / "upload", filename), now()).checkpoint
            digests.add(checkpoint.id[-8:])
            assert files_in(services.paths.site_root("default", "blog").resolve()) == tree, filename
            (folder / "out").mkdir()
            stored = services.histories.archive(site, checkpoint.id)
            subprocess.run(
                ["tar", "-xzf", stored, "-C", folder / "out"], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
            )
            assert files_in(folder / "out") == tree, filename
        for old in services.histories.read(site).checkpoints[1:]:
            services.publisher.delete_checkpoint(site, old.id, now())
    assert len(digests) == 1


def files_in(folder: Path) -> Tree:
    return {path: content for path, content in on_disk(folder).items() if content is not None}
