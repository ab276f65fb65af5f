"""One site brought in line with its record and metadata, whatever cut short what was being done to it.

Every change of a site goes through here: it holds the site's lock, finds everything before it finished, and is itself
finished or undone, at once after an error of the disk, or at the next start after a crash.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pages import files, history
from pages.errors import Broken, CheckpointBroken, CheckpointNotFound, PagesError, SiteBusy, SiteNotFound
from pages.history import Histories, is_checkpoint_id
from pages.model import Site, is_name
from pages.paths import Paths
from pages.registry import Registry
from pages.trees import Trees
from pages.versions import Versions
from pages.work import Abandoned, Work, Workshop

log = logging.getLogger(__name__)

CREATE, DELETE = "create", "delete"  # What a work folder tells of, beside checkpoints' ids.


class Settler:
    """Settles the sites of one data folder."""

    def __init__(
        self,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        histories: Histories,
        trees: Trees,
        versions: Versions,
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._histories = histories
        self._trees = trees
        self._versions = versions

    # --- Changes ----------------------------------------------------------------------------

    @contextmanager
    def _holding(self, username: str, site_id: str, timeout: float | None = None) -> Iterator[Work]:
        """A work folder that names the site, and the site's lock; what is thrown away goes after it.

        ``SiteNotFound`` for what can be no site's name: a lock is a file named after it.
        """
        if not (is_name(username) and is_name(site_id)):
            raise SiteNotFound()
        with (
            self._workshop.work(note=f"{username}/{site_id}") as work,
            self._registry.site_locked(username, site_id, timeout),
        ):
            yield work

    @contextmanager
    def changing(self, username: str, site_id: str, timeout: float | None = None) -> Iterator[Work]:
        """A work folder that names the site, and its lock, for a change: one cut short is finished or undone.

        ``SiteNotFound`` for what can be no site's name, ``SiteBusy``.
        """
        self._workshop.clear_left(self.finish_abandoned)
        with self._holding(username, site_id, timeout) as work:
            try:
                yield work
            except OSError:
                self._put_right(work, username, site_id)
                raise
            except (SiteBusy, Broken):  # The registry or a record was; a version may be in its place already.
                if work.intent:
                    self._put_right(work, username, site_id)
                raise

    def _put_right(self, work: Work, username: str, site_id: str) -> None:
        """After an error of the disk: finish or undo what was begun, now or before the next change."""
        try:
            self._finish(work, username, site_id, work.intent)
        except (OSError, PagesError) as error:
            log.error("Site %s/%s: left unfinished until the next change or start: %s", username, site_id, error)
            work.leave_unfinished()

    @contextmanager
    def locked_site(self, site: Site, timeout: float | None = None) -> Iterator[Work]:
        """The site's lock, with everything that an earlier crash left finished; ``SiteBusy`` after ``timeout`` seconds.

        ``SiteNotFound`` when the site is gone by now, also when another one took its name.
        """
        with self.changing(site.username, site.id, timeout) as work:
            if self._registry.get(site.username, site.id).created_at != site.created_at:
                raise SiteNotFound()
            self._settle(work, site)
            yield work

    def make_ready(self, work: Work, site: Site) -> None:
        """A site has a root and metadata from its first day, also when its record was made by hand."""
        if not self._paths.metadata(site.username, site.id).exists():
            self._histories.write(work, self._histories.read(site))
        root = self._trees.live(site)
        if root is None or not root.is_dir():
            self._trees.make_initial(work, site)

    # --- What was cut short -----------------------------------------------------------------

    def finish_abandoned(self, abandoned: Abandoned) -> None:
        """Finish or clear what a dead process had begun on a site: ``SiteBusy`` when that has to wait."""
        username, _, site_id = abandoned.note.partition("/")
        if not (is_name(username) and is_name(site_id)):
            return  # It was about no site, or the file is damaged.
        log.warning("Site %s: finishing what was cut short", abandoned.note)
        try:
            with self._holding(username, site_id) as work:
                self._finish(work, username, site_id, abandoned.intent)
        except SiteBusy:
            raise  # The only one that passes: the folder stays.
        except PagesError as error:
            log.error("Site %s: %s", abandoned.note, error)

    def _finish(self, work: Work, username: str, site_id: str, intended: str) -> None:
        """``intended`` is the checkpoint that was about to be committed, switched to or deleted, if any; or that the
        site was being created or deleted.
        """
        try:
            site = self._registry.get(username, site_id)
        except SiteNotFound:
            if intended == DELETE:
                self.clear_away(work, username, site_id)
            elif intended == CREATE:
                self._undo_create(work, username, site_id)
            return
        known = self._histories.read(site)
        if is_checkpoint_id(intended) and intended not in {c.id for c in known.checkpoints}:
            self.discard_version(work, site, intended)
        # Committed: then even a root of an operator's own was about to be replaced.
        self._settle(work, site, own_root=known.current != intended)

    def ensure_settled(self, site: Site) -> None:
        """See that a site serves what its metadata says; cheap when it does.

        Also gives a site whose record was made by hand its root and metadata.
        """
        if not self._trees.is_settled(site, self._histories.read(site).current):
            with self.locked_site(site):
                pass

    def _settle(self, work: Work, site: Site, *, own_root: bool = True) -> None:
        """Make true what ``metadata.json`` says; the caller holds the site's lock."""
        known = self._histories.read(site)
        self.make_ready(work, site)
        if known.current is not None and not self._trees.is_settled(site, known.current, own_root=own_root):
            try:
                tree = self._versions.tree_of(work, site, history.checkpoint_in(known, known.current))
                self._versions.switch(work, site, self._versions.prepare(work, site, tree))
            except (CheckpointBroken, CheckpointNotFound) as error:
                log.error(
                    "Site %s/%s: its current checkpoint %s cannot be unpacked (%s). Deploy again, or check out "
                    "another one.",
                    site.username,
                    site.id,
                    known.current,
                    getattr(error, "reason", error),
                )
        self._registry.settle_public(work, site)

    # --- Clearing away ----------------------------------------------------------------------

    def discard_version(self, work: Work, site: Site, checkpoint_id: str) -> None:
        self._histories.discard(work, site, checkpoint_id)
        self._trees.discard(work, site, checkpoint_id)

    def clear_away(self, work: Work, username: str, site_id: str) -> None:
        """Everything of a site but its record; the folder of a tenant without sites goes as well."""
        self._discard_root(work, username, site_id)
        self._clear_versions(work, username, site_id)
        _sync_or_remove(self._paths.record(username, site_id).parent)

    def _undo_create(self, work: Work, username: str, site_id: str) -> None:
        """Take away what was made for a site that has not come to be; what was there before is not ours to remove."""
        if not self._trees.has_own_root(username, site_id):
            self._discard_root(work, username, site_id)
        self.set_aside_versions(work, username, site_id)
        _sync_or_remove(self._paths.record(username, site_id).parent)

    def _discard_root(self, work: Work, username: str, site_id: str) -> None:
        root = self._paths.site_root(username, site_id)
        work.discard(root)
        _sync_or_remove(root.parent)

    def set_aside_versions(self, work: Work, username: str, site_id: str) -> None:
        """A new site starts empty. Checkpoints whose record somebody took away by hand are kept, elsewhere."""
        found = self._paths.history(username, site_id)
        if any(found.glob("checkpoints/*.tar.gz")):
            kept = self._paths.lost(username, site_id, work.path.name)
            work.move(found, kept)
            log.warning("Checkpoints of an earlier site %s/%s were moved to %s", username, site_id, kept)
        self._clear_versions(work, username, site_id)

    def _clear_versions(self, work: Work, username: str, site_id: str) -> None:
        """All checkpoints and trees of a site."""
        for path in (
            self._paths.history(username, site_id),
            self._paths.versions(username, site_id),
            self._paths.encodings / username / site_id,
        ):
            work.discard(path)
            _sync_or_remove(path.parent)
        with suppress(OSError):
            self._paths.encodings.rmdir()


def _sync_or_remove(folder: Path) -> None:
    """Make a folder's names durable; without any, it goes."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        with suppress(FileNotFoundError):  # Taken away by a clearing of the cache.
            files.fsync_folder(folder)
