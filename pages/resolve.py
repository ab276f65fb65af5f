"""What a visitor's request comes to: a file, a redirect or a miss (docs/rules.md has the order, contract 4).

A forced rule, then a file, then a hashed file of a version that was live before, then a rule, then the index of a
single-page application, then the nearest page for a miss. ``explain`` and ``diff`` ask here as well, so they cannot say
anything else than what is served.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import quote

from pages.hashed_names import is_hashed
from pages.lookup import File, Folder, decoded, file_at, file_or_folder_at, parts_of
from pages.media_types import DEFAULT, media_type
from pages.model import Site
from pages.rules import HEADERS, REDIRECTS, Match, Redirect
from pages.site_rules import RuleFiles
from pages.trees import Trees

# A page for a miss is looked for in this many folders from the root down, by nginx as well.
PAGE_DEPTH = 8
_HTML = ".html"
_API = "_api"  # The Admin API's, on every domain.
_PERMANENT = 308  # Like 301, and the method stays.


class Asked(NamedTuple):
    """A request, as far as it decides: ``path_info`` as WSGI has it, ``host`` canonical."""

    host: str
    path_info: str
    query: str = ""
    is_navigation: bool = True


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer: ``file`` to send, or ``location`` to go to, or neither for a plain page of the status.

    ``rule`` decided it, if one did. ``is_own`` says that the path asked for is the file's very own, and ``is_older``
    that the file is of a version that is not live any more.
    """

    status: int
    file: File | None = None
    location: str | None = None
    rule: Redirect | None = None
    is_own: bool = False
    is_older: bool = False


Tried = Callable[[str, bool], None]


def not_told(candidate: str, is_there: bool) -> None:
    """The plainest ``Tried``."""


class Resolver:
    """Resolves requests; ``grace`` is for how many seconds a replaced version's hashed files can still be had."""

    def __init__(self, trees: Trees, rules: RuleFiles, grace: float) -> None:
        self._trees = trees
        self._rules = rules
        self._grace = grace

    def resolve(self, site: Site, tree: str, asked: Asked, tried: Tried = not_told) -> Resolution:
        """What a tree of the site has for a request; ``tried`` is told each candidate, and whether it is there.

        ``OSError`` if it cannot be told.
        """
        path = decoded(asked.path_info)
        parts = None if path is None else parts_of(path)
        rules = self._rules.redirects(tree)
        match = rules.match(asked.host, path, asked.query) if rules is not None and path is not None else None
        found = _Finder(site, tree, tried)
        if match is not None and match.rule.forced:
            return found.by_rule(match) or found.missing(_folders_of(asked.path_info), match.rule)
        resolution = found.content(parts, asked.query, is_folder_enough=match is None)
        if resolution is None and path is not None and parts is not None and is_hashed(path):
            resolution = self._older(site, tree, parts, tried)
        if resolution is None and match is not None:
            return found.by_rule(match) or found.missing(_folders_of(asked.path_info), match.rule)
        if resolution is None and site.spa and asked.is_navigation and parts is not None and not _is_asset(parts[-1]):
            resolution = found.index()
        return resolution or found.missing(_folders_of(asked.path_info))

    def _older(self, site: Site, tree: str, parts: list[str], tried: Tried) -> Resolution | None:
        """A visitor's page may be of a version before, and ask for files that went with it."""
        for older in self._trees.replaced(site, tree, self._grace):
            file = file_at(older, parts)
            tried(f"{older.rpartition('/')[0].rpartition('/')[2]}/{'/'.join(parts)}", file is not None)
            if file is not None:
                return Resolution(200, file, is_own=True, is_older=True)
        return None


