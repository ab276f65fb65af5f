"""Which files carry a hash of their content in their name: a change of one gives it another name.

They may be kept for a year without asking. One taken for hashed by mistake stays old for that long; one not
recognised costs a question at each visit. So what might be words, a number, a date or an id is no hash.
``tests/test_hashed_names.py`` tells which tool writes which shape.
"""

import re

# What only build tools write, and what people also name and put there by hand. No page, no text, no manifest. No
# source map: it is named for its script, which stays the same when only a comment changes.
_CODE = r"\.(?:js|mjs|css|wasm|woff2?|ttf|otf)"
_MEDIA = r"\.(?:png|jpe?g|gif|webp|avif|svg|ico|mp4|webm|mp3|ogg|wav|flac|pdf)"
_MORE = r"(?:\.(?:min|chunk|lean|entry|digested))?"

_FOLDERS = r"(?>[\s\S]*/)"  # All of the path but the name. Taken once, so the time is linear.
_STEM = "[^/]+?"
_END = r"(?![\s\S])"  # "$" is also before a line break.

_DIGIT, _UPPER, _LOWER = r"(?=[^.]*[0-9])", r"(?=[^.]*[A-Z])", r"(?=[^.]*[a-z])"


def _not_words(parts: int) -> str:
    """Not this many words and numbers in a row, or fewer: ``iPhone15`` is three, ``BQ2f8_3K`` five."""
    return rf"(?!(?:[A-Z]?[a-z_-]++|[A-Z_-]++|[0-9_-]++){{1,{parts}}}+\.)"


def _token(characters: str, *conditions: str) -> str:
    """These characters up to a dot, when they meet the conditions."""
    # The cheap question comes first: few places have a token at all.
    return rf"(?={characters}\.){''.join(conditions)}{characters}"


def _hex(*lengths: int) -> str:
    return "(?:" + "|".join(f"[0-9a-f]{{{length}}}" for length in lengths) + ")"


# "cafe2024" and "1dec2024" are hexadecimal too.
_NO_DATE = r"(?!(?:[a-f]++|[0-9]++){1,2}+\.|[0-9]*(?:dec|feb)[0-9]*\.)"
_HEX = f"(?:{_token(_hex(8, 10, 12), _NO_DATE)}|{_token(_hex(16, 20, 32, 40, 64), _DIGIT, _LOWER)})"
_LONG_HEX = _token(_hex(32, 40, 64), _DIGIT, _LOWER)
_BASE32 = _token("[A-Z2-7]{8}", _DIGIT, _UPPER)
_RARE_BASE32 = _token("[A-Z2-7]{8}", _not_words(3))
_BASE62 = _token("[A-Za-z0-9]{8}", _DIGIT, _UPPER, _LOWER, _not_words(4))
_BASE64 = _token("[A-Za-z0-9_-]{8}", _DIGIT, _UPPER, _LOWER, _not_words(3))
_RARE_BASE64 = _token("[A-Za-z0-9_-]{8}", _DIGIT, _UPPER, _LOWER, _not_words(4))

# Where nothing is but a tool's own output, less is enough: one hash in four has no digit ("DEMWCUrq").
_NOT_CAMEL_CASE = r"(?!(?:[A-Z]?[a-z_-]++|[0-9_-]++){1,4}+\.|[A-Z_-]++[0-9_-]*+\.)"
_OF_A_TOOL = _token("[A-Za-z0-9_-]{8}", _NOT_CAMEL_CASE)
_TURBOPACK = _token("[0-3][0-9a-z_-]{12}", _not_words(3))


def _below(folders: str) -> str:
    return rf"(?=[\s\S]*?/(?:{folders})/){_FOLDERS}"


_NAMES = (
    # Anywhere: webpack, Parcel, MkDocs Material, Sprockets, gulp-rev; Rollup when it is told its own folders.
    # What people may have named themselves needs the dot; after "-" twelve digits are the end of a UUID.
    rf"{_STEM}(?:\.|-(?![0-9a-f]{{12}}\.)(?=[0-9a-f]++{_MORE}{_CODE})){_HEX}{_MORE}(?:{_CODE}|{_MEDIA})",
    f"{_STEM}[.-]{_BASE62}{_CODE}",
    # esbuild, and Angular by it.
    f"(?:chunk|main|polyfills|styles|scripts|runtime|vendor|index|worker)-{_BASE32}{_CODE}",
    f"{_STEM}-{_RARE_BASE32}{_CODE}",
    # Vite, and its entry. VitePress.
    f"(?<=/assets/){_STEM}[.-](?:{_BASE64}{_CODE}|{_RARE_BASE64}{_MEDIA})",
    rf"(?:(?<=/assets/)(?:index-|(?:app|style|{_STEM}\.md)\.)|(?<=/assets/chunks/){_STEM}\.){_OF_A_TOOL}{_MORE}{_CODE}",
    # Hugo's resized pictures.
    f"{_STEM}_hu_{_hex(16)}{_MEDIA}",
)
# No tool writes such a path, and all these questions at each of its letters would cost nginx milliseconds.
_NOT_TOO_LONG = r"(?![\s\S]{1024})"
_SHAPES = (
    f"{_FOLDERS}(?:{'|'.join(_NAMES)})",
    # Docusaurus, Sprockets, Phoenix.
    f"{_below('assets|static')}{_STEM}-{_LONG_HEX}{_MEDIA}",
    # SvelteKit, Nuxt, Astro, Next. A picture that Astro made has a second hash, of its settings.
    f"{_below('_app/immutable|_nuxt|_astro|_next/static/(?:chunks|css|media)')}"
    f"(?:{_STEM}[.-])?(?:{_OF_A_TOOL}|{_HEX}|{_TURBOPACK})(?:{_CODE}|{_MEDIA})",
    rf"{_below('_astro')}{_STEM}\.[A-Za-z0-9_-]{{8}}_[A-Za-z0-9]{{4,7}}{_MEDIA}",
    rf"{_below('_next/static/media')}(?=[0-9]*[a-f])(?=[a-f]*[0-9]){_hex(16)}-s(?:\.p)?{_CODE}",
    r"[\s\S]*?/_next/static/(?=[^/]*[0-9])(?=[^/]*[a-z])(?=[^/]*[A-Z])[A-Za-z0-9_-]{21}"
    r"/_(?:build|ssg|clientMiddleware)Manifest\.js",
    # Gatsby's pictures, whose folders are the hashes.
    rf"[\s\S]*?/static/{_hex(32)}/{_hex(5)}/{_STEM}{_MEDIA}",
)

# Of a whole path with its leading slash, with one meaning to ``re`` and to nginx, which has no room for more than
# 4,095 bytes of it and unquotes "$" and a few backslashes.
PATTERN: str = f"^{_NOT_TOO_LONG}(?:{'|'.join(_SHAPES)}){_END}"

_HASHED = re.compile(PATTERN)


def is_hashed(path: str) -> bool:
    """Does the name of the file at this path say which content it has? ``path`` begins with a slash."""
    return _HASHED.match(path) is not None
