"""A site's unpacked versions, their compressed twins, and the root that leads to one of them."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from pages.errors import CheckpointBroken, CheckpointNotFound
from pages.history import checkpoint_in
from pages.model import Manifest
from pages.paths import ENCODINGS, REPLACED, TREE
from pages.precompress import SUFFIXES
from pages.verify.content import Content, is_consistent, is_damage, read_tree, twin_digest
from pages.verify.findings import Finding
from pages.verify.parts import Ground, SitePart, View, shown
from pages.work import Work

_VERSION = re.compile(r"([0-9]{8}-[0-9]{6}-[0-9a-f]{8}|initial)\.[0-9a-f]{8}")
_TOLD = 20  # Problems of one folder; the rest is counted.


class TreePart(SitePart):
    """An unpacked version is what its checkpoint says, byte for byte; links and modes included.

    The initial one is the operator's to fill: its content is not judged.
    """

    def __init__(self, ground: Ground, view: View, version: str) -> None:
        super().__init__(ground, view)
        self._version = ground.paths.versions(view.username, view.site_id) / version
        self._tree = self._version / TREE
        self._id = version.partition(".")[0]

    def look(self) -> Iterable[Finding]:
        if self.view.history is None or not os.path.lexists(self._version):
            return
        if not _VERSION.fullmatch(self._version.name) or not _is_folder(self._version):
            yield self.finding(self._version, "foreign")
        elif self._id == "initial":
            if not _is_folder(self._tree):
                yield self.finding(self._version, "tree-missing")
        elif self._id not in {checkpoint.id for checkpoint in self.view.history.checkpoints}:
            yield self.finding(self._version, "tree-orphan")
        else:
            yield from self._look_inside()

    def _look_inside(self) -> Iterator[Finding]:
        for name in sorted({*os.listdir(self._version)} - {TREE, ENCODINGS, REPLACED}):
            yield self.finding(self._version / name, "foreign")
        if not _is_folder(self._tree):
            yield self.finding(self._version, "tree-missing")
            return
        if not self._has_encodings():
            yield self.finding(self._version / ENCODINGS, "encodings-link")
        manifest = self.ground.histories.manifest(self.view.site, self._id)
        if manifest is not None and is_consistent(manifest, self._id):
            try:
                content = read_tree(self._tree, self.ground.checked)
            except OSError as error:
                if not is_damage(error):
                    raise
                yield self.finding(self._tree, "unreadable", error.strerror or "")
                return
            yield from self._limited(self._compared(content, manifest))

    def _compared(self, content: Content, manifest: Manifest) -> Iterator[Finding]:
        for path, kind in content.strange.items():
            yield self.finding(self._tree / path, "tree-kind", kind)
        for path in sorted({*content.files, *content.folders} - {*manifest.files, *manifest.folders}):
            yield self.finding(self._tree / path, "tree-file-foreign")
        for path in sorted(set(manifest.folders) - content.folders - {*content.strange}):
            kind = "a file" if path in content.files else ""
            yield self.finding(self._tree / path, "tree-kind" if kind else "tree-file-missing", kind)
        for path, (size, sha256, mtime) in manifest.files.items():
            if path in content.folders:
                yield self.finding(self._tree / path, "tree-kind", "a folder")
            elif path not in content.files:
                if path not in content.strange:
                    yield self.finding(self._tree / path, "tree-file-missing")
            elif content.files[path][:2] != (size, sha256):
                yield self.finding(self._tree / path, "tree-file-differs")
            elif content.files[path][2] != mtime:
                yield self.finding(self._tree / path, "tree-time")
        for path, mode in content.modes.items():
            yield self.finding(self._tree / path, "tree-mode", mode)

    def _limited(self, findings: Iterator[Finding]) -> Iterator[Finding]:
        yield from islice(findings, _TOLD)
        if rest := sum(1 for _ in findings):
            yield self.finding(self._tree, "tree-more", str(rest))

    def mend(self, work: Work) -> None:
        kinds = {finding.kind for finding in self.found}
        if kinds == {"encodings-link"}:
            self._link_encodings(work)
        elif kinds == {"tree-mode"}:
            self._set_modes()
        elif self.ground.trees.live(self.view.site) == self._tree:
            self._replace(work, ", ".join(sorted(kinds)))
        else:
            self._take_away(work, ", ".join(sorted(kinds)))

    def _replace(self, work: Work, reason: str) -> None:
        """Serve a version unpacked anew from the archive; only then does the damaged one go."""
        site, history, versions = self.view.site, self.view.history, self.ground.versions
        try:
            if history is None or history.current is None:
                self.ground.trees.make_initial(work, site)
            else:
                tree = versions.unpacked(work, site, checkpoint_in(history, history.current))
                versions.switch(work, site, self.ground.trees.prepare(work, site, tree))
        except (CheckpointBroken, CheckpointNotFound):
            return  # Told where the archive is; what is served stays.
        self._take_away(work, reason)

    def _take_away(self, work: Work, reason: str) -> None:
        work.discard(self.ground.paths.encodings_of(self.username, self.site_id, self._version.name))
        self.ground.quarantine.take(work, self._version, reason)

    def _set_modes(self) -> None:
        allowed = stat.S_IMODE(self._version.stat().st_mode)
        for top, folders, names in os.walk(self._tree):
            for name in folders:
                os.chmod(f"{top}/{name}", 0o755 & allowed)
            for name in names:
                os.chmod(f"{top}/{name}", 0o644 & allowed)

    def _encodings_target(self) -> str:
        return self.ground.paths.encodings_target(self.username, self.site_id, self._version.name)

    def _has_encodings(self) -> bool:
        try:
            return os.readlink(self._version / ENCODINGS) == self._encodings_target()
        except OSError:
            return False

    def _link_encodings(self, work: Work) -> None:
        link = self._version / ENCODINGS
        if not link.is_symlink():
            self.ground.quarantine.take(work, link, "encodings-link")
        work.put_link(work.symlink(self._encodings_target()), link)


class RootPart(SitePart):
    """What is served is the current version, or what an operator put there."""

    def look(self) -> Iterable[Finding]:
        history = self.view.history
        if history is not None and not self.ground.trees.is_settled(self.view.site, history.current):
            yield self.finding(self._root, "root-wrong")

    def mend(self, work: Work) -> None:
        site, history, trees = self.view.site, self.view.history, self.ground.trees
        if history is None:
            return
        if history.current is None:
            self._clear_the_way(work)
            trees.make_initial(work, site)
            return
        try:
            tree = self.ground.versions.tree_of(work, site, checkpoint_in(history, history.current))
        except (CheckpointBroken, CheckpointNotFound):
            return
        self._clear_the_way(work)
        self.ground.versions.switch(work, site, trees.prepare(work, site, tree))

    @property
    def _root(self) -> Path:
        return self.ground.paths.site_root(self.username, self.site_id)

    def _clear_the_way(self, work: Work) -> None:
        """What stands there and is no link of ours is somebody's."""
        root, ours = self._root, self.ground.paths.versions(self.username, self.site_id)
        live = self.ground.trees.live(self.view.site)
        if not root.is_symlink() or (live is not None and live.parent.parent != ours):
            self.ground.quarantine.take(work, root, "root-wrong")


