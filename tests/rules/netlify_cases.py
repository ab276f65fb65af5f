"""Netlify's own cases: github.com/netlify/build, packages/redirect-parser and packages/headers-parser, tests.

Told in our own form; a title is that of Netlify's case. Its cases about netlify.toml have no counterpart here.
"""

from peer_case import HeaderCase, RedirectCase

_NO_CONDITIONS = "conditions: a line is never applied without its condition, so it is ignored"
_NO_PROXY = "Pages does not proxy to other hosts"

REDIRECTS = [
    RedirectCase("line-parser: empty", "", "no rule"),
    RedirectCase(
        "line-parser: empty_line",
        "/blog/my-post.php  /blog/my-post\n\n/blog/my-post-two.php  /blog/my-post-two\n",
        "two rules",
        ((1, 301), (3, 301)),
        asked={"a.com/blog/my-post-two.php": (301, "/blog/my-post-two")},
    ),
    RedirectCase(
        "line-parser: multiple_lines",
        "/10thmagnitude   http://www.10thmagnitude.com/   301\n/bananastand     http://eepurl.com/Lgde5         301\n",
        "two redirects to other hosts",
        ((1, 301), (2, 301)),
        asked={
            "a.com/10thmagnitude": (301, "http://www.10thmagnitude.com/"),
            "a.com/bananastand": (301, "http://eepurl.com/Lgde5"),
        },
    ),
    RedirectCase("line-parser: line_trim", "  /home              /  ", "one rule", ((1, 301),)),
    RedirectCase(
        "line-parser: comment_full", "# this is just an old leftover\n/blog/p.php  /blog/p\n", "one rule", ((2, 301),)
    ),
    RedirectCase(
        "line-parser: comment_inline",
        "/blog/my-post.php  /blog/my-post # this is just an old leftover",
        "one rule",
        ((1, 301),),
        asked={"a.com/blog/my-post.php": (301, "/blog/my-post")},
    ),
    RedirectCase(
        "line-parser: from_simple", "/home              /", "one rule", ((1, 301),), asked={"a.com/home": (301, "/")}
    ),
    RedirectCase(
        "line-parser: from_absolute_uri",
        "http://hello.bitballoon.com/* http://www.hello.com/:splat",
        "a rule for one host",
        ((1, 301),),
        asked={
            "hello.bitballoon.com/a/b": (301, "http://www.hello.com/a/b"),
            "www.hello.com/a/b": None,
        },
    ),
    RedirectCase(
        "line-parser: query",
        "/      page=news      /news\n/blog  post=:post_id  /blog/:post_id\n"
        "/      _escaped_fragment_=/about    /about\n",
        "three rules with a query each",
        ((1, 301), (2, 301), (3, 301)),
        asked={
            "a.com/?page=news": (301, "/news?page=news"),
            "a.com/blog?post=7": (301, "/blog/7?post=7"),
            "a.com/?_escaped_fragment_=/about": (301, "/about?_escaped_fragment_=/about"),
            "a.com/": None,
        },
    ),
    RedirectCase(
        "line-parser: to_anchor",
        "/blog/my-post-ads.php  /blog/my-post#ads # this is a valid anchor with a comment",
        "the fragment is part of the target",
        ((1, 301),),
        asked={"a.com/blog/my-post-ads.php": (301, "/blog/my-post#ads")},
    ),
    RedirectCase(
        "line-parser: to_splat_no_force",
        "/*  https://www.bitballoon.com/:splat 301",
        "one rule",
        ((1, 301),),
        asked={"a.com/x/y": (301, "https://www.bitballoon.com/x/y")},
    ),
    RedirectCase(
        "line-parser: to_splat_force",
        "/*  https://www.bitballoon.com/:splat 301!",
        "one forced rule",
        ((1, "301!"),),
        asked={"a.com/x/y": (301, "https://www.bitballoon.com/x/y")},
    ),
    RedirectCase(
        "line-parser: to_path_forward",
        "/admin/* 200\n/admin/* 200!\n",
        "the target is the path itself",
        ((1, 200), (2, "200!")),
        asked={"a.com/admin/x": (200, "/admin/x"), "a.com/admin": (200, "/admin/")},
    ),
    RedirectCase(
        "line-parser: proxy",
        "/api/*  https://api.bitballoon.com/*   200",
        "a proxy rule",
        ignored=(1,),
        differs=_NO_PROXY,
    ),
    RedirectCase(
        "line-parser: status",
        "/test https://www.bitballoon.com/test=hello 301",
        "one rule",
        ((1, 301),),
        asked={"a.com/test": (301, "https://www.bitballoon.com/test=hello")},
    ),
    RedirectCase(
        "line-parser: status_force",
        "/test https://www.bitballoon.com/test=hello 301!",
        "one forced rule",
        ((1, "301!"),),
        asked={"a.com/test": (301, "https://www.bitballoon.com/test=hello")},
    ),
    RedirectCase(
        "line-parser: conditions_country",
        "/  /china 302 Country=ch,tw",
        "a rule for two countries",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_country_language",
        "/  /china 302 Country=il Language=en",
        "a rule for a country and a language",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_role",
        "/admin/*  /admin/:splat 200 Role=admin",
        "a rule for a role",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_roles",
        "/member/*  /member/:splat 200 Role=admin,member",
        "a rule for two roles",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_query",
        "/donate source=:source email=:email /donate/usa?source=:source&email=:email 302 Country=us",
        "a rule with a query for a country",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_country_case",
        "/old-path /new-path 200 Country=US",
        "a rule for a country",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_language_case",
        "/old-path /new-path 200 Language=en",
        "a rule for a language",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: conditions_role_case",
        "/old-path /new-path 200 Role=admin",
        "a rule for a role",
        ignored=(1,),
        differs=_NO_CONDITIONS,
    ),
    RedirectCase(
        "line-parser: signed",
        "/api/*   https://api.example.com/:splat   200!  Sign=API_SECRET",
        "a signed proxy rule",
        ignored=(1,),
        differs=_NO_PROXY,
    ),
    RedirectCase(
        "line-parser: signed_backward_compat",
        "/api/*   https://api.example.com/:splat   200!  signed=API_SECRET",
        "a signed proxy rule",
        ignored=(1,),
        differs=_NO_PROXY,
    ),
    RedirectCase("line-parser: invalid_url", "http:// /to", "an error: no valid URL", ignored=(1,)),
    RedirectCase(
        "line-parser: invalid_dot_netlify_url",
        "http://example.com/.netlify/from /to",
        "an error: paths below /.netlify are Netlify's own",
        ((1, 301),),
        asked={"example.com/.netlify/from": (301, "/to")},
        differs="/.netlify is no special path here",
    ),
    RedirectCase(
        "line-parser: invalid_dot_netlify_path",
        "/.netlify/from /to",
        "an error: paths below /.netlify are Netlify's own",
        ((1, 301),),
        asked={"example.com/.netlify/from": (301, "/to")},
        differs="/.netlify is no special path here",
    ),
    RedirectCase("line-parser: invalid_status", "/from /to not_a_status", "an error", ignored=(1,)),
    RedirectCase("line-parser: invalid_no_to_no_status", "/m/scge/legal", "an error: no target", ignored=(1,)),
    RedirectCase(
        "line-parser: invalid_no_to_status",
        "/swfobject.html?detectflash=false 301",
        "an error: no target",
        ignored=(1,),
    ),
    RedirectCase(
        "line-parser: invalid_no_to_query", "/m/scge/legal source=:source", "an error: no target", ignored=(1,)
    ),
    RedirectCase(
        "line-parser: invalid_no_slash",
        "/\tindex.html\n/blog\tblog.html\n/trt-therapy-san-diego\ttrt-therapy-san-diego.html\n",
        "errors: a target begins with / or http",
        ignored=(1, 2, 3),
    ),
    RedirectCase(
        "line-parser: invalid_mistaken_headers",
        "# Protect backups with Basic Auth\n/backup/*\n    Basic-Auth: dev@terraeclipse.com:nud-feud-contour\n",
        "errors: headers are no redirects",
        ignored=(2, 3),
    ),
    RedirectCase("merge: simple", "/one /two", "one rule", ((1, 301),)),
    RedirectCase(
        "merge: simple_multiple",
        "/one /two\n/one /four\n",
        "both rules; the first one wins",
        ((1, 301),),
        (2,),
        asked={"a.com/one": (301, "/two")},
        differs="a second rule for a fixed path can never match, and is told of",
    ),
]

