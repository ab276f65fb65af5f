"""A checkpoint's archive and manifest: each made anew from the other and from a sound tree."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from pages.errors import BadArchive
from pages.history import without_checkpoint
from pages.model import Checkpoint, Manifest
from pages.packing import TarGz
from pages.verify.content import Content, is_consistent, is_damage, read_archive, read_tree, require_readable
from pages.verify.findings import Checked, Finding
from pages.verify.parts import Ground, SitePart, View
from pages.work import Work

_LOST = ("archive-missing", "archive-damaged", "archive-other")


class CheckpointPart(SitePart):
    """Archive and manifest are there, whole, and agree with each other and with the id."""

    def __init__(self, ground: Ground, view: View, checkpoint_id: str) -> None:
        super().__init__(ground, view)
        self._id = checkpoint_id
        self._archive = ground.paths.archive(view.username, view.site_id, checkpoint_id)
        self._manifest = ground.paths.manifest(view.username, view.site_id, checkpoint_id)

    def look(self) -> Iterable[Finding]:
        checkpoint = self._checkpoint()
        if checkpoint is None:
            return
        manifest = self._saved_manifest()
        try:
            content = read_archive(self._archive, self.ground.checked)
        except FileNotFoundError:
            yield self.finding(self._archive, "archive-missing")
        except (BadArchive, OSError) as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise
            yield self.finding(self._archive, "archive-damaged", getattr(error, "reason", None) or str(error))
        else:
            yield from self._compared(checkpoint, content, manifest)
            return
        if manifest is None or not is_consistent(manifest, self._id):
            yield self.finding(self._manifest, "manifest-missing")

    def _compared(self, checkpoint: Checkpoint, content: Content, manifest: Manifest | None) -> Iterator[Finding]:
        expected = manifest.digest if manifest and is_consistent(manifest, self._id) else None
        digest = content.digest
        if digest[:8] != self._id[-8:] or (expected and digest != expected):
            yield self.finding(self._archive, "archive-other")
        elif content.size != checkpoint.file_size:
            yield self.finding(self._archive, "archive-size", str(content.size))
        if manifest is None:
            yield self.finding(self._manifest, "manifest-missing")
        elif expected is None or (digest == expected and not content.holds_what(manifest)):
            yield self.finding(self._manifest, "manifest-wrong")

    def mend(self, work: Work) -> None:
        kinds = {finding.kind for finding in self.found}
        reason = ", ".join(sorted(kinds))
        manifest = self._saved_manifest()
        if manifest is not None and not is_consistent(manifest, self._id):
            manifest = None
        if kinds.intersection(_LOST):
            tree = self._sound_tree(manifest)
            if tree is None:
                self._give_up(work, reason)
                return
            self._pack(work, tree, reason)
        content = read_archive(self._archive, Checked())
        if manifest is None or not content.holds_what(manifest):
            self._write_manifest(work, content, reason)
        self._note_size(work, content.size)

    def _checkpoint(self) -> Checkpoint | None:
        history = self.view.history
        return next((c for c in history.checkpoints if c.id == self._id), None) if history else None

    def _saved_manifest(self) -> Manifest | None:
        manifest = self.ground.histories.manifest(self.view.site, self._id)
        if manifest is None:
            require_readable(self._manifest)
        return manifest

    def _sound_tree(self, manifest: Manifest | None) -> Path | None:
        return self.ground.trees.find(self.view.site, self._id, lambda tree: self._is_sound(tree, manifest))

    def _is_sound(self, tree: Path, manifest: Manifest | None) -> bool:
        try:
            content = read_tree(tree, Checked())
        except OSError as error:
            if not is_damage(error):
                raise
            return False
        digest = content.digest
        return not content.strange and (digest == manifest.digest if manifest else digest[:8] == self._id[-8:])

    def _pack(self, work: Work, tree: Path, reason: str) -> None:
        """Make the archive anew from an unpacked version."""
        content, archive = read_tree(tree, Checked()), work.new_path()
        with open(archive, "xb") as file:
            with TarGz(file, self._second()) as tar:
                for folder in sorted(content.folders):
                    tar.add_folder(folder)
                for path, (size, _, _) in sorted(content.files.items()):
                    tar.add_file(path, size, _pieces(tree / path))
            file.flush()
            os.fsync(file.fileno())
        if self._archive.is_file() and not self._archive.is_symlink():
            self.ground.quarantine.copy(self._archive, reason)
        else:
            self.ground.quarantine.take(work, self._archive, reason)
        work.move(archive, self._archive)

    def _give_up(self, work: Work, reason: str) -> None:
        """Nothing is left of the checkpoint: its entry goes. The current one's stays, and so does what is served."""
        history = self.view.history
        if history is None or history.current == self._id:
            return
        self.ground.histories.write(work, without_checkpoint(history, self._id, self.ground.now))
        self.ground.quarantine.take(work, self._archive, reason)
        self.ground.quarantine.take(work, self._manifest, reason)

    def _write_manifest(self, work: Work, content: Content, reason: str) -> None:
        """The manifest that says what the archive holds, with the times that an unpacked version still has."""
        tree = self._sound_tree(None)
        times = read_tree(tree, Checked()).files if tree else {}
        files = {}
        for path, (size, sha256, _) in content.files.items():
            drawn = self._second() * 1_000_000_000 + int(sha256[:8], 16) % 1_000_000_000
            files[path] = (size, sha256, times[path][2] if path in times else drawn)
        if self._manifest.is_file() and not self._manifest.is_symlink():
            self.ground.quarantine.copy(self._manifest, reason)
        else:
            self.ground.quarantine.take(work, self._manifest, reason)
        manifest = Manifest(content.digest, tuple(sorted(content.folders)), files)
        self.ground.histories.store(work, self.view.site, self._id, None, manifest)

    def _note_size(self, work: Work, size: int) -> None:
        history = self.view.history
        if history is None:
            return
        checkpoints = tuple(
            msgspec.structs.replace(c, file_size=size) if c.id == self._id else c for c in history.checkpoints
        )
        if checkpoints != history.checkpoints:
            self.ground.histories.write(work, msgspec.structs.replace(history, checkpoints=checkpoints))

    def _second(self) -> int:
        checkpoint = self._checkpoint()
        return int(datetime.fromisoformat(checkpoint.created_at).timestamp()) if checkpoint else 0


class StrayPart(SitePart):
    """Nothing stands among a site's checkpoints that belongs to none."""

    def look(self) -> Iterable[Finding]:
        self._paths: list[tuple[Path, str]] = []
        if self.view.history is None:
            return
        ids = {checkpoint.id for checkpoint in self.view.history.checkpoints}
        folder = self.ground.paths.history(self.username, self.site_id)
        yield from self._strange(folder, {"metadata.json", "checkpoints", "manifests"}, "foreign")
        yield from self._strange(folder / "checkpoints", {f"{i}.tar.gz" for i in ids}, "archive-orphan")
        yield from self._strange(folder / "manifests", {f"{i}.json" for i in ids}, "archive-orphan")

    def mend(self, work: Work) -> None:
        for path, kind in self._paths:
            self.ground.quarantine.take(work, path, kind)

    def _strange(self, folder: Path, known: set[str], kind: str) -> Iterator[Finding]:
        try:
            names = set(os.listdir(folder)) - known
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in sorted(names):
            self._paths.append((folder / name, kind))
            yield self.finding(folder / name, kind)


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(256 * 1024):
            yield chunk
