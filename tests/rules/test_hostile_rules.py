"""Files and requests made to do harm: no error, no waiting, no way to another host, nothing in a header."""

import re
import string
import time
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pages.rules import MAX_FILE_BYTES, parse_headers, parse_redirects

# For the worst file that is known it is a quarter of one, for the worst rules and path a hundredth; what does not grow
# with the length alone takes minutes. In between, the machine may be busy, and so may other threads of this process.
SECONDS_TO_PARSE = SECONDS_TO_MATCH = 10.0
SAFE_URL = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]^_a-z{|}~]+")

WORDS = st.sampled_from(
    [
        "/",
        "/*",
        "/a",
        "/:a",
        "/:a/*",
        "/:a-:b*",
        "https://x.com/*",
        "http://",
        "//",
        "/\\",
        ":splat",
        "/:splat",
        "/x/:a?q=:b#:c",
        "q=:b",
        "q=1",
        "200",
        "301!",
        "404",
        "302",
        "https://:a/",
        "https://y.org:80/:splat",
        "/%2F/*",
        "/..%2f",
        "/%FF",
        "#",
        "Country=us",
    ]
)
LINES = st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=6).map(" ".join))
REDIRECT_FILES = st.one_of(st.binary(max_size=400), st.lists(LINES, max_size=8).map(lambda ls: "\n".join(ls).encode()))
HEADER_LINES = st.one_of(LINES, st.sampled_from(["X-A: :splat", "X-B: :a", "! X-A", "Vary: :a", "Set-Cookie: x"]))
HEADER_FILES = st.one_of(
    st.binary(max_size=400), st.lists(HEADER_LINES, max_size=9).map(lambda ls: "\n".join(ls).encode())
)
NASTY = st.text(st.sampled_from("/\\.:@%?#&=\r\n\t\0 \"'<>a中é" + "\u2028\U0001f600"), max_size=20)
PATHS = st.one_of(NASTY, st.text(st.characters(exclude_categories=["Cs"]), max_size=20)).map(lambda text: "/" + text)


@given(REDIRECT_FILES, PATHS, st.text(string.printable + "\xff\xe4", max_size=20))
@example(b"/go/* /:splat 302", "/go//evil.com", "")
@example(b"/go/* /:splat 302", "/go/\\evil.com", "")
@example(b"/go/* /:splat 302", "/go/\t/evil.com", "")
@example(b"/go/* /:splat 302", "/go/.//evil.com", "")
@example(b"/a*b /:splat", "/a//evil.comb", "")
@example(b"/:a/* /:splat#:a", "/x\r\ny//evil.com", "")
@settings(max_examples=600, deadline=None)
def test_a_target_is_safe_in_a_header_and_never_on_a_host_that_the_author_did_not_write(
    data: bytes, path: str, query: str
) -> None:
    redirects = parse_redirects(data)
    found = redirects.match("example.com", path, query)
    assert all(len(str(ignored)) < 300 and str(ignored).isprintable() for ignored in redirects.ignored)
    if found is None:
        return
    assert found.target.startswith("/") or found.target.startswith(
        ("http://x.com/", "https://x.com/", "https://y.org:80/")
    )
    if found.rule.is_redirect:
        assert SAFE_URL.fullmatch(found.target)
        if found.target.startswith("/"):
            assert not found.target.startswith(("//", "/\\"))
            assert urlsplit(urljoin("https://example.com/a/b", found.target)).netloc == "example.com"


@given(HEADER_FILES, PATHS)
@settings(max_examples=600, deadline=None)
def test_added_headers_are_safe(data: bytes, path: str) -> None:
    for name, value in parse_headers(data).apply("x.com", path, []):
        assert re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name)
        assert re.fullmatch(r"[ -~]+", value) or value == ""
        assert name.lower() != "set-cookie"


