"""Sites that nginx serves by itself: their links through a site's life, their twins, and readers during switches."""

import gzip
import http.client
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from helpers import Admin, Reply, Server, assert_success, basic, wait_until, zip_of
from nginx import Nginx

from pages.app import create_app
from pages.config import Config

BROTLI_MODULE = Path("/usr/lib/nginx/modules/ngx_http_brotli_static_module.so")


@dataclass
class Front:
    """A Pages server, and nginx in front of it."""

    server: Server
    nginx: Nginx

    def get(self, path: str, host: str, method: str = "GET", direct: bool = False, **headers: str) -> Reply:
        """What a visitor gets from nginx, or from Pages itself; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        port = self.server.port if direct else self.nginx.port
        return self.server.request(method, path, host=host, headers=sent, port=port)

    def put_up(self, site: str, files: dict[str, bytes | str], **fields: Any) -> str:
        """A new site on ``{site}.localhost``; returns its first checkpoint."""
        self.create(site, **fields)
        return self.deployed(site, files)

    def create(self, site: str, **fields: Any) -> None:
        reply = self.server.api("POST", "/_api/sites", {"id": site, "domain": f"{site}.localhost", **fields})
        assert reply.status == 201, reply.json()

    def deployed(self, site: str, files: dict[str, bytes | str]) -> str:
        reply = self.server.deploy(zip_of(files), site=f"default/{site}")
        assert reply.status == 200, reply.json()
        return str(reply.json()["data"]["checkpoint"]["id"])

    def update(self, site: str, **fields: Any) -> None:
        reply = self.server.api("PUT", f"/_api/sites/default/{site}", fields)
        assert reply.status == 200, reply.json()

    def checkout(self, site: str, checkpoint: str) -> None:
        path = f"/_api/sites/default/{site}/checkpoints/{checkpoint}/checkout"
        assert self.server.api("POST", path).status == 200

    def clear_cache(self) -> None:
        reply = self.server.api("POST", "/api/admin/maintenance", {"action": "clear-cache"}, host="localhost")
        assert reply.status == 200

    def tree(self, site: str) -> Path:
        return Path(os.path.realpath(self.server.data / "sites/default" / site))

    def twin(self, site: str, path: str) -> Path:
        return self.tree(site).parent / ".encodings" / path

    def stop(self) -> None:
        self.nginx.stop()
        self.server.stop()


def start(factory: pytest.TempPathFactory, modules: tuple[str, ...] = (), **settings: str) -> Front:
    settings = {"PAGES_TRUSTED_PROXIES": "unix", **settings}
    server = Server(factory.mktemp("server"), settings).start()
    front = Front(server, Nginx(factory.mktemp("nginx"), server.environment(), modules=modules))
    try:
        front.nginx.start()
    except BaseException:
        front.stop()
        raise
    return front


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For all tests; each has sites of its own."""
    front = start(tmp_path_factory)
    yield front
    front.stop()


# --- The link -------------------------------------------------------------------------------------


def links(data: Path) -> dict[str, str]:
    """What stands in ``public/``: a link's target, or what else it is."""
    return {
        path.name: os.readlink(path) if path.is_symlink() else "a folder" if path.is_dir() else "a file"
        for path in (data / "public").iterdir()
    }


def expected(admin: Admin) -> dict[str, str]:
    sites = assert_success(admin.get("/_api/sites"))["sites"]
    return {
        site["domain"]: f"../sites/{site['username']}/{site['id']}"
        for site in sites
        if site["enabled"] and site["index"] == "index.html"
    }


@pytest.mark.parametrize(
    ("fields", "is_public"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"index": "home.html"}, False),
        ({"index": "index.htm"}, False),
        ({"index": "Index.html"}, False),
        ({"index": "home.html", "enabled": False}, False),
        ({"domain": "B\u00fccher.Example."}, True),
        ({"domain": "192.0.2.1"}, True),
    ],
)
def test_a_new_site_has_a_link_exactly_when_nginx_may_serve_it(
    admin: Admin, data: Path, fields: dict[str, Any], is_public: bool
) -> None:
    site = admin.create("new", **fields)
    assert (site["domain"] in links(data)) == is_public
    assert links(data) == expected(admin)


_CHANGES = [
    {"enabled": False},
    {"enabled": True},
    {"index": "home.html"},
    {"index": "index.html"},
    {"domain": "moved.localhost"},
    {"domain": "moved.localhost", "enabled": False},
    {"domain": "moved.localhost", "index": "home.html"},
    {"domain": "moved.localhost", "index": "index.html", "enabled": True},
    {"domain": "blog.localhost"},
    {},
]


