"""A visitor who goes through a generator's site on a running server, and tells what is not as it should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from helpers import Reply
from werkzeug.utils import get_content_type

from generators import NOT_FOUND, Listing
from pages.hashed_names import is_hashed
from pages.media_types import media_type

IMMUTABLE = "public, max-age=31536000, immutable"
_REDIRECTS = 3


@dataclass(frozen=True)
class Visit:
    """Where a request ended, and what was answered there."""

    path: str
    reply: Reply


@dataclass(frozen=True)
class Visitor:
    """Somebody on a site whose files have these contents. ``ask`` is one request for a path."""

    site: Listing
    contents: dict[str, bytes]
    ask: Callable[[str], Reply]

    def go(self, path: str) -> Visit:
        """Ask for a path, and where its redirects lead."""
        for _ in range(_REDIRECTS):
            reply = self.ask(path)
            if reply.status not in (301, 302, 307, 308):
                break
            path = urljoin(path, reply.headers["Location"])
        return Visit(path, reply)

    def wrong_links(self) -> Iterator[str]:
        """Links of a page, resolved where the page is, that do not lead to their file."""
        for page, links in self.site.links.items():
            base = self.go(address_of(page)).path
            for link in links:
                for wrong in self.wrong_answer(urljoin(base, link).partition("#")[0]):
                    yield f"{page}, {link}: {wrong}"

    def wrong_fetches(self) -> Iterator[str]:
        """What a browser fetched on the real site, scripts and their data, and would not get here."""
        for path in self.site.fetched:
            yield from self.wrong_answer(path)

    def wrong_files(self) -> Iterator[str]:
        """Files that are not answered under their own name."""
        for name in self.site.files:
            yield from self.wrong_answer(f"/{quote(name)}")

    def wrong_answer(self, path: str) -> Iterator[str]:
        """What is wrong with the answer to a path: another file, another type."""
        name, visit = self.site.file_at(path), self.go(path)
        if name is None:
            yield f"{path}: the site has no such file"
        elif visit.reply.status != 200:
            yield f"{path}: {visit.reply.status} at {visit.path}"
        elif visit.reply.body != self.contents[name]:
            yield f"{path}: not {name}"
        elif visit.reply.headers["Content-Type"] != get_content_type(media_type(name), "utf-8"):
            yield f"{path}: {visit.reply.headers['Content-Type']}"

    def wrong_misses(self) -> Iterator[str]:
        """Paths of no file for which the site's own page is not the answer."""
        for path in ("/no-such-page", "/no/such/page/", "/docs/no-such-page", "/no-such.js"):
            reply = self.go(path).reply
            if (reply.status, reply.body) != (404, self.contents[NOT_FOUND]):
                yield f"{path}: {reply.status} {reply.body[:60]!r}"

    def wrong_caching(self) -> Iterator[str]:
        """Files that are not kept exactly when their name says their content."""
        for name in self.site.files:
            visit = self.go(f"/{quote(name)}")
            caching = visit.reply.headers.get("Cache-Control")
            if caching != (IMMUTABLE if is_hashed(f"/{name}") else "no-cache"):
                yield f"{name}: {caching}"


def address_of(page: str) -> str:
    """Where people find a page: its address with no file name and no ending."""
    if page == NOT_FOUND:
        return "/no/such/page"
    folder = page.removesuffix("index.html")
    return "/" + quote(page.removesuffix(".html") if folder == page else folder)
