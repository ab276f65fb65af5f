"""One site's checkpoints: ``metadata.json``, an archive each, and a manifest of what it holds.

``metadata.json`` is the commit record of a deploy, a checkout and a checkpoint's deletion: what its
``current`` says is what has to be served. Whatever it refers to is durable before it is written.
"""

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec

from pages import files
from pages.errors import CheckpointNotFound, HistoryBroken, SiteMovedOn
from pages.model import (
    ONE_YEAR,
    Checkpoint,
    Confirmation,
    History,
    Manifest,
    Site,
    Upload,
    is_reasonable,
    timestamp,
    with_offset,
)
from pages.paths import Paths
from pages.work import Work

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
_ID_TIME = "%Y%m%d-%H%M%S"
_UPLOADS = 100  # So many idempotency keys of a site are remembered.
_LARGE_MANIFEST_BYTES = 16 * 1024  # About a hundred files.


class Histories:
    """The checkpoints of all sites of one data folder."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def read(self, site: Site) -> History:
        """The site's history; empty for a site that has none yet.

        Raises ``HistoryBroken`` when ``metadata.json`` is damaged, or missing beside archives: to take
        either for an empty history would lose every checkpoint at the next deploy.
        """
        path = self._paths.metadata(site.username, site.id)
        try:
            data = files.read(path)
        except FileNotFoundError:
            if self.archive_ids(site):
                raise HistoryBroken(f"{path} is missing, and there are archives") from None
            return History(site.id, site.username, None, (), site.created_at)
        except OSError as error:
            raise HistoryBroken(f"{path}: {error.strerror}") from None
        try:
            history = _with_offsets(msgspec.json.decode(data, type=History))
            _check(history, site)
        except (msgspec.MsgspecError, ValueError) as error:
            raise HistoryBroken(f"{path}: {error}") from error
        return history

    def get(self, site: Site, checkpoint_id: str) -> Checkpoint:
        """One checkpoint; ``CheckpointNotFound``."""
        return checkpoint_in(self.read(site), checkpoint_id)

    def write(self, work: Work, history: History) -> None:
        """The commit: replaces ``metadata.json``, durably."""
        data = msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n"
        work.write(self._paths.metadata(history.username, history.site_id), data)

    def restore(self, work: Work, username: str, site_id: str, metadata: bytes) -> None:
        """Put a ``metadata.json`` from a backup in place as it is; another one that is there is kept in ``lost/``."""
        path = self._paths.metadata(username, site_id)
        if path.is_file() and path.read_bytes() != metadata:
            work.move(path, self._paths.lost(username, site_id, work.path.name) / path.name)
        work.write(path, metadata)

    def archive(self, site: Site, checkpoint_id: str) -> Path:
        return self._paths.archive(site.username, site.id, checkpoint_id)

    def archive_ids(self, site: Site) -> list[str]:
        """The ids of all archives on disk, listed in the metadata or not."""
        return _ids_in(self._paths.archives(site.username, site.id), ".tar.gz")

    def manifest(self, site: Site, checkpoint_id: str | None) -> Manifest | None:
        """What a checkpoint holds; None for none, and when the manifest is missing or damaged."""
        if checkpoint_id is None:
            return None
        try:
            text = files.read(self._paths.manifest(site.username, site.id, checkpoint_id))
            return msgspec.json.decode(text, type=Manifest)
        except (OSError, msgspec.MsgspecError):
            return None

    def archived_bytes(self, site: Site) -> int:
        """What all archives of a site take together, in bytes; told without reading its metadata."""
        folder = self._paths.archives(site.username, site.id)
        try:
            listing = os.listdir(folder)
        except FileNotFoundError:
            return 0
        size = 0
        for name in listing:
            with suppress(FileNotFoundError):  # Deleted meanwhile: the others count.
                size += os.lstat(folder / name).st_size
        return size

    def unpacked_bytes(self, site: Site, checkpoint_id: str | None) -> int:
        """What a checkpoint's files take unpacked, in bytes; 0 for none, and where its manifest is lost."""
        if checkpoint_id is None:
            return 0
        path = self._paths.manifest(site.username, site.id, checkpoint_id)
        with suppress(OSError):
            status = os.stat(path)
            return _unpacked_bytes(str(path), status.st_ino, status.st_ctime_ns, status.st_size)
        return 0

    def is_large(self, site: Site, checkpoint_id: str) -> bool:
        """Has a checkpoint so many files that looking at each would be felt? Told without reading its manifest."""
        try:
            return os.stat(self._paths.manifest(site.username, site.id, checkpoint_id)).st_size > _LARGE_MANIFEST_BYTES
        except OSError:
            return False

    def store(self, work: Work, site: Site, checkpoint_id: str, archive: Path | None, manifest: Manifest) -> None:
        """Put a checkpoint's archive (if there is a new one) and manifest in place, durably."""
        path = self._paths.manifest(site.username, site.id, checkpoint_id)
        work.write(path, msgspec.json.encode(manifest))
        if archive is not None:
            work.move(archive, self.archive(site, checkpoint_id))

    def discard(self, work: Work, site: Site, checkpoint_id: str) -> None:
        """Take away what ``store`` put in place."""
        work.discard(self.archive(site, checkpoint_id))
        work.discard(self._paths.manifest(site.username, site.id, checkpoint_id))
        for folder in (self._paths.archives(site.username, site.id), self._paths.manifests(site.username, site.id)):
            with suppress(FileNotFoundError):
                files.fsync_folder(folder)