@pytest.mark.parametrize("first", range(len(_CHANGES)))
def test_the_link_follows_every_update(admin: Admin, data: Path, first: int) -> None:
    for second in _CHANGES:
        for changes in (_CHANGES[first], second, {"domain": "blog.localhost"}):
            assert_success(admin.put("/_api/sites/default/blog", json=changes))
            assert links(data) == expected(admin), changes


def test_a_domain_that_moves_between_two_sites_takes_its_link_along(admin: Admin, data: Path) -> None:
    admin.create("other")
    for domain, site in (("aside.localhost", "blog"), ("blog.localhost", "other"), ("other.localhost", "blog")):
        assert_success(admin.put(f"/_api/sites/default/{site}", json={"domain": domain}))
        assert links(data) == expected(admin)
    assert links(data)["blog.localhost"] == "../sites/default/other"


@pytest.mark.parametrize("fields", [{}, {"enabled": False}, {"index": "home.html"}])
def test_a_site_that_takes_a_freed_domain_is_served_as_its_own_record_says(
    admin: Admin, data: Path, fields: dict[str, Any]
) -> None:
    assert_success(admin.delete("/_api/sites/default/blog"))
    assert links(data) == expected(admin)
    admin.create("heir", domain="blog.localhost", **fields)
    assert links(data) == expected(admin)


@pytest.mark.parametrize("fields", [{}, {"enabled": False}, {"index": "home.html"}])
def test_deploy_checkout_and_delete_leave_no_link_wrong(admin: Admin, data: Path, fields: dict[str, Any]) -> None:
    if fields:
        assert_success(admin.put("/_api/sites/default/blog", json=fields))
    before = links(data)
    first = admin.deployed({"index.html": "one", "home.html": "one"})["id"]
    admin.deployed({"index.html": "two", "home.html": "two"})
    assert_success(admin.checkout(first))
    assert_success(admin.post("/_api/sites/default/blog/checkpoints"), 201)
    assert links(data) == before == expected(admin)
    assert_success(admin.delete("/_api/sites/default/blog"))
    assert "blog.localhost" not in links(data)


def test_a_refused_change_leaves_the_link(admin: Admin, data: Path) -> None:
    admin.create("other")
    before = links(data)
    for body in ({"domain": "other.localhost", "enabled": False}, {"domain": "a_b"}, {"index": "a/b"}, {"nothing": 1}):
        assert admin.put("/_api/sites/default/blog", json=body).status_code in (400, 409)
        assert links(data) == before


# --- Changes by hand ------------------------------------------------------------------------------


def edit(data: Path, site: str, **fields: Any) -> None:
    """An operator's edit of a record."""
    path = data / f"registry/default/{site}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def test_after_a_reload_the_links_are_what_edited_records_say(admin: Admin, data: Path) -> None:
    for site in ("off", "home", "moved", "broken", "gone", "back", "one", "two"):
        admin.create(site, enabled=site != "back")
    edit(data, "off", enabled=False)
    edit(data, "home", index="home.html")
    edit(data, "moved", domain="elsewhere.localhost")
    (data / "registry/default/broken.json").write_text("{")
    (data / "registry/default/gone.json").unlink()
    edit(data, "back", enabled=True)
    edit(data, "one", domain="two.localhost")
    edit(data, "two", domain="one.localhost")
    assert_success(admin.post("/_api/reload"))
    found = links(data)
    assert found == expected(admin)
    assert {"elsewhere.localhost", "back.localhost"} <= set(found)
    assert found["one.localhost"] == "../sites/default/two"
    assert not {"off.localhost", "home.localhost", "moved.localhost", "broken.localhost", "gone.localhost"} & set(found)


def test_a_record_that_claims_anothers_domain_changes_no_link_of_the_owner(admin: Admin, data: Path) -> None:
    admin.create("thief")
    edit(data, "thief", domain="blog.localhost")
    problems = assert_success(admin.post("/_api/reload"))["problems"]
    assert [problem["file"] for problem in problems] == ["registry/default/thief.json"]
    assert links(data)["blog.localhost"] == "../sites/default/blog"
    assert "thief.localhost" not in links(data)


def _remove(link: Path) -> None:
    link.unlink()


def _point_at_another_site(link: Path) -> None:
    link.unlink()
    link.symlink_to("../sites/default/default")


def _make_a_folder(link: Path) -> None:
    link.unlink()
    (link / "deep").mkdir(parents=True)
    (link / "index.html").write_text("by hand")


def _make_a_file(link: Path) -> None:
    link.unlink()
    link.write_text("by hand")


def _make_a_loop(link: Path) -> None:
    link.unlink()
    link.symlink_to(link.name)


