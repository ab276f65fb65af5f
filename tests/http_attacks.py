# ruff: noqa: E501 - tables
"""Hostile HTTP: two tenants with secrets, three fronts before them, thousands of odd requests, and what is wrong.

The fronts are Pages on its own port, nginx as `pages nginx-config` sets it up, and the same nginx without its links to
public sites, so that Pages answers for all of them: whoever chooses the site, it has to be the same one.
"""

import gzip
import itertools
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from helpers import Server, basic, zip_of
from nginx import Nginx

# What may be in no answer: PRIVATE of anybody for a visitor, and of another tenant for a tenant.
PRIVATE = b"PRIVATE-"
# Names that begin alike, on purpose.
SITES = {
    "ann/blog": "blog.localhost",
    "ann/blog2": "blog2.localhost",
    "anna/blog": "blog.localhost.example",
    "anna/b": "log.localhost",
    "anna/new": "10.0.0.7",
    "ann/idn": "xn--bcher-kva.localhost",
    "ann/off": "off.localhost",
}


def put_up(server: Server) -> None:
    """The sites, and a secret everywhere where no visitor may look."""
    for site, domain in SITES.items():
        username, _, site_id = site.partition("/")
        secret = f"{PRIVATE.decode()}{username}"
        record = {"id": site_id, "username": username, "domain": domain, "enabled": site_id != "off"}
        assert server.api("POST", "/_api/sites", record).status == 201
        mark = secret if site_id == "off" else f"[[{site}]]"
        files = {name: f"{mark} {name}" for name in ("index.html", "404.html", "a.css", "docs/index.html", "big.bin")}
        files["big.bin"] *= 20_000
        files |= {name: secret for name in (".env", ".git/config", "docs/.htpasswd", "_api/sites", "_api/page.html")}
        if site_id == "new":
            for name, text in files.items():
                file = server.data / "sites" / site / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        else:
            assert server.deploy(zip_of(files), f"{secret}.zip", site=site).status == 200
        file = server.data / "registry" / username / f"{site_id}.json"
        file.write_text(file.read_text().rstrip().removesuffix("}") + f',"note":"{secret}"}}')
        (server.data / "sites" / username / "secret.txt").write_text(secret)
    _put_traps(server.data / "sites" / "ann" / "blog", server)
    for file in (server.data / "secret.txt", server.folder / "secret.txt", server.folder / "backups" / "backup-x.json"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{PRIVATE.decode()}nobody")


def _put_traps(root: Path, server: Server) -> None:
    """What an operator may have left in a root by mistake."""
    for name, target in {
        "link.html": server.data / "sites" / "anna" / "secret.txt",
        "link.bin": server.folder / "config.toml",
        "link-b": server.data / "sites" / "anna" / "b",
        "link-docs": root.resolve() / "docs",
        "docs/up": "../..",
    }.items():
        (root / name).symlink_to(target)
    for name in ("pipe.html", "pipe.bin"):
        os.mkfifo(root / name)


def start(folder: Path) -> tuple[Server, Nginx, Nginx]:
    """Pages with these sites, nginx before it, and nginx that leaves every site to Pages."""
    (folder / "server").mkdir()
    password = f"{PRIVATE.decode()}nobody"
    (folder / "server" / "config.toml").write_text(
        f'[users.ann]\npass = "ann"\n[users.anna]\npass = "{password}"\n', encoding="utf-8"
    )
    server = Server(
        folder / "server",
        {
            "PAGES_TRUSTED_PROXIES": "unix",
            "PAGES_CONFIG": str(folder / "server" / "config.toml"),
            "DATABASE_URL": f"postgresql://pages:{password}@127.0.0.1:1/pages",
        },
    ).start()
    put_up(server)
    fronts = []
    for kind in (_Nginx, _NginxWithoutSites):
        (folder / kind.__name__).mkdir()
        fronts.append(kind(folder / kind.__name__, server.environment()).start())
    return server, fronts[0], fronts[1]


class _Nginx(Nginx):
    """As it is set up for an installation, but that the API may be asked as often as we like."""

    changes = ((r"rate=\d+r/s", "rate=9999r/s"),)

    def _write_configuration(self) -> None:
        super()._write_configuration()
        file = self.folder / "pages.conf"
        text = file.read_text(encoding="utf-8")
        for before, after in self.changes:
            text, count = re.subn(before, after, text)
            assert count
        file.write_text(text, encoding="utf-8")


class _NginxWithoutSites(_Nginx):
    changes = (*_Nginx.changes, ("/data/public/", "/data/nowhere/"))


# --- Requests -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """One request, byte for byte. ``owner`` is the only site that it may be answered for, directly and through nginx.

    ``tenant`` is who sent credentials; ``strict`` is False where there may be more than one answer, or none.
    """

    sent: bytes
    owner: str | None = None
    nginx_owner: str | None = None
    tenant: str = ""
    strict: bool = True


@dataclass
class Answer:
    """All that came back on a connection."""

    received: bytes
    statuses: list[int] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    whole: bool = True


HOSTS: list[tuple[bytes, str | None]] = [
    *((domain.encode(), site) for site, domain in SITES.items()),
    *((domain.upper().encode() + b".", site) for site, domain in SITES.items()),
    *((domain.encode() + b":8080", site) for site, domain in SITES.items()),
    (b"blog.localhost.:80", "ann/blog"), (b"blog.localhost:", "ann/blog"), (b"blog.localhost:0", "ann/blog"),
    (b"blog.localhost:99999", "ann/blog"), (b"blog.localhost:80:80", "ann/blog"), (b"blog.localhost:abc", "ann/blog"),
    ("bücher.localhost".encode(), "ann/idn"), ("BÜCHER.localhost".encode(), "ann/idn"),
    ("blog。localhost".encode(), "ann/blog"), ("blog．localhost".encode(), "ann/blog"),
    ("ｂlog.localhost".encode(), "ann/blog"), (b" blog.localhost \t", "ann/blog"),
    *((host, None) for host in (
        b"", b" ", b".", b"..", b"blog.localhost..", b".blog.localhost", b"blog..localhost", b"blog_.localhost",
        b"user@blog.localhost", b"blog.localhost@log.localhost", b"blog.localhost,log.localhost", b"blog.localhost log.x",
        b"blog.localhost, log.localhost", b'"blog.localhost"', b"blog.localhost/", b"blog.localhost/../log.localhost",
        b"blog.localhost\\", b"../ann/blog", b"..%2fann%2fblog", b"%2e%2e", b"blog%2elocalhost", b"blog.localhost%00",
        b"blog.localhost\0", b"blog.localhost#x", b"blog.localhost?x", b"[::1]", b"[::1", b"::1", b"[blog.localhost]",
        b"xn--a.localhost", b"xn--", b"a" * 64 + b".localhost", b"a." * 130 + b"x", b"\xff", b"\xc0\xae.localhost", b"*",
        b"_", b"localhost.localdomain", b"127.1", b"010.0.0.7", b"10.0.0.07", b"0x0a.0.0.7", b"167772167", b"10.0.0.7..",
        b"pages", b"unix:/tmp/x", b"http://blog.localhost", b"blog.localhost;log.localhost", b"$host",
    )),
]  # fmt: skip
_INSIDE = ["", "index.html", "docs/", "docs", "a.css", "big.bin", "missing", "404.html", "docs/index.html/", "a.css/x"]
_HIDDEN = [
    ".env", ".git/config", "docs/.htpasswd", "docs/.%68tpasswd", "%2eenv", "%2Egit/config", ".well-known/../.env", ".",
    "./index.html", "docs/./index.html", "docs/.", ".pages/", ".pages/x/tree/index.html", "_api", "_api/", "_api/sites",
    "_api/page.html", "%5fapi/sites", "/_api/sites", "_api%2fsites", "_api/../_api/sites", "docs/../_api/sites",
    "_api/sites/ann/blog", "_api/sites/anna/blog", "_api/sites/anna/b/checkpoints", "_api/sites/ann/..%2fanna/blog",
    "_api/sites/%2e%2e/x", "_api/sites/ann/%00", "_api/sites/ann/blog%00", "_api/health", "_api/openapi.json",
    "api/admin/maintenance", "api/admin/maintenance/", "api//admin/maintenance", "_api;x/sites", "_API/sites",
    "\\_api\\sites", "?x=/_api/sites", "index.html?../../secret.txt", "index.html%3f", "index.html%23", "a.css;/../x",
    "%00", "index.html%00", "index.html%00.css", "%ff%fe", "%c0%ae%c0%ae/", "%", "%zz", "%u002e", "%0d%0aX-A:%20b",
    "//blog.localhost/", "//log.localhost/", "/\\log.localhost/", "docs//", "docs//index.html", "a" * 3000, "a/" * 1500,
    "%E4%B8%AD" * 300, "docs%2f", "docs%5cindex.html", "docs%2findex.html", "index.html/", "index.html/.", "+", "~ann/",
    "link.html", "link.bin", "link-b/index.html", "link-b/", "link-docs/index.html", "docs/up/anna/secret.txt", "pipe.html",
    "pipe.bin", "*", "docs?%0d%0aSet-Cookie:x", "docs?a=%00", "nginx_status", "server-status", "static/x", "sites/anna/blog/a.css",
]  # fmt: skip
_UP = [
    "..", "%2e%2e", "%2E.", ".%2e", "..%2f..", "..%5c..", "..\\..", "%252e%252e", "%c0%ae%c0%ae", "..;", ".%00.", "...",
    "%ef%bc%8e%ef%bc%8e", "%e0%80%ae%e0%80%ae", "..%00", "..%0d", "%2e%2e%2f%2e%2e", "....//..", "%uff0e%uff0e",
]  # fmt: skip
_OUTSIDE = [
    "etc/passwd", "secret.txt", "config.toml", "backups/backup-x.json", "registry/ann/blog.json", "anna/secret.txt",
    "data/secret.txt", "anna/b/index.html", "anna/b/tree/index.html", "off/index.html", "off.localhost/index.html",
    "sites/anna/b/index.html", "sites-checkpoints/anna/b/metadata.json", "log.localhost/index.html", "blog2/index.html",
]  # fmt: skip
METHODS = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"get",
    b"GET\t",
    b"",
]
_OTHER = b"log.localhost"
HEADERS: list[bytes] = [
    b"", *(name + b": " + _OTHER + b"\r\n" for name in (
        b"X-Forwarded-Host", b"X_Forwarded_Host", b"X-Host", b"X-Original-Host", b"X-Forwarded-Server", b"X-HTTP-Host-Override",
        b"HTTP_HOST", b"Host_", b"X-Forwarded-Prefix", b"SERVER_NAME", b"Origin", b"Referer", b"From", b"Via",
    )),
    b"Forwarded: host=log.localhost\r\n", b'Forwarded: for="_x";host="log.localhost"\r\n', b"X-Forwarded-Proto: https\r\n",
    b"X-Forwarded-For: 127.0.0.1\r\n", b"X-Real-IP: 127.0.0.1\r\n", b"X-Original-URL: /_api/sites\r\n",
    b"X-Rewrite-URL: /_api/sites\r\n", b"X-Accel-Redirect: /.pages/ann/blog\r\n", b"X-Sendfile: /etc/passwd\r\n",
    b"SCRIPT_NAME: /_api\r\n", b"Script-Name: /_api\r\n", b"PATH_INFO: /_api\r\n", b"X-HTTP-Method-Override: DELETE\r\n",
    b"X-Method-Override: PUT\r\n", b"Connection: Host\r\n", b"Connection: close, X-Forwarded-For, Host\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", b"Max-Forwards: 0\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Proxy: http://log.localhost\r\n", b"TE: trailers\r\n",
    b"Expect: 100-continue\r\n", b"Range: bytes=0-0\r\n", b"Range: bytes=" + b"0-0," * 1000 + b"1-1\r\n",
    b"Range: bytes=-" + b"9" * 500 + b"\r\n", b"Range: bytes=0-,0-,0-,0-\r\n", b"Range: bytes=9" + b"9" * 30 + b"-\r\n",
    b"Range: x=0-1\r\n", b"Range: bytes=5-1\r\n", b"Range: bytes=--1\r\n", b"Range: bytes=\xff\r\n", b"Range: \r\n",
    b"Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", b"Range: bytes=1-2\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    b'If-None-Match: "\r\n', b"If-None-Match: W/\r\n", b"If-None-Match: " + b'"x",' * 1500 + b"\r\n", b"If-None-Match: *\r\n",
    b'If-None-Match: ""\r\n', b"If-None-Match: \xff\r\n", b"If-Match: *\r\n", b'If-Match: "x"\r\n',
    b"If-Modified-Since: Thu, 99 Foo 99999 99:99:99 GMT\r\n", b"If-Modified-Since: Sun, 06 Nov 99999999 08:49:37 GMT\r\n",
    b"If-Unmodified-Since: 0\r\n", b"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 +9999\r\n", b"If-Modified-Since: \xff\r\n",
    b"Accept-Encoding: gzip\r\n", b"Accept-Encoding: gzip;q=0,*;q=1\r\n", b"Accept-Encoding: " + b"gzip," * 1500 + b"\r\n",
    b"Accept-Encoding: ;;;,,,\r\n", b"Accept-Encoding: gzip;q=\xff\r\n", b"Accept-Encoding: ../../x\r\n", b"Accept: \xff\r\n",
    b"X: a\r\n" * 99, b"X: a\r\n" * 1000, b"X: " + b"a" * 8000 + b"\r\n", b"X: " + b"a" * 70_000 + b"\r\n", b"X" * 9000 + b": a\r\n",
    b"X: \0\r\n", b"X: \x7f\x01\r\n", b"X: a\r\n folded\r\n", b"X : a\r\n", b": a\r\n", b"no colon\r\n", b"X: a\rY: b\r\n",
    b"Cookie: " + b"a=b; " * 1000 + b"\r\n", b"Cookie: \xff=\xfe\r\n", b"Authorization: Basic\r\n", b"Authorization: Basic \xff\r\n",
    b"Authorization: Digest username=admin\r\n", b"Authorization: Basic YWRtaW4\r\n", b"Authorization: Basic " + b"A" * 7000 + b"\r\n",
    b"Authorization: Bearer x\r\n", b"Sec-Fetch-Site: cross-site\r\n", b"Origin: null\r\n", b"Origin: http://[\r\n",
    b"Content-Type: \xff\r\n", b"Content-Encoding: gzip\r\n", b"Content-Length: 0\r\n", b"Content-Length: \r\n",
    b"Host: log.localhost\r\n", b"host: log.localhost\r\n", b" Host: log.localhost\r\n", b"Host : log.localhost\r\n",
]  # fmt: skip


def targets() -> list[bytes]:
    """Paths within, hidden, and out of a site, in every spelling."""
    plain = [f"/{path}" for path in _INSIDE + _HIDDEN]
    for up, depth, outside in itertools.product(_UP, (1, 4), _OUTSIDE):
        plain.append("/" + f"{up}/" * depth + outside)
    for up, before, outside in itertools.product(
        _UP[:6], ("docs/", "/", ".well-known/", "_api/", ".pages/"), _OUTSIDE[:6]
    ):
        plain.append(f"/{before}{up}/{up}/{outside}")
    return [path.encode() for path in plain]


def request(
    target: bytes,
    host: bytes = b"blog.localhost",
    method: bytes = b"GET",
    more: bytes = b"",
    version: bytes = b"HTTP/1.1",
) -> bytes:
    """One that closes the connection. (gunicorn reads one ``Connection`` only; HTTP/1.0 closes without.)"""
    close = b"Connection: close\r\n"
    if b"Connection:" in more:
        version, close = b"HTTP/1.0", b""
    return b"%s %s %s\r\nHost: %s\r\n%s%s\r\n" % (method, target, version, host, more, close)


def attacks() -> list[Attack]:
    """Some thousands of requests: each part of one in turn is odd."""
    found = [Attack(request(target), "ann/blog", "ann/blog") for target in targets()]
    for target in [f"/{path}".encode() for path in _INSIDE + _HIDDEN]:
        found += [
            Attack(request(target, SITES[site].encode()), site, site) for site in ("ann/off", "anna/new", "anna/b")
        ]
    for (host, owner), target in itertools.product(HOSTS, (b"/", b"/missing", b"/a.css", b"/_api/sites")):
        found.append(Attack(request(target, host), owner, owner))
        found.append(Attack(request(b"http://" + host + target, b"blog.localhost"), "ann/blog", _owner_in_uri(host)))
        found.append(Attack(request(b"http://blog2.localhost" + target, host), owner, "ann/blog2"))
    for more, target in itertools.product(
        HEADERS, (b"/", b"/big.bin", b"/missing", b"/docs", b"/_api/sites", b"/.env")
    ):
        owner = None if re.match(rb"\s*host\s*:", more, re.IGNORECASE) else "ann/blog"
        found.append(Attack(request(target, more=more), owner, owner))
    for method, target in itertools.product(METHODS, [f"/{path}".encode() for path in _INSIDE + _HIDDEN[:30]]):
        found.append(Attack(request(target, method=method), "ann/blog", "ann/blog"))
    for version in (
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1",
        b"",
        b"HTTP/1.1\0",
    ):
        found.append(Attack(request(b"/", version=version), "ann/blog", "ann/blog"))
    credentials = f"Authorization: {basic('ann', 'ann')['Authorization']}\r\n".encode()
    for target, method in itertools.product([f"/{path}".encode() for path in _HIDDEN if "api" in path], METHODS[:6]):
        if method == b"DELETE" and b"anna" not in target:  # What is its own it may delete.
            continue
        found.append(Attack(request(target, method=method, more=credentials), "ann/blog", "ann/blog", tenant="ann"))
    return found


def _owner_in_uri(host: bytes) -> str | None:
    """Whose site ``http://HOST/`` is."""
    return dict(HOSTS).get(re.split(rb"[/?#]", host)[0])


def random_attack(random: Random) -> Attack:
    """A request of which every part is odd, and some bytes of it changed."""
    host, owner = random.choice(HOSTS[:25]) if random.random() < 0.7 else random.choice(HOSTS)
    target = random.choice(_TARGETS)
    nginx_owner = owner
    if random.random() < 0.1:
        other, _ = random.choice(HOSTS)
        target, nginx_owner = b"http://" + other + target, _owner_in_uri(other)
    more = b"".join(random.choice(_SANE_HEADERS) for _ in range(random.randrange(4)))
    method = random.choice(METHODS) if random.random() < 0.2 else b"GET"
    sent = request(target, host, method, more)
    if random.random() < 0.5:
        return Attack(sent, owner, nginx_owner)
    head = bytearray(sent)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(head))
        kind = random.randrange(4)
        if kind == 0:
            head[at] = random.randrange(256)
        elif kind == 1:
            head[at:at] = random.choice(_BITS)
        elif kind == 2:
            del head[at : at + random.randrange(1, 5)]
        else:
            head[at:at] = head[at : at + random.randrange(1, 20)]
    return Attack(bytes(head), strict=False)


