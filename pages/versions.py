"""Unpacked versions of a site, from its checkpoints: found warm or unpacked anew, compressed, switched to.

What takes long and changes nothing for a visitor (compressing much, looking through many files) is left to
``Work.afterwards``, so that no answer waits for it and a switch costs the same for every size of site.
"""

import logging
import os
import shutil
from collections import Counter
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from pages import files
from pages.archive import read_stored_archive
from pages.errors import BadArchive, CheckpointBroken, SiteBroken, SiteBusy
from pages.history import Histories
from pages.model import Checkpoint, History, Manifest, Site
from pages.paths import Paths
from pages.precompress import Precompressor
from pages.public import has_rules
from pages.registry import Registry
from pages.staging import Staging
from pages.trees import Trees, checkpoint_of, is_intact
from pages.work import Work, Workshop

log = logging.getLogger(__name__)

# More than this much text to compress is not waited for: it takes a small site some milliseconds.
_AT_ONCE_BYTES = 1024 * 1024


class Versions:
    """The unpacked versions of all sites; whoever changes a site's holds its lock."""

    def __init__(
        self,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        trees: Trees,
        precompressor: Precompressor,
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees
        self._precompressor = precompressor

    def tree_of(self, work: Work, site: Site, checkpoint: Checkpoint) -> Path:
        """A tree of the checkpoint, ready to be served: a warm one, or unpacked from its archive.

        Raises ``CheckpointBroken`` when the archive is missing or is not what it was.
        """
        tree = self._trees.find(site, checkpoint.id, partial(self._is_ready, site))
        return tree or self.unpacked(work, site, checkpoint)

    def twins(self, work: Work, site: Site, tree: Path, manifest: Manifest) -> Path | None:
        """A new folder with the compressed twins of a tree's files; None when that would be felt."""
        known = self._newest_twins(site)
        if self._precompressor.has_more_to_read(manifest, known, _AT_ONCE_BYTES):
            return None
        folder = work.new_path()
        self._precompressor.encode(tree, manifest, folder, known)
        return folder

    def place(self, work: Work, site: Site, staged: Path, checkpoint_id: str, twins: Path | None) -> Path:
        """Move a staged tree, and its twins if there are any yet, to where they can be served from."""
        tree = self._trees.place(work, site, staged, checkpoint_id)
        if twins is not None:
            self._put_twins(site, tree, twins)
        return tree

    def keep(self, work: Work, site: Site) -> None:
        """A tree was placed that does not go live now: others may have to go for it."""
        self._trees.tidy(work, site)

    def prepare(self, work: Work, site: Site, tree: Path) -> Path:
        """The link that ``switch`` will put in place: all that it needs room on the disk for.

        Where the tree has rules, nginx has to ask the application from before the switch on.
        """
        if has_rules(str(tree)):
            self._registry.hide_public(work, site)
        return self._trees.prepare(work, site, tree)

    def sizes_of(self, site: Site, known: History) -> dict[str, int]:
        """What each checkpoint takes on the disk, in bytes: its archive, and each tree of it that is unpacked."""
        unpacked = Counter(checkpoint_of(tree) for tree in self._trees.all_of(site))
        sizes = {}
        for checkpoint in known.checkpoints:
            files_too = unpacked[checkpoint.id] and self._histories.unpacked_bytes(site, checkpoint.id)
            sizes[checkpoint.id] = checkpoint.file_size + unpacked[checkpoint.id] * files_too
        return sizes

    def switch(self, work: Work, site: Site, link: Path) -> None:
        """Serve a prepared tree from now on."""
        before = self._trees.switch(work, site, link)
        try:
            self._registry.settle_public(work, site)
        except (SiteBusy, SiteBroken):  # The switch is done; until then the application answers.
            work.afterwards(partial(self._settle_public, site))
        live = self._trees.live(site)
        if before is not None and self._histories.is_large(site, checkpoint_of(before)):
            work.afterwards(partial(self._look_through, site, before))
        if live is not None and not self._twins_of(site, live).exists():
            work.afterwards(partial(self._encode, site, live))

    def _settle_public(self, site: Site) -> None:
        with self._workshop.work() as work:
            self._registry.settle_public(work, site)

    def _is_ready(self, site: Site, tree: Path) -> bool:
        """Is a tree what its checkpoint says? The files of a large one were looked at when it was replaced.

        So a checkout takes no longer the more files there are.
        """
        if self._histories.is_large(site, checkpoint_of(tree)) and tree != self._trees.live(site):
            return True
        return self._is_intact(site, tree)

    def _is_intact(self, site: Site, tree: Path) -> bool:
        manifest = self._histories.manifest(site, checkpoint_of(tree))
        return manifest is not None and is_intact(tree, manifest)

    def _look_through(self, site: Site, tree: Path) -> None:
        """Drop a tree that was changed by hand while it was live: its checkpoint says something else."""
        if self._is_intact(site, tree):
            return
        with self._workshop.work() as work, self._registry.site_locked(site.username, site.id):
            if not tree.is_dir():
                return
            log.warning("%s was changed by hand; a checkout of its checkpoint will unpack the archive", tree)
            if self._trees.live(site) == tree:  # Checked out again meanwhile.
                fresh = self.unpacked(work, site, self._histories.get(site, checkpoint_of(tree)))
                self._trees.switch(work, site, self._trees.prepare(work, site, fresh))
            self._trees.discard_tree(work, site, tree)

    def unpacked(self, work: Work, site: Site, checkpoint: Checkpoint) -> Path:
        """A new tree of the checkpoint, from its archive; ``CheckpointBroken``."""
        manifest = self._histories.manifest(site, checkpoint.id)
        staging = Staging(work.new_path())
        archive = self._histories.archive(site, checkpoint.id)
        try:
            with open(archive, "rb") as file, closing(read_stored_archive(file)) as entries:
                staging.add(entries, None)
        except FileNotFoundError:
            raise CheckpointBroken(f"{archive} is missing: put it back") from None
        except BadArchive as error:
            raise CheckpointBroken(f"{archive} is damaged: {error}") from error
        if not staging.digest().startswith(checkpoint.id[-8:]):
            raise CheckpointBroken(f"{archive} holds something else than the checkpoint's id says")
        # With the manifest as "before", every file gets back the time it had.
        created = int(datetime.fromisoformat(checkpoint.created_at).timestamp())
        stamped = staging.stamp(manifest, created)
        if stamped != manifest:
            self._histories.store(work, site, checkpoint.id, None, stamped)
        twins = self.twins(work, site, staging.tree, stamped)
        files.sync_file_system(staging.tree)
        return self.place(work, site, staging.tree, checkpoint.id, twins)

    # --- Compressed twins -------------------------------------------------------------------

    def _encode(self, site: Site, tree: Path) -> None:
        """Give a live tree the twins that it has not."""
        manifest = self._histories.manifest(site, checkpoint_of(tree))
        if manifest is None or self._twins_of(site, tree).exists():
            return
        with self._workshop.work() as work:
            folder = work.new_path()
            self._precompressor.encode(tree, manifest, folder, self._newest_twins(site))
            files.sync_file_system(folder)
            with self._registry.site_locked(site.username, site.id):
                if tree.is_dir():
                    self._put_twins(site, tree, folder)

    def renew_twins(self, work: Work, site: Site, tree: Path) -> None:
        """Make all twins of a tree anew, from its files alone."""
        manifest = self._histories.manifest(site, checkpoint_of(tree))
        if manifest is not None:
            folder = work.new_path()
            self._precompressor.encode(tree, manifest, folder, None)
            files.sync_file_system(folder)
            work.discard(self._twins_of(site, tree))
            self._put_twins(site, tree, folder)

    def _put_twins(self, site: Site, tree: Path, folder: Path) -> None:
        place = self._twins_of(site, tree)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.parent.stat().st_dev != folder.stat().st_dev:  # The cache may be on another disk.
                folder = Path(shutil.copytree(folder, place.with_name(f"{place.name}.part")))
                files.sync_file_system(folder)
            os.rename(folder, place)
        except (OSError, shutil.Error) as error:  # The cache is being cleared: served as uploaded then.
            log.info("%s has no compressed twins: %s", tree, error)

    def _twins_of(self, site: Site, tree: Path) -> Path:
        return self._paths.encodings_of(site.username, site.id, tree.parent.name)

    def _newest_twins(self, site: Site) -> Path | None:
        """The twins that were made last for this site: most of the next ones are the same."""
        folder = self._paths.encodings / site.username / site.id
        with suppress(OSError):
            return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, default=None)
        return None
