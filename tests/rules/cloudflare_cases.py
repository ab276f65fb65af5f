"""Cloudflare's own cases: github.com/cloudflare/workers-sdk, packages/workers-shared and packages/pages-shared.

Told in our own form; a title is that of Cloudflare's test. Its files are utils/tests/parseRedirects.*.test.ts and
parseHeaders.*.test.ts, asset-worker/tests/rules-engine.test.ts and handler.test.ts of workers-shared, and
__tests__/metadata-generator and asset-server/handler.test.ts of pages-shared. Cases of what is not a rule's
(assets, analytics, custom limits of a library's caller) have no counterpart here. Where a case is not about the
default status, its lines say 302 here.
"""

from peer_case import HeaderCase, RedirectCase

_DEFAULT = "301 is the default, as with Netlify, GitLab and pgs"
_QUERY_IN_FROM = "a query in the path is ignored with the line: never a rule without its condition"
_CONDITIONAL_HOST = "a full URL before the target is a rule for that host, as with Netlify"
_NO_COOKIES = "cookies and validators are the server's"
_SLASH = "a slash at the end is ignored, as with Netlify, GitLab and pgs"
_SECOND = "a second rule for a fixed path can never match, and is told of"


def _lines(count: int, line: str) -> str:
    return "\n".join(line.format(i=i) for i in range(count))


