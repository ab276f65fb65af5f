"""An uploaded archive made a version: unpacked, checked and packed beside the site, before any lock is taken."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pages.archive import Entry, Limits, Plainness, archive_kind, read_archive
from pages.errors import BadArchive
from pages.model import Site
from pages.packing import TarGz
from pages.quotas import Quotas, within
from pages.site_rules import rule_warnings
from pages.space import Space
from pages.staging import Staging, below, keep
from pages.work import Work, Workshop

_UPLOAD_BUFFER_BYTES = 256 * 1024  # A zip of small files is read in thousands of small pieces.


@dataclass(frozen=True)
class New:
    """A version that is staged: its tree and archive, and what its checkpoint will tell of it ("": its own name)."""

    staging: Staging
    archive: Path
    file_name: str
    source: str
    description: str

    @property
    def size(self) -> int:
        """What it takes on the disk, in bytes, but for folders and twins."""
        return self.archive.stat().st_size + sum(size for size, _, _ in self.staging.files.values())


class Uploads:
    """Stages what is uploaded to the sites of one data folder, within what the disk and the tenants' quotas allow."""

    def __init__(self, workshop: Workshop, limits: Limits, quotas: Quotas, space: Space) -> None:
        self._workshop = workshop
        self._limits = limits
        self._quotas = quotas
        self._space = space

    @contextmanager
    def staged(
        self, site: Site, upload: Path, file_name: str, root: str, now: datetime, *, is_again: bool = False
    ) -> Iterator[tuple[New, list[str]]]:
        """An uploaded archive as a version in the making, and warnings; where it ``is_again``, no quota counts it.

        ``BadArchive``, ``TooLarge``, ``UnsupportedFormat``, ``QuotaExceeded``, ``StorageFull``.
        """
        kind = archive_kind(file_name)
        plainness = Plainness()
        with (
            self._workshop.work() as work,
            open(upload, "rb", buffering=_UPLOAD_BUFFER_BYTES) as file,
            closing(read_archive(file, kind, self._limits, plainness)) as found,
        ):
            entries = within(found, self._space.watch()) if is_again else self.watched(site, found)
            if kind == "tar.gz" and not root:
                staging, archive = self._stage_or_keep(work, entries, now, upload, plainness)
            else:
                staging, archive = self.stage(work, below(entries, root) if root else entries, now)
            if not staging.files:
                raise BadArchive("压缩包中没有文件", kind)
            warnings = _index_warnings(site.index, staging.files) + rule_warnings(str(staging.tree))
            yield New(staging, archive, file_name, "deploy", f"部署: {file_name}"), warnings

    def watched(self, site: Site, entries: Iterable[Entry]) -> Iterable[Entry]:
        """The same entries, while there is room for them: on the disk and in the tenant's quota."""
        return within(entries, self._space.watch(), self._quotas.watch(site))

    def stage(self, work: Work, entries: Iterable[Entry], now: datetime) -> tuple[Staging, Path]:
        """Make a tree and an archive of the entries in one pass."""
        archive = work.path / "archive"
        staging = Staging(work.path / "tree")
        with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
            staging.add(entries, tar)
        return staging, archive

    def _stage_or_keep(
        self, work: Work, entries: Iterable[Entry], now: datetime, upload: Path, plainness: Plainness
    ) -> tuple[Staging, Path]:
        """Make a tree of an uploaded tar.gz; the archive is the upload itself where that is plain."""
        archive = work.path / "archive"
        staging = Staging(work.path / "tree")
        staging.add(entries, None)
        if plainness.holds:
            keep(upload, archive)
        else:
            with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
                staging.pack(tar)
        return staging, archive


def _index_warnings(index: str, paths: dict[str, Any]) -> list[str]:
    """Says so when the index is not at the root, and which folder has it (contract 3)."""
    if index in paths:
        return []
    elsewhere = [path for path in paths if path.endswith("/" + index)]
    if not elsewhere:
        return [f"没有找到首页 {index}，访问站点根路径会得到 404"]
    folder = os.path.dirname(min(elsewhere, key=lambda path: (path.count("/"), path)))
    return [f"首页 {index} 不在根目录，而在文件夹 {folder} 中；部署时加上表单字段 root={folder} 可将其作为站点根目录"]
