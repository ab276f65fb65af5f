"""The form of a peer's test case, told in our words: its input, what the peer expects, what Pages does."""

from collections.abc import Mapping
from typing import NamedTuple


class RedirectCase(NamedTuple):
    """``rules`` are (line, status) of the rules that Pages takes, ``ignored`` the lines it does not.

    ``asked`` says for a host and URL (``example.com/a?b``) the status and target of the rule that answers, or
    None. ``differs`` says in a few words why Pages does otherwise than ``peer``; it is empty when it doesn't.
    """

    title: str
    text: str
    peer: str
    rules: tuple[tuple[int, int | str], ...] = ()
    ignored: tuple[int, ...] = ()
    asked: Mapping[str, tuple[int, str] | None] = {}
    differs: str = ""


class HeaderCase(NamedTuple):
    """The same for ``_headers``: ``blocks`` are the lines of the paths, ``asked`` the headers that a URL gets."""

    title: str
    text: str
    peer: str
    blocks: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()
    asked: Mapping[str, Mapping[str, str]] = {}
    differs: str = ""
