"""A version that is made of an archive's files and of those that the server has, as a manifest says.

All that comes out is compared with the manifest, wherever it came from.
"""

from collections.abc import Iterable, Iterator

from pages.archive import Entry
from pages.archive.names import shown_name
from pages.errors import BadRequest, FilesMissing
from pages.quotas import Watch
from pages.staging import Staging
from pages.stock import Stock
from pages.wanted import Wanted


class Completing:
    """``staging`` is empty yet: ``take`` what was sent, stage the ``entries``, and ``check``."""

    def __init__(self, staging: Staging, wanted: Wanted) -> None:
        self.staging = staging
        self._wanted = wanted
        self._came: dict[str, str] = {}

    def take(self, entries: Iterable[Entry]) -> None:
        """An archive's entries: all of them have to be the site's, and what it says they are; ``BadRequest``."""
        self.staging.add(self._named(entries), None)
        for path in self._different():
            raise BadRequest(f"文件内容与清单不符: {shown_name(path)}")
        self._came = {sha256: path for path, (_, sha256, _) in self.staging.files.items()}

    @property
    def others(self) -> set[str]:
        """The digests of what did not come."""
        return {digest for digest in self._wanted.files.values() if digest not in self._came}

    def from_here(self, watch: Watch) -> Watch:
        """A watch for one who goes on, to whom what came counts already."""
        before = sum(size for size, _, _ in self.staging.files.values())
        return lambda size, files: watch(before + size, files)

    def entries(self, stock: Stock) -> Iterator[Entry]:
        """All that is wanted, in the order of the names; what is there already without its content."""
        for path, is_folder in self._wanted.in_order():
            if is_folder or path in self.staging.files:
                yield Entry(path, is_folder, iter(()))
            else:
                yield Entry(path, False, self._content(self._wanted.files[path], stock))

    def check(self) -> None:
        """``FilesMissing`` for what is not what it should be: changed by hand, with its size and time kept."""
        if wrong := {self._wanted.files[path] for path in self._different()}:
            raise FilesMissing(sorted(wrong))

    def _named(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if not self._wanted.holds(entry):
                raise BadRequest(f"压缩包中有清单未列出的条目: {shown_name(entry.path)}")
            yield entry

    def _content(self, digest: str, stock: Stock) -> Iterator[bytes]:
        return self.staging.read(self._came[digest]) if digest in self._came else stock.read(digest)

    def _different(self) -> Iterator[str]:
        """The files that are staged with another content than is wanted."""
        return (path for path, (_, sha256, _) in self.staging.files.items() if sha256 != self._wanted.files[path])
