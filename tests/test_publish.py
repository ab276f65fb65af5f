"""Publishing without HTTP: the order of writes, what damage does, what others do meanwhile, who waits for whom."""

import os
import resource
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, assert_failure, everything_below, tree_of, wait_until, zip_of

from pages import files
from pages.config import Config
from pages.errors import (
    BadArchive,
    CheckpointBroken,
    CheckpointInUse,
    CheckpointNotFound,
    DomainTaken,
    HistoryBroken,
    PagesError,
    SiteBusy,
    SiteExists,
    SiteNotFound,
)
from pages.model import Checkpoint, Site, now
from pages.paths import Paths
from pages.publish import Published, Publisher
from pages.services import Services, build_services
from pages.uploads import Sent

V1: dict[str, bytes | str] = {"index.html": b"one", "same.txt": b"same", "a/b.txt": b"1"}
V2: dict[str, bytes | str] = {"index.html": b"two", "same.txt": b"same"}
V3: dict[str, bytes | str] = {"index.html": b"three"}


@dataclass
class House:
    """One installation with a site ``default/blog``, and short ways to act on it."""

    services: Services
    uploads: Path
    site: Site

    @property
    def publisher(self) -> Publisher:
        return self.services.publisher

    @property
    def paths(self) -> Paths:
        return self.services.paths

    def create(self, site_id: str, domain: str = "") -> Site:
        return self.publisher.create(fields_of(site_id, domain), now())

    def upload(self, content: dict[str, bytes | str]) -> Path:
        path = self.uploads / f"{time.monotonic_ns()}.zip"
        path.write_bytes(zip_of(content))
        return path

    def deploy(self, content: dict[str, bytes | str], site: Site | None = None) -> Checkpoint:
        return self.publish(content, site).checkpoint

    def publish(self, content: dict[str, bytes | str], site: Site | None = None) -> Published:
        return self.publisher.deploy(site or self.site, Sent(self.upload(content), "site.zip"), now())

    def checkout(self, checkpoint: Checkpoint) -> None:
        self.publisher.checkout(self.site, checkpoint.id, now())

    def snapshot(self) -> Checkpoint:
        return self.publisher.snapshot(self.site, None, now()).checkpoint

    def clear_cache(self) -> None:
        self.services.upkeep.clear_cache()

    @property
    def root(self) -> Path:
        return self.paths.site_root(self.site.username, self.site.id)

    @property
    def metadata(self) -> Path:
        return self.paths.metadata(self.site.username, self.site.id)

    def archive(self, checkpoint: Checkpoint) -> Path:
        return self.paths.archive(self.site.username, self.site.id, checkpoint.id)

    @property
    def current(self) -> str | None:
        return self.services.histories.read(self.site).current

    @property
    def served(self) -> dict[str, bytes]:
        return tree_of(self.root.resolve())

    def litter(self) -> list[Path]:
        return list(self.paths.work.iterdir())


def fields_of(site_id: str, domain: str = "") -> dict[str, Any]:
    domain = domain or f"{site_id}.localhost"
    return {"id": site_id, "username": "default", "domain": domain, "index": "index.html", "enabled": True}


@pytest.fixture
def make_house(make_config: Callable[..., Config], tmp_path: Path) -> Callable[..., House]:
    def make(**settings: Any) -> House:
        services = build_services(make_config(**settings))
        services.recover()
        uploads = tmp_path / "uploads"
        uploads.mkdir(exist_ok=True)
        return House(services, uploads, services.publisher.create(fields_of("blog"), now()))

    return make


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


# --- The order of writes --------------------------------------------------------------------


