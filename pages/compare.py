"""Two versions of a site side by side: files, and the addresses whose answers differ, by the code that serves them."""

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from pages.errors import CheckpointBroken, SiteBusy
from pages.history import Histories, changed_paths, checkpoint_in
from pages.model import Manifest, Site
from pages.resolve import Asked, Resolver
from pages.rules import HEADERS, REDIRECTS
from pages.settling import Settler
from pages.site_rules import RuleFiles
from pages.versions import Versions
from pages.work import Work

# What is asked of both versions; beyond it, addresses are left out, and the answer says so.
_MOST_ADDRESSES = 5000
_MOST_SECONDS = 3.0  # For all of these: looking one up may cost as much as a visitor who asks for it, twice.
_HTML = ".html"
# What a site's rules may take from an answer (docs/rules.md); here only the names count.
_ALWAYS_SENT = [("Cache-Control", ""), ("X-Content-Type-Options", "")]


@dataclass(frozen=True)
class Version:
    """One side: a tree, and what its checkpoint says is in it."""

    tree: str
    manifest: Manifest


@dataclass(frozen=True)
class Difference:
    """An address with what is answered before and after; None where it is neither file nor redirect."""

    url: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Files by path with their sizes in bytes, and addresses; ``is_whole`` unless there were too many."""

    added: dict[str, int]
    removed: dict[str, int]
    changed: dict[str, tuple[int, int]]
    urls: list[Difference]
    is_whole: bool


class Comparer:
    """Compares checkpoints of a site."""

    def __init__(
        self, histories: Histories, settler: Settler, versions: Versions, resolver: Resolver, rules: RuleFiles
    ) -> None:
        self._histories = histories
        self._settler = settler
        self._versions = versions
        self._resolver = resolver
        self._rules = rules

    def version(self, site: Site, checkpoint_id: str) -> Version:
        """A checkpoint as it would be served, unpacked if need be: ``CheckpointNotFound``, ``CheckpointBroken``."""
        with self._settler.locked_site(site) as work:
            found = self._unpacked(work, site, checkpoint_id)
            self._versions.keep(work, site)
        return found

    def compare(self, site: Site, before_id: str, after_id: str) -> Comparison:
        """What is different in the second checkpoint; both are asked by the settings that the site has now.

        As for ``version``, and ``SiteBusy`` where so much is deployed meanwhile that one of them is cleared away.
        """
        with self._settler.locked_site(site) as work:
            before, after = (self._unpacked(work, site, each) for each in (before_id, after_id))
        found = self._compared(site, before, after)
        with self._settler.locked_site(site) as work:
            is_known = all(map(os.path.isdir, (before.tree, after.tree)))
            self._versions.keep(work, site)
        if not is_known:
            raise SiteBusy()
        return found

    def _unpacked(self, work: Work, site: Site, checkpoint_id: str) -> Version:
        checkpoint = checkpoint_in(self._histories.read(site), checkpoint_id)
        tree = self._versions.tree_of(work, site, checkpoint)
        manifest = self._histories.manifest(site, checkpoint_id)
        if manifest is None:
            raise CheckpointBroken(f"the manifest of {checkpoint_id} is missing")
        return Version(str(tree), manifest)

    def _compared(self, site: Site, before: Version, after: Version) -> Comparison:
        old, new = before.manifest.files, after.manifest.files
        changed = changed_paths(old, new)
        different = changed | (old.keys() ^ new.keys())
        there = old.keys() | new.keys()
        urls = _addresses(different if different.isdisjoint((REDIRECTS, HEADERS)) else there, site.index, there)
        urls |= self._fixed_addresses(before) | self._fixed_addresses(after)
        differences, is_whole = self._differences(site, before, after, sorted(urls))
        return Comparison(
            added={path: new[path][0] for path in sorted(new.keys() - old.keys())},
            removed={path: old[path][0] for path in sorted(old.keys() - new.keys())},
            changed={path: (old[path][0], new[path][0]) for path in sorted(changed)},
            urls=differences,
            is_whole=is_whole,
        )

    def _differences(
        self, site: Site, before: Version, after: Version, urls: list[str]
    ) -> tuple[list[Difference], bool]:
        """Of these addresses those that answer otherwise, and whether there was room and time to ask them all."""
        found: list[Difference] = []
        end = time.monotonic() + _MOST_SECONDS
        for url in urls[:_MOST_ADDRESSES]:
            if time.monotonic() > end:
                return found, False
            one, other = self._answer(site, before, url), self._answer(site, after, url)
            if one != other:
                found.append(Difference(_encoded(url), _shown(one), _shown(other)))
        return found, len(urls) <= _MOST_ADDRESSES

    def _fixed_addresses(self, version: Version) -> set[str]:
        """The addresses that redirect rules name, as far as they name whole ones."""
        rules = self._rules.redirects(version.tree)
        starts = [rule.text.split()[0] for rule in rules.rules] if rules else []
        named = {start for start in starts if start.startswith("/") and "*" not in start and ":" not in start}
        return {unquote(start, errors="surrogateescape") for start in named}

    def _answer(self, site: Site, version: Version, url: str) -> dict[str, Any]:
        asked = Asked(site.domain, url.encode("utf-8", "surrogateescape").decode("latin-1"))
        found = self._resolver.resolve(site, version.tree, asked)
        file = found.file.path if found.file else None
        return {
            "status": found.status,
            "file": file,
            "sha256": version.manifest.files[file][1] if file in version.manifest.files else None,
            "location": found.location,
            **self._rules_for_headers(site, version, url),
        }

    def _rules_for_headers(self, site: Site, version: Version, url: str) -> dict[str, list[Any]]:
        rules = self._rules.headers(version.tree)
        if rules is None:
            return {"headers": [], "removed_headers": []}
        applied = rules.apply(site.domain, url, _ALWAYS_SENT)
        names = {name.lower() for name, _ in applied}
        return {
            "headers": [field for field in applied if field not in _ALWAYS_SENT],
            "removed_headers": [name for name, _ in _ALWAYS_SENT if name.lower() not in names],
        }


def _addresses(paths: Iterable[str], index: str, there: Collection[str]) -> set[str]:
    """Under which files may be found, and what may lead to them or away from them: by page, by folder, by both.

    ``there`` are all files of both versions.
    """
    found = set()
    for stem in _stems(paths):
        found |= {f"/{stem}", f"/{stem}/" if stem else "/"}
        found |= {f"/{path}" for path in (f"{stem}{_HTML}", f"{stem}/{index}".lstrip("/")) if path in there}
    return found


def _stems(paths: Iterable[str]) -> set[str]:
    """Files' paths, the same without their endings where they are pages', and their folders; "" is the root."""
    found, folders = set(), set()
    for path in paths:
        found |= {path, path.removesuffix(_HTML)}
        folder = path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return found | folders


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value not in (None, [])}


def _encoded(url: str) -> str:
    return quote(url, safe="/!$&'()*+,;=:@~", errors="surrogateescape")