_DAMAGE = [_remove, _point_at_another_site, _make_a_folder, _make_a_file, _make_a_loop]


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_reload_mends_a_link_that_was_damaged_by_hand(
    admin: Admin, data: Path, damage: Callable[[Path], None]
) -> None:
    damage(data / "public/blog.localhost")
    assert_success(admin.post("/_api/reload"))
    assert links(data) == expected(admin)


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_deploy_mends_a_link_that_was_damaged_by_hand(
    admin: Admin, data: Path, damage: Callable[[Path], None]
) -> None:
    damage(data / "public/blog.localhost")
    admin.deployed({"index.html": "one"})
    assert links(data) == expected(admin)


@pytest.mark.parametrize(
    "damage",
    [
        None,
        *_DAMAGE[1:],
    ],
)
@pytest.mark.parametrize("fields", [{"enabled": False}, {"index": "home.html"}])
def test_a_reload_takes_away_what_stands_at_a_hidden_sites_domain(
    admin: Admin, data: Path, fields: dict[str, Any], damage: Callable[[Path], None] | None
) -> None:
    assert_success(admin.put("/_api/sites/default/blog", json=fields))
    (data / "public/blog.localhost").symlink_to("../sites/default/blog")
    if damage:
        damage(data / "public/blog.localhost")
    assert_success(admin.post("/_api/reload"))
    assert links(data) == expected(admin)


def test_a_hidden_site_that_takes_a_domain_by_hand_does_not_inherit_the_link_there(admin: Admin, data: Path) -> None:
    admin.create("heir", enabled=False)
    edit(data, "blog", domain="elsewhere.localhost")
    edit(data, "heir", domain="blog.localhost")
    assert_success(admin.post("/_api/reload"))
    assert links(data) == expected(admin)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"enabled": False},
        {"index": "home.html"},
    ],
)
@pytest.mark.parametrize("by", ["create", "update"])
def test_a_domain_that_an_edit_freed_comes_without_the_link_of_before(
    admin: Admin, data: Path, fields: dict[str, Any], by: str
) -> None:
    # No reload yet: the domain is free, as the record says.
    edit(data, "blog", domain="elsewhere.localhost")
    if by == "create":
        admin.create("heir", domain="blog.localhost", **fields)
    else:
        admin.create("heir")
        assert_success(admin.put("/_api/sites/default/heir", json={"domain": "blog.localhost", **fields}))
    assert links(data).get("blog.localhost") == expected(admin).get("blog.localhost")


def test_start_up_mends_every_link(make_server: Callable[..., Server]) -> None:
    server = make_server()
    names = ["removed", "wrong", "folder", "file", "loop", "hidden", "whole"]
    for name in names:
        body = {"id": name, "domain": f"{name}.localhost", "enabled": name != "hidden"}
        assert server.api("POST", "/_api/sites", body).status == 201
        if name != "hidden":
            assert server.deploy(zip_of({"index.html": name}), site=f"default/{name}").status == 200
    right = links(server.data)
    server.kill()
    public = server.data / "public"
    for name, damage in zip(names, _DAMAGE, strict=False):
        damage(public / f"{name}.localhost")
    (public / "hidden.localhost").symlink_to("../sites/default/hidden")
    (public / "nobodys.localhost").symlink_to("../sites/default/whole")
    (public / "deleted.localhost").symlink_to("../sites/default/deleted")
    assert links(server.data) != right
    server.start()
    assert links(server.data) == right


# --- As a visitor sees it -------------------------------------------------------------------------


def test_nginx_serves_what_the_record_says_from_the_answer_on(front: Front) -> None:
    front.put_up("now", {"index.html": "index", "home.html": "home"})
    for fields, host, answer in (
        ({}, "now.localhost", (200, b"index")),
        ({"enabled": False}, "now.localhost", (404, None)),
        ({"enabled": True}, "now.localhost", (200, b"index")),
        ({"index": "home.html"}, "now.localhost", (200, b"home")),
        ({"index": "index.html"}, "now.localhost", (200, b"index")),
        ({"domain": "later.localhost"}, "now.localhost", (404, None)),
        ({}, "later.localhost", (200, b"index")),
        ({"domain": "now.localhost", "enabled": False}, "later.localhost", (404, None)),
        ({}, "now.localhost", (404, None)),
        ({"enabled": True}, "now.localhost", (200, b"index")),
    ):
        if fields:
            front.update("now", **fields)
        reply = front.get("/", host)
        assert (reply.status, reply.body if answer[1] else None) == answer, fields
    assert front.server.api("DELETE", "/_api/sites/default/now").status == 200
    assert front.get("/", "now.localhost").status == 404
    assert front.get("/index.html", "now.localhost").status == 404


