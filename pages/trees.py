"""A site's unpacked versions: the live tree, the one before it, and warm copies under ``cache/``.

``sites/{username}/{id}`` is a link to ``trees/{username}/{id}/{checkpoint_id}.{random}``. A switch is
one rename of that link. The tree before stays where it is until the next switch, so that a request
that already followed the old link finishes on the old version; older ones become warm copies.
Trees are derived: each can be rebuilt from its checkpoint's archive.
"""

import logging
import os
import secrets
from pathlib import Path

from pages import files
from pages.model import Manifest, Site
from pages.paths import Paths
from pages.work import Work

log = logging.getLogger(__name__)

_NO_CHECKPOINT = "initial"


class Trees:
    """The trees of all sites of one data folder; ``warm`` is how many older ones a site keeps."""

    def __init__(self, paths: Paths, warm: int) -> None:
        self._paths = paths
        self._warm = warm

    def live(self, site: Site) -> Path | None:
        """The folder that is served now, free of links to follow; None when there is none."""
        folder = f"{self._paths.sites}/{site.username}"  # Text, not a Path: every visitor comes by here.
        try:
            return Path(os.path.normpath(os.path.join(folder, os.readlink(f"{folder}/{site.id}"))))
        except FileNotFoundError:
            return None
        except OSError:  # Not a link: a folder that an operator put there.
            return Path(folder, site.id)

    def is_settled(self, site: Site, current: str | None, *, own_root: bool = True) -> bool:
        """Is the root what the metadata's ``current`` says?

        Or, with ``own_root``, what an operator put there: a folder or link of his own.
        """
        tree = self.live(site)
        if tree is None or not tree.is_dir():
            return False
        if tree.parent != self._paths.trees(site.username, site.id):
            return own_root
        return _name_of(tree) == (current or _NO_CHECKPOINT)

    def make_initial(self, work: Work, site: Site) -> None:
        """An empty root, for an operator to drop files into before the first deploy."""
        tree = self._new_tree(site, _NO_CHECKPOINT)
        files.make_folders(tree)
        self.switch(work, site, self.prepare(work, site, tree))

    def place(self, work: Work, site: Site, staged: Path, checkpoint_id: str) -> Path:
        """Move a staged tree to where it can be served from."""
        tree = self._new_tree(site, checkpoint_id)
        work.move(staged, tree)
        return tree

    def prepare(self, work: Work, site: Site, tree: Path) -> Path:
        """The link that ``switch`` will put in place: all that a switch needs space on the disk for."""
        files.make_folders(self._paths.site_root(site.username, site.id).parent)
        return work.symlink(self._paths.tree_target(site.username, site.id, tree.name))

    def switch(self, work: Work, site: Site, link: Path) -> None:
        """Serve the tree of a prepared link from now on, in one atomic step; then put older trees away."""
        before, tree = self.live(site), os.path.basename(os.readlink(link))
        work.put_link(link, self._paths.site_root(site.username, site.id))
        for older in _folders_in(self._paths.trees(site.username, site.id)):
            if older.name != tree and older != before:
                try:
                    self._put_away(work, site, older)
                except OSError as error:  # The switch is done; this is only tidying.
                    log.warning("The tree %s cannot be put away: %s", older, error)

    def find(self, work: Work, site: Site, checkpoint_id: str, manifest: Manifest | None) -> Path | None:
        """A tree of this checkpoint that can be served as it is; None when it must be unpacked.

        One that somebody changed by hand is not what the checkpoint says: it is passed over.
        """
        if manifest is None:
            return None
        for tree in _trees_of(checkpoint_id, self._paths.trees(site.username, site.id)):
            if is_intact(tree, manifest):
                return tree
        for warm in _trees_of(checkpoint_id, self._paths.warm_trees(site.username, site.id)):
            linked = work.new_path()
            # Not moved: somebody who is removing the cache right now would go on inside it.
            if _link_files(warm, linked, manifest) and is_intact(linked, manifest):
                work.discard(warm)
                files.sync_file_system(linked)
                return self.place(work, site, linked, checkpoint_id)
        return None

    def discard(self, work: Work, site: Site, checkpoint_id: str) -> None:
        """Take away the trees of a checkpoint that is gone; the live one stays."""
        live = self.live(site)
        for folder in (self._paths.trees, self._paths.warm_trees):
            for tree in _trees_of(checkpoint_id, folder(site.username, site.id)):
                if tree != live:
                    work.discard(tree)

    def _put_away(self, work: Work, site: Site, tree: Path) -> None:
        """Keep a tree as a warm copy, and no more of those than the setting says."""
        if tree.name.startswith(_NO_CHECKPOINT) or self._warm == 0:
            work.discard(tree)
            return
        folder = self._paths.warm_trees(site.username, site.id)
        for same in _trees_of(_name_of(tree), folder):
            work.discard(same)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(tree)  # Its place in the queue: the ones put away first go first.
            os.rename(tree, folder / tree.name)
        except OSError:  # The cache is being cleared, or is on another disk: no warm copy then.
            work.discard(tree)
        for oldest in sorted(_folders_in(folder), key=_put_away_at)[: -self._warm]:
            work.discard(oldest)

    def _new_tree(self, site: Site, name: str) -> Path:
        return self._paths.trees(site.username, site.id) / f"{name}.{secrets.token_hex(4)}"


def is_intact(tree: Path, manifest: Manifest) -> bool:
    """Is the tree what the manifest says, by names, sizes and times? (No content is read.)"""
    found = 0
    try:
        for path, (size, _, mtime) in manifest.files.items():
            status = os.lstat(tree / path)
            if (status.st_size, status.st_mtime_ns) != (size, mtime):
                return False
        for _, folders, names in os.walk(tree):
            found += len(folders) + len(names)
    except OSError:
        return False
    return found == len(manifest.files) + len(manifest.folders)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]
    except FileNotFoundError:
        return []


def _name_of(tree: Path) -> str:
    """The checkpoint that a tree is of."""
    return tree.name.partition(".")[0]


def _trees_of(checkpoint_id: str, folder: Path) -> list[Path]:
    return [tree for tree in _folders_in(folder) if _name_of(tree) == checkpoint_id]


def _link_files(source: Path, target: Path, manifest: Manifest) -> bool:
    """Make ``target`` a tree of hard links to the files of ``source``; False when some are not there."""
    try:
        target.mkdir()
        for folder in manifest.folders:  # Each comes after the one it is in.
            (target / folder).mkdir()
        for path in manifest.files:
            os.link(source / path, target / path, follow_symlinks=False)
    except OSError:
        return False
    return True


def _put_away_at(tree: Path) -> int:
    try:
        return tree.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