@lru_cache(maxsize=10_000)
def _unpacked_bytes(path: str, *_identity: int) -> int:
    """The sum of the sizes in a manifest; read once for each file that ever stood there."""
    try:
        manifest = msgspec.json.decode(files.read(path), type=Manifest)
    except (msgspec.MsgspecError, OSError):
        return 0
    return sum(size for size, _, _ in manifest.files.values())


def _with_offsets(history: History) -> History:
    """The same with times that all have their offset, also those that an edit by hand left without."""
    checkpoints = (msgspec.structs.replace(c, created_at=with_offset(c.created_at)) for c in history.checkpoints)
    return msgspec.structs.replace(history, checkpoints=tuple(checkpoints), updated_at=with_offset(history.updated_at))


def _check(history: History, site: Site) -> None:
    """``ValueError`` for what no ``metadata.json`` of this site says; names and times are relied on."""
    if (history.username, history.site_id) != (site.username, site.id):
        raise ValueError("the metadata is another site's")
    ids = [checkpoint.id for checkpoint in history.checkpoints]
    if not all(map(is_checkpoint_id, ids if history.current is None else [history.current, *ids])):
        raise ValueError("a checkpoint's id has not its form")
    if not all(is_reasonable(datetime.strptime(found[:15], _ID_TIME)) for found in ids):
        raise ValueError("a time is out of all reason")
    ends = [preview.until for preview in history.previews]
    ends += [history.confirmation.until] if history.confirmation else []
    ends += [history.plan.at] if history.plan else []
    if not all(datetime.fromisoformat(end).tzinfo for end in ends):
        raise ValueError("a time has no offset")
    if not all(is_reasonable(datetime.fromisoformat(end)) for end in ends):
        raise ValueError("a time is out of all reason")
    if history.plan is not None and not 0 <= history.plan.confirm_within <= ONE_YEAR:
        raise ValueError("a number of seconds is out of all reason")


def checkpoint_in(history: History, checkpoint_id: str) -> Checkpoint:
    """One checkpoint of a history that was read; ``CheckpointNotFound``."""
    for checkpoint in history.checkpoints:
        if checkpoint.id == checkpoint_id:
            return checkpoint
    raise CheckpointNotFound()


def is_checkpoint_id(text: str) -> bool:
    """Has this the form of a checkpoint's id?"""
    return _ID.fullmatch(text) is not None


def content_digest(folders: tuple[str, ...], files: Mapping[str, tuple[int, str, int]]) -> str:
    """SHA-256 over a site's content, in hex: the sorted paths and what each holds (contract 3)."""
    lines = [path.encode() + b"/\0" for path in folders]
    lines += [path.encode() + b"\0" + bytes.fromhex(sha256) for path, (_, sha256, _) in files.items()]
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line)
    return digest.hexdigest()


def changed_paths(old: Mapping[str, tuple[int, str, int]], new: Mapping[str, tuple[int, str, int]]) -> set[str]:
    """The paths that both of two manifests hold, with another content."""
    return {path for path in old.keys() & new.keys() if old[path][:2] != new[path][:2]}