def test_a_domain_swapped_between_two_sites_shows_each_from_the_answer_on(front: Front) -> None:
    front.put_up("blue", {"index.html": "blue"})
    front.put_up("green", {"index.html": "green"})
    front.update("blue", domain="aside.localhost")
    assert front.get("/", "blue.localhost").status == 404
    front.update("green", domain="blue.localhost")
    assert front.get("/", "blue.localhost").body == b"green"
    assert front.get("/", "aside.localhost").body == b"blue"
    assert front.get("/", "green.localhost").status == 404


def test_public_sites_are_served_while_pages_is_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    front = start(tmp_path_factory)
    try:
        page = b"<p>public</p>" * 100
        front.put_up("public", {"index.html": page, "404.html": "own 404", "docs/index.html": "docs", "a.png": "png"})
        front.put_up("plain", {"index.html": "plain"})
        front.put_up("home", {"home.html": "home"}, index="home.html")
        front.put_up("off", {"index.html": "off"}, enabled=False)
        front.server.stop()
        assert front.get("/", "public.localhost").body == page
        assert gzip.decompress(front.get("/", "public.localhost", Accept_Encoding="gzip").body) == page
        assert front.get("/a.png", "public.localhost").body == b"png"
        assert front.get("/docs", "public.localhost").headers["Location"] == "/docs/"
        for path in ("/missing", "/missing.png", "/.env", "//", "/docs//", "/404.html/"):
            reply = front.get(path, "public.localhost")
            assert (reply.status, reply.body) == (404, b"own 404"), path
        assert front.get("/missing", "plain.localhost").status == 404
        for host in ("home.localhost", "off.localhost", "unknown.localhost", "192.0.2.9", "_", "a_b", "public"):
            for path in ("/", "/index.html", "/missing", "/a.png", "/docs"):
                reply = front.get(path, host)
                assert reply.status in (400, 503), (host, path)
                assert not any(word in reply.body for word in (b"public", b"plain", b"own 404", b"home", b"off")), host
        assert front.get("/_api/health", "public.localhost").status == 503
        # And again from where it was.
        front.server.start()
        assert front.get("/", "home.localhost").body == b"home"
    finally:
        front.stop()


# --- Compressed twins -----------------------------------------------------------------------------

TEXT = b"body { color: red }\n" * 200
LARGE = b"".join(b"%08d and so on, line after line of it\n" % number for number in range(30_000))


def test_a_small_site_has_its_twins_at_the_answer(front: Front) -> None:
    front.put_up("small", {"index.html": TEXT, "a/b.css": TEXT, "c.png": TEXT, "tiny.css": "x"})
    found = {str(p.relative_to(front.twin("small", ""))) for p in front.twin("small", "").rglob("*") if p.is_file()}
    assert found == {"index.html.gz", "a/b.css.gz"}
    reply = front.get("/a/b.css", "small.localhost", Accept_Encoding="gzip")
    assert (reply.headers["Content-Encoding"], gzip.decompress(reply.body)) == ("gzip", TEXT)


def test_a_large_site_is_served_at_once_and_compressed_soon(front: Front) -> None:
    assert len(LARGE) > 1024 * 1024
    front.put_up("large", {"index.html": LARGE})
    reply = front.get("/", "large.localhost", Accept_Encoding="gzip")
    body = gzip.decompress(reply.body) if "Content-Encoding" in reply.headers else reply.body
    assert body == LARGE
    wait_until(lambda: front.twin("large", "index.html.gz").exists(), "the twin is made")
    for direct in (False, True):
        reply = front.get("/", "large.localhost", direct=direct, Accept_Encoding="gzip")
        assert (reply.headers["Content-Encoding"], gzip.decompress(reply.body)) == ("gzip", LARGE)


def test_no_archive_holds_a_twin(front: Front) -> None:
    first = front.put_up("kept", {"index.html": TEXT, "a/b.css": TEXT})
    reply = front.server.api("POST", "/_api/sites/default/kept/checkpoints")
    assert reply.status == 201
    for checkpoint in (first, reply.json()["data"]["id"]):
        archive = front.server.data / f"sites-checkpoints/default/kept/checkpoints/{checkpoint}.tar.gz"
        listed = subprocess.run(["tar", "tzf", archive], capture_output=True, text=True, check=True).stdout.split()
        assert sorted(listed) == ["a/", "a/b.css", "index.html"]
    assert sorted(path.name for path in front.tree("kept").rglob("*")) == ["a", "b.css", "index.html"]