class TwinsPart(SitePart):
    """Each compressed twin of a version unpacks to its file; they may vanish at any moment."""

    def __init__(self, ground: Ground, view: View, version: str) -> None:
        super().__init__(ground, view)
        self._folder = ground.paths.encodings_of(view.username, view.site_id, version)
        self._tree = ground.paths.versions(view.username, view.site_id) / version / TREE
        self._id = version.partition(".")[0]

    def look(self) -> Iterable[Finding]:
        if not os.path.lexists(self._folder):
            return
        if not self._tree.is_dir():
            yield self.finding(self._folder, "twin-orphan")
            return
        manifest = self.ground.histories.manifest(self.view.site, self._id)
        if manifest is not None:
            wrong = (path for path, is_right in self._each(manifest) if not is_right)
            for path in islice(wrong, _TOLD):
                yield self.finding(path, "twin-wrong")

    def mend(self, work: Work) -> None:
        if self.found[0].kind == "twin-wrong" and self.ground.trees.live(self.view.site) == self._tree:
            self.ground.versions.renew_twins(work, self.view.site, self._tree)
        else:
            work.discard(self._folder)

    def _each(self, manifest: Manifest) -> Iterator[tuple[Path, bool]]:
        for top, folders, names in os.walk(self._folder):
            for name in folders:
                if os.path.islink(f"{top}/{name}"):
                    yield Path(top, name), False
            for name in sorted(names):
                try:
                    yield Path(top, name), self._is_right(Path(top, name), manifest)
                except FileNotFoundError:  # The cache is being cleared.
                    continue
                except OSError:
                    yield Path(top, name), False

    def _is_right(self, twin: Path, manifest: Manifest) -> bool:
        path = shown(twin.relative_to(self._folder).with_suffix(""))
        status = twin.lstat()
        if path not in manifest.files or not stat.S_ISREG(status.st_mode) or twin.suffix not in SUFFIXES.values():
            return False
        _, sha256, mtime = manifest.files[path]
        self.ground.checked.files += 1
        self.ground.checked.bytes += status.st_size
        return status.st_mtime_ns == mtime and twin_digest(twin) in (None, sha256)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