HEADERS = [
    HeaderCase("line-parser: empty", "", "no rule"),
    HeaderCase(
        "line-parser: trim_line_path",
        "  /path\n",
        "a path alone is dropped without a word",
        ignored=(1,),
        differs="a path without headers is told of",
    ),
    HeaderCase("line-parser: trim_line_values", "/path\ntest: one\n", "one", (1,), asked={"/path": {"test": "one"}}),
    HeaderCase("line-parser: empty_line", "/path\n\n  test: one\n", "one", (1,), asked={"/path": {"test": "one"}}),
    HeaderCase("line-parser: comment", "/path\n  # comment\n  test: one\n", "one", (1,)),
    HeaderCase("line-parser: success", "/path\n  test: one\n", "one", (1,), asked={"/path": {"test": "one"}}),
    HeaderCase(
        "line-parser: no_colon",
        "/path\n  test = one\n",
        "a line without a colon is dropped without a word",
        ignored=(1, 2),
        differs="a line without a colon is told of",
    ),
    HeaderCase("line-parser: trim_name", "/path\n  test : one\n", "one", (1,), asked={"/path": {"test": "one"}}),
    HeaderCase("line-parser: trim_value", "/path\n  test:   one\n", "one", (1,), asked={"/path": {"test": "one"}}),
    HeaderCase(
        "line-parser: multiple_values",
        "/path\n  test: one\n  test: two\n",
        "one value: one, two",
        (1,),
        asked={"/path": {"test": "one, two"}},
    ),
    HeaderCase("line-parser: invalid_value_name", "/path\n  : one\n", "an error: no name", ignored=(1, 2)),
    HeaderCase("line-parser: invalid_value_string", "/path\n  test:\n", "an error: no value", ignored=(1, 2)),
    HeaderCase("line-parser: invalid_for_order", "  test: one\n/path\n", "an error: no path before it", ignored=(1, 2)),
    HeaderCase(
        "all: duplicates",
        "/path\n  test: one\n\n/path\n  test: three\n",
        "the later block alone",
        (1, 4),
        asked={"/path": {"test": "one, three"}},
        differs="every block that matches applies, as with Cloudflare",
    ),
]

