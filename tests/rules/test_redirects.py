"""What `_redirects` means: its grammar, the order of rules, where a request is sent."""

import pytest

from pages.rules import MAX_FILE_BYTES, Match, parse_redirects

HOST = "example.com"


def answer(text: str, url: str, host: str = HOST) -> tuple[int, str] | None:
    """The status and target that the rules give to a path and query."""
    path, _, query = url.partition("?")
    found = parse_redirects(text.encode()).match(host, path, query)
    return found and (found.rule.status, found.target)


def reasons(text: str) -> list[str]:
    return [ignored.reason for ignored in parse_redirects(text.encode()).ignored]


@pytest.mark.parametrize(
    ("rule", "url", "expected"),
    [
        # Words, comments, status.
        ("/a\t /b", "/a", (301, "/b")),
        ("\ufeff/a /b\r", "/a", (301, "/b")),
        ("/a /b #comment", "/a", (301, "/b")),
        ("/a /b 200!", "/a", (200, "/b")),
        ("/a /gone.html 410", "/a", (410, "/gone.html")),
        ("/en/* /en/404.html 404", "/en/x", (404, "/en/404.html")),
        # Slashes and case.
        ("/a/ /b", "/a", (301, "/b")),
        ("/a /b", "/a/", (301, "/b")),
        ("/a /b", "/a//", None),
        ("/a /b", "/A", None),
        ("/ /b", "/", (301, "/b")),
        # Splats.
        ("/docs/* /d/:splat", "/docs", (301, "/d/")),
        ("/docs/* /d/:splat", "/docs/a/b/", (301, "/d/a/b/")),
        ("/docs/* /d/:splat", "/docsx", None),
        ("/docs* /d/:splat", "/docsx", (301, "/d/x")),
        ("/a*b /d/:splat", "/a/x/y/b", (301, "/d//x/y/")),
        ("/a*b /d/:splat", "/ab/", (301, "/d/")),
        ("/*.php /:splat", "/x/y.php", (301, "/x/y")),
        ("/* /all/:splat 200", "/", (200, "/all/")),
        ("/:lang/* /:splat?l=:lang", "/de/x/y", (301, "/x/y?l=de")),
        # Placeholders.
        ("/blog/:slug.html /b/:slug", "/blog/x.y.html", (301, "/b/x.y")),
        ("/blog/:slug /b/:slug", "/blog/", None),
        ("/blog/:slug /b/:slug", "/blog/a/b", None),
        ("/:a-:b /:b/:a", "/x-y-z", (301, "/z/x-y")),
        ("/:a /x:b/:a", "/q", (301, "/x:b/q")),
        ("/:a https://x.org:8080/:a", "/q", (301, "https://x.org:8080/q")),
        # Escapes in a pattern.
        ("/%2A /star", "/*", (301, "/star")),
        ("/%2A /star", "/x", None),
        ("/%3Aname /b", "/:name", (301, "/b")),
        ("/中文 /b", "/中文", (301, "/b")),
        ("/%E4%B8%AD%E6%96%87 /b", "/中文", (301, "/b")),
        ("/100% /b", "/100%", (301, "/b")),
        # Queries.
        ("/s q=a%20b /t", "/s?q=a+b", (301, "/t?q=a+b")),
        ("/s q=a+b /t", "/s?x=1&q=a%20b&q=c", (301, "/t?x=1&q=a%20b&q=c")),
        ("/s q=c /t", "/s?q=a&q=c", None),
        ("/s q=:q /t/:q", "/s?q=", None),
        ("/s q=:q /t/:q?", "/s?q=7", (301, "/t/7")),
        ("/s q=1 r=2 /t", "/s?q=1", None),
        ("/s q= /t", "/s?q=", (301, "/t?q=")),
        # The query and the fragment of the target.
        ("/a /b#c", "/a?x=1", (301, "/b?x=1#c")),
        ("/a /b?y=2#c", "/a?x=1", (301, "/b?y=2#c")),
        ("/a /b?", "/a?x=1", (301, "/b")),
        ("/a /b?y#c 200", "/a?x=1", (200, "/b")),
        # Targets as files are decoded.
        ("/a /%E4%B8%AD%20x 200", "/a", (200, "/中 x")),
        ("/a/* /:splat 200", "/a/%41 ?", (200, "/%41 ")),
        # Targets as URLs are not, and what is captured is escaped.
        ("/a /%E4%B8%AD中", "/a", (301, "/%E4%B8%AD%E4%B8%AD")),
        ("/a/* /b/:splat", "/a/x y/%/é#", (301, "/b/x%20y/%25/%C3%A9%23")),
        ("/a/* /b/:splat", "/a/x\r\ny:\t\"'<\\", (301, "/b/x%0D%0Ay:%09%22%27%3C%5C")),
        ("/a/* /b?q=:splat", "/a/x&y=z+/#", (301, "/b?q=x%26y%3Dz%2B/%23")),
        ("/a https://中文.com:80/x", "/a", (301, "https://xn--fiq228c.com:80/x")),
        ("/a HTTPS://X.com", "/a?q", (301, "https://x.com/?q")),
    ],
)
def test_a_rule_answers_what_it_matches(rule: str, url: str, expected: tuple[int, str] | None) -> None:
    assert answer(rule, url) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/a", "缺少目标"),
        ("/a 301", "缺少目标"),
        ("/a 200", "缺少目标"),
        ("/a/* 301", "缺少目标"),
        ("a /b", "路径必须以 / 开头"),
        ("/a b", "目标必须以 / 或 http(s):// 开头"),
        ("/a javascript:alert(1)", "目标必须以 / 或 http(s):// 开头"),
        ("/a //evil.com", "目标不能以 // 或 /\\ 开头"),
        ("/a /\\evil.com", "目标不能以 // 或 /\\ 开头"),
        ("/a https://x.com 200", "不支持代理"),
        ("/a https://x.com 404", "不支持代理"),
        ("/a /b 300", "状态码只能是"),
        ("/a /b 0301", "状态码只能是"),
        ("/a /b 99999999999999999999", "状态码只能是"),
        ("/a /b !", "状态码只能是"),
        ("/a /b 302 !", "多余的内容"),
        ("/a /b 302 Country=us", "不支持条件"),
        ("/a /b Cookie=x", "不支持条件"),
        ("/a b=1 c /d", "名称=值"),
        ("/a b=1 b=2 /d", "写了两次"),
        ("/a?b=1 /d", "不能含 ? 或 #"),
        ("/*/* /d", "只能出现一次"),
        ("/:a/:a /d", "只能出现一次"),
        ("/:a b=:a /d", "只能出现一次"),
        ("/" + "/".join(f":p{i}" for i in range(17)) + " /d", "超过 16 个"),
        ("/:a" + "/b" * 64 + " /d", "超过 64 段"),
        ("/:a" + "b" * 101 + ":c /d", None),
        ("/:a." + "b" * 101 + ":c /d", "超过 100 个字符"),
        ("/%FF /d", "UTF-8"),
        ("/a https://:b/", "目标的主机部分只能是"),
        ("/:b https://:b/", "目标的主机部分只能是"),
        ("/* https://x.com:splat", "目标的主机部分只能是"),
        ("/a https://user@x.com/", "目标的主机部分只能是"),
        ("/a https://x_y.com/", "主机名无效"),
        ("/a https://x.com\\@evil.com:1x/", None),
        ("/a /b/../c", "不能含 . 或 .."),
        ("/a /b/%2e%2E/c", "不能含 . 或 .."),
        ("https://x.com:8080/a /b", "主机名无效"),
        ("https:///a /b", "主机名无效"),
        ("/a\x07 /b", "控制字符"),
        ("/a" + "x" * 2000 + " /b", "超过 2000 个字符"),
    ],
)
def test_a_line_that_cannot_work_is_told_of(line: str, reason: str | None) -> None:
    told = reasons(line)
    assert told == [] if reason is None else len(told) == 1 and reason in told[0]