def test_clearing_the_cache_takes_the_twins_and_no_page(front: Front) -> None:
    front.put_up("cleared", {"index.html": TEXT})
    assert front.twin("cleared", "index.html.gz").exists()
    front.clear_cache()
    assert not front.twin("cleared", "index.html.gz").exists()
    for direct in (False, True):
        reply = front.get("/", "cleared.localhost", direct=direct, Accept_Encoding="gzip")
        assert (reply.status, reply.headers["Content-Encoding"], reply.body) == (200, None, TEXT)
    front.deployed("cleared", {"index.html": TEXT, "new.css": TEXT})
    assert front.get("/", "cleared.localhost", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("is_cleared", [False, True])
def test_after_a_checkout_the_twins_are_of_that_version(front: Front, is_cleared: bool) -> None:
    site = f"twins-{is_cleared}".lower()
    versions = [{"index.html": b"%d" % number + TEXT, "same.css": TEXT, f"{number}.css": TEXT} for number in range(3)]
    checkpoints = [
        front.put_up(site, versions[0]),
        front.deployed(site, versions[1]),
        front.deployed(site, versions[2]),
    ]
    for number in (0, 2, 1, 0):
        if is_cleared:
            front.clear_cache()
        front.checkout(site, checkpoints[number])
        for other in range(3):
            for direct in (False, True):
                reply = front.get(f"/{other}.css", f"{site}.localhost", direct=direct, Accept_Encoding="gzip")
                assert reply.status == (200 if other == number else 404)
        for direct in (False, True):
            reply = front.get("/", f"{site}.localhost", direct=direct, Accept_Encoding="gzip")
            body = gzip.decompress(reply.body) if reply.headers["Content-Encoding"] else reply.body
            assert body == versions[number]["index.html"]
        wait_until(front.twin(site, "index.html.gz").exists, "the twins are there again")
        assert gzip.decompress(front.twin(site, "index.html.gz").read_bytes()) == versions[number]["index.html"]


def test_pages_serves_a_file_that_was_edited_by_hand_and_not_its_twin(front: Front) -> None:
    front.put_up("edited", {"index.html": TEXT})
    (front.tree("edited") / "index.html").write_bytes(b"edited " + TEXT)
    assert front.get("/", "edited.localhost").body == b"edited " + TEXT
    reply = front.get("/", "edited.localhost", direct=True, Accept_Encoding="gzip")
    assert (reply.headers["Content-Encoding"], reply.body) == (None, b"edited " + TEXT)


@pytest.mark.xfail(strict=True, reason="nginx sends a twin without looking at its file")
@pytest.mark.parametrize("change", ["edited", "removed"])
def test_nginx_sends_no_twin_of_a_file_that_was_changed_by_hand(front: Front, change: str) -> None:
    front.put_up(f"by-hand-{change}", {"index.html": TEXT, "a.css": TEXT})
    file = front.tree(f"by-hand-{change}") / "a.css"
    file.write_bytes(b"edited " + TEXT) if change == "edited" else file.unlink()
    reply = front.get("/a.css", f"by-hand-{change}.localhost", Accept_Encoding="gzip")
    assert reply.headers["Content-Encoding"] is None


@pytest.mark.parametrize("version", ["deploy", "snapshot"])
def test_the_next_version_after_an_edit_has_twins_of_its_own(front: Front, version: str) -> None:
    site = f"next-{version}"
    front.put_up(site, {"index.html": TEXT})
    (front.tree(site) / "index.html").write_bytes(b"edited " + TEXT)
    if version == "deploy":
        front.deployed(site, {"index.html": b"edited " + TEXT})
    else:
        assert front.server.api("POST", f"/_api/sites/default/{site}/checkpoints").status == 201
    for direct in (False, True):
        reply = front.get("/", f"{site}.localhost", direct=direct, Accept_Encoding="gzip")
        assert gzip.decompress(reply.body) == b"edited " + TEXT


OWN_TWIN = {"index.html": TEXT, "a.css": TEXT, "a.css.gz": b"the site's own", "a.css.br": b"the site's own"}


def test_a_file_that_a_site_has_beside_another_is_never_its_twin(front: Front) -> None:
    front.put_up("own-twin", OWN_TWIN)
    for headers in ({"Range": "bytes=0-9"}, {"Range": "x"}, {"Range": "bytes=0-9", "If_Range": '"x"'}, {}):
        reply = front.get("/a.css", "own-twin.localhost", Accept_Encoding="gzip, br", **headers)
        assert reply.body != b"the site's own", headers


def test_a_file_edited_while_it_is_compressed_leaves_no_wrong_twin(
    make_config: Callable[..., Config], data: Path
) -> None:
    later: list[Callable[[], None]] = []
    admin = Admin(create_app(make_config(), later.append).test_client())
    admin.create("blog")
    admin.deployed({"index.html": LARGE})
    page = data / "sites/default/blog/index.html"
    page.write_bytes(b"by hand" * 100)
    for task in later:
        task()
    admin.deployed({"index.html": LARGE, "new.css": TEXT})  # What had been deployed, and another file.
    answer = admin.visit("/", Accept_Encoding="gzip")
    assert (gzip.decompress(answer.data) if "Content-Encoding" in answer.headers else answer.data) == LARGE


# --- Validators of nginx --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "direct",
    [pytest.param(False, marks=pytest.mark.xfail(strict=True, reason="nginx knows only a file's time")), True],
)
def test_a_date_from_before_another_index_says_nothing(front: Front, direct: bool) -> None:
    site = f"dated-{direct}".lower()
    front.put_up(site, {"index.html": "index", "home.html": "home!"}, index="home.html")
    modified = front.get("/", f"{site}.localhost", direct=direct).headers["Last-Modified"]
    front.update(site, index="index.html")
    assert front.get("/", f"{site}.localhost", direct=direct, If_Modified_Since=modified).body == b"index"


