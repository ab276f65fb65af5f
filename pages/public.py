"""The domains that nginx serves by itself: a link for each under ``public/`` (contract 2).

A site is public while nothing about it needs a decision per request: it is enabled, its settings are those that the
nginx configuration knows, and what is live holds no rules. Its link leads to the site root, so a switch of the root
changes what nginx serves. Without its link a site is served by the application: hiding first and showing last is
always safe.
"""

import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

from pages import files
from pages.model import NOT_FOUND, Cache, Site
from pages.paths import Paths
from pages.rules import HEADERS, REDIRECTS
from pages.work import Work

log = logging.getLogger(__name__)

INDEX = "index.html"  # The one that the nginx configuration names.
# May a site of this user be served on this host?
MayServe = Callable[[str, str], bool]
_PLAIN = {
    "enabled": True,
    "index": INDEX,
    "clean_urls": False,
    "trailing_slash": "auto",
    "spa": False,
    "not_found": NOT_FOUND,
    "cache": Cache(),
}


def has_rules(root: str) -> bool:
    """Has what stands at ``root`` rules of its own?"""
    return any(os.path.lexists(f"{root}/{name}") for name in (REDIRECTS, HEADERS))


def _has_plain_settings(site: Site) -> bool:
    return all(getattr(site, name) == value for name, value in _PLAIN.items())


class PublicLinks:
    """The links of one data folder. Whoever changes them holds the registry's lock."""

    def __init__(self, paths: Paths, may_serve: MayServe) -> None:
        self._paths = paths
        self._may_serve = may_serve

    def shown(self, site: Site) -> tuple[str, ...]:
        """The domains of a site that nginx may answer for with no application in between.

        nginx knows names, and no wildcards; and an alias that redirects is no folder of files.
        """
        if not _has_plain_settings(site) or has_rules(str(self._paths.site_root(site.username, site.id))):
            return ()
        served = site.domains if site.alias_mode == "serve" else site.domains[:1]
        return tuple(name for name in served if not name.startswith("*") and self._may_serve(site.username, name))

    def is_right(self, site: Site, domains: Collection[str]) -> bool:
        """Is the link of each of these domains of the site there, exactly when it may be?"""
        target = self._paths.public_target(site.username, site.id)
        shown = self.shown(site)
        return all(self._target(domain) == (target if domain in shown else None) for domain in domains)

    def is_shown(self, domain: str) -> bool:
        """Is there anything at the domain's place?"""
        return self._target(domain) is not None

    def prepare(self, work: Work, site: Site) -> dict[str, Path]:
        """The links that ``show`` will put in place, by domain: all that it needs room on the disk for."""
        shown = self.shown(site)
        if shown:
            files.make_folders(self._paths.public)
        return {domain: work.symlink(self._paths.public_target(site.username, site.id)) for domain in shown}

    def show(self, work: Work, site: Site, links: dict[str, Path]) -> None:
        """Let nginx serve a site from now on, by the links that were prepared."""
        for domain, link in links.items():
            if not self.is_right(site, [domain]):
                work.put_link(link, self._paths.public_link(domain))
                # A switch takes no lock of ours: it looks at the link after it, and we at what is live after the link.
                if domain not in self.shown(site):
                    self.hide(work, domain)

    def settle(self, work: Work, site: Site, domains: Collection[str]) -> None:
        """Put the links of these domains of the site right, whatever is there."""
        links = self.prepare(work, site)
        for domain in domains:
            if not self.is_right(site, [domain]):
                self.hide(work, domain)
                self.show(work, site, {domain: links[domain]} if domain in links else {})

    def hide(self, work: Work, domain: str) -> None:
        """Have the application answer for a domain from now on."""
        if self._target(domain) is not None:
            work.discard(self._paths.public_link(domain))
            files.fsync_folder(self._paths.public)

    def domains(self) -> list[str]:
        """All domains that nginx serves."""
        try:
            return sorted(os.listdir(self._paths.public))
        except FileNotFoundError:
            return []

    def _target(self, domain: str) -> str | None:
        """What stands at the domain's place: a link's target, "" for anything else, None for nothing."""
        try:
            return os.readlink(self._paths.public_link(domain))
        except FileNotFoundError:
            return None
        except OSError:  # A file or folder that somebody put there.
            return ""
