"""Quotas hold for a tenant's sites, whoever deploys; what is refused leaves nothing. So does the reserve."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import Admin, Server, assert_failure, assert_success, basic, everything_below, tar_of, zip_of

from pages.config import Config, as_json, config_in_force, pin
from pages.errors import ConfigError
from pages.space import Space

TENANTS = """
[limits]
quota_bytes = {bytes}
quota_sites = {sites}
quota_checkpoints = {checkpoints}
[users.bob]
pass = "b"
[users.eve]
pass = "e"
{own}
"""

Quotas = Callable[..., Flask]


@pytest.fixture
def with_quotas(make_app: Callable[..., Flask], tmp_path: Path) -> Quotas:
    """An application whose tenants bob and eve have these quotas; ``own`` is more lines for eve."""

    def make(bytes: int = 0, sites: int = 0, checkpoints: int = 0, own: str = "", **settings: Any) -> Flask:
        text = TENANTS.format(bytes=bytes, sites=sites, checkpoints=checkpoints, own=own)
        (tmp_path / "config.toml").write_text(text)
        return make_app(**settings)

    return make


def tenant(app: Flask, name: str = "bob", site: str = "s") -> Admin:
    user = Admin(app.test_client(), name, name[0])
    user.create(site, f"{site}-{name}.localhost")
    return user


def random(size: int) -> bytes:
    return os.urandom(size)


def usage(user: Admin) -> Any:
    return assert_success(user.get("/_api/health"))["usage"]


def work_and_sites(data: Path) -> dict[str, str]:
    return {k: v for k, v in everything_below(data).items() if not k.startswith(("locks", "ballast"))}


def test_one_site_too_many_is_refused_until_another_goes(with_quotas: Quotas, data: Path) -> None:
    bob = tenant(with_quotas(sites=2))
    bob.create("t")
    before = work_and_sites(data)
    message = assert_failure(bob.post("/_api/sites", json={"id": "u", "domain": "u.localhost"}), 403)
    assert message == "超出配额: quota_sites = 2，已有 2 个站点，请先删除不用的站点"
    assert work_and_sites(data) == before
    assert_success(bob.delete("/_api/sites/bob/t"))
    bob.create("u")


def test_the_admin_cannot_go_over_a_tenants_quota_either(with_quotas: Quotas) -> None:
    app = with_quotas(sites=1)
    tenant(app)
    admin = Admin(app.test_client())
    body = {"id": "t", "domain": "t.localhost", "username": "bob"}
    assert assert_failure(admin.post("/_api/sites", json=body), 403).startswith("超出配额: quota_sites = 1")
    tenant(app, "eve")  # Each has its own.


def test_a_tenants_own_quota_goes_before_the_one_for_all(with_quotas: Quotas) -> None:
    app = with_quotas(sites=1, own="quota_sites = 0")
    eve = tenant(app, "eve")
    eve.create("t")
    assert assert_success(eve.get("/_api/health"))["quota"] == {"sites": 0, "bytes": 0, "checkpoints": 0}
    bob = tenant(app)
    assert assert_failure(bob.post("/_api/sites", json={"id": "t", "domain": "u.localhost"}), 403)


def test_the_checkpoint_that_is_one_too_many_is_refused_by_deploy_and_by_hand(with_quotas: Quotas, data: Path) -> None:
    bob = tenant(with_quotas(checkpoints=2))
    first = bob.deployed({"index.html": "1"}, "bob/s")
    bob.deployed({"index.html": "2"}, "bob/s")
    before = work_and_sites(data)
    expected = "超出配额: quota_checkpoints = 2，该站点已有 2 个检查点，请先删除不用的检查点"
    assert_failure(bob.deploy(zip_of({"index.html": "3"}), site="bob/s"), 403, expected)
    assert_failure(bob.post("/_api/sites/bob/s/checkpoints"), 403, expected)
    assert work_and_sites(data) == before
    assert_success(bob.checkout(first["id"], "bob/s"))  # A rollback makes none.
    second = [c["id"] for c in bob.checkpoints("bob/s")["checkpoints"] if c["id"] != first["id"]]
    assert_success(bob.delete(f"/_api/sites/bob/s/checkpoints/{second[0]}"))
    bob.deployed({"index.html": "3"}, "bob/s")


def test_bytes_are_archives_and_the_live_files(with_quotas: Quotas) -> None:
    bob = tenant(with_quotas())
    assert usage(bob) == {"sites": 1, "bytes": 0}
    one = bob.deployed({"a": random(5000), "b": random(700)}, "bob/s")
    two = bob.deployed({"a": random(1000)}, "bob/s")
    assert usage(bob)["bytes"] == one["file_size"] + two["file_size"] + 1000
    assert_success(bob.checkout(one["id"], "bob/s"))
    assert usage(bob)["bytes"] == one["file_size"] + two["file_size"] + 5700
    assert_success(bob.delete(f"/_api/sites/bob/s/checkpoints/{two['id']}"))
    assert usage(bob)["bytes"] == one["file_size"] + 5700


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_what_does_not_fit_is_refused_while_it_is_unpacked_and_leaves_nothing(
    with_quotas: Quotas, data: Path, pack: Callable[[dict[str, bytes | str]], bytes]
) -> None:
    bob = tenant(with_quotas(bytes=300_000))
    bob.deployed({"index.html": "old"}, "bob/s")
    before = work_and_sites(data)
    bomb = pack({f"{n}.txt": b"0" * 100_000 for n in range(50)})
    name = "site.zip" if pack is zip_of else "site.tar.gz"
    message = assert_failure(bob.deploy(bomb, name, site="bob/s"), 403)
    assert message.startswith("超出配额: quota_bytes = 300000 字节，已用 ")
    # It stopped soon after the limit, and did not unpack all of it first.
    assert int(message.rpartition("还需 ")[2].split()[0]) < 500_000
    assert work_and_sites(data) == before
    assert bob.visit(host="s-bob.localhost").data == b"old"


def test_a_tenant_is_told_nothing_of_anothers_quota(with_quotas: Quotas) -> None:
    app = with_quotas(checkpoints=1)
    tenant(app).deployed({"index.html": "1"}, "bob/s")
    eve = tenant(app, "eve")
    assert_failure(eve.deploy(zip_of({"index.html": "2"}), site="bob/s"), 403, "权限不足")


def test_an_archive_and_its_files_count_together_at_the_commit(with_quotas: Quotas, data: Path) -> None:
    bob = tenant(with_quotas(bytes=15_000))
    before = work_and_sites(data)
    # 10,000 bytes fit, and so does their archive; not both.
    assert assert_failure(bob.deploy(zip_of({"a": random(10_000)}), site="bob/s"), 403).startswith("超出配额")
    assert work_and_sites(data) == before
    bob.deployed({"a": random(7_000)}, "bob/s")


def test_a_new_version_replaces_the_live_one_in_the_sum(with_quotas: Quotas) -> None:
    bob = tenant(with_quotas(bytes=10_500))
    for content in (b"a", b"b", b"c"):  # 9,000 live each time, in archives of some hundred bytes.
        bob.deployed({"x": content * 9_000}, "bob/s")


def test_two_deploys_at_once_cannot_both_have_the_last_place(with_quotas: Quotas) -> None:
    app = with_quotas(bytes=50_000)
    bob = tenant(app)
    for number in range(4):
        bob.create(f"t{number}")
    replies: list[int] = []
    start = threading.Barrier(4)

    def deploy(number: int) -> None:
        archive = zip_of({"a": random(15_000)})
        start.wait()
        replies.append(Admin(app.test_client(), "bob", "b").deploy(archive, site=f"bob/t{number}").status_code)

    threads = [threading.Thread(target=deploy, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [200, 403, 403, 403]
    assert usage(bob)["bytes"] <= 50_000


def test_a_rollback_is_never_refused_for_a_quota(with_quotas: Quotas) -> None:
    bob = tenant(with_quotas())
    large = bob.deployed({"a": random(20_000)}, "bob/s")
    bob.deployed({"a": b"x"}, "bob/s")
    bob = Admin(with_quotas(bytes=1000).test_client(), "bob", "b")
    assert_success(bob.checkout(large["id"], "bob/s"))
    assert assert_failure(bob.deploy(zip_of({"a": "y"}), site="bob/s"), 403)
    assert_success(bob.delete("/_api/sites/bob/s"))  # And what frees space works.


def test_the_admins_health_tells_no_quota(admin: Admin) -> None:
    assert "usage" not in assert_success(admin.get("/_api/health"))


def test_a_damaged_history_hides_no_archive(with_quotas: Quotas, data: Path) -> None:
    bob = tenant(with_quotas())
    made = bob.deployed({"a": random(5000)}, "bob/s")
    (data / "sites-checkpoints/bob/s/metadata.json").write_bytes(b"{")
    assert usage(bob)["bytes"] == made["file_size"]


def test_an_archive_that_goes_while_it_is_counted_takes_no_other_out_of_the_sum(
    with_quotas: Quotas, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_quotas()
    bob = tenant(app)
    sizes = [bob.deployed({"a": random(5000)}, "bob/s")["file_size"] for _ in range(2)]
    services = app.extensions["pages"]
    site = services.registry.get("bob", "s")
    monkeypatch.setattr("pages.history.os.listdir", lambda folder: ["gone.tar.gz", *_listdir(folder)])
    assert services.histories.archived_bytes(site) == sum(sizes)


_listdir = os.listdir


def test_quotas_reach_the_workers(make_config: Callable[..., Config], tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "config.toml").write_text('[users.eve]\npass = "e"\nquota_bytes = 7\n')
    monkeypatch.setattr("pages.config._pinned", None)
    config = make_config()
    pin(as_json(config))
    assert config_in_force().user_quotas == {"eve": {"quota_bytes": 7}}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[limits]\nquota_sites = -1", "quota_sites"),
        ('[limits]\nquota_bytes = "1"', "quota_bytes"),
        ("[limits]\nmin_free_bytes = -1", "min_free_bytes"),
        ("[limits]\nmin_upload_rate = -5", "min_upload_rate"),
        ('[users.eve]\npass = "e"\nquota_checkpoints = -1', "users.eve: quota_checkpoints"),
        ('[users.eve]\npass = "e"\nquota_checkpoints = true', "users.eve: quota_checkpoints"),
        ('[users.eve]\npass = "e"\nquota_files = 1', "users.eve"),
    ],
)
def test_an_impossible_quota_stops_the_start_by_name(
    make_config: Callable[..., Config], tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=named):
        make_config()


# --- The reserve --------------------------------------------------------------------------------


class Statvfs:
    """A disk with this much free."""

    f_frsize, f_files = 1, 0

    def __init__(self, free: int) -> None:
        self.f_bavail = self.f_favail = free


def test_a_bomb_stops_at_the_reserve(make_app: Callable[..., Flask], data: Path, monkeypatch: Any) -> None:
    admin = Admin(make_app(min_free_bytes=100 << 20).test_client())
    admin.create("blog")
    before = work_and_sites(data)
    written = [0]
    look = Space.require

    def shrinking(space: Space, count: int = 0) -> None:
        # As other tenants see it: each look finds 8 MiB less.
        written[0] += 8 << 20
        monkeypatch.setattr(os, "statvfs", lambda path: Statvfs((120 << 20) - written[0]))
        look(space, count)

    monkeypatch.setattr(Space, "require", shrinking)
    bomb = zip_of({"zeros": bytes(64 << 20)})
    assert_failure(admin.deploy(bomb), 507, "存储空间不足，请清理后重试")
    assert written[0] <= 32 << 20
    assert work_and_sites(data) == before


def test_an_upload_is_refused_by_its_length_where_it_would_leave_too_little(
    make_app: Callable[..., Flask], monkeypatch: Any
) -> None:
    admin = Admin(make_app(min_free_bytes=1000).test_client())
    admin.create("blog")
    body = zip_of({"index.html": "x"})
    assert_success(admin.deploy(body))
    monkeypatch.setattr(os, "statvfs", lambda path: Statvfs(1000 + len(body)))  # Not twice.
    assert_failure(admin.deploy(body), 507)
    assert_success(admin.put("/_api/sites/default/blog", json={"index": "x.html"}))  # Small changes may use it.


def test_a_server_refuses_by_quota_and_reserve_before_it_has_the_body(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_QUOTA_BYTES="100000")
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    assert b" 403 " in answer_to_the_head(server, "default/blog", 3 << 20)
    server.stop()
    server.settings = {"PAGES_MIN_FREE_BYTES": str(1 << 60)}
    server.start()
    assert b" 507 " in answer_to_the_head(server, "default/blog", 3 << 20)


def answer_to_the_head(server: Server, site: str, length: int) -> bytes:
    """What a deploy is answered of which only the head has come."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        head = f"POST /_api/sites/{site}/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: {basic()['Authorization']}\r\n\r\n"
        connection.sendall(head.encode())
        return connection.recv(1000)
