"""The registry on disk: no process knows better than the files, whatever an operator or a crash did to them."""

import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, everything_below

from pages.config import Config
from pages.errors import DomainTaken, PagesError, SiteBroken, SiteExists, SiteNotFound
from pages.model import now
from pages.services import Services, build_services

BLOG = "/_api/sites/default/blog"


def record(data: Path, site: str = "default/blog") -> Path:
    return data / "registry" / f"{site}.json"


def edit(data: Path, site: str = "default/blog", **changes: Any) -> None:
    """Change a record in place, as an editor does."""
    fields = json.loads(record(data, site).read_text())
    record(data, site).write_text(json.dumps(fields | changes, ensure_ascii=False))


@pytest.fixture
def two(make_app: Callable[..., Flask]) -> tuple[Admin, Admin]:
    """Two applications on one data folder, as two workers are; ``default/blog`` serves a page."""
    first, second = Admin(make_app().test_client()), Admin(make_app().test_client())
    first.create("blog")
    first.deployed({"a.html": "page a", "b.html": "page b", "index.html": "page index"})
    return first, second


# --- One truth ------------------------------------------------------------------------------


def test_what_one_process_writes_the_other_sees_at_once(two: tuple[Admin, Admin]) -> None:
    for turn in range(20):  # Records of the same size, one within a clock tick of the other.
        writer, reader = two if turn % 2 else two[::-1]
        index = "a.html" if turn % 3 else "b.html"
        written = assert_success(writer.put(BLOG, json={"index": index}))
        assert assert_success(reader.get(BLOG)) == written
        assert reader.visit().data == f"page {index[0]}".encode()


def test_a_site_that_one_process_creates_and_deletes_is_there_and_gone_for_the_other(two: tuple[Admin, Admin]) -> None:
    for turn in range(6):
        writer, reader = two if turn % 2 else two[::-1]
        assert_failure(reader.get("/_api/sites/default/new"), 404)
        writer.create("new")
        writer.deployed({"index.html": str(turn)}, site="default/new")
        assert reader.visit(host="new.localhost").data == str(turn).encode()
        assert assert_success(reader.get("/_api/sites"))["total"] == 3
        writer.delete("/_api/sites/default/new")
        assert reader.visit(host="new.localhost").status_code == 404


def test_a_domain_that_moves_is_never_at_two_sites(two: tuple[Admin, Admin]) -> None:
    first, second = two
    for turn in range(10):
        domain = f"d{turn}.localhost"
        assert_success(first.put(BLOG, json={"domain": domain}))
        assert second.visit(host=domain).data == b"page index"
        assert second.visit(host=f"d{turn - 1}.localhost").status_code == 404


def test_disabling_in_one_process_hides_the_site_in_the_other(two: tuple[Admin, Admin]) -> None:
    first, second = two
    for enabled, status in [(False, 404), (True, 200), (False, 404)]:
        first.put(BLOG, json={"enabled": enabled})
        assert second.visit().status_code == status


# --- Edits by hand --------------------------------------------------------------------------


def test_an_edit_by_hand_is_seen_without_a_reload(two: tuple[Admin, Admin], data: Path) -> None:
    for admin in two:
        assert admin.visit().data == b"page index"
    edit(data, index="a.html")
    for admin in two:
        assert assert_success(admin.get(BLOG))["index"] == "a.html"
        assert admin.visit().data == b"page a"


@pytest.mark.parametrize("reload", [False, True])
def test_an_edit_that_keeps_size_and_time_is_seen_too(admin: Admin, data: Path, reload: bool) -> None:
    past = record(data).stat().st_mtime_ns - 10**9  # As after a restore from a backup.
    os.utime(record(data), ns=(past, past))
    assert assert_success(admin.get(BLOG))["index"] == "index.html"
    edited = record(data).read_bytes().replace(b"index.html", b"start.html")
    record(data).write_bytes(edited)
    os.utime(record(data), ns=(past, past))
    if reload:
        admin.post("/_api/reload")
    assert assert_success(admin.get(BLOG))["index"] == "start.html"


