"""Text with named holes: what a pattern leaves open and a target fills in, and how URLs write it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote_to_bytes

from pages.rules.lines import BadLine

# A hole is `:name` as Cloudflare spells it: `:8080` and `https:` are none.
NAME = re.compile(r":([A-Za-z][A-Za-z0-9_]*)")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of a value that a request gives; one that ``crosses`` may hold slashes, or nothing."""

    name: str
    crosses: bool = False


Template = tuple[str | Hole, ...]

# More in one target or value is nothing but work.
MAX_FILLED = 32


def template(text: str, names: frozenset[str], literal: Callable[[str], str]) -> Template:
    """``text`` with a hole for each ``:name`` that is among ``names``; ``literal`` is made of the rest.

    Any other ``:name`` is literal text. ``BadLine`` when there are more than ``MAX_FILLED`` holes.
    """
    parts = list(islice(_split(text, names), 2 * MAX_FILLED + 2))
    if len(parts) > 2 * MAX_FILLED + 1:
        raise BadLine(f"占位符用了超过 {MAX_FILLED} 次")
    return tuple(part if isinstance(part, Hole) else literal(part) for part in parts if part != "")


def fill(parts: Template, values: Mapping[str, str], most: int) -> str | None:
    """The text with its holes filled; None when it would be longer than ``most`` characters."""
    texts = [values[part.name] if isinstance(part, Hole) else part for part in parts]
    return "".join(texts) if sum(map(len, texts)) <= most else None


def holes(parts: Template) -> list[str]:
    """The names of the holes, in order."""
    return [part.name for part in parts if isinstance(part, Hole)]


def decoded(literal: str) -> str:
    """Percent-decoded text; ``BadLine`` when it is not UTF-8 then. A lone ``%`` stands for itself."""
    if "%" not in literal:
        return literal
    try:
        return unquote_to_bytes(literal).decode()
    except UnicodeDecodeError as error:
        raise BadLine("百分号编码解码后不是有效的 UTF-8") from error


def url_literal(text: str) -> str:
    """What an author wrote into a URL, as a header may hold it: escapes stay, all that is unsafe is escaped."""
    return _escaped(_LONE_PERCENT.sub("%25", text).encode(), _LITERAL)


def in_path(value: str, most: int) -> str | None:
    """A request's value as a part of a URL's path; ``/`` stays. None when it is longer than ``most`` then."""
    return _bounded(value, _PATH, most)


def in_query(value: str, most: int) -> str | None:
    """A request's value as a part of a URL's query or fragment: it cannot end it or begin another parameter."""
    return _bounded(value, _QUERY, most)


def in_header(value: str, most: int) -> str | None:
    """A request's value as a part of a header's: none of the characters that mean something there is left."""
    return _bounded(value, _HEADER, most)


def raw_query(query: str) -> str:
    """A request's own query, as WSGI gives it (Latin-1), for another URL: what is not printable ASCII is
    escaped, and so is what could end a URL where somebody quotes it."""
    try:
        octets = query.encode("latin-1")
    except UnicodeEncodeError:
        octets = query.encode("utf-8", "replace")
    return _escaped(octets, _RAW)


def _split(text: str, names: frozenset[str]) -> Iterator[str | Hole]:
    end = 0
    for found in NAME.finditer(text):
        if found[1] in names:
            yield text[end : found.start()]
            yield Hole(found[1])
            end = found.end()
    yield text[end:]


_PRINTABLE = bytes(range(0x21, 0x7F))
_LITERAL = _PRINTABLE.translate(None, b'"<>\\^`{|}')
_RAW = _PRINTABLE.translate(None, b'"#<>\\`')
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PATH = _UNRESERVED + b"/!$&()*+,;=:@"
_QUERY = _UNRESERVED + b"/!$()*,:@"
_HEADER = _UNRESERVED + b"/"
_OCTETS = [f"%{octet:02X}" for octet in range(256)]


def _bounded(value: str, kept: bytes, most: int) -> str | None:
    octets = value.encode()
    escaped = len(octets.translate(None, kept))
    return _escaped(octets, kept) if len(octets) + 2 * escaped <= most else None


def _escaped(octets: bytes, kept: bytes) -> str:
    """The text with each octet escaped that is not among ``kept``."""
    if not (rest := octets.translate(None, kept)):
        return octets.decode()
    table = [*_OCTETS]
    for octet in set(octets) - set(rest):
        table[octet] = chr(octet)
    return "".join(map(table.__getitem__, octets))
