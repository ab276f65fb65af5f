"""What ``test_parity`` asks of both fronts: the sites, their files, and the requests, as tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pages.media_types import by_ending, by_name


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:20]}..{text[-10:]} ({len(text)})"


@dataclass(frozen=True)
class Asked:
    """One request. In a header's value, ``{etag}`` and the like stand for what the front itself gave out.

    ``{etag}`` and ``{modified}`` are of the same path, ``{etag gzip}`` of its compressed twin, ``{other etag}``
    is what the other front calls it. An empty ``host`` sends no Host header.
    """

    group: str
    target: str
    host: str = "blog.localhost"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = "1.1"

    @property
    def name(self) -> str:
        headers = "".join(f" {name}:{value}" for name, value in self.headers)
        host = "" if self.host == "blog.localhost" else f" {_short(self.host)}"
        body = f" with {len(self.body)} bytes" if self.body else ""
        version = "" if self.version == "1.1" else f" HTTP/{self.version}"
        return f"{self.group}: {self.method} {_short(self.target)}{host}{headers}{body}{version}"


# --- Sites ------------------------------------------------------------------------------------------

# "username/id" and the record's other fields.
SITES: dict[str, dict[str, Any]] = {
    "default/blog": {"domain": "blog.localhost"},
    "default/plain": {"domain": "plain.localhost"},
    "default/home": {"domain": "home.localhost", "index": "home.html"},
    "default/off": {"domain": "off.localhost", "enabled": False},
    "default/bare": {"domain": "bare.localhost"},
    "default/folders": {"domain": "folders.localhost"},
    # Look-alikes of the first one.
    "default/blog2": {"domain": "blog2.localhost"},
    "default2/blog": {"domain": "blog.localhost.example"},
    "defaul/tblog": {"domain": "log.localhost"},
    "d/blog.localhost": {"domain": "xblog.localhost"},
    # An operator's own folder, and a tenant's site of a telling name.
    "op/own": {"domain": "own.localhost"},
    "op/linked": {"domain": "linked.localhost"},
    "op/encodings": {"domain": "encodings.localhost"},
    "op/site": {"domain": "site"},
    "op/cache": {"domain": "cache.localhost"},
    # Never deployed: files are dropped into it.
    "default/fresh": {"domain": "fresh.localhost"},
    "default/empty": {"domain": "empty.localhost"},
    # Other kinds of names.
    "default/idn": {"domain": "b\u00fccher.example"},
    "default/ipv4": {"domain": "192.0.2.7"},
    "default/long": {"domain": ".".join(["a" * 60] * 4)},
    "default/one": {"domain": "x"},
    # Pages without their ending, pages for misses, names with a hash: nginx does all of it by itself.
    "default/pages": {
        "domain": "pages.localhost",
        "aliases": ["www.pages.localhost", "*.pages.localhost"],
        "alias_mode": "serve",
    },
    # For Pages to decide about.
    "default/moved": {"domain": "moved.localhost", "aliases": ["old.moved.localhost", "*.moved.localhost"]},
    "default/ruled": {"domain": "ruled.localhost", "aliases": ["www.ruled.localhost"], "alias_mode": "serve"},
    "default/spa": {"domain": "spa.localhost", "spa": True},
    "default/clean": {"domain": "clean.localhost", "clean_urls": True},
    "default/always": {"domain": "always.localhost", "trailing_slash": "always"},
    "default/never": {"domain": "never.localhost", "trailing_slash": "never", "clean_urls": True},
    "default/named": {"domain": "named.localhost", "not_found": "docs/404.html"},
    "default/kept": {"domain": "kept.localhost", "cache": {"html": 60, "assets": 300, "hashed": 600}},
}

# Sites of the same files under different settings.
WITH_PAGES = [
    f"default/{name}" for name in ("pages", "moved", "ruled", "spa", "clean", "always", "never", "named", "kept")
]
_DEEP = "1/2/3/4/5/6/7/8"
_PAGES = f"""
    index.html 404.html about.html both.html both/index.html page.html page/x.txt plain plain.html folder/index.html
    a.b.html v1.2/index.html v1.2.html x.png.html x.css.html x.html.html docs/index.html docs/404.html docs/page.html
    docs/de/404.html docs/de/x.html only/404.html/index.html .well-known/page.html .hidden.html docs/.hidden.html
    \u4e2d\u6587.html %41.html q?.html _api.html _apix.html empty/x/y.txt {_DEEP}/404.html {_DEEP}/9/404.html
    {_DEEP}/9/x.html assets/index-BQ2f8_3K.js assets/app.3f2a9c1b.css picture.0a1b2c3d.png
    assets/index-BQ2f8_3K.js.html apple-app-site-association.html