@pytest.mark.parametrize(
    "line",
    [
        "/a /a",
        "/a /a/",
        "/a /%61",
        "/a /a#b",
        "/a /a?b=c",
        "/a q=1 /a",
        "/* /:splat",
        "/blog/* /blog/:splat 302",
        "/:a/:b /:a/:b",
        "/* /v2/:splat 302!",
        "/* /index.html 302!",
        "/:a /x 301!",
        "http://a.com/* https://a.com/:splat 301!",
        "https://a.com/x /x",
    ],
)
def test_a_rule_that_leads_to_itself_is_ignored(line: str) -> None:
    assert [reason for reason in reasons(line) if "无限重定向" in reason]


@pytest.mark.parametrize(
    "line",
    [
        "/* /index.html 200",
        "/* /index.html 200!",
        "/admin/* 200",
        "/* /v2/:splat 302",
        "/* /index.html 302",
        "/a q=1 /a?r=2",
        "/a/* /:splat 302!",
        "/x/:a /:a/x 302!",
        "/* https://b.com/:splat 301!",
        "https://a.com/* https://www.a.com/:splat 301!",
        "/404 /404 404",
    ],
)
def test_a_rule_that_may_lead_somewhere_is_taken(line: str) -> None:
    assert reasons(line) == []


def test_the_first_rule_in_the_file_wins_whatever_its_kind() -> None:
    rules = "/a/x /first\n/a/* /second\n/a/y /third\n"
    assert [answer(rules, url) for url in ("/a/x", "/a/y")] == [(301, "/first"), (301, "/second")]


