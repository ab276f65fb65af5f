"""Which names carry a hash of the content: what tools write and what people do, asked of Python and of nginx."""

import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import Reply, Server, program, wait_until
from hypothesis import given
from hypothesis import strategies as st
from ports import free_port

from pages.hashed_names import PATTERN, is_hashed

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UUID = "123e4567-e89b-42d3-a456-4266a4174b0c"

HASHED = {
    "webpack, Create React App, Docusaurus: [name].[contenthash:8]": [
        "/assets/js/main.3f2a9c1b.js",
        "/assets/js/runtime~main.0a1b2c3d.js",
        "/assets/css/styles.ab12cd34.css",
        "/assets/js/935f2afb.0a1b2c3d.js",
        "/assets/js/237.0401f7f1.js",
        "/static/js/main.3f2a9c1b.chunk.js",
        "/static/js/787.3f2a9c1b.chunk.js",
        "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
        "/static/media/logo.6ce24c58023cc2f8fd88.svg",
        "/img/logo.82b9c7a5.png",
        "/under/a/base/assets/js/main.3f2a9c1b.js",
    ],
    "Docusaurus: pictures and files that pages take in": [
        f"/assets/images/picture-{MD5}.png",
        f"/assets/files/paper-{MD5}.pdf",
    ],
    "Next with webpack": [
        "/_next/static/chunks/main-app-0123456789abcdef.js",
        "/_next/static/chunks/117-0123456789abcdef.js",
        "/_next/static/chunks/app/docs/[slug]/page-0123456789abcdef.js",
        "/_next/static/chunks/polyfills-42372ed130431b0a.js",
        "/_next/static/css/5b576904c612405e.css",
        "/_next/static/media/picture.2f5c7d8e.png",
        "/_next/static/media/e4af272ccee01ff0-s.p.woff2",
        "/_next/static/fvsIXtMGsOOnR5xnXxmJh/_buildManifest.js",
        "/_next/static/fvsIXtMGsOOnR5xnXxmJh/_ssgManifest.js",
    ],
    "Next 16 with Turbopack": [
        "/_next/static/chunks/06aq38lyarlhm.js",
        "/_next/static/chunks/0cz1d0mv5g_q7.js",
        "/_next/static/chunks/08mika-44sn50.js",
        "/_next/static/chunks/29s496afgggeq.css",
        "/_next/static/chunks/a6dad97d9634a72d.js",
        "/_next/static/chunks/turbopack-2u1d16houkiyo.js",
        "/_next/static/media/font-s.p.3mmlhcns4y7c0.woff2",
        "/_next/static/Ly-nN9704QRzfQ5uW4a91/_clientMiddlewareManifest.js",
    ],
    "Vite and Rollup: [name]-[hash], eight characters of base64url": [
        "/assets/index-BQ2f8_3K.js",
        "/assets/index-CJ2hS1aB.css",
        "/assets/index-DUjEoVbu.js",
        "/assets/logo-B1z0IdBH.svg",
        "/app/assets/index-legacy-BQ2f8_3K.js",
        "/js/vendor-B1z0IdBH.js",
    ],
    "VitePress": [
        "/assets/app.DEMWCUrq.js",
        "/assets/style.qp7qGaqN.css",
        "/assets/chunks/framework.B1z0IdBH.js",
        "/assets/chunks/@localSearchIndexroot.W1eEUNef.js",
        "/assets/index.md.CJ2hS1aB.js",
        "/assets/index.md.CJ2hS1aB.lean.js",
        "/assets/guide_start.md.BITNhKGm.lean.js",
        "/assets/picture.BWZg8yiI.png",
        "/assets/inter-roman-latin.Di8DUHzh.woff2",
    ],
    "Astro": [
        "/_astro/hoisted.Bl3eI-5h.js",
        "/_astro/about.BITNhKGm.css",
        "/_astro/index.astro_astro_type_script_index_0_lang.DQ2ZZ13r.js",
        "/_astro/picture.BWZg8yiI_1gGlAO.png",
    ],
    "SvelteKit": [
        "/_app/immutable/entry/start.BITNhKGm.js",
        "/_app/immutable/nodes/0.Bl3eI-5h.js",
        "/_app/immutable/chunks/DEMWCUrq.js",
        "/_app/immutable/assets/0.CJ2hS1aB.css",
    ],
    "Nuxt": ["/_nuxt/entry.DEMWCUrq.css", "/_nuxt/Bl3eI-5h.js", "/_nuxt/error-404.BITNhKGm.css"],
    "esbuild and Angular: eight characters of base32": [
        "/main-5INURTSO.js",
        "/chunk-2QFKTDJU.js",
        "/styles-FFHMD2TL.css",
        "/build/routes/page-W3KV5Z2B.js",
    ],
    "Parcel": ["/index.3f2a9c1b.js", "/logo.82b9c7a5.png"],
    "Gatsby": [
        "/component---src-pages-index-js-0a1b2c3d4e5f60718293.js",
        "/webpack-runtime-0a1b2c3d4e5f60718293.js",
        "/styles.0a1b2c3d4e5f60718293.css",
        f"/static/logo-{MD5}.svg",
        f"/static/{MD5}/6c9b2/photo.jpg",
    ],
    "Hugo: fingerprint, Resize": [
        f"/style.min.{SHA256}.css",
        f"/main.{MD5}.js",
        "/posts/first/picture_hu_b64ff582bfbbb440.png",
    ],
    "Sprockets, Propshaft, Phoenix, jekyll-assets": [
        f"/assets/application-{SHA256}.css",
        f"/assets/application-{MD5}.js",
        f"/assets/logo-{SHA1}.png",
        "/assets/application-3f2a9c1b.css",
        "/assets/application-3f2a9c1b.digested.js",
    ],
    "MkDocs Material": [
        "/assets/javascripts/bundle.83f73b43.min.js",
        "/assets/stylesheets/main.6f8fc17f.min.css",
        "/assets/javascripts/workers/search.2c215733.min.js",
    ],
    "gulp-rev; Django; Stencil": ["/css/unicorn-d41d8cd98f.css", "/css/base.27e20196a850.css", "/p-3f2a9c1b.entry.js"],
}

