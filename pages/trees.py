"""A site's unpacked versions: the one that is live, and older ones that a checkout finds ready.

``sites/{username}/{id}`` is a link to ``trees/{username}/{id}/{checkpoint_id}.{random}/site``. A switch is
one rename of that link. Older versions stay where they were, so that a request that already followed the
old link finishes on its version, and a checkout of a warm one moves, copies and unpacks nothing. They are not
under ``cache/``: a tree about to be live must be in no folder that anybody may remove at any moment.
Trees are derived: each can be rebuilt from its checkpoint's archive.
"""

import logging
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pages import files
from pages.model import Manifest, Site
from pages.paths import ENCODINGS, REPLACED, TREE, Paths
from pages.work import Work

log = logging.getLogger(__name__)

NO_CHECKPOINT = "initial"  # What is live before anything was.
_EVER = 1e10  # Seconds.


class Trees:
    """The trees of all sites of one data folder; ``warm`` is how many older ones a site keeps.

    One older tree is always kept, for the requests that are on it.
    """

    def __init__(self, paths: Paths, warm: int) -> None:
        self._paths = paths
        self._warm = max(1, warm)

    def live(self, site: Site) -> Path | None:
        """The folder that is served now, free of links to follow; None when there is none."""
        served = self.served(site)
        return None if served is None else Path(served)

    def served(self, site: Site) -> str | None:
        """``live`` as text: every visitor comes by here."""
        root = f"{self._paths.sites}/{site.username}/{site.id}"
        try:
            target = os.readlink(root)
        except FileNotFoundError:
            return None
        except OSError:  # Not a link: a folder that an operator put there.
            return root
        if target.startswith("../../trees/"):
            return f"{self._paths.data}{target[5:]}"
        return os.path.normpath(os.path.join(os.path.dirname(root), target))

    def has_own_root(self, username: str, site_id: str) -> bool:
        """Is the root a folder or link that an operator put there?"""
        root = self._paths.site_root(username, site_id)
        try:
            return not os.readlink(root).startswith("../../trees/")
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def is_settled(self, site: Site, current: str | None, *, own_root: bool = True) -> bool:
        """Is the root what the metadata's ``current`` says?

        Or, with ``own_root``, what an operator put there: a folder or link of his own.
        """
        tree = self.live(site)
        if tree is None or not tree.is_dir():
            return False
        if tree.parent.parent != self._paths.versions(site.username, site.id):
            return own_root
        return checkpoint_of(tree) == (current or NO_CHECKPOINT)

    def replaced(self, site: Site, live: str, seconds: float) -> list[str]:
        """The trees that were live until at most so long ago, the last one first; ``live`` is the one that is now."""
        since = time.time_ns() - int(seconds * 1e9)
        folder = f"{self._paths.trees}/{site.username}/{site.id}"
        found = []
        for version in _names_in(folder):
            with suppress(OSError):  # Never live, or just being dropped.
                found.append((os.stat(f"{folder}/{version}/{REPLACED}").st_mtime_ns, f"{folder}/{version}/{TREE}"))
        return [tree for time_ns, tree in sorted(found, reverse=True) if time_ns >= since and tree != live]

    def make_initial(self, work: Work, site: Site) -> None:
        """An empty root, for an operator to drop files into before the first deploy."""
        tree = self._new_version(site, NO_CHECKPOINT) / TREE
        files.make_folders(tree)
        self.switch(work, site, self.prepare(work, site, tree))

    def place(self, work: Work, site: Site, staged: Path, checkpoint_id: str) -> Path:
        """Move a staged tree to where it can be served from."""
        version = self._new_version(site, checkpoint_id)
        folder = work.new_path()
        folder.mkdir()
        os.rename(staged, folder / TREE)
        os.symlink(self._paths.encodings_target(site.username, site.id, version.name), folder / ENCODINGS)
        files.fsync_folder(folder)
        work.move(folder, version)
        return version / TREE

    def prepare(self, work: Work, site: Site, tree: Path) -> Path:
        """The link that ``switch`` will put in place: all that a switch needs space on the disk for."""
        files.make_folders(self._paths.site_root(site.username, site.id).parent)
        return work.symlink(self._paths.tree_target(site.username, site.id, tree.parent.name))

    def switch(self, work: Work, site: Site, link: Path) -> Path | None:
        """Serve the tree of a prepared link from now on, in one atomic step; then drop the oldest trees.

        Returns the tree that was live before, when it is kept.
        """
        before, version = self.live(site), os.readlink(link).split("/")[-2]
        work.put_link(link, self._paths.site_root(site.username, site.id))
        kept = None
        if before is not None and before.parent.parent == self._paths.versions(site.username, site.id):
            kept = before if before.parent.name != version else None
        try:
            if kept is not None:
                (kept.parent / REPLACED).touch()
                os.utime(kept.parent)  # Its place in the queue: the first to be replaced are the first to go.
            self._drop_old(work, site, version, kept)
        except OSError as error:  # The switch is done; this is only tidying.
            log.warning("The older trees of %s/%s cannot be cleared: %s", site.username, site.id, error)
        return kept

    def all_of(self, site: Site) -> list[Path]:
        """All trees of a site."""
        return [version / TREE for version in _folders_in(self._paths.versions(site.username, site.id))]

    def tidy(self, work: Work, site: Site) -> None:
        """Drop the oldest trees, where one was placed that does not go live."""
        live = self.live(site)
        self._drop_old(work, site, live.parent.name if live else "", self._live_before(site, live))

    def _live_before(self, site: Site, live: Path | None) -> Path | None:
        """The tree that was live before the one that is: visitors may be on it."""
        before = self.replaced(site, str(live), _EVER)
        return Path(before[0]) if before else None

    def find(self, site: Site, checkpoint_id: str, is_ready: Callable[[Path], bool]) -> Path | None:
        """A tree of this checkpoint that ``is_ready`` accepts; None when it must be unpacked."""
        trees = [version / TREE for version in self._versions_of(site, checkpoint_id)]
        return next((tree for tree in trees if tree.is_dir() and is_ready(tree)), None)

    def discard(self, work: Work, site: Site, checkpoint_id: str) -> None:
        """Take away the trees of a checkpoint that is gone; the live one stays."""
        live = self.live(site)
        for version in self._versions_of(site, checkpoint_id):
            if version / TREE != live:
                self.discard_tree(work, site, version / TREE)

    def discard_tree(self, work: Work, site: Site, tree: Path) -> None:
        """Take one tree away, with its encodings."""
        # The tree last: what is left after a crash is found by it.
        work.discard(self._paths.encodings_of(site.username, site.id, tree.parent.name))
        work.discard(tree.parent)

    def discard_warm(self, work: Work, site: Site) -> None:
        """Take away all trees but the live one and the one before it."""
        live = self.live(site)
        before = self._live_before(site, live)
        for version in self._by_age(site, live.parent.name if live else ""):
            if version / TREE != before:
                self.discard_tree(work, site, version / TREE)

    def has_warm(self, username: str, site_id: str) -> bool:
        """Are there more trees than the live one and the one before it?"""
        return len(_folders_in(self._paths.versions(username, site_id))) > 2

    def _drop_old(self, work: Work, site: Site, version: str, before: Path | None) -> None:
        old = self._by_age(site, version)
        warm = [each for each in old if not each.name.startswith(NO_CHECKPOINT) or each / TREE == before]
        for each in old:
            # Nor the one before, which an older one seems to follow when the clock went back.
            if each not in warm[-self._warm :] and each / TREE != before:
                self.discard_tree(work, site, each / TREE)

    def _by_age(self, site: Site, live: str) -> list[Path]:
        """All versions but the one named ``live``, the one that was live last at the end."""
        versions = _folders_in(self._paths.versions(site.username, site.id))
        return sorted((version for version in versions if version.name != live), key=_replaced_at)

    def _versions_of(self, site: Site, checkpoint_id: str) -> list[Path]:
        versions = _folders_in(self._paths.versions(site.username, site.id))
        return [version for version in versions if checkpoint_of(version / TREE) == checkpoint_id]

    def _new_version(self, site: Site, name: str) -> Path:
        return self._paths.versions(site.username, site.id) / f"{name}.{secrets.token_hex(4)}"


def is_intact(tree: Path, manifest: Manifest) -> bool:
    """Is the tree what the manifest says, by names, sizes and times? (No content is read.)"""
    left = len(manifest.files) + len(manifest.folders)
    folders = [""]
    try:
        for folder in folders:
            with os.scandir(f"{tree}/{folder}") as listing:
                for item in listing:
                    path = f"{folder}{item.name}"
                    left -= 1
                    if path in manifest.files:
                        status = item.stat(follow_symlinks=False)
                        size, _, mtime = manifest.files[path]
                        if (status.st_size, status.st_mtime_ns) != (size, mtime) or not stat.S_ISREG(status.st_mode):
                            return False
                    elif item.is_dir(follow_symlinks=False):
                        folders.append(f"{path}/")
                    else:
                        return False
    except OSError:
        return False
    return left == 0


def checkpoint_of(tree: Path) -> str:
    """The checkpoint that a tree is of."""
    return tree.parent.name.partition(".")[0]


def _folders_in(folder: Path) -> list[Path]:
    return [folder / name for name in _names_in(folder)]


def _names_in(folder: Path | str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _replaced_at(version: Path) -> int:
    try:
        return version.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