@pytest.fixture
def steps(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is put in place, taken away and synced, in its order: ``put metadata.json``, ``sync …``."""
    done: list[str] = []
    data = house.paths.data
    rename, fsync, sync, unlink = os.rename, os.fsync, files.sync_file_system, os.unlink

    def below(path: str | Path) -> str:
        return str(Path(path).relative_to(data)) if Path(path).is_absolute() else str(path)

    def noted_rename(source: Any, destination: Any, **kwargs: Any) -> None:
        rename(source, destination, **kwargs)
        if not below(destination).startswith("work/"):
            done.append(f"put {below(destination)}")
        elif not below(source).startswith("work/"):
            done.append(f"take {below(source)}")

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"sync {below(os.readlink(f'/proc/self/fd/{descriptor}'))}")

    def noted_sync(path: Path) -> None:
        sync(path)
        done.append("sync all")

    def noted_unlink(path: Any, **kwargs: Any) -> None:
        if Path(path).is_absolute() and not below(path).startswith("work/"):
            done.append(f"remove {below(path)}")
        unlink(path, **kwargs)

    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "unlink", noted_unlink)
    monkeypatch.setattr(files, "sync_file_system", noted_sync)
    return done


HISTORY = "sites-checkpoints/default/blog"


def in_order(steps: list[str], *wanted: str) -> bool:
    """Do these stand there in this order, whatever else is between them?"""
    rest = iter(steps)
    return all(any(step == found for found in rest) for step in wanted)


def test_a_deploy_makes_its_archive_durable_then_commits_then_switches(house: House, steps: list[str]) -> None:
    made = house.deploy(V1)
    archive = f"{HISTORY}/checkpoints/{made.id}.tar.gz"
    assert in_order(
        steps,
        "sync all",
        f"put {archive}",
        f"sync {HISTORY}/checkpoints",
        f"put {HISTORY}/metadata.json",
        f"sync {HISTORY}",
        "put sites/default/blog",
        "sync sites/default",
    )


def test_a_deploy_s_tree_is_in_place_before_the_commit(house: House, steps: list[str]) -> None:
    made = house.deploy(V1)
    (tree,) = [step for step in steps if step.startswith(f"put trees/default/blog/{made.id}")]
    assert in_order(steps, "sync all", tree, f"put {HISTORY}/metadata.json")


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_checkout_commits_then_switches(house: House, steps: list[str], warm: bool) -> None:
    first, _, _ = house.deploy(V1), house.deploy(V2), house.deploy(V3)
    if not warm:
        house.clear_cache()
    steps.clear()
    house.checkout(first)
    trees = [step for step in steps if step.startswith("put trees/default/blog/")]
    assert len(trees) == (0 if warm else 1)
    assert in_order(steps, *trees, f"put {HISTORY}/metadata.json", f"sync {HISTORY}", "put sites/default/blog")
    assert not [step for step in steps if step.startswith(f"put {HISTORY}/checkpoints")]


def test_a_cold_checkout_makes_its_tree_durable_before_the_commit(house: House, steps: list[str]) -> None:
    first, _, _ = house.deploy(V1), house.deploy(V2), house.deploy(V3)
    house.clear_cache()
    steps.clear()
    house.checkout(first)
    assert in_order(steps, "sync all", f"put {HISTORY}/metadata.json")


def test_the_deletion_of_a_checkpoint_commits_before_anything_is_taken_away(house: House, steps: list[str]) -> None:
    first, _ = house.deploy(V1), house.deploy(V2)
    steps.clear()
    house.publisher.delete_checkpoint(house.site, first.id, now())
    assert in_order(
        steps, f"put {HISTORY}/metadata.json", f"sync {HISTORY}", f"take {HISTORY}/checkpoints/{first.id}.tar.gz"
    )


def test_a_new_site_is_registered_last(house: House, steps: list[str]) -> None:
    house.create("new")
    assert in_order(
        steps,
        "put sites-checkpoints/default/new/metadata.json",
        "put sites/default/new",
        "put domains/new.localhost",
        "put registry/default/new.json",
        "sync registry/default",
    )


def test_a_deleted_site_s_record_goes_first_and_durably(house: House, steps: list[str]) -> None:
    house.deploy(V1)
    steps.clear()
    house.publisher.delete("default", "blog")
    assert in_order(
        steps, "take registry/default/blog.json", "sync registry/default", "take sites/default/blog", f"take {HISTORY}"
    )


def test_an_update_has_the_new_domain_before_the_record_and_frees_the_old_one_after(
    house: House, steps: list[str]
) -> None:
    house.publisher.update("default", "blog", {"domain": "new.localhost"}, now())
    assert in_order(steps, "put domains/new.localhost", "put registry/default/blog.json", "take domains/blog.localhost")


def test_the_root_is_never_taken_away_by_a_switch(house: House, steps: list[str]) -> None:
    first, _ = house.deploy(V1), house.deploy(V2)
    house.checkout(first)
    assert not [step for step in steps if step in ("take sites/default/blog", "remove sites/default/blog")]


def test_every_name_put_in_place_is_synced_before_the_answer(house: House, steps: list[str]) -> None:
    first = house.deploy(V1)
    house.deploy(V2)
    house.checkout(first)
    house.snapshot()
    unsynced = set()
    for step in steps:
        verb, _, path = step.partition(" ")
        if verb == "put" and not path.startswith("cache/"):
            unsynced.add(os.path.dirname(path))
        elif verb == "sync":
            unsynced = set() if path == "all" else unsynced - {path}
    assert unsynced == set()


# --- Damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\0" * 500])
def test_damaged_metadata_stops_every_change_and_the_site_goes_on(house: House, damage: bytes) -> None:
    first, second = house.deploy(V1), house.deploy(V2)
    house.metadata.write_bytes(damage)
    before = everything_below(house.paths.data)
    upload = house.upload(V3)
    for change in (
        lambda: house.publisher.deploy(house.site, Sent(upload, "site.zip"), now()),
        lambda: house.checkout(first),
        house.snapshot,
        lambda: house.publisher.delete_checkpoint(house.site, first.id, now()),
    ):
        with pytest.raises(HistoryBroken):
            change()
    assert everything_below(house.paths.data) == before
    assert house.served == V2
    assert house.archive(second).exists()


def test_missing_metadata_stops_every_change_and_no_archive_is_lost(house: House) -> None:
    made = [house.deploy(V1), house.deploy(V2)]
    kept = house.metadata.read_bytes()
    house.metadata.unlink()
    with pytest.raises(HistoryBroken):
        house.deploy(V3)
    assert all(house.archive(checkpoint).exists() for checkpoint in made)
    house.metadata.write_bytes(kept)
    house.checkout(made[0])
    assert house.served == V1


def test_damaged_metadata_does_not_keep_a_site_from_being_deleted(house: House) -> None:
    house.deploy(V1)
    house.metadata.write_bytes(b"")
    house.publisher.delete("default", "blog")
    assert not house.metadata.exists()
    house.create("blog")


def test_a_checkpoint_without_its_archive_is_served_while_it_is_warm(house: House) -> None:
    first, _ = house.deploy(V1), house.deploy(V2)
    house.archive(first).unlink()
    house.checkout(first)
    assert house.served == V1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-8] ^= 0xFF  # Of the checksum: a changed byte further in may by chance unpack to the same.
    path.write_bytes(data)


def replace_by_another(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("index.html"))


@pytest.mark.parametrize(
    "damage", [Path.unlink, cut, flip, replace_by_another, lambda path: path.write_bytes(b"")], ids=str
)
def test_a_cold_checkout_of_a_damaged_archive_changes_nothing(house: House, damage: Callable[[Path], object]) -> None:
    first, _, third = house.deploy(V1), house.deploy(V2), house.deploy(V3)
    house.clear_cache()
    damage(house.archive(first))
    before = everything_below(house.paths.data)
    with pytest.raises(CheckpointBroken):
        house.checkout(first)
    assert everything_below(house.paths.data) == before
    assert house.current == third.id
    assert house.served == V3


def test_the_other_checkpoints_of_a_site_with_a_damaged_archive_can_be_used(house: House) -> None:
    first, second, _ = house.deploy(V1), house.deploy(V2), house.deploy(V3)
    house.clear_cache()
    house.archive(first).unlink()
    house.checkout(second)
    assert house.served == V2
    house.publisher.delete_checkpoint(house.site, first.id, now())
    with pytest.raises(CheckpointNotFound):
        house.checkout(first)


def manifests_of(house: House) -> list[Path]:
    return list(house.paths.manifests("default", "blog").iterdir())


@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda path: path.write_bytes(b"{}")], ids=str)
def test_checkpoints_without_whole_manifests_can_be_checked_out(house: House, damage: Callable[[Path], object]) -> None:
    first, second, _ = house.deploy(V1), house.deploy(V2), house.deploy(V3)
    for manifest in manifests_of(house):
        damage(manifest)
    house.clear_cache()
    house.checkout(first)
    assert house.served == V1
    house.checkout(second)
    assert house.served == V2
    house.deploy(V3)
    assert house.served == V3


def remove_tree(house: House) -> None:
    shutil.rmtree(house.root.resolve())


def remove_all_trees(house: House) -> None:
    shutil.rmtree(house.paths.data / "trees")


def remove_root(house: House) -> None:
    house.root.unlink()


def remove_roots(house: House) -> None:
    shutil.rmtree(house.paths.sites)


def point_root_elsewhere(house: House) -> None:
    house.root.unlink()
    house.root.symlink_to("../../trees/default/blog/nowhere")


def put_a_file_there(house: House) -> None:
    house.root.unlink()
    house.root.write_bytes(b"not a folder")


DAMAGES = [remove_tree, remove_all_trees, remove_root, remove_roots, point_root_elsewhere, put_a_file_there]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_next_change_repairs_what_is_served(house: House, damage: Callable[[House], None]) -> None:
    house.deploy(V1)
    second = house.deploy(V2)
    damage(house)
    house.checkout(second)
    assert house.served == V2


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_reload_repairs_what_is_served(house: House, damage: Callable[[House], None]) -> None:
    house.deploy(V1)
    house.deploy(V2)
    damage(house)
    house.services.reload()
    assert house.served == V2


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_deploy_works_whatever_became_of_the_old_root(house: House, damage: Callable[[House], None]) -> None:
    house.deploy(V1)
    damage(house)
    house.deploy(V2)
    assert house.served == V2


def test_a_root_left_behind_by_a_crash_is_brought_to_what_the_metadata_says(house: House) -> None:
    first = house.deploy(V1)
    link = os.readlink(house.root)
    second = house.deploy(V2)
    house.root.unlink()
    house.root.symlink_to(link)
    assert house.served == V1
    house.services.reload()
    assert house.served == V2
    assert house.current == second.id != first.id


def test_the_cache_is_not_needed_by_anything(house: House) -> None:
    for version in (V1, V2, V3, V1, V2):
        house.deploy(version)
        shutil.rmtree(house.paths.cache, ignore_errors=True)
    for checkpoint in house.services.histories.read(house.site).checkpoints:
        house.checkout(checkpoint)
        shutil.rmtree(house.paths.cache, ignore_errors=True)
    assert house.served == V1


def test_a_folder_that_an_operator_put_in_the_place_of_the_root_is_served_until_the_next_deploy(house: House) -> None:
    house.root.unlink()
    house.root.mkdir()
    (house.root / "index.html").write_bytes(b"by hand")
    house.services.reload()
    assert tree_of(house.root) == {"index.html": b"by hand"}
    house.deploy(V1)
    assert house.served == V1
    assert house.litter() == []


def test_a_snapshot_takes_a_folder_that_an_operator_put_in_the_place_of_the_root(house: House) -> None:
    house.root.unlink()
    house.root.mkdir()
    (house.root / "index.html").write_bytes(b"by hand")
    made = house.snapshot()
    house.deploy(V1)
    house.checkout(made)
    assert house.served == {"index.html": b"by hand"}


# --- What others do meanwhile ---------------------------------------------------------------


@pytest.fixture
def when_staged(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Do something after a deploy has unpacked, before it takes the site's lock."""

    def arrange(action: Callable[[], None]) -> None:
        stage = house.services.uploads.stage
        pending = [action]

        def staged(*arguments: Any) -> Any:
            result = stage(*arguments)
            if pending:
                pending.pop()()
            return result

        monkeypatch.setattr(house.services.uploads, "stage", staged)

    return arrange


def test_a_site_deleted_during_a_deploy_stays_deleted(
    house: House, when_staged: Callable[[Callable[[], None]], None]
) -> None:
    when_staged(lambda: house.publisher.delete("default", "blog"))
    with pytest.raises(SiteNotFound):
        house.deploy(V1)
    left = everything_below(house.paths.data)
    assert not [path for path in left if "blog" in path and not path.startswith("locks/")]
    assert house.litter() == []


def test_a_deploy_does_not_land_in_a_site_created_anew_meanwhile(
    house: House, when_staged: Callable[[Callable[[], None]], None]
) -> None:
    def replace_site() -> None:
        house.publisher.delete("default", "blog")
        house.create("blog")

    house.deploy(V1)
    when_staged(replace_site)
    with pytest.raises(SiteNotFound):
        house.deploy(V2)
    assert house.served == {}
    assert house.current is None
    assert house.litter() == []


def test_a_deploy_lands_on_a_site_that_was_only_updated_meanwhile(
    house: House, when_staged: Callable[[Callable[[], None]], None]
) -> None:
    when_staged(lambda: house.publisher.update("default", "blog", {"domain": "new.localhost"}, now()) and None)
    house.deploy(V1)
    assert house.served == V1


def test_of_two_deploys_the_one_that_commits_last_is_live(
    house: House, when_staged: Callable[[Callable[[], None]], None]
) -> None:
    inner = []
    when_staged(lambda: inner.append(house.deploy(V2)))
    outer = house.deploy(V1)
    assert house.served == V1
    assert [c.id for c in house.services.histories.read(house.site).checkpoints] == [outer.id, inner[0].id]


def test_a_cache_cleared_during_a_deploy_does_no_harm(
    house: House, when_staged: Callable[[Callable[[], None]], None]
) -> None:
    for version in (V1, V2, V3):
        house.deploy(version)
    when_staged(house.clear_cache)
    house.deploy(V1)
    assert house.served == V1


# --- Waiting --------------------------------------------------------------------------------

BUSY = "站点正忙，请稍后重试"
CHANGES: dict[str, Callable[[House, Checkpoint], object]] = {
    "deploy": lambda house, _: house.deploy(V3),
    "checkout": lambda house, first: house.checkout(first),
    "snapshot": lambda house, _: house.snapshot(),
    "delete checkpoint": lambda house, first: house.publisher.delete_checkpoint(house.site, first.id, now()),
    "delete site": lambda house, _: house.publisher.delete("default", "blog"),
    "create": lambda house, _: house.create("blog", "another.localhost"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_busy_site_is_refused_after_lock_timeout_and_leaves_nothing(
    make_house: Callable[..., House], change: str
) -> None:
    house = make_house(lock_timeout=0.2)
    first, _ = house.deploy(V1), house.deploy(V2)
    before = everything_below(house.paths.data)
    with files.lock(house.paths.site_lock("default", "blog"), 1.0):
        start = time.monotonic()
        with pytest.raises(SiteBusy, match=BUSY):
            CHANGES[change](house, first)
        assert time.monotonic() - start >= 0.2
    assert everything_below(house.paths.data) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_busy_site_goes_on_when_the_site_is_free(make_house: Callable[..., House], change: str) -> None:
    house = make_house(lock_timeout=60)
    first, _ = house.deploy(V1), house.deploy(V2)
    outcome: list[object] = []

    def act() -> None:
        try:
            outcome.append(CHANGES[change](house, first) or "done")
        except PagesError as error:
            outcome.append(error)

    with files.lock(house.paths.site_lock("default", "blog"), 1.0):
        waiting = threading.Thread(target=act)
        waiting.start()
        wait_until(house.litter, "the change is under way")
        assert outcome == []
    waiting.join(60)
    assert isinstance(outcome[0], SiteExists) if change == "create" else not isinstance(outcome[0], PagesError)


@pytest.mark.parametrize(
    ("method", "path", "kwargs"),
    [
        ("POST", "/deploy", {"data": {"file": (None, "site.zip")}}),
        ("POST", "/checkpoints", {}),
        ("POST", "/checkpoints/{first}/checkout", {}),
        ("DELETE", "/checkpoints/{first}", {}),
        ("DELETE", "", {}),
    ],
    ids=["deploy", "snapshot", "checkout", "delete-checkpoint", "delete"],
)
def test_a_busy_site_is_a_409_with_the_contract_s_message(
    make_app: Callable[..., Flask], data: Path, method: str, path: str, kwargs: dict[str, Any]
) -> None:
    admin = Admin(make_app(lock_timeout=0.1).test_client())
    admin.create("blog")
    first = admin.deployed(V1)
    with files.lock(Paths(data).site_lock("default", "blog"), 1.0):
        if path == "/deploy":
            response = admin.deploy(zip_of(V2))
        else:
            response = admin.call(method, "/_api/sites/default/blog" + path.format(first=first["id"]), **kwargs)
        assert_failure(response, 409, BUSY)
    assert admin.visit("/").data == b"one"
    assert list((data / "work").iterdir()) == []


def test_a_busy_site_is_served_listed_and_shown_meanwhile(make_app: Callable[..., Flask], data: Path) -> None:
    admin = Admin(make_app(lock_timeout=0.1).test_client())
    admin.create("blog")
    first = admin.deployed(V1)
    with files.lock(Paths(data).site_lock("default", "blog"), 1.0), files.lock(Paths(data).registry_lock, 1.0):
        assert admin.visit("/").data == b"one"
        assert admin.checkpoints()["current"] == first["id"]
        assert admin.get("/_api/sites/default/blog").status_code == 200
        assert admin.get("/_api/sites").status_code == 200


def test_a_busy_site_holds_up_no_other_site(make_house: Callable[..., House]) -> None:
    house = make_house(lock_timeout=0.2)
    other = house.create("other")
    with files.lock(house.paths.site_lock("default", "blog"), 1.0):
        house.deploy(V1, other)
        house.create("third")
        house.publisher.update("default", "other", {"enabled": False}, now())
        house.publisher.delete("default", "other")


def test_somebody_who_waits_for_a_busy_site_holds_up_no_other_site(make_house: Callable[..., House]) -> None:
    house = make_house(lock_timeout=2)
    waiting = threading.Thread(target=lambda: _ignore(SiteBusy, lambda: house.publisher.delete("default", "blog")))
    with files.lock(house.paths.site_lock("default", "blog"), 1.0):
        waiting.start()
        wait_until(house.litter, "the deletion waits")
        house.create("meanwhile")
        assert waiting.is_alive()
    waiting.join()


def _ignore(error: type[Exception], action: Callable[[], object]) -> None:
    with suppress(error):
        action()


def test_unpacking_needs_no_lock(make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    house = make_house(lock_timeout=0.2)
    stage = house.services.uploads.stage

    def staged(*arguments: Any) -> Any:
        with files.lock(house.paths.site_lock("default", "blog"), 0.0), files.lock(house.paths.registry_lock, 0.0):
            return stage(*arguments)

    monkeypatch.setattr(house.services.uploads, "stage", staged)
    house.deploy(V1)
    assert house.served == V1


def test_a_deleted_site_s_lock_can_be_had_by_who_waited_for_it(make_house: Callable[..., House]) -> None:
    house = make_house(lock_timeout=60)
    for _ in range(5):
        outcomes: list[object] = []

        def act(action: Callable[[], object], outcomes: list[object] = outcomes) -> None:
            try:
                outcomes.append(action())
            except PagesError as error:
                outcomes.append(error)

        actions = [lambda: house.publisher.delete("default", "blog"), lambda: house.deploy(V1)] * 2
        threads = [threading.Thread(target=act, args=(action,)) for action in actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(outcomes) == 4
        assert sum(outcome is None for outcome in outcomes) == 1
        house.site = house.create("blog")


# --- Refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda house: house.create("blog", "another.localhost"), SiteExists),
        (lambda house: house.create("another", "blog.localhost"), DomainTaken),
        (lambda house: house.create("blog"), SiteExists),
        (lambda house: house.publisher.delete("default", "nowhere"), SiteNotFound),
        (lambda house: house.publisher.update("default", "nowhere", {"enabled": False}, now()), SiteNotFound),
        (lambda house: house.publisher.checkout(house.site, "20250101-000000-00000000", now()), CheckpointNotFound),
        (lambda house: house.publisher.delete_checkpoint(house.site, house.current or "", now()), CheckpointInUse),
        (lambda house: house.deploy({}), BadArchive),
    ],
    ids=["id", "domain", "both", "delete", "update", "checkout", "current", "empty"],
)
def test_a_refused_change_leaves_everything_as_it_was(
    house: House, change: Callable[[House], object], error: type[PagesError]
) -> None:
    house.deploy(V1)
    before = everything_below(house.paths.data)
    with pytest.raises(error):
        change(house)
    after = {path: what for path, what in everything_below(house.paths.data).items() if not path.startswith("locks/")}
    assert after == {path: what for path, what in before.items() if not path.startswith("locks/")}


@pytest.mark.parametrize(
    ("username", "site_id"),
    [
        pytest.param("default", "nowhere"),
        pytest.param("nobody", "nowhere"),
        ("default", ".."),
        ("default", "../.."),
        ("default", "x" * 300),
        ("default", "a\0b"),
        ("..", "nowhere"),
        ("..", ".."),
        ("y" * 300, "nowhere"),
    ],
)
def test_the_deletion_of_a_site_that_is_none_leaves_nothing_at_all(
    make_house: Callable[..., House], username: str, site_id: str
) -> None:
    house = make_house(lock_timeout=0.2)
    before = everything_below(house.paths.data)
    with pytest.raises(SiteNotFound):
        house.publisher.delete(username, site_id)
    assert everything_below(house.paths.data) == before


@pytest.mark.parametrize(
    "site", ["%2e%2e/registry", "%2e%2e/%2e%2e", "default/%2e%2e", "a%00b/x", "a" * 300 + "/b", "%ED%A0%80/x"]
)
def test_deleting_a_site_of_an_impossible_name_is_a_404_at_once(
    make_app: Callable[..., Flask], data: Path, site: str
) -> None:
    admin = Admin(make_app(lock_timeout=0.2).test_client())
    admin.get("/_api/health")  # The first login makes the file that counts failed ones.
    before = everything_below(data)
    assert_failure(admin.delete(f"/_api/sites/{site}"), 404, "站点不存在")
    assert everything_below(data) == before


# --- A disk that fails ----------------------------------------------------------------------


class DiskFull(OSError):
    def __init__(self) -> None:
        super().__init__(28, "No space left on device")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], list[int]]]:
    """Make the N-th call (from 1) of a function of ``os`` fail as on a full disk; returns its call count."""
    with monkeypatch.context() as patch:

        def fail(function: str, at: int) -> list[int]:
            real, count = getattr(os, function), [0]

            def maybe(*arguments: Any, **kwargs: Any) -> Any:
                if function != "open" or arguments[1] & os.O_CREAT:
                    count[0] += 1
                    if count[0] == at:
                        raise DiskFull
                return real(*arguments, **kwargs)

            patch.setattr(os, function, maybe)
            fail.undo = patch.undo  # type: ignore[attr-defined]
            return count

        yield fail