def filled(line: str | bytes) -> bytes:
    """A file over the limit out of one line."""
    data = line.encode() if isinstance(line, str) else line
    return data * ((10 * 1024 * 1024) // len(data))


def numbered(line: str) -> bytes:
    return "\n".join(line.replace("@", str(i)) for i in range(40_000)).encode()


@pytest.mark.parametrize(
    "data",
    [
        filled("\n"),
        filled("a\n"),
        filled("#\n"),
        filled(b"\0\n"),
        b"a" * 10 * 1024 * 1024,
        filled(b"\xff" * 1999 + b"\n"),
        filled("/" + ":a-" * 660 + " /b\n"),
        filled("/" + "*" * 1990 + " /b\n"),
        filled("/:a /" + ":a" * 980 + "\n"),
        filled("/a " + "a=b " * 490 + "/b\n"),
        filled("/a /b " + "9" * 1990 + "\n"),
        filled("/" + "%41" * 650 + " /b\n"),
        filled("/:a\nX: " + ":a" * 980 + "\n"),
        numbered("/@ /b"),
        numbered("/@/:a/:b/* /@/:a/:b/:splat 301!"),
        numbered("https://" + "é" * 40 + "@.com/* /b"),
        numbered("/@ https://" + "é" * 40 + "@.com/"),
        numbered("https://" + "中e\u0301" * 20 + "@.com/* /b"),
    ],
    ids=lambda data: repr(data[:24]),
)
@pytest.mark.parametrize("parse", [parse_redirects, parse_headers])
def test_no_file_takes_long_to_read(parse, data: bytes) -> None:
    start = time.process_time()
    parsed = parse(data[: MAX_FILE_BYTES + 1])
    assert time.process_time() - start < SECONDS_TO_PARSE
    assert len(parsed.ignored) <= 102


HOLES = "abcdefghijklmno"
PATTERNS = {
    "dashes": "/" + "-".join(f":{name}" for name in HOLES) + "*x@",
    "periods": "/*" + "".join(f":{name}.{'ab' * 30}" for name in HOLES) + "x@",
    "adjacent": "/" + "".join(f":{name}" for name in HOLES) + "*x@",
    "slashes": "/*" + "".join(f"/:{name}" for name in HOLES) + "/x@",
    "a literal": "/*" + "𝒳" * 1900 + "@",
    "a needle": "/*." + "a" * 50 + "b" + "a" * 48 + ":x",
    "a short needle": "/*aabaa:x",
    "parts": "/*" + "/a" * 62 + "/x@",
}
REQUESTED = ["/" + "ab" * 4095, "/" + "a" * 8190, "/" + "a" * 2400, "/" + "-a" * 4095, "/a" * 4095, "/" + "𝒳" * 2048]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_hundred_hostile_patterns_are_matched_at_once(pattern: str) -> None:
    lines = [f"{pattern.replace('@', str(i))} /t\n".encode() for i in range(100)]
    redirects = parse_redirects(b"".join(lines))
    assert len(redirects.rules) == min(100, MAX_FILE_BYTES // len(lines[-1]))
    for path in REQUESTED:
        start = time.process_time()
        redirects.match("example.com", path, "&" * 8000)
        assert time.process_time() - start < SECONDS_TO_MATCH, path[:10]


def test_a_target_does_not_grow_with_every_use_of_what_is_captured() -> None:
    rules = "\n".join(f"/* x{i}=:y /{':splat' * 32}?:y" for i in range(100)).encode()
    redirects = parse_redirects(rules)
    start = time.process_time()
    assert redirects.match("example.com", "/" + "é" * 4000, "&".join(f"x{i}=1" for i in range(100))) is None
    assert time.process_time() - start < SECONDS_TO_MATCH


def test_headers_do_not_grow_with_every_use_of_what_is_captured() -> None:
    block = "/:a/*\n" + "\n".join(f"X{i}: {':a' * 30}" for i in range(50)) + "\n"
    headers = parse_headers((block * 100).encode())
    start = time.process_time()
    assert sum(len(value) for _, value in headers.apply("example.com", "/" + "é" * 400 + "/c", [])) < 17_000
    assert time.process_time() - start < SECONDS_TO_MATCH
