"""The domains that nginx serves by itself: a link for each under ``public/`` (contract 2).

A site is public while nothing about it needs a decision per request: it is enabled and its index is
nginx's. Its link leads to the site root, so a switch of the root changes what nginx serves. Without
its link a site is served by the application: hiding first and showing last is always safe.
"""

import logging
import os
from pathlib import Path

from pages import files
from pages.model import Site
from pages.paths import Paths
from pages.work import Work

log = logging.getLogger(__name__)

INDEX = "index.html"  # The one that the nginx configuration names.


def is_public(site: Site) -> bool:
    """May nginx answer for this site with no application in between?"""
    return site.enabled and site.index == INDEX


class PublicLinks:
    """The links of one data folder. Whoever changes them holds the registry's lock."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def is_right(self, site: Site) -> bool:
        """Is the link of the site's domain there, and the site's, exactly when the site is public?"""
        target = self._paths.public_target(site.username, site.id)
        return self._target(site.domain) == (target if is_public(site) else None)

    def prepare(self, work: Work, site: Site) -> Path | None:
        """The link that ``show`` will put in place, if it will: all that it needs room on the disk for."""
        if not is_public(site):
            return None
        files.make_folders(self._paths.public)
        return work.symlink(self._paths.public_target(site.username, site.id))

    def show(self, work: Work, site: Site, link: Path | None) -> None:
        """Let nginx serve a public site from now on, by the link that was prepared; nothing for another one."""
        if link is not None and not self.is_right(site):
            work.put_link(link, self._paths.public_link(site.domain))

    def settle(self, work: Work, site: Site) -> None:
        """Put the link of the site's domain right, whatever is there."""
        if not self.is_right(site):
            link = self.prepare(work, site)
            self.hide(work, site.domain)
            self.show(work, site, link)

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
