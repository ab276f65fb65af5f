"""The same requests asked of Pages alone and of nginx in front of it: whoever asks sees no difference."""

import gzip
import os
import re
import socket
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from helpers import Server, wait_until, zip_of
from nginx import Nginx
from parity_corpus import SITES, Asked, files_of, older_files_of, requests

_COMPARED = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Content-Encoding",
    "Accept-Ranges",
    "Cache-Control",
    "X-Content-Type-Options",
    "Vary",
    "Last-Modified",
    "Location",
    "Allow",
    "WWW-Authenticate",
    "X-Robots-Tag",
    "X-Frame-Options",
    "X-Own",
    "Refresh",
    "Access-Control-Allow-Origin",
)


@dataclass
class Answer:
    """What one front answered; ``status`` 0 for a connection that was closed with no answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def seen(self) -> dict[str, object]:
        """All that has to be the same, whichever front it came from."""
        found: dict[str, object] = {name: self.headers.get(name) for name in _COMPARED}
        if location := self.headers.get("Location"):
            path, mark, query = location.partition("?")
            found["Location"] = unquote(path) + mark + query  # Either may escape more than it must.
        return {"status": self.status, "body": self.body, "ETag": "ETag" in self.headers, **found}

    def differences(self, other: "Answer") -> dict[str, tuple[object, object]]:
        ours, theirs = self.seen(), other.seen()
        return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}


def ask(port: int, asked: Asked, fill: Callable[[str], str] = lambda name: name) -> Answer:
    """One request, sent byte for byte on a connection of its own."""
    lines = [f"{asked.method} {asked.target} HTTP/{asked.version}"]
    if asked.host:
        lines.append(f"Host: {asked.host}")
    lines += [f"{name}: " + re.sub(r"\{(.*?)\}", lambda found: fill(found[1]), value) for name, value in asked.headers]
    if asked.body:
        lines.append(f"Content-Length: {len(asked.body)}")
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # Refused before all of it was read.
            connection.sendall(head + asked.body)
        response = HTTPResponse(connection, method=asked.method)
        try:
            response.begin()
            body = response.read()
        except (HTTPException, ConnectionError):
            return Answer(0)
        return Answer(response.status, dict(response.getheaders()), body)


@dataclass
class Fronts:
    """Pages on its own port, and nginx in front of it."""

    server: Server
    nginx: int

    @property
    def flask(self) -> int:
        return self.server.port

    def both(self, asked: Asked) -> tuple[Answer, Answer]:
        return self._ask(self.flask, self.nginx, asked), self._ask(self.nginx, self.flask, asked)

    def _ask(self, port: int, other: int, asked: Asked) -> Answer:
        def fill(name: str) -> str:
            plain = Asked("", asked.target, asked.host, headers=(("Accept-Encoding", "gzip"),) * ("gzip" in name))
            given = ask(other if "other" in name else port, plain).headers
            return given["Last-Modified" if name == "modified" else "ETag"]

        return ask(port, asked, fill)


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """Many sites of several tenants, which no test of this module changes."""
    server = Server(
        tmp_path_factory.mktemp("server"), {"PAGES_TRUSTED_PROXIES": "unix", "PAGES_X_ACCEL_REDIRECT": "true"}
    ).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    try:
        for site in SITES:
            _put_up(server, site)
        _make_links(server.data)
        nginx.start()
        yield Fronts(server, nginx.port)
    finally:
        nginx.stop()
        server.stop()


def _put_up(server: Server, site: str) -> None:
    username, site_id = site.split("/")
    root = server.data / "sites" / username / site_id
    files = files_of(site)
    if site_id == "own":
        _drop(root, files)
    elif site_id == "linked":
        _drop(server.folder / "elsewhere" / "www", files)
        root.parent.mkdir(parents=True, exist_ok=True)
        root.symlink_to(server.folder / "elsewhere" / "www")
    record = {"id": site_id, "username": username, **SITES[site]}
    assert server.api("POST", "/_api/sites", record).status == 201
    if site_id == "fresh":
        _drop(root, files)
    elif site_id not in ("own", "linked", "empty"):
        for version in (older_files_of(site), files):
            deployed = server.deploy(zip_of(version), site=site) if version else None
            assert deployed is None or deployed.status == 200, deployed.body.decode()


def _drop(root: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def _make_links(data: Path) -> None:
    """What no upload can hold, made by hand in a live tree."""
    root, other = data / "sites/default/blog", data / "sites/default2/blog"
    for name, target in {
        "link-file.html": "index.html",
        "link-file.png": "picture.png",
        "link-out.html": "/etc/passwd",
        "link-out.png": "/etc/passwd",
        "link-folder": "docs",
        "link-etc": "/etc",
        "link-other.html": other / "index.html",
        "link-other": other,
        "link-loop": "link-loop",
        "link-dangling.css": "nowhere.css",
        "docs/link-up": "..",
        "link-sub": "deep/er/est",
        "link.html": "docs",
    }.items():
        (root / name).symlink_to(target)
    (root / "links").mkdir()
    (root / "links/index.html").symlink_to("../index.html")
    for name in ("pipe.html", "pipe.mp4"):
        os.mkfifo(root / name)


# --- What differs ---------------------------------------------------------------------------------

_PAGE = {"body", "Content-Type", "Content-Length"}
_ANY = set(_COMPARED) | _PAGE | {"ETag"}


@dataclass(frozen=True)
class Difference:
    """Requests whose answers differ: what Pages says, what nginx says, and in what (beside the status)."""

    names: str
    flask: int
    nginx: int
    fields: set[str]
    why: str

    def covers(self, asked: Asked, flask: Answer, nginx: Answer) -> bool:
        return (
            re.search(self.names, asked.name) is not None
            and (flask.status, nginx.status) == (self.flask, self.nginx)
            and set(flask.differences(nginx)) <= {*self.fields, *({"status"} if self.flask != self.nginx else ())}
        )


# Everything else is the same.
DIFFERENCES = [
    # Short pages that nobody reads.
    Difference("", 301, 301, _PAGE | {"Vary"}, "nginx redirects to a folder with a page of its own"),
    Difference("", 412, 412, _PAGE | {"Cache-Control", "X-Content-Type-Options"}, "nginx has a page of its own"),
    Difference("", 416, 416, _PAGE | {"Vary"}, "nginx has a page of its own"),
    Difference(
        "3K.js .*=9999-", 416, 416, _PAGE | {"Vary", "Cache-Control"}, "nginx has said by then how long it is good"
    ),
    Difference("get /|absolute|two hosts", 400, 400, _PAGE, "refused by nginx, and by gunicorn, before all else"),
    Difference("long", 414, 414, _PAGE, "refused by nginx, and by gunicorn, before all else"),
    # What may be sent or left out (RFC 9110, 15.4.5 and 14.3).
    Difference("", 304, 304, {"Accept-Ranges", "Last-Modified"}, "werkzeug's 304 has the one, nginx's the other"),
    Difference("", 206, 206, {"Accept-Ranges"}, "nginx leaves it out of an answer that shows it"),
    # nginx has resolved the path before it looks for a file; Pages has no such parts.
    Difference(
        "dot segments|slashes: .*//..$|/.pages/\\.\\.%2f|pages: .*/\\.\\.?(/| )",
        404,
        200,
        _ANY,
        "nginx resolves . and .. in a path",
    ),
    Difference("pages: .*/\\.\\.?/", 404, 301, _ANY, "nginx resolves . and .. in a path"),
    Difference("api: .*/_api/\\.\\.", 401, 200, _ANY, "nginx resolves . and .. in a path: this one is a file's"),
    Difference("leaves|%2f$|/\\.\\.%2f$|/\\.\\./?$", 404, 400, _ANY, "nginx refuses a path that leaves the root"),
    Difference("%(00|$|g|u|zz|2$| )|%$|%\\.", 404, 400, _ANY, "nginx refuses NUL and what is no percent-encoding"),
    Difference("encoded: .*[^\\x00-\\x7f]", 400, 404, _ANY, "gunicorn takes no bytes beyond ASCII in a path"),
    # Hosts.
    Difference("host: GET / blog.localhost:(99999|abc|80:80)", 404, 200, _ANY, "nginx does not look at the port"),
    Difference("host", 404, 400, _ANY, "nginx refuses what can be no host, and its absence"),
    Difference("absolute: GET http://blog2", 200, 200, _PAGE | {"Last-Modified"}, "nginx goes by the URI (RFC 9112)"),
    # Methods and bodies.
    Difference("POST / with 2000000 bytes", 405, 413, _ANY, "nginx refuses a large body whatever the method"),
    # Ranges and codings that no browser asks for.
    Difference("HEAD .* Range:bytes=0", 200, 206, _ANY, "nginx answers HEAD as it would GET"),
    Difference("HEAD .* Range:", 200, 416, _ANY, "nginx answers HEAD as it would GET"),
    Difference("range: .* Range:", 200, 416, _ANY, "a malformed or empty range: Pages ignores it, nginx refuses it"),
    Difference(
        "Range:bytes=0-1,9999999-", 200, 206, _ANY, "nginx drops what cannot be had and sends the one piece left"
    ),
    Difference("Range:bytes=0-9{20}", 206, 416, _ANY, "a number beyond 64 bits"),
    Difference("If-Unmodified-Since:garbage", 200, 412, _ANY, "nginx takes what is no date for a very old one"),
    Difference(
        "coding: .*Encoding:.*(gzip\\t|;|deflate gzip|br Acc)", 200, 200, _ANY, "a malformed Accept-Encoding, or two"
    ),
]


@dataclass(frozen=True)
class Bug:
    """Requests whose answers differ and had better not: docs/operations.md names them."""

    names: str
    what: str


BUGS = [
    Bug(
        "folders: GET (/|/docs/)( |$)",
        "nginx redirects to a folder named as the index or 404.html",
    ),
    Bug("absolute: GET http://blog.localhost(\\?x)?$", "Pages alone takes an absolute URI without a path for a miss"),
]


def _bug_in(asked: Asked) -> Bug | None:
    return next((bug for bug in BUGS if re.search(bug.names, asked.name)), None)


ALL = requests()


@pytest.fixture(scope="module")
def answers(fronts: Fronts) -> list[tuple[Asked, Answer, Answer]]:
    """Every request, and what Pages alone and nginx answer to it."""
    return [(asked, *fronts.both(asked)) for asked in ALL]


@pytest.mark.parametrize("group", dict.fromkeys(asked.group for asked in ALL))
def test_both_fronts_give_the_same_answers(answers: list[tuple[Asked, Answer, Answer]], group: str) -> None:
    differing = {
        asked.name: (flask.status, nginx.status, flask.differences(nginx))
        for asked, flask, nginx in answers
        if asked.group == group
        and not _bug_in(asked)
        and flask.differences(nginx)
        and not any(difference.covers(asked, flask, nginx) for difference in DIFFERENCES)
    }
    assert differing == {}


def test_every_difference_in_the_table_is_there(answers: list[tuple[Asked, Answer, Answer]]) -> None:
    found = [
        next(difference for difference in DIFFERENCES if difference.covers(*answer))
        for answer in answers
        if answer[1].differences(answer[2]) and not _bug_in(answer[0])
    ]
    assert [difference for difference in DIFFERENCES if difference not in found] == []


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(asked, id=asked.name, marks=pytest.mark.xfail(strict=True, reason=bug.what))
        for asked in ALL
        if (bug := _bug_in(asked))
    ],
)
def test_both_fronts_give_the_same_answer(fronts: Fronts, asked: Asked) -> None:
    flask, nginx = fronts.both(asked)
    found = flask.differences(nginx)
    assert not found or any(difference.covers(asked, flask, nginx) for difference in DIFFERENCES), found


def test_no_answer_holds_a_line_of_another_site(answers: list[tuple[Asked, Answer, Answer]]) -> None:
    for asked, flask, nginx in answers:
        in_target = re.match("https?://([^/?]*)", asked.target)
        assert _sites_in(flask) <= {_owner(asked.host)}, asked.name
        assert _sites_in(nginx) <= {_owner(in_target[1] if in_target else asked.host)}, asked.name


def _sites_in(answer: Answer) -> set[str]:
    body = gzip.decompress(answer.body) if answer.body.startswith(b"\x1f\x8b") else answer.body
    return {found.decode() for found in re.findall(rb"\[([\w.-]+/[\w.-]+)\] ", body)}


def _owner(host: str) -> str | None:
    name = unicodedata.normalize("NFKC", re.sub(r":\w*(:\w+)?$", "", host)).lower()
    host = name.rstrip(".\u3002").replace("b\u00fccher", "xn--bcher-kva")
    wildcards = [f"*{host[at:]}" for at, character in enumerate(host) if character == "."]
    return next((_OWNERS[name] for name in (host, *wildcards) if name in _OWNERS), None)


_OWNERS = {
    domain.replace("b\u00fccher", "xn--bcher-kva"): site
    for site, fields in SITES.items()
    for domain in (fields["domain"], *fields.get("aliases", ()))
}


# --- What neither may get wrong -------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("site", ["default/blog", "default/home", "op/own", "op/linked", "default/fresh"])
def test_every_file_is_served_as_it_was_uploaded(fronts: Fronts, site: str, coding: str) -> None:
    for path, content in files_of(site).items():
        is_hidden = re.search(r"^\.(?!well-known/)|/\.", path, re.ASCII)
        if is_hidden or path.startswith("_api/"):
            continue
        asked = Asked("", "/" + quote(path), SITES[site]["domain"], headers=(("Accept-Encoding", coding),))
        for answer in fronts.both(asked):
            encoded = answer.headers.get("Content-Encoding") == "gzip"
            assert not encoded or coding == "gzip"
            assert (answer.status, gzip.decompress(answer.body) if encoded else answer.body) == (200, content), path


@pytest.mark.parametrize(
    "path", ["/index.html", "/picture.png", "/large.mp4", "/a.css", "/type/apple-app-site-association"]
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_validator_is_its_own_fronts_and_its_own_codings(fronts: Fronts, path: str, coding: str) -> None:
    for port, other in ((fronts.flask, fronts.nginx), (fronts.nginx, fronts.flask)):

        def status(etag: str, port: int = port) -> int:
            headers = (("Accept-Encoding", coding), ("If-None-Match", etag))
            return ask(port, Asked("", path, headers=headers)).status

        def etag(port: int, coding: str = coding) -> str:
            return ask(port, Asked("", path, headers=(("Accept-Encoding", coding),))).headers["ETag"]

        assert not etag(port).startswith("W/")
        assert status(etag(port)) == 304
        assert status(etag(other)) == 200
        if path in ("/index.html", "/a.css"):
            assert status(etag(port, "gzip" if coding == "identity" else "identity")) == 200


def test_nginx_answers_for_public_sites_by_itself(fronts: Fronts) -> None:
    # Without this, all of the above might compare Pages with Pages.
    for path in ("/", "/a.css", "/picture.png", "/large.mp4", "/docs", "/missing", "/.env"):
        assert ask(fronts.nginx, Asked("", path, headers=(("User-Agent", "kept"),))).status > 0
    assert ask(fronts.nginx, Asked("", "/", "home.localhost", headers=(("User-Agent", "passed-on"),))).status == 200
    wait_until(lambda: '"passed-on"' in fronts.server.log, "what was passed on is logged")
    assert '"kept"' not in fronts.server.log
