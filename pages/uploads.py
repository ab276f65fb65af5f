"""What is uploaded made a version: unpacked, checked and packed beside the site, before any lock is taken.

With a manifest, an upload holds only what the site has not got: the rest is copied from the site's unpacked versions,
which may go meanwhile. All of the outcome is compared with the manifest, so it is the wanted version or none.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pages.archive import Entry, Limits, Plainness, archive_kind, read_archive
from pages.completing import Completing
from pages.errors import BadArchive, FilesMissing
from pages.history import Histories
from pages.model import Site
from pages.packing import TarGz
from pages.quotas import Quotas, Watch, within
from pages.site_rules import rule_warnings
from pages.space import Space
from pages.staging import Staging, below, keep
from pages.stock import Stock
from pages.trees import Trees, checkpoint_of
from pages.wanted import Wanted
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


@dataclass(frozen=True)
class Sent:
    """What came with a deploy: an archive, its name, and one folder of it to publish ("": all).

    Where all that the site shall hold is ``wanted``, the archive may lack some of it, or be none.
    """

    archive: Path | None
    file_name: str
    root: str = ""
    wanted: Wanted | None = None
    description: str = ""


class Uploads:
    """Stages what is uploaded to the sites of one data folder, within what the disk and the tenants' quotas allow."""

    def __init__(
        self, workshop: Workshop, histories: Histories, trees: Trees, limits: Limits, quotas: Quotas, space: Space
    ) -> None:
        self._workshop = workshop
        self._histories = histories
        self._trees = trees
        self.limits = limits
        self._quotas = quotas
        self._space = space

    def missing(self, site: Site, digests: Sequence[str]) -> list[str]:
        """Those of some digests (SHA-256, in hex) that no unpacked version of the site has a file of."""
        return self._stock(site, set(digests)).lacking(digests)

    @contextmanager
    def staged(
        self, site: Site, sent: Sent, now: datetime, *, is_again: bool = False
    ) -> Iterator[tuple[New, list[str]]]:
        """What was sent as a version in the making, and warnings; where it ``is_again``, no quota counts it.

        ``BadArchive``, ``BadRequest`` where archive and manifest do not fit, ``FilesMissing``, ``TooLarge``,
        ``UnsupportedFormat``, ``QuotaExceeded``, ``StorageFull``.
        """
        watches = [self._space.watch()] if is_again else [self._space.watch(), self._quotas.watch(site)]
        with self._workshop.work() as work:
            if sent.wanted is None:
                staging, archive = self._unpacked(work, sent, now, watches)
            else:
                staging, archive = self._completed(work, site, sent, sent.wanted, now, watches)
            warnings = _index_warnings(site.index, staging.files) + rule_warnings(str(staging.tree))
            description = sent.description or (f"部署: {sent.file_name}" if sent.file_name else "")
            yield New(staging, archive, sent.file_name, "deploy", description), warnings

    def watched(self, site: Site, entries: Iterable[Entry]) -> Iterable[Entry]:
        """The same entries, while there is room for them: on the disk and in the tenant's quota."""
        return within(entries, self._space.watch(), self._quotas.watch(site))

    def stage(
        self, work: Work, entries: Iterable[Entry], now: datetime, staging: Staging | None = None
    ) -> tuple[Staging, Path]:
        """Make a tree and an archive of the entries in one pass; the tree may hold some of them already."""
        archive = work.path / "archive"
        staging = staging or Staging(work.path / "tree")
        with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
            staging.add(entries, tar)
        return staging, archive

    # --- An archive of the whole site -------------------------------------------------------

    def _unpacked(self, work: Work, sent: Sent, now: datetime, watches: list[Watch]) -> tuple[Staging, Path]:
        plainness = Plainness()
        with self._entries(sent, plainness) as found:
            entries = within(found, *watches)
            if archive_kind(sent.file_name) == "tar.gz" and not sent.root:
                staging, archive = self._stage_or_keep(work, entries, now, sent, plainness)
            else:
                staging, archive = self.stage(work, below(entries, sent.root) if sent.root else entries, now)
        if not staging.files:
            raise BadArchive("压缩包中没有文件", archive_kind(sent.file_name))
        return staging, archive

    @contextmanager
    def _entries(self, sent: Sent, plainness: Plainness | None = None) -> Iterator[Iterator[Entry]]:
        """What is in the archive; nothing where there is none."""
        if sent.archive is None:
            yield iter(())
            return
        with (
            open(sent.archive, "rb", buffering=_UPLOAD_BUFFER_BYTES) as file,
            closing(read_archive(file, archive_kind(sent.file_name), self.limits, plainness)) as found,
        ):
            yield found

    def _stage_or_keep(
        self, work: Work, entries: Iterable[Entry], now: datetime, sent: Sent, plainness: Plainness
    ) -> tuple[Staging, Path]:
        """Make a tree of an uploaded tar.gz; the archive is the upload itself where that is plain."""
        archive = work.path / "archive"
        staging = Staging(work.path / "tree")
        staging.add(entries, None)
        if plainness.holds and sent.archive:
            keep(sent.archive, archive)
        else:
            with open(archive, "xb") as file, TarGz(file, int(now.timestamp())) as tar:
                staging.pack(tar)
        return staging, archive

    # --- A manifest, and an archive of what is new ------------------------------------------

    def _completed(
        self, work: Work, site: Site, sent: Sent, wanted: Wanted, now: datetime, watches: list[Watch]
    ) -> tuple[Staging, Path]:
        """The archive's files first; then the others, and all is packed in the order of the names."""
        making = Completing(Staging(work.path / "tree"), wanted)
        with self._entries(sent) as found:
            making.take(within(found, *watches))
        stock = self._stock(site, making.others)
        if lacking := stock.lacking(making.others):
            raise FilesMissing(sorted(lacking))
        more = [making.from_here(watch) for watch in (*watches, lambda size, _: self.limits.check_bytes(size))]
        try:
            staging, archive = self.stage(work, within(making.entries(stock), *more), now, making.staging)
        except FilesMissing as error:  # A version was taken away meanwhile, and may have held more.
            raise FilesMissing(sorted({*error.digests, *stock.lacking(making.others)})) from None
        making.check()
        return staging, archive

    def _stock(self, site: Site, digests: set[str]) -> Stock:
        found = ((tree, self._histories.manifest(site, checkpoint_of(tree))) for tree in self._trees.all_of(site))
        return Stock(((tree, manifest) for tree, manifest in found if manifest is not None), digests)


def _index_warnings(index: str, paths: dict[str, Any]) -> list[str]:
    """Says so when the index is not at the root, and which folder has it (contract 3)."""
    if index in paths:
        return []
    elsewhere = [path for path in paths if path.endswith("/" + index)]
    if not elsewhere:
        return [f"没有找到首页 {index}，访问站点根路径会得到 404"]
    folder = os.path.dirname(min(elsewhere, key=lambda path: (path.count("/"), path)))
    return [f"首页 {index} 不在根目录，而在文件夹 {folder} 中；部署时加上表单字段 root={folder} 可将其作为站点根目录"]