UNHASHED = {
    "pages and what is read as text": [
        "/",
        "/index.html",
        "/about.3f2a9c1b.html",
        "/docs/a.3f2a9c1b.htm",
        f"/feed-{MD5}.xml",
        "/assets/js/main.3f2a9c1b.js.LICENSE.txt",
        "/about/__next._tree.txt",
        "/manifest.json",
        "/assets/manifest-BQ2f8_3K.json",
        "/assets/manifest-BQ2f8_3K.webmanifest",
        "/site.0a1b2c3d.webmanifest",
        "/hashmap.json",
    ],
    "source maps: a comment changes them, and not the script": [
        "/assets/js/main.3f2a9c1b.js.map",
        "/_astro/hoisted.Bl3eI-5h.js.map",
        "/main.3f2a9c1b.map",
    ],
    "service workers": ["/sw.js", "/service-worker.js", "/firebase-messaging-sw.js", "/ngsw-worker.js"],
    "versions": [
        "/jquery-3.7.1.min.js",
        "/lib/v1.2.3/app.js",
        "/app-1.2.3.js",
        "/app-1.2.3-5-g3f2a9c1.js",
        "/app-1.2.3-5-g3f2a9c1b.js",
        "/assets/app-v1.2.3-beta.4.js",
        "/assets/three-r160dev2.js",
    ],
    "dates and times": [
        "/photo-20240101.jpg",
        "/2024-01-15T103000.png",
        "/a-2024-01-15T1030.png",
        "/assets/scan-24-01-15.png",
        "/assets/scan-01-15T10.png",
        "/backup.20240101.js",
        "/flyer.1dec2024.pdf",
        "/css/flyer-1feb2024.css",
        "/css/flyer-2024feb1.css",
        "/app-1700000000000.js",
        "/app.1700000000000000.js",
    ],
    "words": [
        "/index-settings.js",
        "/assets/index-settings.js",
        "/assets/app.settings.js",
        "/_astro/index.settings.js",
        "/assets/app-MyModule.js",
        "/assets/index-MyModule.js",
        "/assets/index-README12.js",
        "/assets/app.MyModule.js",
        "/assets/chunks/app.MyModule.js",
        "/_nuxt/MyModule.js",
        "/assets/style.DarkMode.css",
        "/assets/form.Validate.js",
        "/assets/form.validate.min.js",
        "/jquery.validate.js",
        "/assets/README-CHANGES2.js",
        "/assets/convert-MP4TOMP3.png",
        "/lib/gas-CO2GASES.js",
        "/assets/util-toBase64.js",
        "/assets/book-Chapter1.js",
        "/js/hook-useMd5Id.js",
        "/menu.cafe2024.jpg",
        "/css/menu-cafe2024.css",
        "/theme-deadbeef.css",
        "/theme.facade01.css",
        "/assets/HTMLView.js",
        "/assets/app-HTMLView.js",
    ],
    "telephones, models, cameras": [
        "/iphone15promax.png",
        "/assets/screenshot-iPhone15.png",
        "/assets/screenshot.iPhone15.png",
        "/assets/photo-v2Final3.jpg",
        "/IMG_20240101_123456.jpg",
        "/DSC01234.JPG",
        "/photos/trip-DSC23456.jpg",
        "/PXL_20240115_103000123.jpg",
        "/video-1920x1080.mp4",
        "/assets/video-4k60fps2.mp4",
    ],
    "ids, not hashes of a content": [
        f"/photo-{UUID}.png",
        f"/{UUID}.png",
        f"/assets/photo-{UUID}.png",
        f"/js/tracker-{UUID}.js",
        f"/avatars/{MD5}.jpg",
        f"/avatars/user-{MD5}.jpg",
        f"/_images/math/{SHA1}.png",
        "/assets/avatar-3f2a9c1b.png",
        "/photo-1523456789012345678.jpg",
        "/video-dQw4w9WgXcQ.mp4",
        "/objects/thing-507f1f77bcf86cd799439011.js",
    ],
    "a tool's own files that have no hash": [
        "/_nuxt/builds/latest.json",
        f"/_nuxt/builds/meta/{UUID}.json",
        "/_next/static/chunks/polyfills.js",
        "/_next/static/chunks/webpack.js",
        "/_next/static/chunks/main-app.js",
        "/_next/static/chunks/app/page.js",
        "/_next/static/chunks/polyfill-2024.js",
        "/_next/static/development/_buildManifest.js",
        "/_next/static/my-own-fixed-build-01/_buildManifest.js",
        "/_app/version.json",
        "/_app/env.js",
        "/vp-icons.css",
        "/assets/javascripts/lunr/min/lunr.ja.min.js",
        "/_static/doctools.js",
    ],
    "a hash that is not the name's": [
        "/3f2a9c1b/app.js",
        "/assets/main.3f2a9c1b.js/",
        "/assets/main.3f2a9c1b.js/index.html",
        "/assets/main.3f2a9c1b.js\n",
        "/assets/main.3f2a9c1b.js.gz",
        "/assets/main.3f2a9c1b",
        "/assets/main.3F2A9C1B.js",
        "/assets/main.3f2a9c1.js",
        "/assets/main.3f2a9c1b0.js",
        "/.3f2a9c1b.js",
        "/3f2a9c1b.js",
        "/_astrology/DEMWCUrq.js",
        "/x_nuxt/DEMWCUrq.js",
        "",
    ],
}