def test_edits_within_one_tick_of_the_clock_are_all_seen(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build_services(make_config())
    services.recover()
    path = services.paths.record("default", "default")
    stat = os.stat

    def stat_of_an_old_kernel(name: Any, **kwargs: Any) -> Any:
        found = stat(name, **kwargs)
        if name != path:
            return found
        fields = {field: getattr(found, field) for field in dir(found) if field.startswith("st_")}
        ticks = {field: value // 10_000_000 * 10_000_000 for field, value in fields.items() if field.endswith("_ns")}
        return SimpleNamespace(**fields | ticks)

    monkeypatch.setattr(os, "stat", stat_of_an_old_kernel)
    versions = [path.read_bytes().replace(b"index.html", name) for name in (b"aaaaa.html", b"bbbbb.html")]
    for turn in range(100):
        path.write_bytes(versions[turn % 2])
        assert services.registry.get("default", "default").index == ("aaaaa.html", "bbbbb.html")[turn % 2]


def test_a_record_replaced_by_a_rename_is_seen(admin: Admin, data: Path) -> None:
    for index in ["a.html", "b.html", "c.html"]:
        fresh = data.parent / "fresh.json"
        fresh.write_text(record(data).read_text())
        fresh.rename(record(data))
        edit(data, index=index)
        assert assert_success(admin.get(BLOG))["index"] == index


def test_a_domain_changed_by_hand_leaves_the_old_one_at_once(two: tuple[Admin, Admin], data: Path) -> None:
    edit(data, domain="other.localhost")
    assert [admin.visit(host="blog.localhost").status_code for admin in two] == [404, 404]


def test_a_record_removed_by_hand_is_a_site_that_is_gone(two: tuple[Admin, Admin], data: Path) -> None:
    record(data).unlink()
    for admin in two:
        assert_failure(admin.get(BLOG), 404, "站点不存在")
        assert admin.visit().status_code == 404
    two[0].create("heir", "blog.localhost")


def test_what_a_record_leaves_out_has_its_default(admin: Admin, data: Path) -> None:
    fields = json.loads(record(data).read_text())
    record(data).write_text(json.dumps({k: v for k, v in fields.items() if k not in ("index", "enabled")}))
    assert assert_success(admin.get(BLOG)) == fields


def test_a_record_may_hold_more_than_we_know(admin: Admin, data: Path) -> None:
    site = assert_success(admin.get(BLOG))
    edit(data, note="ask Bob", path="/x")
    assert assert_success(admin.get(BLOG)) == site


def test_a_record_that_notepad_saved_is_read(admin: Admin, data: Path) -> None:
    record(data).write_bytes(b"\xef\xbb\xbf" + record(data).read_bytes())
    assert_success(admin.get(BLOG))


def test_a_time_written_by_hand_is_handed_out_with_an_offset(admin: Admin, data: Path) -> None:
    edit(data, created_at="2026-01-02T03:04:05")
    found = assert_success(admin.get(BLOG))["created_at"]
    assert found.startswith("2026-01-02T03:04:05")
    assert "+" in found[19:] or "-" in found[19:]


# --- Records that cannot be read ------------------------------------------------------------

BROKEN: list[Any] = [
    b"", b"{", b"[]", b"\xff\xfe", b"\0" * 300, b"[" * 100_000, {"domain": "_"}, {"domain": None}, {"index": "../x"},
    {"enabled": "yes"}, {"id": "other"}, {"username": "other"}, {"created_at": "yesterday"},
    {"updated_at": "9999-12-31T23:59:59+00:00"}, {"updated_at": "0001-01-01T00:00:00"}, "folder", "loop",
]  # fmt: skip


def ruin(path: Path, how: Any) -> None:
    """Break a record: by bytes, by fields, or by what is no file."""
    if isinstance(how, bytes):
        path.write_bytes(how)
    elif isinstance(how, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | how))
    else:
        path.unlink()
        path.mkdir() if how == "folder" else path.symlink_to(path.name)


@pytest.fixture
def published(admin: Admin) -> Admin:
    admin.deployed({"index.html": "page"})
    return admin


def test_a_record_that_is_a_folder_leaves_no_file_open(published: Admin, data: Path) -> None:
    ruin(record(data), "folder")
    published.visit()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        os.utime(record(data), (number, number))  # So that it is read again.
        published.visit()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("how", BROKEN, ids=lambda how: ascii(how)[:30])
def test_a_site_whose_record_cannot_be_read(published: Admin, data: Path, how: Any) -> None:
    """... is served to nobody, answers 500, keeps its domain, leaves the others alone, and can be deleted."""
    admin = published
    ruin(record(data), how)
    assert b"page" not in admin.visit().data
    assert_failure(admin.get(BLOG), 500, "站点配置损坏")
    assert_failure(admin.put(BLOG, json={"index": "x.html"}), 500, "站点配置损坏")
    assert_failure(admin.post("/_api/sites", json={"id": "new", "domain": "blog.localhost"}), 409, "域名已被占用")
    assert_failure(admin.post("/_api/sites", json={"id": "blog", "domain": "new.localhost"}), 409, "站点已存在")
    problems = assert_success(admin.post("/_api/reload"), message="重载成功，当前 1 个站点已生效")["problems"]
    assert [problem["file"] for problem in problems] == ["registry/default/blog.json"]
    assert_failure(admin.post("/_api/sites", json={"id": "new", "domain": "blog.localhost"}), 409, "域名已被占用")
    assert_success(admin.get("/_api/sites/default/default"))
    assert_success(admin.get("/_api/sites"))
    assert_success(admin.delete(BLOG), message="站点删除成功")
    assert not (data / "sites/default/blog").exists()
    assert not (data / "sites-checkpoints/default/blog").exists()
    assert_success(admin.post("/_api/sites", json={"id": "blog", "domain": "blog.localhost"}), 201)
    assert admin.checkpoints()["checkpoints"] == []


def test_a_repaired_record_serves_its_site_again(published: Admin, data: Path) -> None:
    before = record(data).read_bytes()
    ruin(record(data), b"{")
    assert_failure(published.get(BLOG), 500)
    record(data).write_bytes(before)
    assert published.visit().data == b"page"


def test_calls_read_no_record_but_those_they_are_about(
    published: Admin, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        (data / f"registry/default/broken{number}.json").write_text("{")
    with caplog.at_level(logging.ERROR):
        published.create("new")
        published.put("/_api/sites/default/new", json={"domain": "newer.localhost"})
        published.deployed({"index.html": "x"}, site="default/new")
        assert published.visit(host="newer.localhost").data == b"x"
        published.delete("/_api/sites/default/new")
    assert caplog.text == ""


# --- Domain links ---------------------------------------------------------------------------


STALE: dict[str, Callable[[Path], object]] = {
    "a record without it": lambda link: link.symlink_to("../registry/default/blog.json"),
    "no record": lambda link: link.symlink_to("../registry/default/gone.json"),
    "nowhere": lambda link: link.symlink_to("/nonexistent/../registry/default/blog.json"),
    "odd names": lambda link: link.symlink_to("../registry/../../etc/passwd"),
    "itself": lambda link: link.symlink_to(link.name),
    "a file": lambda link: link.write_text("{}"),
    "a folder": lambda link: (link / "deep").mkdir(parents=True),
}


@pytest.mark.parametrize("stale", STALE)
@pytest.mark.parametrize("by", ["create", "update", "reload"])
def test_a_stale_link_serves_nobody_and_is_reclaimed(published: Admin, data: Path, stale: str, by: str) -> None:
    admin, link = published, data / "domains/stale.localhost"
    STALE[stale](link)
    assert admin.visit(host="stale.localhost").status_code == 404
    if by == "create":
        admin.create("new", "stale.localhost")
    elif by == "update":
        assert_success(admin.put("/_api/sites/default/default", json={"domain": "stale.localhost"}))
    else:
        assert_success(admin.post("/_api/reload"))
        assert not os.path.lexists(link)
        return
    owner = "new" if by == "create" else "default"
    assert os.readlink(link) == f"../registry/default/{owner}.json"
    assert admin.visit(host="blog.localhost").data == b"page"
    assert list((data / "work").iterdir()) == []


def test_a_missing_link_comes_back_with_a_reload(published: Admin, data: Path) -> None:
    (data / "domains/blog.localhost").unlink()
    assert published.visit().status_code == 404
    assert assert_success(published.post("/_api/reload"))["problems"] == []
    assert published.visit().data == b"page"


def test_a_data_folder_may_be_moved(published: Admin, data: Path, make_app: Callable[..., Flask]) -> None:
    data.rename(data.with_name("elsewhere"))
    admin = Admin(make_app(data_dir=str(data.with_name("elsewhere"))).test_client())
    assert admin.visit().data == b"page"
    assert_success(admin.get(BLOG))


def test_the_registry_can_be_used_without_any_web(make_config: Callable[..., Config]) -> None:
    services = build_services(make_config())
    services.recover()
    assert services.registry.owner_of("localhost").id == "default"
    for name in ["", ".", "..", "../registry/default/default.json", "a/b", "\0", "x" * 300]:
        with pytest.raises((SiteNotFound, ValueError, OSError)):
            services.registry.owner_of(name)
        with pytest.raises(SiteNotFound):
            services.registry.get("default", name)
    (services.paths.registry / "default/default.json").write_text("{")
    with pytest.raises(SiteBroken):
        services.registry.owner_of("localhost")


# --- Several processes ----------------------------------------------------------------------

_services: Services
_barrier: Barrier


def _enter(config: Config, barrier: Barrier) -> None:
    """In each process of the pool, once."""
    global _services, _barrier
    _services, _barrier = build_services(config), barrier


def _create(fields: dict[str, Any]) -> str:
    _barrier.wait(60)
    try:
        _services.publisher.create({"index": "index.html", "enabled": True, "username": "u", **fields}, now())
    except PagesError as error:
        return type(error).__name__
    return "created"


def _update(values: tuple[str, list[Any]]) -> None:
    field, each = values
    _barrier.wait(60)
    for value in each:
        _services.publisher.update("default", "default", {field: value}, now())


def _create_and_delete(site_id: str) -> None:
    _barrier.wait(60)
    for _ in range(8):
        _create_now(site_id)
        _services.publisher.delete("u", site_id)


def _create_now(site_id: str) -> None:
    fields = {"id": site_id, "username": "u", "domain": f"{site_id}.x", "index": "index.html", "enabled": True}
    _services.publisher.create(fields, now())


PROCESSES = 4
IDLE: tuple[str, list[Any]] = ("index", [])


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pool of processes on one data folder, each with services of its own; and the services here."""
    config = Config(data_dir=tmp_path_factory.mktemp("crowd") / "data")
    services = build_services(config)
    services.recover()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, _enter, (config, barrier)) as pool:
        yield pool, services


def test_one_of_many_processes_gets_a_domain(crowd: Any) -> None:
    pool, services = crowd
    for turn in range(6):
        bodies = [{"id": f"d{turn}-{n}", "domain": f"d{turn}.x"} for n in range(PROCESSES)]
        assert sorted(pool.map(_create, bodies)) == [DomainTaken.__name__] * (PROCESSES - 1) + ["created"]
        owner = services.registry.owner_of(f"d{turn}.x")
        assert [s.id for s in services.registry.sites(services.registry.names("u")) if s.domain == owner.domain] == [
            owner.id
        ]


def test_one_of_many_processes_gets_an_id(crowd: Any) -> None:
    pool, services = crowd
    for turn in range(6):
        bodies = [{"id": f"i{turn}", "domain": f"i{turn}-{n}.x"} for n in range(PROCESSES)]
        assert sorted(pool.map(_create, bodies)) == [SiteExists.__name__] * (PROCESSES - 1) + ["created"]
        links = [path.name for path in services.paths.domains.iterdir() if path.name.startswith(f"i{turn}-")]
        assert links == [services.registry.get("u", f"i{turn}").domain]


def test_no_update_of_one_process_is_lost_to_another(crowd: Any) -> None:
    pool, services = crowd
    indexes, domains = [f"{n}.html" for n in range(30)], [f"u{n}.x" for n in range(30)]
    list(pool.map(_update, [("index", indexes), ("domain", domains), ("enabled", [False, True] * 15), IDLE]))
    site = services.registry.get("default", "default")
    assert (site.index, site.domain, site.enabled) == ("29.html", "u29.x", True)
    assert [path.name for path in services.paths.domains.iterdir() if path.name.startswith("u")] == ["u29.x"]
    assert services.registry.owner_of("u29.x") == site


def test_readers_never_see_a_record_half_written(crowd: Any) -> None:
    pool, services = crowd
    written = {f"{'x' * n}.html" for n in range(1, 60)} | {services.registry.get("default", "default").index}
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(services.registry.get("default", "default").index)

    reader = threading.Thread(target=read)
    reader.start()
    list(pool.map(_update, [("index", sorted(written)), IDLE, IDLE, IDLE]))
    done.set()
    reader.join()
    assert len(seen) > 1
    assert seen <= written


def test_sites_that_come_and_go_leave_nothing_and_harm_nobody(crowd: Any) -> None:
    pool, services = crowd
    before = everything_below(services.paths.data)
    list(pool.map(_create_and_delete, [f"c{n}" for n in range(PROCESSES)]))
    assert everything_below(services.paths.data) == before


def test_a_delete_of_what_is_no_site_harms_nothing_when_it_is_cut_short(server: Server) -> None:
    def ask() -> None:
        with suppress(OSError):
            server.api("DELETE", "/_api/sites/../registry")

    delete = threading.Thread(target=ask)
    delete.start()
    delete.join(1)  # It waits for the registry's lock, which it holds itself, or it has been refused.
    server.kill()
    delete.join()
    server.start()
    assert server.api("GET", BLOG).status == 200