""".split()
# Of the version before, and of none.
_OLDER = ("assets/older-BQ2f8_3K.js", "assets/index-BQ2f8_3K.js", "older.0a1b2c3d.png", "older.html", "assets/older.js")
_REDIRECTS_FILE = b"""
/to /about
/to/* /docs/:splat 302
/forced /about 308!
/about.html /docs/ 302!
/shown /docs/page 200
/shown-large /large.bin 200
/gone /docs/404.html 410
/teapot /about 404
/nothing /none 200
/out/* https://elsewhere.example/:splat?a=b 303
/q id=:id /found/:id 301
https://www.ruled.localhost/host /only-there 307
/stolen /.pages/default/blog/x 200
/stolen-too/* /:splat 200
"""
_HEADERS_FILE = b"""
/*
  X-Own: ruled
  X-Accel-Redirect: /.pages/default/blog/x
  X-Accel-Expires: 1000
/docs/*
  X-Frame-Options: DENY
  ! X-Content-Type-Options
/large.bin
  Access-Control-Allow-Origin: *
  ! X-Own
/large-own.bin
  Refresh: 5
/about
  Content-Type: text/plain
  Cache-Control: public, max-age=7
  Vary: Cookie
"""


def older_files_of(site: str) -> dict[str, bytes]:
    """The files of the version that was live before, if there was one."""
    return {path: f"[{site}] older {path}\n".encode() * 40 for path in _OLDER} if site in WITH_PAGES else {}


_ODD_NAMES = (
    "a?b #%.txt",
    "a+b;c=d&e,f.txt",
    "sp ace.html",
    "per%2fcent.html",
    "%2e%2e.html",
    "quo'te\"<>.html",
    "tilde~(1)!@$*.html",
    "\u4e2d\u6587.html",
    "\U0001f600.css",
    "brace{}|^`[].txt",
    "two..dots.html",
    "dot.at.end.",
    "-dash.html",
    "_apix/index.html",
    "ends.html;x",
    "noending",
    "UPPER.HTML",
    "MiXed.CsS",
    "PICTURE.PNG",
    "html",
    "x.css.gz.txt",
)


def files_of(site: str) -> dict[str, bytes]:
    """The files that are deployed to a site; each one names the site and itself, a text of each size."""

    def text(path: str, size: int) -> bytes:
        line = f"[{site}] {path}\n".encode()
        return (line * (size // len(line) + 1))[:size] if size >= len(line) else line[:size]

    if site in WITH_PAGES:
        found_pages = {path: text(path, 800) for path in _PAGES}
        if site != "default/ruled":
            return found_pages
        large = {name: text(name, 200_000) for name in ("large.bin", "large-own.bin", "docs/large.bin", "large.txt")}
        return {**found_pages, **large, "_redirects": _REDIRECTS_FILE, "_headers": _HEADERS_FILE}
    if site == "default/bare":
        return {"docs/page.html": text("docs/page.html", 700)}
    if site == "default/folders":
        names = ("index.html/index.html", "404.html/index.html", "docs/index.html/x.html", "a.css/a.css", "_api")
        return {path: text(path, 700) for path in names}
    if site not in ("default/blog", "default/home", "default/plain", "default/off"):
        return {
            "index.html": text("index.html", 600),
            "a.css": text("a.css", 900),
            "404.html": text("404.html", 500),
            "docs/index.html": text("docs/index.html", 500),
            ".secret.html": text(".secret.html", 400),
        }
    found = {
        "index.html": 3000,
        "home.html": 2000,
        "small.html": 100,
        "255.css": 255,
        "256.css": 256,
        "300000.txt": 300_000,
        "a.css": 4000,
        "a.css.gz": 50,
        "a.css.br": 60,
        "own.js": 3000,
        "own.js.gz": 70,
        "docs/index.html": 2500,
        "docs/home.html": 2600,
        "docs/a.css": 2700,
        "docs/404.html": 600,
        "deep/er/est/x.html": 800,
        "noindex/x.html": 800,
        "x.html/index.html": 900,
        "x.html/home.html": 900,
        "x.html/y.css": 900,
        "x.png/index.html": 900,
        "x.png/home.html": 900,
        "folder.with.dots/index.html": 700,
        "index.htm": 700,
        "a.tar.gz": 3000,
        "medium.bin": 100_000,
        "large.mp4": 300_000,
        "picture.png": 5000,
        ".env": 300,
        ".htaccess": 300,
        ".git/config": 300,
        ".git/index.html": 300,
        "docs/.hidden.html": 300,
        "docs/.hidden/x.html": 300,
        ".well-known/security.txt": 400,
        ".well-known/small": 40,
        ".well-known/x.html": 400,
        ".well-known/index.html": 400,
        ".well-known/home.html": 400,
        ".well-known/acme-challenge/token": 44,
        ".well-known/acme-challenge/index.html": 500,
        ".well-known/_api/x.html": 500,
        ".well-known/.hidden/x.html": 300,
        ".well-known/.hidden.html": 300,
        ".well-known/apple-app-site-association": 400,
        ".Well-Known/x.html": 300,
        ".WELL-KNOWN/index.html": 300,
        ".well-knownx/x.html": 300,
        ".encodings/a.css.gz": 300,
        "docs/.well-known/x.html": 300,
        "_api/x.html": 400,
        "_api/index.html": 400,
        "_API/x.html": 400,
        "_API/index.html": 400,
        "docs/_api/x.html": 400,
        "api/admin/maintenance": 300,
        "api/admin/x.html": 300,
        "sites/x.html": 300,
        "\u4e2d\u6587/index.html": 400,
        "\u4e2d\u6587/home.html": 400,
        "sp ace/index.html": 400,
        "a+b;c&d/index.html": 400,
        "a?b#c%d/index.html": 400,
        "evil.com/index.html": 400,
        "quo'te\"/index.html": 400,
    }
    content = {path: text(path, size) for path, size in found.items()}
    content |= {path: text(path, 420) for path in _ODD_NAMES}
    content |= {f"type/{n}.{ending}": text(f"type/{n}.{ending}", 400) for n, ending in enumerate(by_ending())}
    content |= {f"type/{name}": text(f"type/{name}", 400) for name in by_name()}
    content |= {"zero.html": b"", "zero.bin": b"", "zero.css": b""}
    if site != "default/plain":
        content["404.html"] = text("404.html", 1000)
    if site == "default/home":
        del content["index.html"], content["docs/index.html"]
    return content


def _words(text: str) -> list[str]:
    return text.split()


# --- Requests ---------------------------------------------------------------------------------------

_PATHS = _words("""
    / /index.html /home.html /small.html /255.css /256.css /300000.txt /a.css /a.css.gz /a.css.br /own.js /own.js.gz
    /docs/ /docs/index.html /docs/a.css /deep/er/est/x.html /x.html/ /x.html/y.css /x.png/ /folder.with.dots/
    /index.htm /a.tar.gz /medium.bin /large.mp4 /picture.png /zero.html /zero.bin /zero.css /noindex/x.html /deep/er/
    /noindex/ /404.html /docs/404.html /home.html /docs/home.html
""")

_REDIRECTED = _words("""
    /docs /docs?a=1 /docs?a=1&b=%20&c=//e /docs? /docs?? /x.html /x.html?q /x.png /folder.with.dots /deep /deep/er
    /noindex /%E4%B8%AD%E6%96%87 /%e4%b8%ad%e6%96%87?x /sp%20ace /a+b;c&d /a+b;c&d?x=1+2 /a%3Fb%23c%25d
    /a%3Fb%23c%25d?z /d%6fcs /evil.com /quo'te%22 /docs%3Fa /docs?%0d%0aX:1 /docs;a /type /api /api/admin /sites /_API
    /docs/_api /.well-known /.well-known/acme-challenge /_apix /evil.com?//evil.com /docs?a%23b
""")

_MISSING = _words("""
    /missing /missing.html /missing.css /missing.png /missing.mp4 /missing/ /docs/missing /docs/missing.html
    /docs/missing/ /missing/missing /index.html/ /a.css/ /index.html/x /a.css/x.css /picture.png/
    /small.html/index.html /Index.html /INDEX.HTML /docs/Index.html /A.CSS /indexxhtml /index.html. /index /.html
    /docs/.html /x.html/index.htm /favicon.ico /robots.txt /missing?x=1 /a.css.gz/ /deep/er/est/y.html
    /noindex/index.html /a.css.zst /html/ /404 /404.html/
""")

_DOTS = _words("""
    /.env /.htaccess /.git/config /.git/ /.git /.git/index.html /docs/.hidden.html /docs/.hidden/x.html /docs/.hidden/
    /.well-known/ /.well-known/security.txt /.well-known/small /.well-known/x.html /.well-known/acme-challenge/token
    /.well-known/acme-challenge/ /.well-known/_api/x.html /.well-known/.hidden/x.html /.well-known/.hidden.html
    /.well-known/apple-app-site-association /.Well-Known/x.html /.WELL-KNOWN/ /.well-known/missing
    /.well-known/missing.html /.well-knownx/x.html /.encodings/a.css.gz /.encodings/ /.encodings
    /docs/.well-known/x.html /%2eenv /%2ewell-known/x.html /docs/%2ehidden.html /.well-known%2fx.html /%2egit%2fconfig
    /.pages/ /.pages /.pages/default/blog/x /.pages/..%2f /.pages/../x /.pages%2fdefault /%2epages/default/blog
    /.secret.html /... /.../ /..a /.well-known//x.html /.well-known/%2e%2e/.env /.well-known/../.env /x/.env.html
    /.env.html /.css /docs/.css /docs/.png
""")

_ENCODED = _words("""
    /docs%2findex.html /docs%2Findex.html /docs%2f /docs%2F/ /docs%5cindex.html /docs\\index.html /%69ndex.html
    /index%2ehtml /index.html%00 /%00 /a%00b.html /index.html%00.png /%252e%252e.html /%252e%252e/
    /docs%252findex.html /%25%32%65 /%ff /%ff.html /%c0%ae%c0%ae/ /%e4%b8 /%E4%B8%AD%E6%96%87.html
    /%e4%b8%ad%e6%96%87.html /%F0%9F%98%80.css /%ED%A0%80 /index.html%0a /%0aindex.html /index.html%0d%0aX:1 /docs/%0a
    /a%0ab.html /index.html%20 /%20index.html /a%3fb%20%23%25.txt /a+b;c=d&e,f.txt /a%2Bb%3Bc%3Dd%26e%2Cf.txt
    /sp%20ace.html /sp+ace.html /per%252fcent.html /per%2fcent.html /quo'te%22%3C%3E.html /tilde~(1)!@$*.html
    /tilde%7E%281%29%21%40%24%2A.html /brace{}|^`[].txt /brace%7B%7D%7C%5E%60%5B%5D.txt /two..dots.html /dot.at.end.
    /-dash.html /ends.html;x /noending /UPPER.HTML /MiXed.CsS /PICTURE.PNG /html /x.css.gz.txt /%7Eindex.html
    /index.html%3f /index.html%23 /index.html%3b /index.html;a=b /index.html, /index.html#fragment /index.html?#x /?a
    /?a=b&c=d /index.html? /index.html?/../.. /a.css?v=1.2.3 /a.css?x=/_api/ /%E4%B8%AD%E6%96%87/ /sp%20ace/ /a+b;c&d/
    /a%3Fb%23c%25d/ /%2f /%2findex.html /%2f%2findex.html /%5c /%5c%5cevil.com /docs/%2findex.html /index.html%2f /%
    /%g /%2 /index.html% /%zz.html /%u0041 /docs%u002findex.html /%e2%80%ae /%EF%BC%8E%EF%BC%8E/ /docs/\u2025
    /caf\xe9.html /cafe%CC%81.html
""")

_SLASHES = _words("""
    // /// //index.html //docs/ //docs /docs// /docs//index.html /docs///a.css //a.css //evil.com //evil.com/
    //evil.com/.. /docs//?x /x.html// //picture.png /deep//er/est/x.html //missing //.env //.well-known/x.html
    /docs//.. //_apix /_apix /_apix/ /_apix/index.html
""")

_DOT_SEGMENTS = _words("""
    /../index.html /%2e%2e/index.html /..%2findex.html /../../etc/passwd /..%2f..%2f..%2fetc%2fpasswd
    /docs/../../index.html /%2e%2e%2f%2e%2e%2fetc/passwd /docs/%2e%2e/%2e%2e/index.html /..;/index.html
    /..\\index.html /..%5cindex.html /../blog2/index.html /../../default/blog2/site/index.html
    /..%2f.encodings%2fa.css.gz /..%252f /%2e%2e/.encodings/a.css.gz
""")

# Within the site.
_INNER_DOT_SEGMENTS = _words("""
    /./index.html /docs/../index.html /docs/./index.html /docs/. /docs/.. /docs/../ /. /%2e/index.html
    /docs/%2e%2e/index.html /docs%2f..%2findex.html /./ /docs/%2e /a/b/../../a.css /docs/../a.css
    /missing/../index.html /./missing
""")

_CONDITIONS = [
    (("If-None-Match", "{etag}"),),
    (("If-None-Match", "W/{etag}"),),
    (("If-None-Match", '"x"'),),
    (("If-None-Match", '"x", {etag}'),),
    (("If-None-Match", '"x",{etag},"y"'),),
    (("If-None-Match", 'W/"x", W/{etag}'),),
    (("If-None-Match", "*"),),
    (("If-None-Match", ""),),
    (("If-None-Match", "{other etag}"),),
    (("If-None-Match", "{etag}x"),),
    (("If-None-Match", "{etag gzip}"),),
    (("If-Modified-Since", "{modified}"),),
    (("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),),
    (("If-Modified-Since", "Sun, 06 Nov 2044 08:49:37 GMT"),),
    (("If-Modified-Since", "yesterday"),),
    (("If-Modified-Since", ""),),
    (("If-Modified-Since", "0"),),
    (("If-Modified-Since", "-1"),),
    (("If-Modified-Since", "{modified}"), ("If-None-Match", "{etag}")),
    (("If-Modified-Since", "{modified}"), ("If-None-Match", '"x"')),
    (("If-Match", "{etag}"),),
    (("If-Match", '"x"'),),
    (("If-Match", '"x", {etag}'),),
    (("If-Match", "*"),),
    (("If-Match", "W/{etag}"),),
    (("If-Match", "{other etag}"),),
    (("If-Match", "{etag gzip}"),),
    (("If-Unmodified-Since", "{modified}"),),
    (("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),),
    (("If-Unmodified-Since", "Sun, 06 Nov 2044 08:49:37 GMT"),),
    (("If-Unmodified-Since", "garbage"),),
    (("If-Match", "{etag}"), ("If-None-Match", "{etag}")),
    (("If-Match", '"x"'), ("If-None-Match", "{etag}")),
    (("If-Unmodified-Since", "{modified}"), ("If-None-Match", "{etag}")),
    (("If-Match", "{etag}"), ("If-Modified-Since", "{modified}")),
]

_RANGES = [
    "bytes=0-9",
    "bytes=10-",
    "bytes=-10",
    "bytes=0-0",
    "bytes=0-",
    "bytes=-0",
    "bytes=-9999999",
    "bytes=0-9999999",
    "bytes=9999999-",
    "bytes=9999999-99999999",
    "bytes=5-2",
    "bytes=0-1,5-6",
    "bytes=0-1, 3-4, -1",
    "bytes=0-1,9999999-",
    "bytes=",
    "bytes",
    "bytes=a-b",
    "bytes=1",
    "bytes=--1",
    "bytes=1-x",
    "bytes= 0-9",
    "bytes=0 - 9",
    "bytes=0-9 ",
    "BYTES=0-9",
    "Bytes=0-9",
    "chars=0-9",
    "items=0-9",
    "0-9",
    "bytes:0-9",
    "bytes=0-9;x",
    "bytes=,0-9",
    "bytes=0-9,",
    "bytes=+0-9",
    "bytes=00-09",
    "bytes=99999999999999999999-",
    "bytes=0-99999999999999999999",
    "",
]

_RANGES_WITH_CONDITIONS = [
    (("Range", "bytes=0-9"), ("If-Range", "{etag}")),
    (("Range", "bytes=0-9"), ("If-Range", '"x"')),
    (("Range", "bytes=0-9"), ("If-Range", "W/{etag}")),
    (("Range", "bytes=0-9"), ("If-Range", "{other etag}")),
    (("Range", "bytes=0-9"), ("If-Range", "{etag gzip}")),
    (("Range", "bytes=0-9"), ("If-Range", "{modified}")),
    (("Range", "bytes=0-9"), ("If-Range", "Sun, 06 Nov 1994 08:49:37 GMT")),
    (("Range", "bytes=0-9"), ("If-Range", "Sun, 06 Nov 2044 08:49:37 GMT")),
    (("Range", "bytes=0-9"), ("If-Range", "garbage")),
    (("Range", "bytes=0-9"), ("If-Range", "")),
    (("Range", "bytes=9999999-"), ("If-Range", '"x"')),
    (("Range", "bytes=9999999-"), ("If-Range", "{etag}")),
    (("If-Range", "{etag}"),),
    (("Range", "bytes=0-9"), ("If-None-Match", "{etag}")),
    (("Range", "bytes=0-9"), ("If-None-Match", '"x"')),
    (("Range", "bytes=0-9"), ("If-Modified-Since", "{modified}")),
    (("Range", "bytes=0-9"), ("If-Match", "{etag}")),
    (("Range", "bytes=0-9"), ("If-Match", '"x"')),
    (("Range", "bytes=0-9"), ("If-Unmodified-Since", "{modified}")),
    (("Range", "bytes=9999999-"), ("If-None-Match", "{etag}")),
    (("Range", "bytes=9999999-"), ("If-Match", '"x"')),
    (("Range", "bytes=0-9"), ("Accept-Encoding", "gzip")),
    (("Range", "bytes=0-9"), ("Accept-Encoding", "gzip"), ("If-Range", "{etag gzip}")),
    (("Range", "bytes=9999999-"), ("Accept-Encoding", "gzip")),
    (("Range", "garbage"), ("Accept-Encoding", "gzip")),
]

_ACCEPTED = [
    "gzip",
    "br",
    "gzip, br",
    "br, gzip",
    "gzip, deflate, br, zstd",
    "GZIP",
    "gzip;q=0",
    "gzip;q=0.0",
    "gzip;q=0.000",
    "gzip; q=0",
    "gzip ; q=0",
    "gzip;q=0.001",
    "gzip;q=1",
    "gzip;q=1.0",
    "gzip;q=0.5, br;q=1",
    "gzip;Q=0",
    "gzip;q=",
    "gzip;q=abc",
    "gzip;q=2",
    "gzip;q=0, *",
    "*",
    "*;q=0",
    "identity",
    "identity;q=0",
    "identity, gzip;q=0",
    "x-gzip",
    "x-gzip, gzip;q=0",
    "gzipx",
    "xgzip",
    "deflate",
    "",
    ",",
    ",gzip",
    "gzip,",
    "deflate,gzip",
    "deflate ,gzip",
    "deflate gzip",
    "gzip\t",
    "gzip;level=9",
    "gzip;q=0;x",
    "gzip;x;q=0",
]

_HOSTS = _words("""
    blog.localhost BLOG.LOCALHOST Blog.LocalHost blog.localhost:80 blog.localhost:1323 blog.localhost.
    BLOG.localhost.:8080 blog.localhost: blog.localhost:0 blog.localhost:99999 blog.localhost:abc blog.localhost:80:80
    blog.localhost.. .blog.localhost blog..localhost blog_x.localhost _ _blog.localhost blog.localhost_ pages
    localhost LOCALHOST 127.0.0.1 127.0.0.1:80 192.0.2.7 192.0.2.7:80 192.0.2.7. 192.0.2.07 3221225991 0xC0000207
    [::1] [::1]:80 ::1 [::ffff:192.0.2.7] . .. ... .. / a/b ../blog blog.localhost/ /blog.localhost
    blog.localhost/../blog2.localhost blog.localhost%2f blog.localhost%00 %62log.localhost user@blog.localhost
    blog.localhost@x blog.localhost,blog2.localhost blog.localhost\\x blog.localhost;x blog.localhost?x
    blog.localhost#x *.localhost * blog.* xn--bcher-kva.example XN--BCHER-KVA.EXAMPLE b\xfccher.example
    B\xdcCHER.EXAMPLE bu\u0308cher.example b%C3%BCcher.example xn--a.localhost xn--.localhost xn--blog-.localhost
    blog2.localhost log.localhost xblog.localhost blog.localhost.example site x own.localhost linked.localhost
    encodings.localhost cache.localhost fresh.localhost empty.localhost off.localhost OFF.localhost home.localhost
    bare.localhost plain.localhost unknown.localhost .encodings .encodings.localhost -blog.localhost blog-.localhost
    a.b.c.d.e default default/blog sites trees public 'blog' blog\uff0elocalhost \uff42log.localhost
    blog.localhost\u3002 blog.localhos blog.localhost.localhost 0 1.2.3 [::1%25lo]
""")

_LONG_HOSTS = [
    ".".join(["a" * 60] * 4),
    ".".join(["A" * 60] * 4) + ".:80",
    ".".join(["a" * 63] * 4),
    "a" * 64 + ".localhost",
    "a" * 300,
    "a." * 600 + "localhost",
    "a" * 5000,
]

_BODY_METHODS = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
_OTHER_METHODS = [*_BODY_METHODS, "FOO", "PROPFIND", "get"]


_GZIP = (("Accept-Encoding", "gzip, deflate, br"),)


def _plain_paths() -> Iterator[Asked]:
    for path in _PATHS:
        for host in ("blog.localhost", "home.localhost", "plain.localhost"):
            yield Asked("path", path, host)
        yield Asked("path", path, headers=_GZIP)
        yield Asked("path", path, method="HEAD")
        yield Asked("path", path, method="HEAD", headers=_GZIP)


def _folders_like_files() -> Iterator[Asked]:
    for path in ("/", "/missing", "/missing.css", "/docs/", "/index.html", "/index.html/", "/404.html", "/404.html/"):
        yield Asked("folders", path, "folders.localhost")
        yield Asked("folders", path, "folders.localhost", headers=_GZIP)
    for path in ("/docs", "/docs/index.html", "/a.css", "/a.css/", "/a.css/a.css", "/_api", "/index.html?x"):
        yield Asked("folders", path, "folders.localhost")
    for length in (255, 256, 4000, 8000, 20000):
        yield Asked("long", "/" + "a" * length)
        yield Asked("long", "/" + "a/" * (length // 2) + "x.html")
        yield Asked("long", "/docs?" + "a" * length)


def _redirects() -> Iterator[Asked]:
    for path in _REDIRECTED:
        yield Asked("redirect", path)
        yield Asked("redirect", path, headers=_GZIP)
    for path in ("/docs", "/x.html", "/x.png", "/docs?a=b"):
        yield Asked("redirect", path, "home.localhost")
        yield Asked("redirect", path, method="HEAD")
        yield Asked("redirect", path, headers=(("Range", "bytes=0-9"),))
        yield Asked("redirect", path, headers=(("If-None-Match", "*"),))
        yield Asked("redirect", path, headers=(("If-Match", '"x"'),))


def _misses() -> Iterator[Asked]:
    for path in _MISSING:
        yield Asked("missing", path)
        yield Asked("missing", path, "plain.localhost")
    for path in ("/missing", "/missing.html", "/docs/missing.css", "/missing/", "/.env", "//", "/missing.png"):
        for host in ("blog.localhost", "plain.localhost", "home.localhost", "off.localhost", "unknown.localhost"):
            yield Asked("missing", path, host, headers=_GZIP)
            yield Asked("missing", path, host, method="HEAD")
        for headers in (
            (("Range", "bytes=0-9"),),
            (("Range", "bytes=99999-"),),
            (("If-None-Match", "*"),),
            (("If-Match", '"x"'),),
            (("If-Modified-Since", "Sun, 06 Nov 2044 08:49:37 GMT"),),
            (("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),),
        ):
            yield Asked("missing", path, headers=headers)
            yield Asked("missing", path, "plain.localhost", headers=headers)


def _odd_paths() -> Iterator[Asked]:
    for group, paths in (
        ("dot", _DOTS),
        ("encoded", _ENCODED),
        ("slashes", _SLASHES),
        ("leaves", _DOT_SEGMENTS),
        ("dot segments", _INNER_DOT_SEGMENTS),
    ):
        for path in paths:
            yield Asked(group, path)
    for path in _DOTS[:20]:
        yield Asked("dot", path, "own.localhost")
        yield Asked("dot", path, headers=_GZIP)


def _types() -> Iterator[Asked]:
    for number, ending in enumerate(by_ending()):
        yield Asked("type", f"/type/{number}.{ending}")
        yield Asked("type", f"/type/{number}.{ending}", headers=_GZIP)
    for name in by_name():
        yield Asked("type", f"/type/{name}")
        yield Asked("type", f"/type/{name}", headers=_GZIP)
        yield Asked("type", f"/type/{name}/")


def _conditions_and_ranges() -> Iterator[Asked]:
    for path in ("/index.html", "/picture.png"):
        for headers in _CONDITIONS:
            yield Asked("condition", path, headers=headers)
    for headers in _CONDITIONS:
        yield Asked("condition", "/a.css", headers=(*headers, ("Accept-Encoding", "gzip")))
        yield Asked("condition", "/large.mp4", method="HEAD", headers=headers)
    for value in _RANGES:
        yield Asked("range", "/index.html", headers=(("Range", value),))
        yield Asked("range", "/large.mp4", headers=(("Range", value),))
    for value in ("bytes=0-9", "bytes=9999999-", "garbage", "bytes=-0", "bytes=0-0"):
        yield Asked("range", "/zero.bin", headers=(("Range", value),))
        yield Asked("range", "/large.mp4", method="HEAD", headers=(("Range", value),))
        yield Asked("range", "/", headers=(("Range", value),))
    for headers in _RANGES_WITH_CONDITIONS:
        yield Asked("range", "/a.css", headers=headers)
        yield Asked("range", "/large.mp4", headers=headers)


def _codings() -> Iterator[Asked]:
    for value in _ACCEPTED:
        yield Asked("coding", "/a.css", headers=(("Accept-Encoding", value),))
    for path in (
        "/256.css",
        "/255.css",
        "/own.js",
        "/picture.png",
        "/medium.bin",
        "/a.css.gz",
        "/a.tar.gz",
        "/x.css.gz.txt",
    ):
        for value in ("gzip", "br", "gzip;q=0"):
            yield Asked("coding", path, headers=(("Accept-Encoding", value),))
    yield Asked("coding", "/a.css", headers=(("Accept-Encoding", "gzip"), ("Accept-Encoding", "br")))
    yield Asked("coding", "/a.css", headers=(("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")))
    yield Asked("coding", "/a.css", headers=(("Accept-Encoding", "gzip"), ("Via", "1.1 proxy")))
    yield Asked("coding", "/a.css", headers=(("Accept-Encoding", "gzip"), ("User-Agent", "MSIE 4.0")))
    yield Asked("coding", "/a.css", headers=(("Accept-Encoding", "gzip"),), version="1.0")


def _hosts() -> Iterator[Asked]:
    for host in dict.fromkeys(_HOSTS + _LONG_HOSTS):
        yield Asked("host", "/", host)
    for host in (
        "off.localhost",
        "unknown.localhost",
        "fresh.localhost",
        "own.localhost",
        "linked.localhost",
        "bare.localhost",
    ):
        for path in ("/a.css", "/docs/", "/docs", "/missing", "/.secret.html"):
            yield Asked("site", path, host)
            yield Asked("site", path, host, headers=_GZIP)
    for host in ("encodings.localhost", "site", "cache.localhost", "blog2.localhost", "empty.localhost", "x"):
        yield Asked("site", "/a.css", host, headers=_GZIP)
        yield Asked("site", "/docs", host)
    yield Asked("no host", "/", "")
    yield Asked("no host", "/", "", version="1.0")
    yield Asked("empty host", "/", " ")
    yield Asked("two hosts", "/", headers=(("Host", "blog2.localhost"),))
    for target in (
        "http://blog.localhost/",
        "http://BLOG.localhost:80/a.css",
        "http://blog.localhost",
        "http://blog.localhost?x",
    ):
        yield Asked("absolute", target)
    yield Asked("absolute", "http://blog2.localhost/")
    yield Asked("absolute", "https://blog.localhost/")
    yield Asked("absolute", "*")
    yield Asked("absolute", "index.html")
    yield Asked("absolute", "", method="GET")


def _methods() -> Iterator[Asked]:
    for method in _OTHER_METHODS:
        for path in (
            "/",
            "/a.css",
            "/picture.png",
            "/large.mp4",
            "/docs",
            "/docs/",
            "/missing",
            "/missing.html",
            "/.env",
            "//",
        ):
            yield Asked("method", path, method=method)
        for host in ("plain.localhost", "home.localhost", "off.localhost", "unknown.localhost"):
            yield Asked("method", "/missing", host, method=method)
    for method in _BODY_METHODS:
        for path in ("/", "/missing", "/docs", "/large.mp4"):
            yield Asked("method", path, method=method, body=b"a=b" * 100)
    yield Asked("method", "/", body=b"a=b")
    yield Asked("method", "/", method="HEAD", body=b"a=b")
    yield Asked("method", "/", method="POST", body=bytes(2_000_000))


def _links() -> Iterator[Asked]:
    for path in (
        "/link-file.html",
        "/link-file.png",
        "/link-out.html",
        "/link-out.png",
        "/link-folder/a.css",
        "/link-folder/",
        "/link-folder",
        "/link-etc/passwd",
        "/link-other.html",
        "/link-other/a.css",
        "/link-loop",
        "/link-dangling.css",
        "/link-sub/x.html",
        "/pipe.html",
        "/pipe.mp4",
        "/docs/link-up/index.html",
        "/link-out.css",
        "/links/index.html",
        "/links/",
        "/link.html/",
        "/link.html",
    ):
        yield Asked("link", path)
        yield Asked("link", path, headers=_GZIP)


def _api_and_headers() -> Iterator[Asked]:
    for path in _words("""
        /_api /_api/ /_api/sites /_api/health /_api/healthz /_api/x /_api/x.html /_api/index.html //_api/sites //_api
        ///_api/x /%5fapi/sites /%5Fapi /%5f%61%70%69/sites /_api%2fsites /_api%2f /_api/../index.html
        /_api/../_api/sites /_api/..%2fa.css /x/../_api/sites /./_api/sites /_api/./sites /_api//sites /_api/sites/
        /_api/sites/%2e%2e/x /_API/sites /_API/ /_API/x.html /_Api/ /_api?x /_api/sites?limit=1 /_api;x /_api.html
        /_api%20 /_api%00 /_api%0a /_api\\sites /_apix /docs/_api/x.html /docs/_api/ /_api/sites/default/blog /_api#x
        /_api/%ff /.pages/_api /_%61pi/x.html /docs/../_api/x.html //_api/x.html
    """):
        yield Asked("api", path)
    for method, path in (
        ("POST", "/_api/sites"),
        ("DELETE", "/_api/x"),
        ("OPTIONS", "/_api/sites"),
        ("HEAD", "/_api/sites"),
        ("PUT", "/%5fapi/sites"),
        ("POST", "//_api/sites"),
        ("FOO", "/_api/sites"),
    ):
        yield Asked("api", path, method=method)
    for path in ("/_api/sites", "/_api/", "/_api"):
        yield Asked("api", path, "unknown.localhost")
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
        for path in (
            "/api/admin/maintenance",
            "/api/admin/maintenance/",
            "//api/admin/maintenance",
            "/api/admin/%6daintenance",
            "/api/admin/maintenance?x",
            "/api/admin/x.html",
        ):
            yield Asked("maintenance", path, method=method)
    yield Asked("maintenance", "/api/admin/maintenance", "unknown.localhost")
    yield Asked("maintenance", "/api/admin/maintenance", "home.localhost")
    for header in (
        "X-Accel-Redirect",
        "X-Sendfile",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Host",
        "Forwarded",
        "X-HTTP-Method-Override",
    ):
        yield Asked("header", "/", headers=((header, "/.pages/default/blog2/x"),))


_PAGE_PATHS = _words(f"""
    / /index /index/ /index.html /index.html/ /about /about/ /about.html /about.html/ /about/index.html /about/x
    /about? /about?a=1&b=//e /about/?a=1&b=//e /about/?%0d%0aX:1 /both /both/ /both.html /both/index.html /both?x
    /both/?x /page /page/ /page/x.txt /page.html /plain /plain/ /plain.html /folder /folder/ /folder?x /a.b /a.b/
    /a.b.html /a.b/?x /v1.2 /v1.2/ /v1.2.html /x.png /x.png/ /x.css /x.css/ /x.html /x.html/ /x.html.html /docs /docs/
    /docs/page /docs/page/ /docs/page/?x=1 /docs/page.html /docs/.hidden /docs/.hidden/ /.hidden /.hidden/
    /.well-known/page /.well-known/page/ /%E4%B8%AD%E6%96%87 /%E4%B8%AD%E6%96%87/ /%e4%b8%ad%e6%96%87/?x /%2541
    /%2541/ /q%3F /q%3F/ /q%3F/?x /_api.html /_apix /_apix/ /About /ABOUT/ /%61bout /%61bout/ /about%2f /about%2F?x
    /about%00 /about%0a /about%0a/ /about%20 /about;x /about/. /about/.. /about/./ /about// //about //about/ /about///
    /./about /x/../about /x/../about/ /apple-app-site-association /apple-app-site-association/ /empty /empty/ /empty/x
    /empty/x/ /empty/x/y.txt /404 /404/ /404.html /docs/404 /docs/404/ /only/404 /only/404/ /missing /missing/
    /docs/missing /docs/missing/ /docs/missing.html /docs/missing.js /docs/de/missing /docs/de/missing/
    /docs/de/none/such/x /docs/en/missing /docs/%64e/missing /docs//missing /docs/.git/config /docs/.git/
    /only/missing /only/404.html /only/404.html/ /only/404.html/missing /1/missing /1/2/3/missing /{_DEEP}/missing
    /{_DEEP}/9/missing /{_DEEP}/9/10/missing /{_DEEP}/9/x /{_DEEP}/9/x/ /{_DEEP}/9/10/11/12/13/14/15/missing
    /assets/index-BQ2f8_3K.js /assets/index-BQ2f8_3K.js/ /assets/index-BQ2f8_3K.js?v=1 /assets/app.3f2a9c1b.css
    /picture.0a1b2c3d.png /assets/older-BQ2f8_3K.js /assets/older-BQ2f8_3K.js?v=1 /assets/older-BQ2f8_3K.js/
    /older.0a1b2c3d.png /older.html /older /assets/older.js /assets/none-BQ2f8_3K.js /none.0a1b2c3d.png
    /docs/none-AB12cd3E.js /assets%2folder-BQ2f8_3K.js /assets/%6flder-BQ2f8_3K.js /assets/.older-BQ2f8_3K.js
    /.git/older-BQ2f8_3K.js /_redirects /_headers /_redirects/ /%5fredirects /_redirects.html /.pages/default/blog/x
    /.pages/
""")
_RULED_PATHS = _words("""
    /to /to/ /to?x=1 /to/page /to/a/b?c=d /to/%2e%2e /to/..%2f /forced /shown /shown/ /shown?x /shown-large /gone
    /teapot /nothing /out/a/b /out//evil.example /q /q?id= /q?id=7 /q?id=%2f%2fe /host /stolen
    /stolen-too/.pages/default/blog/x /stolen-too/../../../etc/passwd /stolen-too/_redirects /stolen-too/.env
    /large.bin /large-own.bin /docs/large.bin /large.txt
""")


def _pages() -> Iterator[Asked]:
    for path in _PAGE_PATHS:
        for site in WITH_PAGES:
            yield Asked("pages", path, SITES[site]["domain"])
        yield Asked("pages", path, "www.pages.localhost", headers=_GZIP)
        yield Asked("pages", path, "pages.localhost", method="HEAD")
        if "%00" not in path:
            yield Asked("pages", path, "pages.localhost", method="POST")
            yield Asked("pages", path, "old.moved.localhost")
    for path in ("/about", "/both", "/docs/page", "/assets/index-BQ2f8_3K.js", "/assets/older-BQ2f8_3K.js", "/a.b"):
        for headers in (
            (("If-None-Match", "{etag}"),),
            (("If-None-Match", "*"),),
            (("If-Modified-Since", "{modified}"),),
            (("If-Match", '"x"'),),
            (("Range", "bytes=0-9"),),
            (("Range", "bytes=9999-"),),
            (("Range", "bytes=0-9"), ("If-Range", "{etag}")),
        ):
            yield Asked("pages", path, "pages.localhost", headers=headers)
            yield Asked("pages", path, "pages.localhost", headers=(*headers, ("Accept-Encoding", "gzip")))
    for path in ("/", "/about", "/missing", "/missing.js", "/docs/missing", "/data.json", "/assets/older-BQ2f8_3K.js"):
        for headers in (
            (("Sec-Fetch-Mode", "navigate"),),
            (("Sec-Fetch-Mode", "cors"),),
            (("Accept", "application/json"),),
            (("Accept", "text/html"),),
        ):
            yield Asked("pages", path, "spa.localhost", headers=headers)
            yield Asked("pages", path, "pages.localhost", headers=headers)


def _ruled() -> Iterator[Asked]:
    for path in _RULED_PATHS:
        for host in ("ruled.localhost", "www.ruled.localhost"):
            yield Asked("ruled", path, host)
        yield Asked("ruled", path, method="HEAD", host="ruled.localhost")
        yield Asked("ruled", path, "ruled.localhost", headers=_GZIP)
    for path in ("/large.bin", "/large-own.bin", "/docs/large.bin", "/about", "/docs/page", "/large.txt"):
        for headers in ((("If-None-Match", "{etag}"),), (("Range", "bytes=0-9"),), (("Range", "bytes=999999-"),)):
            yield Asked("ruled", path, "ruled.localhost", headers=headers)


def _aliases() -> Iterator[Asked]:
    for host in _words("""
        www.pages.localhost x.pages.localhost a.b.pages.localhost WWW.Pages.Localhost. www.pages.localhost:8080
        old.moved.localhost x.moved.localhost a.b.moved.localhost OLD.MOVED.localhost.:81 old.moved.localhost:8443
        www.ruled.localhost *.pages.localhost .pages.localhost xpages.localhost
    """):
        for path in ("/", "/about", "/about/", "/a?b=c", "/missing", "//evil.example", "/%5Cevil.example", "/a%20b"):
            yield Asked("alias", path, host)
        yield Asked("alias", "/about", host, method="POST")
        yield Asked("alias", "/about", host, headers=(("Cookie", "a=b; pages_preview=x"),))


def requests() -> list[Asked]:
    """Every request once."""
    tables = (
        _plain_paths,
        _folders_like_files,
        _redirects,
        _misses,
        _odd_paths,
        _types,
        _conditions_and_ranges,
        _codings,
        _hosts,
        _methods,
        _links,
        _api_and_headers,
        _pages,
        _ruled,
        _aliases,
    )
    return list({asked.name: asked for table in tables for asked in table()}.values())
