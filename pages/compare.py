"""Two versions of a site side by side: files, and the addresses whose answers differ, by the code that serves them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pages.errors import CheckpointBroken, SiteBusy
from pages.history import Histories, checkpoint_in
from pages.model import Manifest, Site
from pages.resolve import Asked, Resolver
from pages.rules import HEADERS, REDIRECTS
from pages.settling import Settler
from pages.site_rules import RuleFiles
from pages.versions import Versions

# What is asked of both versions; beyond it, addresses are left out, and the answer says so.
_MOST_ADDRESSES = 5000
_HTML = ".html"


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
            checkpoint = checkpoint_in(self._histories.read(site), checkpoint_id)
            self._versions.keep(work, site)  # Before, and not after: the other side's tree has to stay.
            tree = self._versions.tree_of(work, site, checkpoint)
        manifest = self._histories.manifest(site, checkpoint_id)
        if manifest is None:
            raise CheckpointBroken(f"the manifest of {checkpoint_id} is missing")
        return Version(str(tree), manifest)

    def compare(self, site: Site, before: Version, after: Version) -> Comparison:
        """What is different in ``after``; both are asked by the settings that the site has now.

        ``SiteBusy`` when one of the trees was dropped meanwhile, as others were unpacked.
        """
        old, new = before.manifest.files, after.manifest.files
        changed = {path for path in old.keys() & new.keys() if old[path][:2] != new[path][:2]}
        different = changed | (old.keys() ^ new.keys())
        urls = _addresses(different if different.isdisjoint((REDIRECTS, HEADERS)) else old.keys() | new.keys())
        urls |= self._fixed_addresses(before) | self._fixed_addresses(after)
        asked = sorted(urls)[:_MOST_ADDRESSES]
        told = ((url, self._answer(site, before, url), self._answer(site, after, url)) for url in asked)
        found = Comparison(
            added={path: new[path][0] for path in sorted(new.keys() - old.keys())},
            removed={path: old[path][0] for path in sorted(old.keys() - new.keys())},
            changed={path: (old[path][0], new[path][0]) for path in sorted(changed)},
            urls=[Difference(_encoded(url), *map(_shown, (one, other))) for url, one, other in told if one != other],
            is_whole=len(asked) == len(urls),
        )
        if not (os.path.isdir(before.tree) and os.path.isdir(after.tree)):
            raise SiteBusy()
        return found

    def _fixed_addresses(self, version: Version) -> set[str]:
        """The addresses that redirect rules name, as far as they name whole ones."""
        rules = self._rules.redirects(version.tree)
        starts = [rule.text.split()[0] for rule in rules.rules] if rules else []
        return {start for start in starts if start.startswith("/") and "*" not in start and ":" not in start}

    def _answer(self, site: Site, version: Version, url: str) -> dict[str, Any]:
        asked = Asked(site.domain, url.encode("utf-8", "surrogateescape").decode("latin-1"))
        found = self._resolver.resolve(site, version.tree, asked)
        headers = self._rules.headers(version.tree)
        file = found.file.path if found.file else None
        return {
            "status": found.status,
            "file": file,
            "sha256": version.manifest.files[file][1] if file in version.manifest.files else None,
            "location": found.location,
            "headers": headers.apply(site.domain, url, []) if headers else [],
        }


def _addresses(paths: Iterable[str]) -> set[str]:
    """Under which a file may be found."""
    found = set()
    for path in paths:
        found.add(f"/{path}")
        if path.endswith(_HTML):
            found.add(f"/{path.removesuffix(_HTML)}")
            found.add("/" + path[: path.rfind("/") + 1])
    return found


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value not in (None, [])}


def _encoded(url: str) -> str:
    return quote(url, safe="/!$&'()*+,;=:@~")