_TARGETS = targets()
_SANE_HEADERS = [more for more in HEADERS if len(more) < 3000 and b"ost" not in more]
_BITS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"/",
    b"..",
    b"%",
    b"%00",
    b"%2f",
    b"\xff",
    b"\xe2\x80\xae",
]


# --- What came back -------------------------------------------------------------------------------


def ask(port: int, sent: bytes, seconds: float = 20.0) -> Answer:
    """Send these bytes and read until the server closes. After so long a silence it hears that no more will come."""
    received, whole = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection, suppress(OSError):
        with suppress(BrokenPipeError, ConnectionResetError):  # Refused before all of it was read.
            connection.sendall(sent)
        for last in (False, True):
            with suppress(TimeoutError):
                while piece := connection.recv(1 << 20):
                    received += piece
                whole = True
                break
            if not last:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
    statuses = [int(found) for found in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.MULTILINE)]
    plain = received
    for at in re.finditer(rb"\r\n\r\n\x1f\x8b", received):
        with suppress(OSError, EOFError):
            plain += gzip.decompress(received[at.end() - 2 :])
    marks = {mark.decode() for mark in re.findall(rb"\[\[([a-z0-9/]+)\]\]", plain)}
    return Answer(plain, statuses, marks, whole)


def faults(attack: Attack, direct: Answer, nginx: Answer, by_pages: Answer) -> Iterator[str]:
    """All that is wrong with the answers of the three fronts to one request."""
    for name, answer, owner in (
        ("direct", direct, attack.owner),
        ("nginx", nginx, attack.nginx_owner),
        ("nginx and Pages", by_pages, attack.nginx_owner),
    ):
        for status in answer.statuses:
            # HTTP's own words for a transfer coding and for a version that a server does not know.
            if status >= 500 and status not in (501, 505):
                yield f"{name}: status {status}"
        for found in re.findall(PRIVATE + rb"(\w+)", answer.received):
            if found.decode() != attack.tenant:
                yield f"{name}: a secret of {found.decode()}"
        if b"root:x:0" in answer.received:
            yield f"{name}: /etc/passwd"
        if attack.strict and not answer.marks <= {owner}:
            yield f"{name}: {answer.marks} instead of {owner}"
        if attack.strict and len([status for status in answer.statuses if status >= 200]) > 1:
            yield f"{name}: {len(answer.statuses)} answers"
    if not (nginx.whole and by_pages.whole and nginx.marks and by_pages.marks):
        return
    if nginx.marks != by_pages.marks:
        yield f"nginx chose {nginx.marks}, Pages {by_pages.marks}"
    if attack.strict and attack.owner == attack.nginx_owner and direct.marks and direct.marks != nginx.marks:
        yield f"Pages alone chose {direct.marks}, nginx {nginx.marks}"
