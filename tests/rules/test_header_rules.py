"""What `_headers` means: blocks, what they set and remove, and what is left to the server."""

import pytest

from pages.rules import parse_headers
from pages.rules.headers import MAX_ADDED

DEFAULTS = [("Content-Type", "text/html"), ("Vary", "Accept-Encoding"), ("X-Content-Type-Options", "nosniff")]


def applied(text: str, path: str = "/a", host: str = "example.com", headers=()) -> list[tuple[str, str]]:
    return parse_headers(text.encode()).apply(host, path, list(headers))


def reasons(text: str) -> list[str]:
    return [ignored.reason for ignored in parse_headers(text.encode()).ignored]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a\n  X-A: 1", [*DEFAULTS, ("X-A", "1")]),
        ("/a/\nX-A: 1", [*DEFAULTS, ("X-A", "1")]),
        ("/b\n  X-A: 1", DEFAULTS),
        ("/a\n  x-content-type-options: other", [*DEFAULTS[:2], ("x-content-type-options", "other")]),
        ("/a\n  ! X-Content-Type-Options", DEFAULTS[:2]),
        ("/a\n  Vary: Origin, accept-encoding", [DEFAULTS[0], DEFAULTS[2], ("Vary", "Accept-Encoding, Origin")]),
        ("/a\n  X-A: 1\n/*\n  x-a: 2", [*DEFAULTS, ("X-A", "1, 2")]),
        ("/a\n  X-A: 1\n/*\n  ! x-A", DEFAULTS),
        ("/a\n  X-A: 1\n  ! X-A", [*DEFAULTS, ("X-A", "1")]),
        ("/a\n  X-A: 1\n/*\n  ! X-A\n  X-A: 2", [*DEFAULTS, ("X-A", "2")]),
        ("/a\n  X-A:\ta\tb", [*DEFAULTS, ("X-A", "a b")]),
        ('/a\n  Link: </x>; rel=a; b="c:d"', [*DEFAULTS, ("Link", '</x>; rel=a; b="c:d"')]),
    ],
)
def test_blocks_change_the_headers_of_what_they_match(text: str, expected: list[tuple[str, str]]) -> None:
    assert applied(text, headers=DEFAULTS) == expected


def test_the_blocks_that_match_are_given_in_the_order_of_the_file() -> None:
    headers = parse_headers(b"/*\n  A: 1\n/b\n  B: 1\n/:x\n  C: 1\n")
    assert [(rule.line, rule.text) for rule in headers.matching("a.com", "/a")] == [(1, "/*"), (5, "/:x")]
    assert (headers.weight, parse_headers(b"").weight) == (6, 1)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/d/x/y", "</p/x/y>"),
        ("/d", "</p/>"),
        ("/d/a>; rel=x, <b", "</p/a%3E%3B%20rel%3Dx%2C%20%3Cb>"),
        ("/d/a\r\nSet-Cookie: b", "</p/a%0D%0ASet-Cookie%3A%20b>"),
        ("/d/中", "</p/%E4%B8%AD>"),
    ],
)
def test_what_a_value_captures_means_nothing_in_a_header(path: str, expected: str) -> None:
    assert applied("/d/*\n  Link: </p/:splat>", path) == [("Link", expected)]


def test_a_host_may_have_placeholders() -> None:
    text = "https://:branch.example.com/*\n  X-Branch: :branch\n"
    assert applied(text, host="Next".lower() + ".example.com") == [("X-Branch", "next")]
    assert applied(text, host="a.b.example.com") == []
    assert applied(text, host="evil.com", path="/x.example.com/") == []


@pytest.mark.parametrize(
    "name",
    [
        "Accept-Ranges",
        "Age",
        "Allow",
        "Alt-Svc",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Date",
        "Location",
        "Server",
        "Set-Cookie",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Keep-Alive",
        "TE",
        "Proxy-Authenticate",
        "Status",
        "ETag",
        "Last-Modified",
        "WWW-Authenticate",
        "X-Accel-Redirect",
        "X-Sendfile",
        "X-Sendfile-Type",
        "X-Pages-Version",
    ],
)
@pytest.mark.parametrize("line", ["{}: x", "! {}"])
def test_headers_of_the_server_are_left_alone(name: str, line: str) -> None:
    text = "/a\n  " + line.format(name.swapcase()) + "\n  X-A: 1\n"
    assert applied(text, headers=[(name, "own")]) == [(name, "own"), ("X-A", "1")]
    assert ["由服务器管理" in reason for reason in reasons(text)] == [True]


@pytest.mark.parametrize("name", ["Vary", "Content-Type"])
def test_what_caches_and_browsers_rely_on_can_be_set_but_not_removed(name: str) -> None:
    assert "不能去掉" in reasons(f"/a\n  ! {name}\n  X-A: 1\n")[0]
    assert reasons(f"/a\n  {name}: x\n") == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("X A: 1", "头部名称只能是"),
        ("X\u00e9: 1", "头部名称只能是"),
        ("X-A: \u00e9", "可打印的 ASCII"),
        ("X-A:", "没有值"),
        ("X-A", "应为 名称: 值"),
        (": 1", "应为 名称: 值"),
        ("!X-A", "应为 名称: 值"),
        ("! X-A: 1", "头部名称只能是"),
        ("X-A: a\rb", "控制字符"),
        ("X-A: a\0b", "控制字符"),
        ("X-A: " + ":n" * 33, "超过 32 次"),
    ],
)
def test_a_line_that_cannot_work_is_told_of(line: str, reason: str) -> None:
    told = reasons(f"/:n\n  {line}\n  X-B: 1\n")
    assert len(told) == 1
    assert reason in told[0]


def test_a_header_before_any_path_is_told_of() -> None:
    assert [str(ignored) for ignored in parse_headers(b"X-A: 1\n/a\n X-B: 1\n").ignored] == [
        "_headers 第 1 行已忽略: 头部之前要先有一行路径（以 / 或 https:// 开头）（X-A: 1）"
    ]


@pytest.mark.parametrize("path", ["http://a.com/", "ftp://a.com/", "https://a.com:1/", "/*/*", "/a?b"])
def test_a_bad_path_is_told_of_once_and_its_headers_belong_to_no_other(path: str) -> None:
    headers = parse_headers(f"/*\n  X-A: 1\n{path}\n  X-B: 1\n  X-C\n".encode())
    assert [ignored.line for ignored in headers.ignored] == [3]
    assert headers.apply("a.com", "/x", []) == [("X-A", "1")]


def test_blocks_and_lines_over_the_limits_are_told_of() -> None:
    assert len(parse_headers(b"/a\nX: 1\n" * 101).rules) == 100
    headers = parse_headers(b"/a\n" + b"X: 1\n" * 51)
    assert (len(headers.rules[0].operations), [ignored.line for ignored in headers.ignored]) == (50, [52])


def test_no_more_is_added_to_an_answer_than_the_limit() -> None:
    text = "/*\n" + "".join(f"X-{i}: {'v' * 1900}\n" for i in range(20))
    added = applied(text)
    assert 7 <= len(added) == sum(len(name) + len(value) + 4 <= 2000 for name, value in added) <= 8
    assert sum(len(name) + len(value) + 4 for name, value in added) <= MAX_ADDED
    assert applied("/*\n  X-A: " + ":splat" * 30 + "\n  X-B: 1\n", "/" + "a" * 1000) == []
