"""Sites that gain and lose rules and settings behind nginx: not one answer without them, and nobody else's files."""

import http.client
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import THOROUGH, Reply, basic, wait_until, zip_of
from test_public import Front, links, start

from pages.nginx import CARRIED_BY_ITSELF, CARRIED_BY_NAME, PREVIEW_COOKIE

RULES = {"_redirects": "/old /new 301!\n", "_headers": "/*\n  X-Own: yes\n"}
LARGE = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For all tests; each has sites of its own."""
    front = start(tmp_path_factory, PAGES_X_ACCEL_REDIRECT="true")
    yield front
    front.stop()


def is_logged(front: Front, path: str, host: str, **headers: str) -> bool:
    """Did Pages see this request, or did nginx answer it by itself?"""
    name = f"visitor-{secrets.token_hex(8)}"
    front.get(path, host, User_Agent=name, **headers)
    last = f"last-{secrets.token_hex(8)}"
    front.get("/", host, direct=True, User_Agent=last)
    wait_until(lambda: last in front.server.log, "the last request is logged")
    return name in front.server.log


# --- Rules come and go ------------------------------------------------------------------------------


def test_a_deploy_with_rules_takes_effect_with_its_answer_and_so_does_one_without(front: Front) -> None:
    front.put_up("turns", {"index.html": "0"}, aliases=["www.turns.localhost"], alias_mode="serve")
    for number in range(1, 13):
        has_rules = number % 2 == 1
        front.deployed("turns", {"index.html": str(number), "old": "old", **(RULES if has_rules else {})})
        for host in ("turns.localhost", "www.turns.localhost"):
            home, old = front.get("/", host), front.get("/old", host)
            assert (home.body, home.headers["X-Own"]) == (str(number).encode(), "yes" if has_rules else None)
            assert old.status == (301 if has_rules else 200)
            assert (host in links(front.server.data)) == (not has_rules)
            assert is_logged(front, "/", host) == has_rules


@pytest.mark.parametrize("name", ["_redirects", "_headers"])
def test_one_file_of_rules_is_enough_also_an_empty_one(front: Front, name: str) -> None:
    site = f"only{name.replace('_', '-')}"
    front.put_up(site, {"index.html": "1"})
    assert not is_logged(front, "/", f"{site}.localhost")
    front.deployed(site, {"index.html": "2", name: ""})
    assert is_logged(front, "/", f"{site}.localhost")
    assert front.get(f"/{name}", f"{site}.localhost").status == 404


FILES = ("index.html", "a.css", "picture.png", "film.mp4", "about.html", "both.html", "both/index.html")
PATHS = ("/", "/a.css", "/picture.png", "/film.mp4", "/about", "/both/")


class Asker:
    """Asks without a pause; ``wrong`` is every answer of the version with rules that is without them."""

    def __init__(self, port: int, host: str, path: str) -> None:
        self.wrong: list[str] = []
        self.answered = 0
        self._port, self._host, self._path = port, host, path

    def ask_until(self, enough: threading.Event) -> None:
        while not enough.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                for _ in range(50):
                    connection.request("GET", self._path, headers={"Host": self._host})
                    response = connection.getresponse()
                    self.judge(response.status, response.getheader("X-Own"), response.read())
                    if response.will_close:
                        break
            finally:
                connection.close()

    def judge(self, status: int, own: str | None, body: bytes) -> None:
        self.answered += 1
        expected = {b"ruled": "ruled", b"plain": None}
        if status != 200 or body not in expected or (expected[body] and own != expected[body]):
            self.wrong.append(f"{status} {own} {body[:50]!r}")


def test_no_answer_of_a_version_with_rules_is_without_them_while_checkouts_go_back_and_forth(front: Front) -> None:
    _go_back_and_forth(front, 200 if THOROUGH else 60)


def test_nor_is_one_where_nginx_keeps_files_for_a_second(tmp_path_factory: pytest.TempPathFactory) -> None:
    front = start(tmp_path_factory, PAGES_NGINX_FILE_CACHE="true")
    try:
        _go_back_and_forth(front, 12 if THOROUGH else 4)
    finally:
        front.stop()


def _have_answers(askers: list[Asker], enough: list[int]) -> bool:
    return all(asker.answered >= number for asker, number in zip(askers, enough, strict=True))


def _go_back_and_forth(front: Front, times: int) -> None:
    rules = {"_headers": "/*\n  X-Own: ruled\n"}
    plain = front.put_up("shuttle", {**dict.fromkeys(FILES, "plain"), "404.html": "never"})
    ruled = front.deployed("shuttle", {**dict.fromkeys(FILES, "ruled"), "404.html": "never", **rules})
    host = "shuttle.localhost"
    askers = [Asker(front.nginx.port, host, path) for path in PATHS for _ in range(2)]
    enough = threading.Event()
    threads = [threading.Thread(target=asker.ask_until, args=(enough,)) for asker in askers]
    for thread in threads:
        thread.start()
    admin = http.client.HTTPConnection("127.0.0.1", front.server.port, timeout=30)
    try:
        for number in range(times):
            checkpoint = (plain, ruled)[number % 2]
            path = f"/_api/sites/default/shuttle/checkpoints/{checkpoint}/checkout"
            admin.request("POST", path, headers=basic())
            assert admin.getresponse().read()
            reply = front.get("/", host)
            assert (reply.body, reply.headers["X-Own"]) == ((b"plain", None), (b"ruled", "ruled"))[number % 2], number
            # No request lasts longer than from one switch to the next but one.
            enough_answers = [asker.answered + 2 for asker in askers]
            wait_until(lambda enough=enough_answers: _have_answers(askers, enough), "everybody is answered")
    finally:
        enough.set()
        for thread in threads:
            thread.join()
        admin.close()
    assert [asker.wrong[:3] for asker in askers] == [[]] * len(askers)
    assert all(asker.answered > 50 for asker in askers)


def test_a_manual_checkpoint_of_a_root_with_rules_goes_on_with_them(front: Front) -> None:
    front.put_up("manual", {"index.html": "1", **RULES})
    assert front.server.api("POST", "/_api/sites/default/manual/checkpoints").status == 201
    assert front.get("/old", "manual.localhost").status == 301
    assert "manual.localhost" not in links(front.server.data)


def test_a_start_shows_what_a_crash_left_hidden_and_hides_what_it_left_shown(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    front = start(tmp_path_factory)
    try:
        front.put_up("plain", {"index.html": "plain"})
        front.put_up("ruled", {"index.html": "ruled", **RULES})
        front.server.kill()
        public = front.server.data / "public"
        (public / "plain.localhost").unlink()  # Hidden for a switch that never came.
        (public / "ruled.localhost").symlink_to("../sites/default/ruled")
        front.server.start()
        assert {"plain.localhost", "ruled.localhost"} & set(links(front.server.data)) == {"plain.localhost"}
        assert not is_logged(front, "/", "plain.localhost")
        assert front.get("/old", "ruled.localhost").status == 301
    finally:
        front.stop()


# --- By hand --------------------------------------------------------------------------------------


def test_rules_that_an_operator_puts_into_his_own_root_count_from_the_reload_on(front: Front) -> None:
    root = front.server.data / "sites/default/byhand"
    root.mkdir(parents=True)
    (root / "index.html").write_text("by hand")
    front.create("byhand")
    assert not is_logged(front, "/", "byhand.localhost")
    (root / "_redirects").write_text(RULES["_redirects"])
    assert front.get("/_redirects", "byhand.localhost").status == 404  # Shown to nobody, before the reload too.
    assert front.server.api("POST", "/_api/reload").status == 200
    assert front.get("/old", "byhand.localhost").headers["Location"] == "/new"
    assert front.get("/_redirects", "byhand.localhost").status == 404
    (root / "_redirects").unlink()
    assert front.server.api("POST", "/_api/reload").status == 200
    assert front.get("/old", "byhand.localhost").status == 404
    assert not is_logged(front, "/", "byhand.localhost")


def test_rules_in_a_root_that_is_an_operators_link_count_from_the_reload_on(front: Front, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/index.html").write_text("elsewhere")
    (front.server.data / "sites/default/linked").symlink_to(tmp_path / "www")
    front.create("linked")
    (tmp_path / "www/_headers").write_text(RULES["_headers"])
    assert front.server.api("POST", "/_api/reload").status == 200
    assert front.get("/", "linked.localhost").headers["X-Own"] == "yes"


# --- Settings and previews --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path", "answer"),
    [
        ({"clean_urls": True}, "/about.html", (308, "/about")),
        ({"trailing_slash": "always"}, "/about", (308, "/about/")),
        ({"trailing_slash": "never"}, "/docs/", (308, "/docs")),
        ({"spa": True}, "/app/7", (200, None)),
        ({"not_found": "docs/index.html"}, "/missing", (404, None)),
        ({"cache": {"html": 60}}, "/", (200, None)),
    ],
)
def test_a_setting_counts_from_its_answer_on_and_so_does_its_default(
    front: Front, fields: dict[str, object], path: str, answer: tuple[int, str | None]
) -> None:
    site = f"set-{'-'.join(fields).replace('_', '-')}-{path.strip('/').replace('/', '-').replace('.', '-') or 'home'}"
    files: dict[str, bytes | str] = {"index.html": "home", "about.html": "about", "docs/index.html": "docs"}
    front.put_up(site, files)
    host = f"{site}.localhost"
    before = front.get(path, host)
    front.update(site, **fields)
    after = front.get(path, host)
    assert (after.status, after.headers["Location"]) == answer
    assert seen(after) == seen(front.get(path, host, direct=True))
    assert seen(after) != seen(before)
    defaults = {"clean_urls": False, "trailing_slash": "auto", "spa": False, "not_found": "404.html", "cache": {}}
    front.update(site, **defaults)
    assert seen(front.get(path, host)) == seen(before)


def seen(reply: Reply) -> tuple[object, ...]:
    return (reply.status, reply.body, *(reply.headers[name] for name in ("Location", "Cache-Control", "Content-Type")))


@pytest.mark.parametrize(
    ("cookie", "is_for_pages"),
    [
        (f"{PREVIEW_COOKIE}=x", True),
        (f"a=b; {PREVIEW_COOKIE}=x; c=d", True),
        (f"{PREVIEW_COOKIE}=", False),
        (f"not_{PREVIEW_COOKIE}=x", False),
        (f"a={PREVIEW_COOKIE}=x", False),
        ("a=b", False),
    ],
)
@pytest.mark.parametrize("path", ["/", "/about", "/a.css", "/picture.png", "/film.mp4", "/docs", "/missing"])
def test_who_looks_at_a_preview_is_answered_by_pages_whatever_he_asks_for(
    front: Front, cookie: str, is_for_pages: bool, path: str
) -> None:
    if "looked.localhost" not in links(front.server.data):
        names = ("index.html", "about.html", "a.css", "picture.png", "film.mp4", "docs/index.html", "404.html")
        front.put_up("looked", {name: name for name in names})
    for coding in ("gzip", "identity"):
        headers = {"Cookie": cookie, "Accept_Encoding": coding}
        assert is_logged(front, path, "looked.localhost", **headers) == is_for_pages
        assert seen(front.get(path, "looked.localhost", **headers))[0] == (
            404 if path == "/missing" else 301 if path == "/docs" else 200
        )


# --- Large files of sites with rules ----------------------------------------------------------------


def bytes_sent_by_pages(front: Front, path: str, host: str) -> int:
    """How much of a body came from Pages itself, by its log."""
    name = f"visitor-{secrets.token_hex(8)}"
    assert front.get(path, host, User_Agent=name).body == LARGE
    wait_until(lambda: name in front.server.log, "the request is logged")
    line = next(line for line in front.server.log.splitlines() if name in line)
    return int(line.partition("HTTP/1.")[2].split()[2].strip("-") or 0)


def test_a_large_file_is_delivered_by_nginx_with_every_header_that_it_can_carry(front: Front) -> None:
    names = [name for name in (*CARRIED_BY_NAME, *CARRIED_BY_ITSELF) if name not in ("ETag", "Last-Modified", "Vary")]
    rules = "/film.mp4\n" + "".join(f"  {name}: value-of-{name}\n" for name in names)
    front.put_up("carried", {"index.html": "1", "film.mp4": LARGE, "_headers": rules})
    assert bytes_sent_by_pages(front, "/film.mp4", "carried.localhost") == 0
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=5-9"}),
        ("GET", {"If_None_Match": "*"}),
    ):
        through, direct = (
            front.get("/film.mp4", "carried.localhost", method=method, direct=direct, **headers)
            for direct in (False, True)
        )
        assert (through.status, through.body) == (direct.status, direct.body)
        for name in names:
            given = through.headers.get_all(name)
            assert given == direct.headers.get_all(name), (name, method, headers)
            assert given == [f"value-of-{name}"] or through.status == 304


@pytest.mark.parametrize("name", ["film.mp4", "film.3f2a9c1b.js"])
def test_a_large_file_that_nginx_cannot_read_is_a_miss_and_no_circle(front: Front, name: str) -> None:
    site = f"unread-{len(name)}"
    reply = front.server.api("POST", "/_api/sites", {"id": site, "username": "moved", "domain": f"{site}.localhost"})
    assert reply.status == 201
    files: dict[str, bytes | str] = {"index.html": "1", name: LARGE, "_headers": "/*\n  X-Frame-Options: DENY\n"}
    assert front.server.deploy(zip_of(files), site=f"moved/{site}").status == 200
    trees = front.server.data / "trees"
    if not (trees / "moved").is_symlink():  # Pages does not mind, and nginx follows no link there.
        (trees / "moved").rename(trees.parent / "moved-trees")
        (trees / "moved").symlink_to("../moved-trees")
    assert front.get(f"/{name}", f"{site}.localhost", direct=True).status == 200
    assert front.get(f"/{name}", f"{site}.localhost").status == 404


@pytest.mark.parametrize("line", ["Refresh: 5", "X-Own: yes", "SourceMap: /x.map", "Pragma: no-cache"])
def test_a_header_that_nginx_would_drop_has_pages_send_the_body(front: Front, line: str) -> None:
    name, _, value = line.partition(": ")
    site = f"own-{name.lower()}"
    front.put_up(site, {"index.html": "1", "film.mp4": LARGE, "_headers": f"/film.mp4\n  {line}\n"})
    reply = front.get("/film.mp4", f"{site}.localhost")
    assert (reply.status, reply.headers[name], reply.body) == (200, value, LARGE)
    assert bytes_sent_by_pages(front, "/film.mp4", f"{site}.localhost") >= len(LARGE)


def test_a_header_that_is_taken_away_does_not_come_back_from_nginx(front: Front) -> None:
    rules = "/film.mp4\n  ! Cache-Control\n  ! X-Content-Type-Options\n"
    front.put_up("bare", {"index.html": "1", "film.mp4": LARGE, "_headers": rules})
    for direct in (False, True):
        reply = front.get("/film.mp4", "bare.localhost", direct=direct)
        assert (reply.headers["Cache-Control"], reply.headers["X-Content-Type-Options"]) == (None, None)


@pytest.mark.parametrize("kind", ["headers", "redirect", "headers of a miss", "headers of a large file"])
def test_an_answer_with_as_many_headers_as_rules_may_add_comes_through(front: Front, kind: str) -> None:
    site = f"long-{kind.replace(' ', '-')}"
    headers = "/*\n" + "".join(f"  X-Long-{number}: {'x' * 1900}\n" for number in range(8))
    redirects = "/to/* https://elsewhere.example/:splat?q=:splat 302\n"
    front.put_up(site, {"index.html": "1", "film.mp4": LARGE, "_headers": headers, "_redirects": redirects})
    path = {"headers": "/", "redirect": "/to/" + "x" * 7000, "headers of a miss": "/missing"}.get(kind, "/film.mp4")
    through, direct = (front.get(path, f"{site}.localhost", direct=direct) for direct in (False, True))
    assert through.status == direct.status < 500
    assert through.headers["X-Long-7"] == direct.headers["X-Long-7"] == "x" * 1900
    assert through.headers["Location"] == direct.headers["Location"]


# --- Nobody else's files ----------------------------------------------------------------------------

SECRET = b"another tenant's page"


@pytest.fixture(scope="module")
def inside(front: Front) -> str:
    """Another tenant's site, not enabled; returns where its tree is below ``trees/``."""
    front.put_up("victim", {"index.html": SECRET, "large.bin": SECRET * 10_000}, enabled=False)
    return str(front.tree("victim").relative_to(os.path.realpath(front.server.data / "trees")))