@pytest.mark.parametrize(
    "direct",
    [
        pytest.param(False, marks=pytest.mark.xfail(strict=True, reason="nginx's ETag has whole seconds and a size")),
        True,
    ],
)
def test_a_page_is_not_confirmed_by_the_etag_of_another_site(front: Front, direct: bool) -> None:
    for attempt in range(10):  # Until both are deployed within one second.
        names = [f"{color}-{attempt}-{direct}".lower() for color in ("red", "gold")]
        for name in names:
            front.create(name)
        for name in names:
            front.deployed(name, {"index.html": name.rjust(20)})
        given = [front.get("/", f"{name}.localhost", direct=direct).headers for name in names]
        if given[0]["Last-Modified"] == given[1]["Last-Modified"]:
            break
    front.update(names[0], domain=f"aside-{names[0]}.localhost")
    front.update(names[1], domain=f"{names[0]}.localhost")
    reply = front.get("/", f"{names[0]}.localhost", direct=direct, If_None_Match=given[0]["ETag"])
    assert reply.body == names[1].rjust(20).encode()


# --- brotli ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def brotli_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    if not BROTLI_MODULE.exists():
        missing = f"{BROTLI_MODULE} is missing: apt-get install libnginx-mod-http-brotli-static"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    front = start(tmp_path_factory, (str(BROTLI_MODULE),), PAGES_PRECOMPRESS="gzip,br")
    front.put_up("blog", OWN_TWIN)
    yield front
    front.stop()


@pytest.mark.parametrize(
    ("accepted", "coding", "direct"),
    [
        (accepted, coding, direct)
        for direct in (False, True)
        for accepted, coding in (
            ("br", "br"),
            ("gzip", "gzip"),
            ("gzip, deflate, br, zstd", "br"),
            ("br;q=0.1, gzip;q=1", "br"),
            ("br;q=0, gzip", "gzip"),
            ("gzip;q=0, br", "br"),
            ("br;q=0, gzip;q=0", None),
            ("BR", "br"),
            ("brx, xbr", None),
            ("x-br", None),
            ("*", None),
            ("identity", None),
            ("", None),
        )
    ],
)
def test_brotli_goes_to_who_accepts_it(brotli_front: Front, accepted: str, coding: str | None, direct: bool) -> None:
    import brotli

    decode = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
    reply = brotli_front.get("/a.css", "blog.localhost", direct=direct, Accept_Encoding=accepted)
    assert reply.headers["Content-Encoding"] == coding
    assert decode[coding](reply.body) == TEXT
    assert reply.headers["Vary"] == "Accept-Encoding"
    again = brotli_front.get(
        "/a.css", "blog.localhost", direct=direct, Accept_Encoding=accepted, If_None_Match=reply.headers["ETag"]
    )
    assert again.status == 304


@pytest.mark.parametrize("direct", [False, True])
def test_each_coding_has_an_etag_of_its_own(brotli_front: Front, direct: bool) -> None:
    tags = {
        brotli_front.get("/a.css", "blog.localhost", direct=direct, Accept_Encoding=coding).headers["ETag"]
        for coding in ("br", "gzip", "identity")
    }
    assert len(tags) == 3


@pytest.mark.parametrize("accepted", ["br", "gzip"])
def test_a_range_is_of_the_file_as_it_was_uploaded(brotli_front: Front, accepted: str) -> None:
    reply = brotli_front.get("/a.css", "blog.localhost", Accept_Encoding=accepted, Range="bytes=0-9")
    assert (reply.status, reply.body) == (206, TEXT[:10])