def test_a_rule_for_a_host_is_not_applied_on_another_one() -> None:
    rules = "https://WWW.Example.com/* https://example.com/:splat 301!\n/* /rest\n"
    assert answer(rules, "/a", "www.example.com") == (301, "https://example.com/a")
    assert answer(rules, "/a", "example.com") == (301, "/rest")


def test_a_rule_for_an_international_host_is_compared_in_its_ascii_form() -> None:
    assert answer("https://中文.com/a /b", "/a", "xn--fiq228c.com") == (301, "/b")


def test_a_forced_rule_says_so() -> None:
    assert [rule.forced for rule in parse_redirects(b"/a /b 301!\n/c /d\n").rules] == [True, False]


def test_a_match_tells_its_rule_and_query() -> None:
    redirects = parse_redirects(b"\n/a /b 302\n")
    assert redirects.match(HOST, "/a", "q=1") == Match(redirects.rules[0], "/b?q=1", "q=1")
    assert (redirects.rules[0].line, redirects.rules[0].text) == (2, "/a /b 302")


@pytest.mark.parametrize("path", ["/go/../x", "/go/..", "/go/a/./b"])
@pytest.mark.parametrize("status", [301, 200])
def test_a_captured_parent_does_not_climb_but_makes_no_match(path: str, status: int) -> None:
    assert answer(f"/go/* /a/:splat {status}\n/* /b 302\n", path) == (302, "/b")


def test_a_target_that_would_be_too_long_makes_no_match() -> None:
    assert answer("/a/* /" + ":splat/" * 30, "/a/" + "x" * 1000) is None
    assert answer("/a/* /:splat", "/a/" + "é" * 3000) is None


def test_a_query_that_is_too_long_is_not_appended() -> None:
    assert answer("/a /b", "/a?" + "x" * 9000) == (301, "/b")
    assert answer("/a /b", "/a?" + "\xff" * 3000) == (301, "/b")


def test_rules_over_the_limits_are_told_of() -> None:
    static = "\n".join(f"/s{i} /t" for i in range(2001))
    dynamic = "\n".join(f"/d{i} a=1 /t" for i in range(101))
    redirects = parse_redirects(f"{static}\n{dynamic}\n".encode())
    assert len(redirects.rules) == 2100
    assert [(ignored.line, "超过" in ignored.reason) for ignored in redirects.ignored] == [(2001, True), (2102, True)]


def test_rules_weigh_by_their_number_and_their_length() -> None:
    files = (b"", b"/a /b", b"/a /b\n/c /d", b"/a /" + b"b" * 1900)
    assert [parse_redirects(data).weight for data in files] == [1, 1, 2, 20]


def test_what_is_over_a_megabyte_is_not_read() -> None:
    line = b"/a /b\n"
    whole = b"#" * (MAX_FILE_BYTES - len(line) - 1) + b"\n" + line
    assert parse_redirects(whole).ignored == ()
    redirects = parse_redirects(whole[:-1] + b"cc")
    assert redirects.rules == ()
    assert [str(ignored) for ignored in redirects.ignored] == [
        f"_redirects 第 2 行已忽略: 文件超过 {MAX_FILE_BYTES} 字节，自此行起未读取"
    ]


def test_a_hundred_ignored_lines_are_told_of_and_then_how_many_more() -> None:
    ignored = parse_redirects(b"x\n" * 250).ignored
    assert len(ignored) == 101
    assert str(ignored[-1]) == "_redirects 第 101 行已忽略: 自此行起另有 150 行被忽略，不再逐一列出"


def test_reading_stops_after_a_thousand_ignored_lines() -> None:
    redirects = parse_redirects(b"x\n" * 1000 + b"/a /b\n")
    assert redirects.rules == ()
    assert (redirects.ignored[-1].line, "未读取" in redirects.ignored[-1].reason) == (1001, True)


def test_the_sentence_shows_the_start_of_the_line_in_print() -> None:
    told = str(parse_redirects("/\u202eabc\x1b[31m".encode() + b"x" * 500).ignored[0])
    assert told.startswith("_redirects 第 1 行已忽略: 含有控制字符（/\\x202eabc\\x1b[31mxxx")
    assert len(told) < 150
    assert told.isprintable()