_DIFFERENT_FROM = "a pattern begins with a slash, as in Netlify's own files"
_WRITTEN = "a pattern is compared as it is written but for one slash at its end"
_MISSING_PART = "only a * at the end may stand for a missing part: /a/*/b does not match /a/b"
_ONE_STAR = "one * in a path, as with Cloudflare"


def _path(title: str, path: str, matches: list[str], misses: list[str], differs: str = "") -> HeaderCase:
    """A case of for-regexp: a path, and which paths of requests it stands for."""
    asked = {url: {"test": "one"} for url in matches} | {url: {} for url in misses}
    is_taken = bool(matches)
    return HeaderCase(
        f"for-regexp: {title}",
        f"{path}\n  test: one",
        f"matches {' '.join(matches)}",
        (1,) if is_taken else (),
        () if is_taken else (1,),
        asked,
        differs,
    )


HEADERS += [
    _path("single_slash", "/", ["/"], ["/a"]),
    _path("trim_end", "/a ", ["/a", "/a/"], ["/ab", "/b"]),
    _path("trim_start", "/ a", ["/ a"], ["/a"]),
    _path("placeholder", "/a/:b", ["/a/x", "/a/x/"], ["/a", "/a/x/y"]),
    _path("wildcard_slash", "/*", ["/", "/a", "/a/b/"], []),
    _path("wildcard_append", "/*/a", ["/x/a", "/x/y/a/"], ["/x/b", "/a"], _MISSING_PART),
    _path("wildcard_prepend", "/a/*", ["/a", "/a/", "/a/b/c"], ["/b"]),
    _path("wildcard_surround", "/a/*/b", ["/a/x/b", "/a/x/y/b"], ["/a/x", "/a/b"], _MISSING_PART),
    _path("wildcard_multiple", "/a/*/*", [], ["/a/b/c"], _ONE_STAR),
    _path("wildcard_inside", "/a/b*c", ["/a/bc", "/a/bxc", "/a/bx/c"], ["/a/b"]),
    _path("trailing_slash", "/a/", ["/a", "/a/"], ["/a/b"]),
    _path("regexp_escape", "/a.", ["/a."], ["/ab"]),
    HeaderCase(
        "for-regexp: empty", "\n  test: one", "the empty path is the root", ignored=(2,), differs=_DIFFERENT_FROM
    ),
    HeaderCase(
        "for-regexp: whitespaces",
        "/ /\n  test: one",
        "blank parts are dropped: the root",
        (1,),
        asked={"/ /": {"test": "one"}, "/": {}},
        differs="a blank is a character like others",
    ),
    HeaderCase(
        "for-regexp: several_characters",
        "abc\n  test: one",
        "a slash is added",
        ignored=(1, 2),
        differs=_DIFFERENT_FROM,
    ),
    HeaderCase(
        "for-regexp: wildcard_single", "*\n  test: one", "a slash is added", ignored=(1, 2), differs=_DIFFERENT_FROM
    ),
    HeaderCase(
        "for-regexp: double_slash_single",
        "//\n  test: one",
        "slashes are one: the root",
        (1,),
        asked={"//": {"test": "one"}, "/": {}},
        differs=_WRITTEN,
    ),
    HeaderCase(
        "for-regexp: double_slash_multiple",
        "//a//b//\n  test: one",
        "slashes are one: /a/b",
        (1,),
        asked={"//a//b//": {"test": "one"}, "/a/b": {}},
        differs=_WRITTEN,
    ),
    HeaderCase(
        "for-regexp: the flag i of every pattern",
        "/Abc\n  test: one",
        "case is ignored",
        (1,),
        asked={"/Abc": {"test": "one"}, "/abc": {}},
        differs="paths are compared with case, as files are",
    ),
]