REDIRECTS = [
    RedirectCase("should handle a single rule", "/a /b 301", "one rule", ((1, 301),)),
    RedirectCase("should ignore blank lines", "\n/a /b 301\n", "one rule", ((2, 301),)),
    RedirectCase("should trim whitespace", "\n  /a /b 301\n", "one rule", ((2, 301),)),
    RedirectCase("should ignore comments", "\n  # This is a comment\n  /a /b 301\n  # And one\n", "one", ((3, 301),)),
    RedirectCase("should handle a single comment-only line", "# This is just a comment", "no rule"),
    RedirectCase("should handle an indented comment-only line", "  # indented comment", "no rule"),
    RedirectCase(
        "should handle multiple consecutive comment lines",
        "\n# First comment\n# Second comment\n  # Indented comment\n/a /b 301\n# Comment after rule\n# One\n/c /d\n# F",
        "301 and 302",
        ((5, 301), (8, 301)),
        differs=_DEFAULT,
    ),
    RedirectCase("should handle a file with only comments", "\n# This\n# Just\n  # Some\n# And\n", "no rule"),
    RedirectCase(
        "should default to 302", "\n  /a /b 302\n  /c /d\n", "302 twice", ((2, 302), (3, 301)), differs=_DEFAULT
    ),
    RedirectCase(
        "should preserve querystrings on to",
        "\n  /a /b?query=string 302\n  /c?this=rejected /d 301\n  /ext https://some.domain:1234/route?q=string#anchor\n",
        "the query of the first word is cut off",
        ((2, 302), (4, 301)),
        (3,),
        asked={
            "a.com/a": (302, "/b?query=string"),
            "a.com/ext": (301, "https://some.domain:1234/route?q=string#anchor"),
        },
        differs=_QUERY_IN_FROM,
    ),
    RedirectCase(
        "should preserve fragments", "\n  /a /b#blah 302\n", "kept", ((2, 302),), asked={"a/a": (302, "/b#blah")}
    ),
    RedirectCase(
        "should preserve fragments which contain a hash sign",
        "\n  /a /b##blah-1 302\n",
        "kept",
        ((2, 302),),
        asked={"a.com/a": (302, "/b##blah-1")},
    ),
    RedirectCase(
        "should preserve fragments which contain a hash sign and are full URLs",
        "\n  /a https://example.com/b##blah-1 302\n",
        "kept",
        ((2, 302),),
        asked={"a.com/a": (302, "https://example.com/b##blah-1")},
    ),
    RedirectCase(
        "should accept 200 (proxying) redirects", "\n/a /b 200\n", "a rewrite", ((2, 200),), asked={"a/a": (200, "/b")}
    ),
    RedirectCase(
        "should accept absolute URLs that end with index.html",
        "\n/foo https://bar.com/index.html 302\n",
        "one rule",
        ((2, 302),),
        asked={"a.com/foo": (302, "https://bar.com/index.html")},
    ),
    RedirectCase(
        "should accept going to absolute URLs with ports",
        "\n/foo https://bar.com:123/index.html 302\n/cat https://cat.com:12345 302\n/dog https://dog.com:12345\n",
        "three rules, 302; a missing path is /",
        ((2, 302), (3, 302), (4, 301)),
        asked={"a.com/cat": (302, "https://cat.com:12345/"), "a.com/dog": (301, "https://dog.com:12345/")},
        differs=_DEFAULT,
    ),
    RedirectCase(
        "should accept relative URLs that don't point to .html files",
        "\n/* /foo 200\n",
        "one rule",
        ((2, 200),),
        asked={"a.com/x/y": (200, "/foo")},
    ),
    RedirectCase("should support inline comments", "/a /b 301 # redirect a to b", "one rule", ((1, 301),)),
    RedirectCase(
        "should support inline comments without status code",
        "/a /b # redirect with default status",
        "302",
        ((1, 301),),
        differs=_DEFAULT,
    ),
    RedirectCase(
        "should support inline comments after URL fragments",
        "/a /b#section 301 # redirect to section",
        "kept",
        ((1, 301),),
        asked={"a.com/a": (301, "/b#section")},
    ),
    RedirectCase(
        "should support inline comments without space after hash", "/a /b 301 #no space comment", "one", ((1, 301),)
    ),
    RedirectCase(
        "should support multiple rules with inline comments",
        "\n/a /b 301 # first rule\n/c /d # second rule\n# full line\n/e /f 307 # third rule\n",
        "301, 302, 307",
        ((2, 301), (3, 301), (5, 307)),
        differs=_DEFAULT,
    ),
    RedirectCase(
        "should support inline comments with absolute URLs containing fragments",
        "/a https://x.com/b#c # comment",
        "302",
        ((1, 301),),
        asked={"a.com/a": (301, "https://x.com/b#c")},
        differs=_DEFAULT,
    ),
    RedirectCase("should support empty inline comments (just hash)", "/a /b #", "302", ((1, 301),), differs=_DEFAULT),
    RedirectCase(
        "should support inline comments with multiple hashes in URL fragment",
        "/a /b##anchor # comment",
        "302",
        ((1, 301),),
        asked={"a.com/a": (301, "/b##anchor")},
        differs=_DEFAULT,
    ),
    RedirectCase(
        "should reject malformed lines",
        "\n# Single token\n/c\n# Four tokens\n/d /e 302 !important\n",
        "both ignored",
        ignored=(3, 5),
    ),
    RedirectCase(
        "should reject invalid status codes",
        "\n# Valid\n/a /b 301\n# 418 NOT OK\n/c /d 418\n",
        "418 ignored",
        ((3, 301),),
        (5,),
    ),
    RedirectCase(
        "should reject duplicate 'from' paths",
        "\n# Valid\n/a /b 302\n# Permitted\n/b /a 302\n# Duplicate\n/a /c 302\n",
        "the third rule is ignored",
        ((3, 302), (5, 302)),
        (7,),
    ),
    RedirectCase(
        "should reject lines longer than 2000 chars",
        f"\n# Valid\n/a /b 302\n# Jumbo comment OK\n{'#' * 2001}\n# Huge\n/{'a' * 2000} /{'b' * 2000} 301\n",
        "the last line is ignored",
        ((3, 302),),
        (7,),
    ),
    RedirectCase(
        "should reject any dynamic rules after the first 100",
        _lines(150, "/a/{i}/* /b/{i}/:splat 302"),
        "100 rules; reading stops",
        tuple((i + 1, 302) for i in range(100)),
        tuple(range(101, 151)),
        differs="each line over a limit is told of, and rules of the other kind after it still count",
    ),
    RedirectCase(
        "should reject any static rules after the first 2000",
        _lines(2050, "/a/{i} /b/{i} 302"),
        "2,000 rules, 50 ignored",
        tuple((i + 1, 302) for i in range(2000)),
        tuple(range(2001, 2051)),
    ),
    RedirectCase(
        "should reject a combination of lots of static and dynamic rules",
        _lines(2050, "/a/{i} /b/{i} 302") + "\n" + _lines(120, "/a/{i}/* /b/{i}/:splat 302"),
        "2,000 and 100 rules",
        tuple((i + 1, 302) for i in range(2000)) + tuple((i + 2051, 302) for i in range(100)),
        (*range(2001, 2051), *range(2151, 2171)),
        asked={"a.com/a/99/x": (302, "/b/99/x"), "a.com/a/100/x": None},
    ),
    RedirectCase(
        "should reject malformed URLs: a blank in a path", "/some page /somewhere else", "ignored", ignored=(1,)
    ),
    RedirectCase(
        "should reject malformed URLs: escapes",
        "/some%20page /somewhere%20else 302",
        "one rule",
        ((1, 302),),
        asked={"a.com/some page": (302, "/somewhere%20else")},
    ),
    RedirectCase(
        "should reject malformed URLs: odd characters",
        "/://so;`me /nons:/&@%+~{}ense 302",
        "escaped and taken, but a lone % stays",
        ((1, 302),),
        asked={"a.com/://so;`me": (302, "/nons:/&@%25+~%7B%7Dense")},
        differs="a % that escapes nothing is escaped itself",
    ),
    RedirectCase(
        "should reject malformed URLs: a full URL first",
        "https://yeah.com https://nah.com 302",
        "ignored",
        ((1, 302),),
        asked={"yeah.com/": (302, "https://nah.com/"), "other.com/": None},
        differs=_CONDITIONAL_HOST,
    ),
    RedirectCase(
        "should reject malformed URLs: a full URL second",
        "/nah https://yeah.com 302",
        "one rule",
        ((1, 302),),
        asked={"a.com/nah": (302, "https://yeah.com/")},
    ),
    RedirectCase(
        "should reject malformed URLs: no slash",
        "yeah.com https://nah.com",
        "taken for /yeah.com",
        ignored=(1,),
        differs="a path without its slash is ignored: it may have been meant for a host",
    ),
    RedirectCase(
        "should reject non-relative URLs for proxying (200) redirects",
        "\n/a https://example.com/b 200\n",
        "ignored",
        ignored=(2,),
    ),
    RedirectCase(
        "should reject wildcard patterns to index",
        "\n/* /index.html 200\n/docs/* /index 200\n/ /index.html 302\n",
        "all ignored: Cloudflare redirects /index.html to / again",
        ((2, 200), (3, 200), (4, 302)),
        asked={"a.com/app/users": (200, "/index.html")},
        differs="no loop here: the usual rule of a single page application works",
    ),
    RedirectCase(
        "should allow root patterns to index when HTML handling disabled",
        "\n/ /index.html 302\n/ /index 302\n",
        "the second one is a duplicate",
        ((2, 302),),
        (3,),
        asked={"a.com/": (302, "/index.html")},
    ),
    RedirectCase(
        "createMetadataObject should construct mapping of from to to/status",
        "/home / 302\n/blog/* /blog/:splat 302\n/blog/:year/:month/:date/:slug /news/:year/:month/:date/:slug 302\n"
        "/foo /bar 302\n",
        "four rules",
        ((1, 302), (3, 302), (4, 302)),
        (2,),
        asked={"a.com/blog/2024/5/6/x": (302, "/news/2024/5/6/x"), "a.com/foo": (302, "/bar")},
        differs="a rule that only leads to itself is ignored",
    ),
    RedirectCase(
        "the fixture _redirects",
        "# These are valid:\n/home / 301\n/twitch https://twitch.tv 302\n\n# This is invalid\n"
        "https://lol.com https://zombo.com 302\n",
        "two rules",
        ((2, 301), (3, 302), (6, 302)),
        asked={"lol.com/": (302, "https://zombo.com/")},
        differs=_CONDITIONAL_HOST,
    ),
    RedirectCase(
        "rules engine: it should match simple pathname hosts",
        "/test /1 302\n/some%20page /2 302\n",
        "both match",
        ((1, 302), (2, 302)),
        asked={"example.com/test": (302, "/1"), "example.com/some page": (302, "/2")},
    ),
    RedirectCase(
        "rules engine: it should escape funky rules",
        "/$~.%20/!+-/[bo|%7Bo%7D]...() /1 302",
        "literal",
        ((1, 302),),
        asked={"example.com/$~. /!+-/[bo|{o}]...()": (302, "/1")},
    ),
    RedirectCase(
        "rules engine: it should support splats and placeholders",
        "/foo/test/* /1/:splat 302\n/foo/* /2/:splat 302\n/blog/:code/:name /3/:name/:code 302\n/blog/* /4/:splat 302\n"
        "https://next.:subdomain.pages.:tld/* /6/:subdomain/ 302\n"
        "https://:subdomain.pages.:tld/* /5/:subdomain/:tld/:splat 302\n",
        "a * matches nothing too; a placeholder in a host ends at a dot",
        ((1, 302), (2, 302), (3, 302), (4, 302), (5, 302), (6, 302)),
        asked={
            "example.com/foo/test/yes": (302, "/1/yes"),
            "example.com/foo/test/": (302, "/1/"),
            "example.com/foo/": (302, "/2/"),
            "example.com/blog/123/tricycle": (302, "/3/tricycle/123"),
            "my.pages.dev/magic": (302, "/5/my/dev/magic"),
            "next.my.pages.dev/magic": (302, "/6/my/"),
        },
    ),
    RedirectCase(
        "rules engine: it should support splats and placeholders: /foo/* and /foo",
        "/foo/* /2/:splat 302",
        "/foo does not match",
        ((1, 302),),
        asked={"example.com/foo": (302, "/2/")},
        differs="/foo/* also stands for /foo, as with Netlify",
    ),
    RedirectCase(
        "replacer: should replace splats",
        "/b/* /blog/:splat 302",
        "filled in",
        ((1, 302),),
        asked={"a.com/b/look/a/value": (302, "/blog/look/a/value")},
    ),
    RedirectCase(
        "replacer: should replace placeholders",
        "/p/:code/:name /:code/:name.jpg 302",
        "filled in",
        ((1, 302),),
        asked={"a.com/p/123/tricycle": (302, "/123/tricycle.jpg")},
    ),
    RedirectCase(
        "replacer: should replace splats and placeholders",
        "/p/:code/* /:code/:splat 302",
        "filled in",
        ((1, 302),),
        asked={"a.com/p/123/tricycle/images": (302, "/123/tricycle/images")},
    ),
    RedirectCase(
        "asset-server: Returns appropriate status codes",
        "/301 /home 301\n/302 /home 302\n/303 /home 303\n/307 /home 307\n/308 /home 308\n/500 /home 302\n"
        "/200 /proxied-file 200\n",
        "each status",
        ((1, 301), (2, 302), (3, 303), (4, 307), (5, 308), (6, 302), (7, 200)),
        asked={"foo.com/308": (308, "/home"), "foo.com/200": (200, "/proxied-file")},
    ),
    RedirectCase(
        "asset-server: Match exact pathnames, before any HTML redirection",
        "/ /home 301\n/page.html /elsewhere 301\n/protocol-less-test /%2fwww.example.com/ 308\n",
        "an escape in a target stays",
        ((1, 301), (2, 301), (3, 308)),
        asked={
            "example.com/": (301, "/home"),
            "example.com/page.html": (301, "/elsewhere"),
            "example.com/protocol-less-test": (308, "/%2fwww.example.com/"),
            "example.com/page": None,
        },
    ),
    RedirectCase(
        "asset-server: cross-host static redirects still are executed with line number precedence",
        "https://fakehost/home https://firsthost/ 302\n/home https://secondhost/ 302\n",
        "the rule for the host first",
        ((1, 302), (2, 302)),
        asked={
            "yetanotherhost/home": (302, "https://secondhost/"),
            "fakehost/home": (302, "https://firsthost/"),
        },
    ),
    RedirectCase(
        "asset-server: it should preserve querystrings unless to rule includes them",
        "/ /home 301\n/recent /home?sort=updated_at 301\n",
        "the query is kept, or replaced",
        ((1, 301), (2, 301)),
        asked={
            "example.com/?sort=price": (301, "/home?sort=price"),
            "example.com/recent": (301, "/home?sort=updated_at"),
            "example.com/recent?other=query": (301, "/home?sort=updated_at"),
        },
    ),
    RedirectCase(
        "asset-server: it should perform splat replacements",
        "/blog/* https://blog.example.com/:splat 301",
        "filled in",
        ((1, 301),),
        asked={"example.com/blog/a-blog-posting": (301, "https://blog.example.com/a-blog-posting")},
    ),
    RedirectCase(
        "asset-server: it should perform placeholder replacements",
        "/products/:code/:name/* /products?junk=:splat&name=:name&code=:code 301",
        "filled in; @~! stay",
        ((1, 301),),
        asked={
            "example.com/products/abba_562/tricycle/123abc@~!": (
                301,
                "/products?junk=123abc@~!&name=tricycle&code=abba_562",
            )
        },
    ),
    RedirectCase(
        "asset-server: it should redirect both dynamic and static redirects",
        "/home / 301\n/blog/* https://blog.example.com/:splat 301\n/foo /bar 301\n",
        "each",
        ((1, 301), (2, 301), (3, 301)),
        asked={
            "example.com/home": (301, "/"),
            "example.com/blog/post": (301, "https://blog.example.com/post"),
            "example.com/foo": (301, "/bar"),
        },
    ),
    RedirectCase(
        "asset-server: it should redirect uri-encoded paths",
        "/some%20page /home 301",
        "matches",
        ((1, 301),),
        asked={"foo.com/some page": (301, "/home")},
    ),
    RedirectCase(
        "asset-server: redirects to a query string same-origin",
        "/bar /?test=abc 301",
        "kept",
        ((1, 301),),
        asked={"foo.com/bar": (301, "/?test=abc")},
    ),
    RedirectCase(
        "asset-server: redirects to a query string cross-origin",
        "/bar https://foobar.com/?test=abc 301",
        "kept",
        ((1, 301),),
        asked={"foo.com/bar": (301, "https://foobar.com/?test=abc")},
    ),
    RedirectCase(
        "asset-server: redirects to hash component same-origin",
        "/bar https://foo.com/##heading-7 301",
        "the site's own origin is left out",
        ((1, 301),),
        asked={"foo.com/bar": (301, "https://foo.com/##heading-7")},
        differs="a full URL stays one, on the site's own host too",
    ),
    RedirectCase(
        "asset-server: redirects to hash component cross-origin",
        "/bar https://foobar.com/##heading-7 301",
        "kept",
        ((1, 301),),
        asked={"foo.com/bar": (301, "https://foobar.com/##heading-7")},
    ),
    RedirectCase(
        "asset-server: redirects to a query string and hash same-origin",
        "/bar /?test=abc#def 301",
        "kept",
        ((1, 301),),
        asked={"foo.com/bar": (301, "/?test=abc#def")},
    ),
    RedirectCase(
        "asset-server: redirects to a query string and hash cross-origin",
        "/bar https://foobar.com/?test=abc#def 301",
        "kept",
        ((1, 301),),
        asked={"foo.com/bar": (301, "https://foobar.com/?test=abc#def")},
    ),
    RedirectCase(
        "asset-server: redirects to a query string and hash against rfc",
        "/bar https://foobar.com/#def?test=abc 301",
        "all is fragment",
        ((1, 301),),
        asked={"foo.com/bar": (301, "https://foobar.com/#def?test=abc")},
    ),
    RedirectCase(
        "asset-server: redirects to a hash with an incoming query cross-origin",
        "/bar https://foobar.com/#heading 301",
        "the query goes before the fragment",
        ((1, 301),),
        asked={"foo.com/bar?test=abc": (301, "https://foobar.com/?test=abc#heading")},
    ),
    RedirectCase(
        "asset-worker: evaluates custom redirects: static",
        "/foo /bar 301\n/proxy /other 200\n/proxy-explicit /other.html 200\n/competeForwards /hostless 302\n"
        "https://example.com/competeForwards /withhost 302\nhttps://example.com/competeBackwards /withhost 302\n"
        "/competeBackwards /hostless 302\nhttps://example.com/wonkyObjectOrder /withhost 302\n"
        "/wonkyObjectOrder /hostless 302\n",
        "in the order of lines, with a host or without",
        ((1, 301), (2, 200), (3, 200), (4, 302), (5, 302), (6, 302), (7, 302), (8, 302), (9, 302)),
        asked={
            "example.com/foo": (301, "/bar"),
            "example.com/proxy": (200, "/other"),
            "example.com/proxy-explicit": (200, "/other.html"),
            "example.com/competeForwards": (302, "/hostless"),
            "example.com/competeBackwards": (302, "/withhost"),
            "example.com/wonkyObjectOrder": (302, "/withhost"),
        },
    ),
    RedirectCase(
        "asset-worker: evaluates custom redirects: dynamic",
        "/dynamic/:seg /:seg/new-dynamic/?with#params 302\n"
        "/dynamic/:seg1/:seg2/:seg3 https://fakehost/:seg3/:seg1/:seg2/new-dynamic/?with#params 302\n"
        "/splat/* /:splat/new-splat 302\n/splat/foo/* /will-never-fire 302\n/but/this/will/* /too 302\n"
        "/but/this/* /will 302\n/partialSplat* /new-partialSplat:splat 302\n"
        "/partialPlaceholder:placeholder /new-partialPlaceholder:placeholder 302\n",
        "the first rule wins; leading slashes are one",
        tuple((line, 302) for line in range(1, 9)),
        asked={
            "example.com/dynamic/foo": (302, "/foo/new-dynamic/?with#params"),
            "example.com/dynamic/bar/baz/qux": (302, "https://fakehost/qux/bar/baz/new-dynamic/?with#params"),
            "example.com/dynamic/bar/baz/qux/too/many/segments": None,
            "example.com/splat/foo/bar/baz": (302, "/foo/bar/baz/new-splat"),
            "example.com/splat/": (302, "/new-splat"),
            "example.com/splat/foo/nope": (302, "/foo/nope/new-splat"),
            "example.com/but/this/match": (302, "/will"),
            "example.com/but/this/will/match": (302, "/too"),
            "example.com/partialSplatfoo/bar/baz": (302, "/new-partialSplatfoo/bar/baz"),
            "example.com/partialPlaceholderfoo": (302, "/new-partialPlaceholderfoo"),
        },
    ),
    RedirectCase(
        "asset-worker: evaluates custom redirects: a slash at the end",
        "/partialPlaceholder:placeholder /new-partialPlaceholder:placeholder 302",
        "does not match",
        ((1, 302),),
        asked={"example.com/partialPlaceholderfoo/": (302, "/new-partialPlaceholderfoo")},
        differs=_SLASH,
    ),
    RedirectCase(
        "asset-worker: should prevent external redirects via double slash",
        "/foo/* /:splat 302",
        "stays on the site",
        ((1, 302),),
        asked={"example.com/foo//google.com": (302, "/google.com")},
    ),
]

