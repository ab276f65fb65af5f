"""Rules that hostile authors write and paths that hostile visitors ask for: both fronts answer, and safely."""

import http.client
import random
from collections.abc import Iterator

import pytest
from test_public import Front, start

RANDOM = random.Random(7)

SITES: dict[str, dict[str, bytes | str]] = {
    "full": {
        "_redirects": "".join(f"/s{number}/{'x' * 40} /t{number} 301\n" for number in range(2000))
        + "".join(f"/:a{number}/:b/*/{'y' * 20}{number} /z/:splat/:b 301\n" for number in range(100)),
        "_headers": "".join(
            "/:a/:b/*\n" + "".join(f"  X-H{number}-{line}: :splat-:a\n" for line in range(50)) for number in range(100)
        ),
    },
    "ten-megabytes": {
        "_redirects": ("/a /b 301\n" + "#" * 90 + "\n") * 100_000,
        "_headers": ("/*\n  X-A: b\n" * 800_000)[:10_000_000],
    },
    "noise": {"_redirects": RANDOM.randbytes(1_000_000), "_headers": RANDOM.randbytes(1_000_000)},
    "holes": {
        "_redirects": "".join(f"/{'/'.join(f':h{n}' for n in range(15))}/*{r} /:splat 301\n" for r in range(100)),
        "_headers": "".join(f"/{'/'.join(f':h{n}' for n in range(15))}/*{r}\n  X: :splat\n" for r in range(100)),
    },
    "one-part": {
        "_redirects": "".join(f"/{''.join(f':h{n}a' for n in range(15))}*{r} /:splat 301\n" for r in range(100)),
        "_headers": "".join(f"/{''.join(f':h{n}a' for n in range(15))}*{r}\n  X: :splat\n" for r in range(100)),
    },
    "loops": {"_redirects": "/a /b 301!\n/b /a 301!\n/c /c/ 301!\n/d/* /d/:splat/x 301!\n/* /loop/:splat 200!\n"},
    "away": {
        "_redirects": "/a /b%0d%0aX-Injected:1 301\n/q/* /x?y=:splat 301\n/s/* /:splat 301\n/e //evil.example 301\n"
        "/h/:x https://ok.example/:x 301\n/f /\\evil.example 301\n/g/* https://:splat/ 301\n/v a=:b /:b 301\n",
        "_headers": "/*\n  X-P: :splat\n  X-Q: a\rX-Injected: 1\n",
    },
    "query": {"_redirects": "".join(f"/q a{number}=:v /t/:v 301\n" for number in range(99)) + "/q /x 301\n"},
    "long": {
        "_redirects": "/l/* /" + ":splat/" * 32 + " 301\n/m/:a /" + "x" * 1500 + ":a 301\n",
        "_headers": "/*\n" + "".join(f"  X-L{number}: :splat:splat:splat\n" for number in range(50)),
    },
}

PATHS = [
    "/", "/film.mp4", "/missing", f"/s1999/{'x' * 40}", "/a", "/b", "/c", "/c/", "/d/x", "/e", "/f", "/g/evil.example",
    "/q", "/q?a98=1", "/q?" + "&".join(f"a{number}={'x' * 70}" for number in range(100)), "/q?" + "&" * 7900,
    "/q?" + "a=&" * 2600, "/q?" + "%" * 7900, "/q/%0d%0aX-Injected:1", "/s/%0d%0aX-Injected:1", "/s//evil.example",
    "/s/%2f%2fevil.example", "/s/%5cevil.example", "/s/\\evil.example", "/s/..%2f..%2f", "/h/%00", "/h/a%00b", "/%00",
    "/v?b=1&a=//evil.example", "/v?a=%0d%0aX-Injected:1", "/%ff%fe", "/a%2fb", "/a%2f" * 1500, "/" + "a" * 8000,
    "/" + "a/" * 3990, "/" + "/aaa" * 1900, "/" + "%61" * 2600, "/" + "/" * 7000, "/" + "%2e%2e/" * 1000, "/.", "/..",
    "/l/" + "x" * 7900, "/l/" + "%20" * 2600, "/l/" + "%E4%B8%AD" * 850, "/m/" + "%e4" * 2600, "/" + "ha" * 3900,
    "/a/b/" + "yyyyyyyyyyyyyyyyyyyy" * 390,
]  # fmt: skip


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = start(tmp_path_factory, PAGES_X_ACCEL_REDIRECT="true")
    for site, rules in SITES.items():
        front.put_up(site, {"index.html": "own", "404.html": "own 404", "film.mp4": b"x" * 100_000, **rules})
    yield front
    front.stop()


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("site", SITES)
def test_no_rules_and_no_path_break_an_answer_or_lead_away(
    front: Front, monkeypatch: pytest.MonkeyPatch, site: str, direct: bool
) -> None:
    monkeypatch.setattr(http.client, "_MAXHEADERS", 10_000)
    for path in PATHS:
        connection = http.client.HTTPConnection(
            "127.0.0.1", front.server.port if direct else front.nginx.port, timeout=30
        )
        # Byte for byte: the client's own check would refuse half of these.
        monkeypatch.setattr(connection, "_validate_path", lambda url: None)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", f"{site}.localhost")
        connection.endheaders()
        reply = connection.getresponse()
        reply.read()
        connection.close()
        location = reply.getheader("Location", "/")
        assert reply.status < 500, path
        assert reply.getheader("X-Injected") is None, path
        assert location.startswith(("/", "https://ok.example/")), path
        assert not location.startswith(("//", "/\\")), path
