"""The rules of what is served, read from the tree itself and parsed once for each version of a file.

So a tree that an operator put there has rules as well, and nothing has to be told when they change.
"""

import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cachetools import LRUCache

from pages import files
from pages.lookup import NOT_THERE
from pages.rules import HEADERS, MAX_FILE_BYTES, REDIRECTS, Headers, Redirects, parse_headers, parse_redirects

# Together all that is remembered takes some hundred megabytes at most.
_REMEMBERED_WEIGHT = 200_000


class _Weighed(Protocol):
    @property
    def weight(self) -> int:
        """Roughly how many rules these are."""


Parsed = TypeVar("Parsed", bound=_Weighed)
_Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Known(Generic[Parsed]):
    identity: _Identity
    rules: Parsed


class RuleFiles:
    """The parsed ``_redirects`` and ``_headers`` of all trees."""

    def __init__(self) -> None:
        self._redirects: _Files[Redirects] = _Files(REDIRECTS, parse_redirects)
        self._headers: _Files[Headers] = _Files(HEADERS, parse_headers)

    def redirects(self, tree: str) -> Redirects | None:
        """A tree's redirect rules; None when it has no such file. ``OSError`` if it cannot be told."""
        return self._redirects.of(tree)

    def headers(self, tree: str) -> Headers | None:
        """A tree's header rules; None when it has no such file. ``OSError`` if it cannot be told."""
        return self._headers.of(tree)


def rule_warnings(tree: str) -> list[str]:
    """A sentence for each line of a tree's rules that has no effect."""
    rules = RuleFiles()
    found = (rules.redirects(tree), rules.headers(tree))
    return [str(ignored) for rules in found if rules is not None for ignored in rules.ignored]


class _Files(Generic[Parsed]):
    """The files of one name."""

    def __init__(self, name: str, parse: Callable[[bytes], Parsed]) -> None:
        self._name = name
        self._parse = parse
        self._lock = threading.Lock()
        self._known: LRUCache[str, _Known[Parsed]] = LRUCache(_REMEMBERED_WEIGHT, lambda known: known.rules.weight)

    def of(self, tree: str) -> Parsed | None:
        path = f"{tree}/{self._name}"
        try:
            status = os.lstat(path)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        identity = files.identity_of(status)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known.identity == identity:
            return known.rules
        looked_ns = time.time_ns()  # Before it is read: a long file takes longer than a tick.
        try:
            rules = self._parse(files.read(path, MAX_FILE_BYTES + 1))
        except FileNotFoundError:
            return None
        if not files.may_change_unseen(status, looked_ns):
            self._remember(path, _Known(identity, rules))
        return rules

    def _remember(self, path: str, known: _Known[Parsed]) -> None:
        with self._lock:
            if known.rules.weight <= self._known.maxsize:
                self._known[path] = known