HEADERS = [
    HeaderCase("should handle a single rule", "/a\n  Name: Value", "one", (1,), asked={"/a": {"Name": "Value"}}),
    HeaderCase(
        "should handle headers with exclamation marks",
        "/a\n  !Name: Value",
        "a name may begin with !",
        (1,),
        asked={"/a": {"!Name": "Value"}},
    ),
    HeaderCase("should ignore blank lines", "\n/a\n\nName: Value\n\n", "one", (2,), asked={"/a": {"Name": "Value"}}),
    HeaderCase(
        "should trim whitespace",
        "\n                /a\n    Name         :           Value\n",
        "one",
        (2,),
        asked={"/a": {"Name": "Value"}},
    ),
    HeaderCase("should ignore comments", "\n  # This\n  /a\n  # And\n  Name: Value\n", "one", (3,)),
    HeaderCase(
        "should combine headers together",
        "\n  /a\n    Link: test=cookie\n    Link: another=cookie\n\n  /b\n    A: ABBA\n    B: BABA\n",
        "joined with a comma",
        (2, 6),
        asked={"/a": {"Link": "test=cookie, another=cookie"}, "/b": {"A": "ABBA", "B": "BABA"}},
    ),
    HeaderCase(
        "should combine headers together: Set-Cookie",
        "\n  /a\n    Set-Cookie: test=cookie; expires=never\n    Set-Cookie: another=cookie; magic!\n",
        "joined with a comma",
        ignored=(2, 3, 4),
        differs=_NO_COOKIES,
    ),
    HeaderCase(
        "should support setting hosts",
        "\n  https://example.com\n    a: a\n  https://example.com/\n    b: b\n  https://example.com/blog\n    c: c\n"
        "  /blog\n    d:d\n  https://:subdomain.example.*/path\n    e:e\n",
        "five blocks",
        (2, 4, 6, 8, 10),
        asked={
            "example.com/": {"a": "a", "b": "b"},
            "example.com/blog": {"c": "c", "d": "d"},
            "my.example.co.uk/path": {"e": "e"},
            "other.com/blog": {"d": "d"},
        },
    ),
    HeaderCase(
        "should add unset headers",
        "/a\n  Name: Value\n  ! Place",
        "one set, one removed",
        (1,),
        asked={"/a": {"Name": "Value"}},
    ),
    HeaderCase(
        "should reject malformed initial lines",
        "\n# A single token\nc\n# A header before a path\nAccess-Control-Allow-Origin: *\n",
        "both ignored",
        ignored=(3, 5),
    ),
    HeaderCase(
        "should reject invalid headers",
        "\n# Valid\n/a\n  Name:       Value\n#\n/b\n  I'm invalid!\n  !x-content-type\n  But: I'm okay!\n"
        "  ! Content-Type: application/json\n",
        "three ignored",
        (3, 6),
        (7, 8, 10),
        asked={"/b": {"But": "I'm okay!"}},
    ),
    HeaderCase(
        "should reject lines longer than 2000 chars",
        f"\n# Valid\n/a\n  Name: Value\n{'#' * 1001}\n# Huge\n/b\n  Name: Value\n  {'a' * 1001}: {'b' * 1001}\n",
        "the long line is ignored",
        (3, 7),
        (9,),
    ),
    HeaderCase(
        "should reject any rules after the first 100",
        _lines(150, "/a/{i}\nx-index: {i}"),
        "101 blocks; reading stops",
        tuple(range(1, 201, 2)),
        tuple(range(201, 301, 2)),
        differs="each path over the limit is told of, and the limit is 100",
    ),
    HeaderCase(
        "should reject paths with multiple wildcards",
        "https://*.pages.dev/*\n  x-custom: value\n/blog/*/posts/*\n  x-custom: value\nhttps://*.pages.dev/\n"
        "  x-custom: value\n/blog/*\n  x-custom: value\n",
        "the first two are ignored",
        (5, 7),
        (1, 3),
        asked={"a.b.pages.dev/": {"x-custom": "value"}, "a.com/blog/x": {"x-custom": "value"}, "a.com/": {}},
    ),
    HeaderCase(
        "should reject paths combining wildcard with :splat placeholder",
        "https://*.pages.dev/:splat\n  x-custom: value\n/blog/*/:splat\n  x-custom: value\n/blog/:splat\n"
        "  x-custom: value\n",
        "the first two are ignored",
        (5,),
        (1, 3),
        asked={"a.com/blog/x": {"x-custom": "value"}, "a.com/blog/x/y": {}},
    ),
    HeaderCase(
        "should reject malformed URLs",
        "\n  /some page with spaces\n    valid: yup\n  /some%20page\n    valid: yup\n  /://so;`me\n    valid: yup\n"
        "  /nons:/&@%+~{}ense\n    valid: yup\n  https://yeah.com\n    valid: yup\n  http://nah.com/blog\n"
        "    invalid: things\n  https://nah.com:8080\n    invalid: also\n  https://nah.com:8080/blog\n    invalid: 2\n"
        "  //yeah.com/blog\n    valid: things\n  /yeah\n    valid: yup\n  /yeah.com\n    valid: yup\n  nah.com\n  :\n"
        "  test:\n",
        "http:, ports, and lines that are no header are ignored; // begins a path",
        (2, 4, 6, 8, 10, 18, 20, 22),
        (12, 14, 16, 24, 25, 26),
        asked={
            "a.com/some page with spaces": {"valid": "yup"},
            "a.com/some page": {"valid": "yup"},
            "a.com//yeah.com/blog": {"valid": "things"},
            "yeah.com/": {"valid": "yup"},
            "a.com/nons:/&@%+~{}ense": {"valid": "yup"},
        },
    ),
    HeaderCase(
        "rules engine: it should match cross-host requests",
        "/test\n  a: 1\n/anotherpage\n  a: 2\nhttps://custom.domain/test\n  a: 3\nhttps://another.domain/test\n  a: 4\n"
        "//fake.host/actually-a-path\n  a: 5\n",
        "all blocks that match",
        (1, 3, 5, 7, 9),
        asked={"custom.domain/test": {"a": "1, 3"}, "example.com//fake.host/actually-a-path": {"a": "5"}},
    ),
    HeaderCase(
        "replacer: should replace all instances of placeholders",
        "/v/:value\n  Link: </assets/:value/main.js>; rel=preload; as=script, </assets/:value/lang.js>; rel=preload\n",
        "each",
        (1,),
        asked={"/v/js": {"Link": "</assets/js/main.js>; rel=preload; as=script, </assets/js/lang.js>; rel=preload"}},
    ),
    HeaderCase(
        "createMetadataObject should construct mapping of path to headers",
        "/home\n  Access-Control-Allow-Origin: *\n",
        "one",
        (1,),
        asked={"/home": {"Access-Control-Allow-Origin": "*"}},
    ),
    HeaderCase(
        "createMetadataObject should include unset",
        "/*\n  x-custom-header: value\n/foo/*\n  ! x-custom-header\n/foo/bar/*\n  x-custom-header: newvalue\n",
        "three blocks in order",
        (1, 3, 5),
        asked={
            "/": {"x-custom-header": "value"},
            "/foo/x": {},
            "/foo/bar/x": {"x-custom-header": "newvalue"},
        },
    ),
    HeaderCase(
        "asset-worker: attaches custom headers",
        "/\n  X-Custom-Header: Custom-Value\n/foo\n  X-Custom-Foo-Header: Custom-Foo-Value\n"
        "/bang/:placeheld\n  X-Custom-Bang-Header: Custom-Bang-Value :placeheld\n"
        "/art/*\n  X-Custom-Art-Header: Custom-Art-Value :splat\n",
        "placeholders are filled in, and end at a slash",
        (1, 3, 5, 7),
        asked={
            "/": {"X-Custom-Header": "Custom-Value"},
            "/foo": {"X-Custom-Foo-Header": "Custom-Foo-Value"},
            "/bang/baz": {"X-Custom-Bang-Header": "Custom-Bang-Value baz"},
            "/bang/baz/abba": {},
            "/art/attack/by/Neil/Buchanan": {"X-Custom-Art-Header": "Custom-Art-Value attack/by/Neil/Buchanan"},
        },
    ),
    HeaderCase(
        "asset-worker: attaches custom headers: appended, unset, redefined",
        "/art/*\n  X-A: me\n/art/nested/attack\n  X-A: me too\n/art/nested/unset/attack*\n  ! X-A\n  X-A: hijack\n"
        "/art/nested/unset/attack/totalunset\n  ! X-A\n",
        "a block removes before it sets",
        (1, 3, 5, 8),
        asked={
            "/art/nested/attack": {"X-A": "me, me too"},
            "/art/nested/unset/attack": {"X-A": "hijack"},
            "/art/nested/unset/attack/totalunset": {},
        },
    ),
    HeaderCase(
        "asset-worker: attaches custom headers: system headers",
        "/system/override\n  ETag: very rogue\n/system/underride\n  ! ETAg\n",
        "ETag can be set and removed",
        ignored=(1, 2, 3, 4),
        differs=_NO_COOKIES,
    ),
]