def cases(table: dict[str, list[str]]) -> list[str]:
    return [path for paths in table.values() for path in paths]


@pytest.mark.parametrize("path", cases(HASHED))
def test_a_name_with_a_hash_is_recognised(path: str) -> None:
    assert is_hashed(path)


@pytest.mark.parametrize("path", cases(UNHASHED))
def test_what_may_change_under_its_name_is_not_taken_for_hashed(path: str) -> None:
    assert not is_hashed(path)


# --- nginx --------------------------------------------------------------------------------------

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $uri $hashed {{
        default no;
        "~{pattern}" yes;
    }}
    server {{
        listen 127.0.0.1:{port};
        large_client_header_buffers 4 64k;
        merge_slashes off;
        return 200 $hashed;
    }}
}}
"""


class Map:
    """A real nginx that answers whether ``PATTERN`` is found in the path it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "error.log"
        self.server = Server(folder, port=free_port())
        file = folder / "nginx.conf"
        file.write_text(_CONFIGURATION.format(folder=folder, port=self.server.port, pattern=PATTERN), encoding="utf-8")
        command = [program("nginx"), "-p", str(folder), "-c", str(file), "-e", str(self.log)]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(self._answers, "nginx answers")

    def ask(self, path: str) -> bool:
        reply = self.server.request("GET", quote(path))
        assert reply.status == 200, path
        return {b"yes": True, b"no": False}[reply.body]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def _answers(self) -> Reply | None:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.server.request("GET", "/")
        except OSError:
            return None


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Map]:
    answering = Map(tmp_path_factory.mktemp("map"))
    yield answering
    answering.stop()
    assert "pcre" not in answering.log.read_text()


def test_nginx_takes_the_pattern_to_be_the_same(nginx: Map) -> None:
    asked = [path for path in cases(HASHED) + cases(UNHASHED) if path.startswith("/")]
    assert [path for path in asked if nginx.ask(path) != is_hashed(path)] == []


def test_the_pattern_needs_no_quoting_in_nginx_and_has_room_there() -> None:
    assert re.search(r"[\"$;\s]|\\[\\'\"trn]", PATTERN) is None
    assert len(PATTERN.encode()) < 4000  # One word of nginx's configuration has at most 4,095 bytes, with "~".


