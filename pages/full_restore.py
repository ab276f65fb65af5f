"""Putting a full backup back: onto an empty data folder, or one site of it beside others.

Everything is read, verified and unpacked into a work folder first; then each site is put in place with its
record last. What a crash cuts short is gone through again by the next run with the same file.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from pages import files, full_tar
from pages.errors import DomainTaken, OperationFailed, SiteExists
from pages.full_tar import END, Saved, SavedSite
from pages.languages import in_english
from pages.model import Site
from pages.paths import Paths
from pages.registry import Registry
from pages.site_fields import site_from_record
from pages.trees import Trees
from pages.work import Work, Workshop


class FullRestore:
    """Restores into one data folder. ``finish_abandoned`` clears what an earlier run left."""

    def __init__(
        self,
        paths: Paths,
        workshop: Workshop,
        registry: Registry,
        trees: Trees,
        finish_abandoned: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._workshop = workshop
        self._registry = registry
        self._trees = trees
        self._finish_abandoned = finish_abandoned
        self._marker = paths.restoring

    def restore_all(self, source: Path) -> Saved:
        """Bring all sites back onto an empty data folder, or go on with a restore of the same file.

        Nothing is changed before all of the file was verified. Raises ``OperationFailed``.
        """
        self._require_empty()
        self._prepare()
        with self._workshop.work() as work:
            saved = self._unpack(work, source, None)
            mark = _mark(saved)
            self._require_same(mark)
            work.write(self._marker, mark)
            for site in saved.sites:
                self._put_in_place(work, site, is_ours=True)
            self._marker.unlink()
            files.fsync_folder(self._paths.data)
        return saved

    def restore_site(self, source: Path, username: str, site_id: str) -> Saved:
        """Bring one site back whose name and domain are free; else nothing changes (``OperationFailed``)."""
        if self._registry.has(username, site_id):
            raise OperationFailed(f"the site {username}/{site_id} exists: delete it first, nothing was changed")
        self._prepare()
        with self._workshop.work() as work:
            saved = self._unpack(work, source, (username, site_id))
            found = next((site for site in saved.sites if (site.username, site.id) == (username, site_id)), None)
            if found is None:
                raise OperationFailed(f"{source.name} holds no site {username}/{site_id}")
            self._put_in_place(work, found, is_ours=False)
        return saved

    def _prepare(self) -> None:
        (self._paths.data / "locks").mkdir(exist_ok=True)
        self._finish_abandoned()

    def _require_empty(self) -> None:
        if self._marker.exists():
            return
        if self._registry.names():
            raise OperationFailed(
                "the data folder has sites already; restore onto an empty one (set PAGES_DATA_DIR), "
                "or name one site with --site"
            )
        # A lost registry leaves them: they may be newer than the backup.
        roots = (root for root in self._paths.sites.glob("*/*") if root.is_dir() and any(root.iterdir()))
        if left := next(chain(self._paths.histories.glob("*/*/checkpoints/*.tar.gz"), roots), None):
            raise OperationFailed(
                f"the data folder is not empty: {left} belongs to a site without a record, which this would replace; "
                "restore onto an empty one (set PAGES_DATA_DIR)"
            )

    def _require_same(self, mark: bytes) -> None:
        if self._marker.exists() and self._marker.read_bytes() != mark:
            raise OperationFailed("a restore of another file was cut short here: finish that one first")

    def _unpack(self, work: Work, source: Path, only: tuple[str, str] | None) -> Saved:
        """Write what is wanted below the work folder, verify all of the file, and make it durable."""
        staged = work.path / "staged"
        staged.mkdir()
        saved = None
        for member, found in full_tar.read(source):
            if member.name != END and (only is None or _site_of(member.name) == only):
                _write(staged / member.name, member)
            saved = found or saved
        if saved is None:
            raise OperationFailed(f"{source.name} is not a whole full backup")
        for name, file in saved.members.items():
            if file.mtime and os.path.lexists(staged / name):
                os.utime(staged / name, ns=(file.mtime, file.mtime))
        files.sync_file_system(staged)
        return saved

    def _put_in_place(self, work: Work, saved: SavedSite, is_ours: bool) -> None:
        username, site_id = saved.username, saved.id
        staged = work.path / "staged"
        with self._registry.site_locked(username, site_id):
            if is_ours and self._registry.has(username, site_id):
                return  # By the run before.
            record = staged / self._paths.record(username, site_id).relative_to(self._paths.data)
            data = record.read_bytes() if record.is_file() else None
            with self._free(data, username, site_id, is_strict=not is_ours) as site:
                self._clear_the_way(work, username, site_id, is_ours)
                history = staged / self._paths.history(username, site_id).relative_to(self._paths.data)
                if history.is_dir():
                    work.move(history, self._paths.history(username, site_id))
                self._put_root(work, saved, staged / "roots" / username / site_id)
                if site is not None:
                    self._registry.add(work, site)
                if data is not None:
                    self._registry.restore(work, username, site_id, data)

    @contextmanager
    def _free(self, data: bytes | None, username: str, site_id: str, is_strict: bool) -> Iterator[Site | None]:
        """The registry's lock, with the site of a record if name and domain are free.

        Without ``is_strict`` a record that is damaged, or whose domain another one has, comes back as it was.
        """
        with self._registry.locked():
            try:
                site = site_from_record(data or b"", username, site_id)
                self._registry.check_free(site)
            except (ValueError, DomainTaken, SiteExists) as error:
                if is_strict:
                    what = in_english(error) if isinstance(error, ValueError) else "its name or domain is taken"
                    raise OperationFailed(f"{username}/{site_id}: {what}; nothing was changed") from None
                site = None
            yield site

    def _clear_the_way(self, work: Work, username: str, site_id: str, is_ours: bool) -> None:
        """What is there without a record: of the run before, or kept in ``lost/``."""
        root, history = self._paths.site_root(username, site_id), self._paths.history(username, site_id)
        if root.is_dir() and not root.is_symlink() and not is_ours and any(root.iterdir()):
            raise OperationFailed(f"{root} holds files: move them away first, nothing was changed")
        if history.exists():
            if is_ours:
                work.discard(history)
            else:
                work.move(history, self._paths.lost(username, site_id, work.path.name))
        for path in (root, self._paths.versions(username, site_id), self._paths.encodings / username / site_id):
            work.discard(path)

    def _put_root(self, work: Work, saved: SavedSite, staged: Path) -> None:
        if not saved.root:
            return
        staged.mkdir(parents=True, exist_ok=True)
        if saved.root == "own":
            work.move(staged, self._paths.site_root(saved.username, saved.id))
            return
        site = Site(saved.id, saved.username, "", "", False, "", "")
        tree = self._trees.place(work, site, staged, "initial")
        self._trees.switch(work, site, self._trees.prepare(work, site, tree))


def _mark(saved: Saved) -> bytes:
    """Tells this backup from any other."""
    digest = hashlib.sha256("".join(sorted(file.sha256 for file in saved.members.values())).encode())
    return f"{saved.created_at} {digest.hexdigest()}\n".encode()


def _site_of(name: str) -> tuple[str, str]:
    """(username, id) of the site that a member is of."""
    parts = name.split("/")
    return parts[1], parts[2].removesuffix(".json") if parts[0] == "registry" else parts[2]


def _write(path: Path, member: full_tar.Member) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.is_folder:
        path.mkdir(exist_ok=True)
        return
    with open(path, "xb") as file:
        for chunk in member.chunks:
            file.write(chunk)
