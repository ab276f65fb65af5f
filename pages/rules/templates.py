"""Text with named holes: what a pattern leaves open and a target fills in, and how URLs write it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pages.rules.lines import BadLine

# A hole is `:name` as Cloudflare spells it: `:8080` and `https:` are none.
NAME = re.compile(r":([A-Za-z][A-Za-z0-9_]*)")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of a value that a request gives; one that ``crosses`` may hold slashes, or nothing."""

    name: str
    crosses: bool = False


Template = tuple[str | Hole, ...]


def template(text: str, names: frozenset[str], literal: Callable[[str], str]) -> Template:
    """``text`` with a hole for each ``:name`` that is among ``names``; ``literal`` is made of the rest.

    Any other ``:name`` is literal text.
    """
    return tuple(part if isinstance(part, Hole) else literal(part) for part in _split(text, names) if part != "")


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
    return _encoded(_LONE_PERCENT.sub("%25", text), _LITERAL)


def in_path(value: str) -> str:
    """A request's value as a part of a URL's path; ``/`` stays."""
    return _encoded(value, _PATH)


def in_query(value: str) -> str:
    """A request's value as a part of a URL's query or fragment: it cannot end it or begin another parameter."""
    return _encoded(value, _QUERY)


def in_header(value: str) -> str:
    """A request's value as a part of a header's: none of the characters that mean something there is left."""
    return _encoded(value, _HEADER)


def raw_query(query: str) -> str:
    """A request's own query, as WSGI gives it (Latin-1), for another URL: only what is not printable ASCII changes."""
    if query.isascii() and query.isprintable() and " " not in query:
        return query
    try:
        octets = query.encode("latin-1")
    except UnicodeEncodeError:
        octets = query.encode("utf-8", "replace")
    return "".join(map(_RAW.__getitem__, octets))


def _split(text: str, names: frozenset[str]) -> Iterator[str | Hole]:
    end = 0
    for found in NAME.finditer(text):
        if found[1] in names:
            yield text[end : found.start()]
            yield Hole(found[1])
            end = found.end()
    yield text[end:]


def _table(kept: str) -> list[str]:
    """For each octet, how it is written when only ``kept`` stands for itself."""
    return [chr(octet) if chr(octet) in kept else f"%{octet:02X}" for octet in range(256)]


_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_RAW = _table("".join(c for c in _PRINTABLE if c not in '"<>\\^`{|}#'))
_LITERAL = _table("".join(c for c in _PRINTABLE if c not in '"<>\\^`{|}'))
_PATH = _table(_UNRESERVED + "/!$&()*+,;=:@")
_QUERY = _table(_UNRESERVED + "/!$()*,:@")
_HEADER = _table(_UNRESERVED + "/")


def _encoded(text: str, table: list[str]) -> str:
    return "".join(map(table.__getitem__, text.encode()))
