"""A site's ``metadata.json``; made anew from the archives, and from what of it can still be read."""

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from pages import files
from pages.history import is_checkpoint_id
from pages.model import Checkpoint, History, is_reasonable, timestamp
from pages.trees import NO_CHECKPOINT, checkpoint_of
from pages.verify.content import require_readable
from pages.verify.findings import Finding
from pages.verify.parts import SitePart
from pages.work import Work

_FLAT_OBJECT = re.compile(rb"\{[^{}]*\}")
_CURRENT = re.compile(rb'"current"\s*:\s*"([0-9a-f-]+)"')


class MetadataPart(SitePart):
    """Parses, newest first, each once, the current one among them."""

    def look(self) -> Iterable[Finding]:
        history, path = self.view.history, self._path
        if history is None:
            kind = "metadata-damaged" if os.path.lexists(path) else "metadata-missing"
            yield self.finding(path, kind, self.view.reason)
            return
        ids = [checkpoint.id for checkpoint in history.checkpoints]
        if ids != sorted(set(ids), reverse=True):
            yield self.finding(path, "metadata-order")
        if history.current is not None and history.current not in ids:  # None: all are stored, and none went live.
            yield self.finding(path, "metadata-current", str(history.current))

    def mend(self, work: Work) -> None:
        path, before = self._path, self.view.history
        if before is None:
            require_readable(path)
        saved = list(before.checkpoints) if before else self._salvaged()
        current = before.current if before else self._salvaged_current()
        known = {checkpoint.id: checkpoint for checkpoint in reversed(saved)}
        ids = set(known) if before else self._ids_on_disk()
        if current and current in self._ids_on_disk():
            ids.add(current)
        checkpoints = [known.get(found) or self._entry(found) for found in sorted(ids, reverse=True)]
        if current not in ids:
            live = self._live()
            newest = checkpoints[0].id if checkpoints and live != NO_CHECKPOINT else None
            current = live if live in ids else newest
        if path.is_file() and not path.is_symlink():
            self.ground.quarantine.copy(path, self.found[0].kind)
        else:
            self.ground.quarantine.take(work, path, self.found[0].kind)
        updated = max([self.ground.now, *(datetime.fromisoformat(c.created_at) for c in checkpoints)])
        base = before or History(self.site_id, self.username, None, (), "")
        history = msgspec.structs.replace(
            _without_what_is_gone(base, ids, current),
            current=current,
            checkpoints=tuple(checkpoints),
            updated_at=timestamp(updated, "seconds"),
        )
        self.ground.histories.write(work, history)

    @property
    def _path(self) -> Path:
        return self.ground.paths.metadata(self.username, self.site_id)

    def _ids_on_disk(self) -> set[str]:
        """The checkpoints of which there is an archive, or at least an unpacked version."""
        versions = self.ground.paths.versions(self.username, self.site_id)
        names = os.listdir(versions) if versions.is_dir() else []
        unpacked = {name.partition(".")[0] for name in names if (versions / name / "site").is_dir()}
        return {*self.ground.histories.archive_ids(self.view.site), *filter(is_checkpoint_id, unpacked)}

    def _live(self) -> str | None:
        tree = self.ground.trees.live(self.view.site)
        return checkpoint_of(tree) if tree is not None else None

    def _entry(self, checkpoint_id: str) -> Checkpoint:
        """What an id and its archive tell of a checkpoint."""
        archive = self.ground.histories.archive(self.view.site, checkpoint_id)
        return Checkpoint(
            id=checkpoint_id,
            created_at=timestamp(datetime.strptime(checkpoint_id[:15], "%Y%m%d-%H%M%S"), "seconds"),
            file_size=archive.stat().st_size if archive.is_file() else 0,
            file_name=archive.name,
            source="manual",
            description="由归档重建",
        )

    def _text(self) -> bytes:
        try:
            return files.read(self._path)
        except OSError:
            return b""

    def _salvaged(self) -> list[Checkpoint]:
        """The entries that a damaged file still holds whole."""
        found = []
        for match in _FLAT_OBJECT.finditer(self._text()):
            try:
                checkpoint = msgspec.json.decode(match[0], type=Checkpoint)
                is_sound = is_reasonable(datetime.fromisoformat(checkpoint.created_at))
            except (msgspec.MsgspecError, ValueError):
                continue
            if is_sound and is_checkpoint_id(checkpoint.id) and checkpoint.created_at[-6] in "+-":
                found.append(checkpoint)
        return found

    def _salvaged_current(self) -> str | None:
        found = _CURRENT.search(self._text())
        return found[1].decode() if found and is_checkpoint_id(found[1].decode()) else None


def _without_what_is_gone(history: History, ids: set[str], current: str | None) -> History:
    """The same without pins, previews and switches to come that lead to no checkpoint."""
    waiting, plan = history.confirmation, history.plan
    return msgspec.structs.replace(
        history,
        pinned=tuple(found for found in history.pinned if found in ids),
        previews=tuple(preview for preview in history.previews if preview.checkpoint in ids),
        confirmation=waiting if waiting and waiting.checkpoint == current and waiting.back_to in ids else None,
        plan=plan if plan and plan.checkpoint in ids else None,
    )