class _Finder:
    """Finds files of one tree by the settings of its site."""

    def __init__(self, site: Site, tree: str, tried: Tried) -> None:
        self._site = site
        self._tree = tree
        self._tried = tried

    def content(self, parts: list[str] | None, query: str, *, is_folder_enough: bool) -> Resolution | None:
        """The file that a path names, or a redirect to the one address that it has by the site's settings.

        A folder without an index is ``enough`` for a redirect to its slash where no rule is there for it.
        """
        if parts is None:
            return None
        if parts[-1] == "":
            return self._in_folder(parts[:-1], query)
        exact = file_or_folder_at(self._tree, parts)
        if isinstance(exact, File) and _is_control_file(parts):
            exact = None
        self._tried("/".join(parts), isinstance(exact, File))
        if isinstance(exact, File):
            return self._exact(exact, parts, query)
        page = self._file([*parts[:-1], parts[-1] + _HTML])
        if page is not None:
            return self._page(page, parts, query)
        return self._folder(parts, query, is_folder_enough) if isinstance(exact, Folder) else None

    def _in_folder(self, names: list[str], query: str) -> Resolution | None:
        """What stands at a path with a slash at its end: the index, else the page of that name."""
        index = self._file([*names, self._site.index])
        if index is not None:
            if names and self._site.trailing_slash == "never" and self._leads_to(names, index):
                return _redirect(names, query, slash=False)
            return Resolution(200, index)
        page = self._file([*names[:-1], names[-1] + _HTML]) if names else None
        if page is None:
            return None
        if self._site.trailing_slash == "always":
            return Resolution(200, page)
        return _redirect(names, query, slash=False, status=301)

    def _exact(self, file: File, parts: list[str], query: str) -> Resolution:
        """A file by its own name; a page has a shorter one with ``clean_urls``, if that leads to it."""
        name = parts[-1]
        if self._site.clean_urls:
            slash = self._site.trailing_slash == "always"
            short = [*parts[:-1], name.removesuffix(_HTML)]
            if name == self._site.index:
                short, slash = parts[:-1], self._site.trailing_slash != "never"
            if name.endswith(_HTML) and (not short or self._leads_to(short, file, slash=slash)):
                return _redirect(short, query, slash=slash)
        return Resolution(200, file, is_own=True)

    def _page(self, page: File, parts: list[str], query: str) -> Resolution:
        if self._site.trailing_slash == "always" and self._leads_to(parts, page, slash=True):
            return _redirect(parts, query, slash=True)
        return Resolution(200, page)

    def _folder(self, parts: list[str], query: str, is_folder_enough: bool) -> Resolution | None:
        if self._site.trailing_slash == "never" or not is_folder_enough:
            index = self._file([*parts, self._site.index])
            if index is None:
                return None
            if self._site.trailing_slash == "never":
                return Resolution(200, index)
        return _redirect(parts, query, slash=True, status=301)

    def _leads_to(self, parts: list[str], file: File, *, slash: bool = False) -> bool:
        """Would this path, asked for, show this very file? Else a redirect to it would lead astray, or in a circle."""
        if parts == [_API]:
            return False
        index, page = self._index_at(parts), self._page_at(parts)
        shown = index or page if slash else self._at(parts) or page or index
        return shown is not None and shown.path == file.path

    def _page_at(self, parts: list[str]) -> File | None:
        return self._at([*parts[:-1], parts[-1] + _HTML])

    def _index_at(self, parts: list[str]) -> File | None:
        return self._at([*parts, self._site.index])

    def _at(self, parts: list[str]) -> File | None:
        """A file that may be served, whatever leads to it: a setting of the site may name its rules too."""
        return None if _is_control_file(parts) else file_at(self._tree, parts)

    def _file(self, parts: list[str]) -> File | None:
        file = self._at(parts)
        self._tried("/".join(parts), file is not None)
        return file

    def index(self) -> Resolution | None:
        """The index of the whole site."""
        file = self._file([self._site.index])
        return None if file is None else Resolution(200, file)

    def by_rule(self, match: Match) -> Resolution | None:
        """What a rule says: a redirect, or a page of this site with a status; None where there is no such page.

        No other rule is asked then.
        """
        rule = match.rule
        if rule.status in (301, 302, 303, 307, 308):
            return Resolution(rule.status, location=match.target, rule=rule)
        parts = parts_of(match.target)
        file = None if parts is None else self._shown_at(parts)
        return None if file is None and rule.status == 200 else Resolution(rule.status, file, rule=rule)

    def _shown_at(self, parts: list[str]) -> File | None:
        """The file that a path shows, whichever of its addresses is the right one."""
        if parts[-1] == "":
            names = parts[:-1]
            return self._file([*names, self._site.index]) or (self._page_at(names) if names else None)
        return self._file(parts) or self._page_at(parts) or self._index_at(parts)

    def missing(self, folders: list[str], rule: Redirect | None = None) -> Resolution:
        """The page for a miss: the nearest one up the tree, or the one that the site names."""
        wanted = self._site.not_found.split("/")
        if len(wanted) > 1:
            return Resolution(404, self._file(wanted), rule=rule)
        for depth in range(len(folders), -1, -1):
            page = self._file([*folders[:depth], *wanted])
            if page is not None:
                return Resolution(404, page, rule=rule)
        return Resolution(404, rule=rule)


def _redirect(parts: list[str], query: str, *, slash: bool, status: int = _PERMANENT) -> Resolution:
    # No part is empty, so this never begins with "//", which would name another host.
    path = quote("/".join(parts)) + ("/" if slash and parts else "")
    return Resolution(status, location=f"/{path}" + (f"?{query}" if query else ""))


def _is_control_file(parts: list[str]) -> bool:
    return len(parts) == 1 and parts[0] in (REDIRECTS, HEADERS)


def _folders_of(path_info: str) -> list[str]:
    """The folders of a path in which a page for a miss is looked for: no more than ``PAGE_DEPTH``, none with a dot."""
    folders = path_info.encode("latin-1").decode("utf-8", "surrogateescape").split("/")[1:-1]
    return list(takewhile(lambda name: name and not name.startswith(".") and "\0" not in name, folders))[:PAGE_DEPTH]


def _is_asset(name: str) -> bool:
    """Is this the name of a file that is no page? A program that asks for one has no use for a page."""
    kind = media_type(name)
    return kind not in (DEFAULT, "text/html", "application/xhtml+xml")