_HEADER_LINES = [
    "X-Accel-Redirect: {path}",
    "x-accel-redirect: {path}",
    "X-ACCEL-REDIRECT: {path}",
    "X-Accel-Redirect : {path}",
    "X_Accel_Redirect: {path}",
    "! X-Accel-Redirect",
    "X-Accel-Buffering: no",
    "X-Accel-Limit-Rate: 1",
    "X-Accel-Charset: utf-7",
    "X-Accel-Expires: 100",
    "X-Sendfile: {path}",
    "X-Own: a\r  X-Accel-Redirect: {path}",
    "X-Own: a%0d%0aX-Accel-Redirect: {path}",
    "X-Own: :splat",
    "Location: {path}",
    "Content-Length: 0",
    "Content-Encoding: gzip",
    "Transfer-Encoding: chunked",
    "Connection: close, X-Own",
    "Status: 200 OK",
]


@pytest.mark.parametrize("number", range(len(_HEADER_LINES)))
def test_no_header_of_a_site_has_nginx_deliver_anothers_file(front: Front, inside: str, number: int) -> None:
    site = f"thief{number}"
    line = _HEADER_LINES[number].format(path=f"/.pages/{inside}/large.bin")
    files: dict[str, bytes | str] = {"index.html": "own", "film.mp4": LARGE}
    front.put_up(site, {**files, "_headers": f"/*\n  {line}\n", "_redirects": "/to /x 302\n"})
    injected = f"/%0d%0aX-Accel-Redirect:%20/.pages/{inside}/large.bin"
    for path, status, body in (
        ("/", 200, b"own"),
        ("/film.mp4", 200, LARGE),
        ("/missing", 404, None),
        (injected, 404, None),
    ):
        reply = front.get(path, f"{site}.localhost")
        assert (reply.status, reply.body if body else None) == (status, body), path
        assert SECRET not in reply.body
    assert front.get("/to", f"{site}.localhost").headers["Location"] == "/x"


@pytest.mark.parametrize(
    "target",
    [
        "/.pages/{inside}/large.bin",
        "/%2epages/{inside}/large.bin",
        "/./.pages/{inside}/large.bin",
        "/../victim/large.bin",
        "/..%2fvictim/large.bin",
        "/%2e%2e/%2e%2e/{inside}/large.bin",
        "//victim.localhost/large.bin",
        "/:splat",
    ],
)
def test_no_rewrite_of_a_site_reaches_anothers_file(front: Front, inside: str, target: str) -> None:
    site = f"rewriter-{secrets.token_hex(4)}"
    rule = f"/* {target.format(inside=inside)} 200!\n"
    front.put_up(site, {"index.html": "own", "large.bin": LARGE, "_redirects": rule})
    host = f"{site}.localhost"
    for path in (
        f"/.pages/{inside}/large.bin",
        f"/../../{inside}/large.bin",
        f"/%2e%2e/%2e%2e/{inside}/large.bin",
        "/x",
    ):
        for direct in (False, True):
            reply = front.get(path, host, direct=direct)
            assert reply.status in (200, 400, 404)
            assert SECRET not in reply.body