@pytest.mark.parametrize("function", ["mkdir", "rename", "symlink", "fsync", "open", "utime"])
def test_a_deploy_on_a_full_disk_is_old_or_new_and_never_between(
    house: House, failing: Callable[[str, int], list[int]], function: str
) -> None:
    first = house.deploy(V1)
    at = 0
    while True:
        at += 1
        count = failing(function, at)
        with suppress(OSError):
            house.deploy(V2)
        failing.undo()  # type: ignore[attr-defined]
        assert house.litter() == []
        house.services.reload()
        assert house.served in (V1, V2)
        assert house.served == (V1 if house.current == first.id else V2)
        listed = house.services.histories.read(house.site).checkpoints
        assert {c.id for c in listed} <= set(house.services.histories.archive_ids(house.site))
        house.checkout(first)
        if count[0] < at:
            break
        assert at < 200


# --- Times ----------------------------------------------------------------------------------


def test_a_file_of_the_first_version_does_not_share_a_second_with_what_an_operator_had_put_there(house: House) -> None:
    by_hand = house.root / "index.html"
    by_hand.write_bytes(b"had")
    before = by_hand.stat().st_mtime
    house.deploy(V1)
    assert int((house.root / "index.html").stat().st_mtime) > int(before)


def test_an_unchanged_file_keeps_its_time_and_a_changed_one_gets_another(house: House) -> None:
    house.deploy(V1)
    times = {path: (house.root / path).stat().st_mtime_ns for path in ("index.html", "same.txt")}
    house.deploy(V2)
    assert (house.root / "same.txt").stat().st_mtime_ns == times["same.txt"]
    assert (house.root / "index.html").stat().st_mtime_ns != times["index.html"]


def test_no_two_versions_of_a_file_share_a_second(house: House) -> None:
    """What has only Last-Modified to go by must see each change."""
    moment = datetime(2025, 1, 6, 16, 0, 0).astimezone()
    seconds = set()
    for number in range(6):
        upload = house.upload({"index.html": str(number)})
        house.publisher.deploy(house.site, Sent(upload, "site.zip"), moment - timedelta(seconds=number))
        seconds.add(int((house.root / "index.html").stat().st_mtime))
    assert len(seconds) == 6


# --- Taking away ----------------------------------------------------------------------------


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """No more than 200 files can be opened beside those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_a_deep_tree_is_taken_away_without_a_descriptor_for_each_level(house: House) -> None:
    house.deploy({"index.html": b"", "a/" * 511 + "x": b""})  # As deep as a path of 1,024 bytes allows.
    for version in (V1, V2):
        house.deploy(version)
    house.clear_cache()
    assert house.litter() == []


def test_a_deploy_that_is_live_is_acknowledged_though_its_rubbish_cannot_be_removed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise DiskFull

    monkeypatch.setattr(files, "remove_tree", fail)
    made = house.deploy(V1)
    assert house.current == made.id