def next_time(history: History, now: datetime, *others: str) -> datetime:
    """The second that a new checkpoint gets: ``now``, or the first one later than all before.

    Later both as an instant (file times are made of it) and as local time (ids are), so that ids sort
    by age when the clock or the zone goes back, and no two checkpoints ever share a second. The
    metadata's ``updated_at`` stands in for checkpoints that were deleted; ``others`` are more times (ISO
    8601) that it has to be later than.
    """
    second = now.astimezone().replace(microsecond=0)
    before = [*others, history.updated_at] if history.current or history.checkpoints else list(others)
    before += [checkpoint.created_at for checkpoint in history.checkpoints]
    for text in before:
        earlier = datetime.fromisoformat(text).replace(microsecond=0)
        second = max(second, earlier.astimezone(second.tzinfo) + timedelta(seconds=1))
    newest = max((c.id[:15] for c in history.checkpoints), default="")
    while _local(second) <= newest:
        gap = datetime.strptime(newest, _ID_TIME) - datetime.strptime(_local(second), _ID_TIME)
        second += gap + timedelta(seconds=1)
    return second.astimezone()


def new_checkpoint_id(time: datetime, digest: str) -> str:
    """``YYYYMMDD-HHMMSS-`` in local time and the first 8 hex digits of the content's digest."""
    return f"{_local(time)}-{digest[:8]}"


def with_checkpoint(history: History, checkpoint: Checkpoint) -> History:
    """The history after a deploy: the checkpoint is the newest and the current one."""
    stored = with_stored(history, checkpoint)
    return msgspec.structs.replace(stored, current=checkpoint.id, confirmation=None)


def with_stored(history: History, checkpoint: Checkpoint) -> History:
    """The history with one more checkpoint, the newest, that is not live."""
    checkpoints = (checkpoint, *history.checkpoints)
    return msgspec.structs.replace(history, checkpoints=checkpoints, updated_at=checkpoint.created_at)


def with_upload(history: History, key: str, checkpoint_id: str) -> History:
    """The history that remembers what an ``Idempotency-Key`` stands for; the oldest are forgotten."""
    others = [upload for upload in history.uploads if upload.key != key]
    return msgspec.structs.replace(history, uploads=(Upload(key, checkpoint_id), *others)[:_UPLOADS])


def uploaded(history: History, key: str) -> Checkpoint | None:
    """The checkpoint that an ``Idempotency-Key`` stands for, if there still is one."""
    known = next((upload.checkpoint for upload in history.uploads if upload.key == key), None)
    return next((checkpoint for checkpoint in history.checkpoints if checkpoint.id == known), None)


def with_current(history: History, current: str, now: datetime, confirmation: Confirmation | None = None) -> History:
    """The history after a checkout: ``current`` and ``updated_at`` change, and what there is to be confirmed."""
    updated_at = _not_before(history, now)
    return msgspec.structs.replace(history, current=current, updated_at=updated_at, confirmation=confirmation)


def without_checkpoint(history: History, checkpoint_id: str, now: datetime) -> History:
    """The history after a checkpoint's deletion."""
    rest = tuple(c for c in history.checkpoints if c.id != checkpoint_id)
    previews = tuple(preview for preview in history.previews if preview.checkpoint != checkpoint_id)
    return msgspec.structs.replace(history, checkpoints=rest, previews=previews, updated_at=_not_before(history, now))


def with_pin(history: History, checkpoint_id: str, *, pinned: bool) -> History:
    """The history in which a checkpoint is kept until it is unpinned, or is not any more."""
    others = tuple(other for other in history.pinned if other != checkpoint_id)
    return msgspec.structs.replace(history, pinned=(*others, checkpoint_id) if pinned else others)


def awaited(history: History) -> set[str]:
    """The checkpoints that a switch to come needs."""
    found = set()
    if history.confirmation is not None:
        found.add(history.confirmation.back_to)
    if history.plan is not None:
        found.add(history.plan.checkpoint)
    return found


# The current checkpoints that ``If-Match`` names, and "*" for any; None for no condition.
OnlyIf = Collection[str] | None


def require_current(history: History, only_if: OnlyIf) -> None:
    """``SiteMovedOn`` unless the current checkpoint is one of these, or there is one and they hold "*"."""
    if only_if is None or history.current in only_if or ("*" in only_if and history.current is not None):
        return
    raise SiteMovedOn(history.current)


def _not_before(history: History, now: datetime) -> str:
    """``now`` for ``updated_at``, never earlier than any checkpoint that ever was: see ``next_time``."""
    before = (history.updated_at, *(c.created_at for c in history.checkpoints))
    times = [now, *(datetime.fromisoformat(text) for text in before)]
    return timestamp(max(time.astimezone() for time in times), "seconds")


def _local(time: datetime) -> str:
    return time.astimezone().strftime(_ID_TIME)


def _ids_in(folder: Path, suffix: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    ids = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
    return [found for found in ids if _ID.fullmatch(found)]