# Every way to make a matcher look again: runs of what separates, of what almost is a hash, of folders.
LONG = [
    "-", ".", "/", "a", "A", "0", "_", "~", "-a", ".a1", "aA1_", "a1B2c3D4.", "-a1B2c3D4", "a1B2c3D4-", "3f2a9c1b.",
    "-3f2a9c1b", "/_astro", "/_nuxt/", "/_next/static/", "/assets/", "/static/", f"/static/{MD5}/",
    f"-{MD5}", f".{SHA256}", "2QFKTDJU-", "-chunk-", "_hu_", ".min", ".js", ".min.js", "/a.js", "-s.p.",
    "0cz1d0mv5g_q7-", "/_next/static/chunks/0-", "/assets/a.md.", "/assets/chunks/", "é", "\n",
]  # fmt: skip


@pytest.mark.parametrize("end", ["", ".js", ".png", "a1B2c3D4.js", "-3f2a9c1b.jsx"])
@pytest.mark.parametrize("start", ["/", "/assets/", "/static/", "/_astro/", "/_next/static/chunks/"])
def test_no_long_path_takes_long(nginx: Map, start: str, end: str) -> None:
    for piece in LONG:
        path = start + piece * (8192 // len(piece)) + end
        before = time.process_time()
        expected = is_hashed(path)
        assert time.process_time() - before < 10, piece  # 2 ms; what backtracks takes minutes.
        assert nginx.ask(path) == expected, piece


@pytest.mark.parametrize("length", [9, 21, 31, 63])
def test_a_hash_of_no_tools_length_is_none(length: int) -> None:
    assert not is_hashed(f"/main.{SHA256[:length]}.js")


@given(st.from_regex(r"\A/[a-z]{1,12}([-_.][a-z]{1,12}){0,3}\.(js|css|png)\Z"))
def test_words_in_lower_case_are_never_taken_for_a_hash(path: str) -> None:
    assert not is_hashed(path)


@given(
    st.sampled_from(["/", "/assets/", "/static/js/"]),
    st.dates(),
    st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%d%b%Y", "%Y_%m_%d", "%b%d%Y", "%Y%b%d", "%y%m%d-%j", "%d-%B-%Y"]),
    st.sampled_from([".js", ".png", ".min.css"]),
    st.booleans(),
)  # fmt: skip
def test_a_date_is_never_taken_for_a_hash(folder: str, day: object, shape: str, ending: str, lower: bool) -> None:
    date = format(day, shape)
    for separator in "-._":
        assert not is_hashed(f"{folder}photo{separator}{date.lower() if lower else date}{ending}")


@given(st.uuids(), st.sampled_from(["/assets/", "/js/", "/"]), st.sampled_from(["", "a-", "a.", "a_"]))
def test_a_uuid_is_never_taken_for_a_hash(uuid: object, folder: str, before: str) -> None:
    for ending in (".js", ".png", ".min.js"):
        assert not is_hashed(f"{folder}{before}{uuid}{ending}")


@given(st.integers(0, 10**20), st.sampled_from("-._"))
def test_a_decimal_number_is_never_taken_for_a_hash(number: int, separator: str) -> None:
    assert not is_hashed(f"/assets/photo{separator}{number}.js")


BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize(
    ("shape", "alphabet", "length", "share"),
    [
        ("/assets/js/main.{}.js", "0123456789abcdef", 8, 0.85),
        ("/static/main.{}.js", "0123456789abcdef", 20, 0.99),
        ("/assets/index-{}.js", BASE64URL, 8, 0.9),
        ("/assets/page-{}.js", BASE64URL, 8, 0.55),
        ("/assets/app.{}.js", BASE64URL, 8, 0.9),
        ("/_nuxt/{}.js", BASE64URL, 8, 0.85),
        ("/chunk-{}.js", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8, 0.75),
        ("/_next/static/chunks/{}.js", "0123456789abcdefghijklmnopqrstuvwxyz-_", 13, 0.09),
    ],
)
def test_most_hashes_of_a_tool_are_recognised(shape: str, alphabet: str, length: int, share: float) -> None:
    choice = random.Random(1)
    names = [shape.format("".join(choice.choices(alphabet, k=length))) for _ in range(5000)]
    assert sum(map(is_hashed, names)) / len(names) > share


@pytest.mark.parametrize(("length", "expected"), [(200, True), (1023, True), (1024, False), (8000, False)])
def test_a_path_longer_than_any_tool_writes_costs_no_search(length: int, expected: bool) -> None:
    end = "/assets/index-BQ2f8_3K.js"
    assert is_hashed("/" + "a" * (length - len(end) - 1) + end) == expected