# --- X-Accel-Redirect -----------------------------------------------------------------------------

FILM = bytes(range(256)) * 4096
ODD = ["a b.bin", "a?b#c%d.bin", "%2e%2e.bin", "a+b;c&d.bin", "\u4e2d\u6587.bin", "q'\"<>.bin", "x..y.bin", "a%2fb.bin"]


@pytest.fixture(scope="module")
def accel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = start(tmp_path_factory, PAGES_X_ACCEL_REDIRECT="true")
    front.put_up(
        "films",
        {"home.html": "home", "film.mp4": FILM, **{f"odd/{name}": FILM[:100_000] for name in ODD}},
        index="home.html",
    )
    tree = front.tree("films")
    (tree / "link.mp4").symlink_to("film.mp4")
    (tree / "out.mp4").symlink_to("/etc/passwd")
    (tree / "folder").symlink_to("odd")
    yield front
    front.stop()


def both(front: Front, path: str, **kwargs: str) -> tuple[Reply, Reply]:
    return front.get(path, "films.localhost", **kwargs), front.get(path, "films.localhost", direct=True, **kwargs)


_COMPARED = (
    "ETag", "Last-Modified", "Content-Type", "Content-Length", "Content-Range", "Cache-Control",
    "X-Content-Type-Options", "Vary", "Content-Encoding",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Range": "bytes=0-9"}, 206),
        ({"Range": "bytes=1000-"}, 206),
        ({"Range": "bytes=-1000"}, 206),
        ({"Range": "bytes=99999999-"}, 416),
        ({"Range": "bytes=0-1,5-6"}, 200),
        ({"Range": "garbage"}, 200),
        ({"Range": "items=0-9"}, 200),
        ({"If_None_Match": "{etag}"}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": "{etag}", "Range": "bytes=0-9"}, 304),
        ({"If_Modified_Since": "{modified}"}, 304),
        ({"If_Modified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"If_Modified_Since": "Sun, 06 Nov 2044 08:49:37 GMT"}, 200),
        ({"If_Match": "{etag}"}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": "{etag}", "Range": "bytes=0-9"}, 206),
        ({"If_Unmodified_Since": "{modified}"}, 200),
        ({"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412),
        ({"If_Range": "{etag}", "Range": "bytes=0-9"}, 206),
        ({"If_Range": '"x"', "Range": "bytes=0-9"}, 200),
        ({"If_Range": "{modified}", "Range": "bytes=0-9"}, 206),
        ({"If_Range": "Sun, 06 Nov 1994 08:49:37 GMT", "Range": "bytes=0-9"}, 200),
        ({"Accept_Encoding": "gzip"}, 200),
    ],
)
def test_a_file_that_nginx_delivers_is_answered_as_pages_would(
    accel: Front, headers: dict[str, str], status: int, method: str
) -> None:
    given = accel.get("/film.mp4", "films.localhost", direct=True).headers
    sent = {n: v.format(etag=given["ETag"], modified=given["Last-Modified"]) for n, v in headers.items()}
    through, direct = both(accel, "/film.mp4", method=method, **sent)
    assert through.status == direct.status
    assert method == "HEAD" or direct.status == status
    compared = _COMPARED
    if status == 416:
        compared = ("Content-Range", "Cache-Control")  # nginx has a page of its own.
    else:
        assert through.body == direct.body
    assert {name: through.headers[name] for name in compared} == {name: direct.headers[name] for name in compared}
    assert not [name for name in through.headers if name.lower().startswith("x-accel")]


def test_it_is_nginx_that_delivers_a_large_file(accel: Front) -> None:
    accel.get("/film.mp4", "films.localhost", User_Agent="whole-film")
    wait_until(lambda: '"whole-film"' in accel.server.log, "it is logged")
    line = next(line for line in accel.server.log.splitlines() if '"whole-film"' in line)
    assert f" {len(FILM)} " not in line


@pytest.mark.parametrize("name", ODD)
def test_a_name_with_odd_characters_is_delivered(accel: Front, name: str) -> None:
    through, direct = both(accel, f"/odd/{quote(name)}")
    assert (through.status, through.body) == (direct.status, direct.body) == (200, FILM[:100_000])


@pytest.mark.parametrize("path", ["/link.mp4", "/out.mp4", "/folder/a%20b.bin"])
def test_no_link_is_followed_to_a_file_to_deliver(accel: Front, path: str) -> None:
    through, direct = both(accel, path)
    assert (through.status, direct.status) == (404, 404)


def test_nobody_can_ask_for_the_path_that_nginx_delivers_from(accel: Front) -> None:
    inside = accel.tree("films").relative_to(accel.server.data / "trees")
    for host in ("films.localhost", "localhost", "unknown.localhost"):
        for prefix in ("/.pages/", "//.pages/", "/%2epages/", "/.pages//", "/./.pages/", "/x/../.pages/", "/.pages/./"):
            for path in (f"{inside}/film.mp4", f"{inside}/home.html", "", "../registry/default/films.json"):
                reply = accel.get(prefix + path, host)
                assert reply.status in (400, 404), (host, prefix, path)
                assert b"home" not in reply.body
    for header in ("X_Accel_Redirect", "X_Sendfile"):
        reply = accel.get("/", "films.localhost", **{header: f"/.pages/{inside}/film.mp4"})
        assert reply.body == b"home"


# --- Readers during switches ----------------------------------------------------------------------


class Reader:
    """Asks for one path without a pause; ``failures`` is every answer that is not the whole of one version."""

    def __init__(self, port: int, host: str, path: str, pages: list[bytes], keep: bool, coding: str) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._port, self._path, self._pages, self._keep = port, path, pages, keep
        self._headers = {"Host": host, "Accept-Encoding": coding} | ({} if keep else {"Connection": "close"})
        self._connection = self._connect()

    def read(self) -> bytes:
        """One answer's page, decoded."""
        try:
            self._connection.request("GET", self._path, headers=self._headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            if not self._keep:
                raise
            self._keep = False  # nginx closes a connection after so many requests: then once more on a new one.
            try:
                self._connection = self._connect()
                return self.read()
            finally:
                self._keep = True
        if not self._keep or response.will_close:
            self._connection.close()
            self._connection = self._connect()
        if response.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        return body if response.status == 200 else b"%d " % response.status + body

    def read_until(self, enough: threading.Event) -> None:
        while not enough.is_set():
            try:
                page = self.read()
            except (OSError, http.client.HTTPException, EOFError) as error:
                page = repr(error).encode()
            self.answered += 1
            if page not in self._pages:
                self.failures.append(page[:100].decode(errors="replace"))

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)


def test_no_reader_notices_a_switch_but_by_the_new_version(front: Front) -> None:
    pages = [b"<p>one</p>" * 100, b"<p>number two</p>" * 120]
    # This one has a twin in one version only.
    texts = [b"a" * 300, b"b" * 100]
    checkpoints = [
        front.put_up("switched", {"index.html": pages[0], "a.css": texts[0], "only-1.txt": "1"}),
        front.deployed("switched", {"index.html": pages[1], "a.css": texts[1], "only-2.txt": "2"}),
    ]

    def reader(path: str, keep: bool, coding: str) -> Reader:
        found = pages if path == "/" else texts
        return Reader(front.nginx.port, "switched.localhost", path, found, keep, coding)

    codings = ("gzip", "identity")
    readers = [reader(path, keep, coding) for path in ("/", "/a.css") for keep in (True, False) for coding in codings]
    witnesses = [reader(path, True, coding) for path in ("/", "/a.css") for coding in codings]
    enough = threading.Event()
    threads = [threading.Thread(target=reader.read_until, args=(enough,)) for reader in readers]
    for thread in threads:
        thread.start()
    admin = http.client.HTTPConnection("127.0.0.1", front.server.port, timeout=30)
    try:
        for number in range(400):
            path = f"/_api/sites/default/switched/checkpoints/{checkpoints[number % 2]}/checkout"
            admin.request("POST", path, headers=basic())
            assert admin.getresponse().read()
            seen = [witness.read() for witness in witnesses]
            assert seen == [pages[number % 2]] * 2 + [texts[number % 2]] * 2, number
    finally:
        enough.set()
        for thread in threads:
            thread.join()
        admin.close()
    assert [reader.failures[:3] for reader in readers] == [[]] * len(readers)
    assert all(reader.answered > 50 for reader in readers)


def test_twins_are_made_where_the_cache_is_on_another_disk(make_app: Callable[..., Flask], data: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as cache:
        data.mkdir(exist_ok=True)
        (data / "cache").symlink_to(cache)
        admin = Admin(make_app().test_client())
        admin.create("blog")
        for page in ("one ", "two "):
            admin.deployed({"index.html": page * 500})
            assert admin.visit("/", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
        (twin,) = [path for path in Path(cache).rglob("index.html.gz") if b"two" in gzip.decompress(path.read_bytes())]
        tree = (data / "sites/default/blog").resolve()
        assert twin.stat().st_mtime_ns == (tree / "index.html").stat().st_mtime_ns
