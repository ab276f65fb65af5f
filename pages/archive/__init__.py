"""A hostile zip or tar.gz in, judged entries out.

Nothing here writes to disk or trusts a header: names are judged, lengths and checksums verified,
limits counted on the bytes that really come out (contract 3). The one error of a bad archive is
``BadArchive``; one that is too big is ``TooLarge``.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pages.archive.entry import Entry, Limits
from pages.archive.names import contained_path, is_rubbish, shown_name
from pages.archive.plain import Plainness
from pages.archive.tar import read_tar_gz
from pages.archive.zip import read_zip
from pages.errors import BadArchive, TooLarge, UnsupportedFormat

__all__ = ["Entry", "Limits", "Plainness", "archive_kind", "read_archive", "read_stored_archive", "without_conflicts"]

_MAGIC = {"zip": (b"PK\x03\x04", b"PK\x05\x06"), "tar.gz": (b"\x1f\x8b\x08",)}
_READERS: dict[str, Callable[[BinaryIO, Limits, Plainness], Iterator[Entry]]] = {
    "zip": read_zip,
    "tar.gz": read_tar_gz,
}


def archive_kind(filename: str) -> str:
    """``"zip"`` or ``"tar.gz"`` by the uploaded file's name; ``UnsupportedFormat`` for any other."""
    name = filename.lower()
    if name.endswith(".zip"):
        return "zip"
    if name.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    raise UnsupportedFormat()


def read_archive(
    file: BinaryIO, kind: str, limits: Limits, plainness: Plainness | None = None
) -> Generator[Entry, None, None]:
    """The files and folders of an archive, each safe to create below an empty folder.

    ``file`` is seekable and nobody else's until the last entry came or the generator was closed;
    ``kind`` comes from ``archive_kind``. What systems add by themselves (``__MACOSX/`` and the like)
    is read, checked and left out. ``plainness`` says after the last entry whether every tar makes
    the same of the file. Raises ``BadArchive`` with a message that begins ``解压 {kind} 失败: ``, or
    ``TooLarge``; nothing yielded before counts then.
    """
    plainness = plainness or Plainness()
    with _naming(kind):
        file.seek(0)
        if not file.read(4).startswith(_MAGIC[kind]):
            raise BadArchive(f"内容不是 {kind} 格式")
        entries = without_conflicts(_READERS[kind](file, limits, plainness), limits)
        yield from _within_limits(entries, limits, kind, plainness)


def read_stored_archive(file: BinaryIO) -> Generator[Entry, None, None]:
    """The entries of an archive that Pages wrote itself: all of them, whatever their names and number.

    Still checked for damage, and still unable to reach out of the folder it is unpacked below.
    """
    unlimited = Limits(max_files=1 << 60, max_unpacked_bytes=1 << 62)
    yield from without_conflicts(read_tar_gz(file, unlimited, Plainness(), contained_path), unlimited)


@contextmanager
def _naming(kind: str) -> Iterator[None]:
    """Say in every refusal which kind of archive could not be unpacked."""
    try:
        yield
    except BadArchive as error:
        raise BadArchive(error.reason, kind) from error


def without_conflicts(entries: Iterator[Entry], limits: Limits) -> Iterator[Entry]:
    """The same entries; a name that comes twice is refused, and so is a file where another entry needs a folder."""
    kinds: dict[str, str] = {}
    for entry in entries:
        if entry.path:
            _note_folders(entry.path, kinds)
            # An entry of 1,024 bytes can imply 511 folders: those are bounded as well.
            if len(kinds) > 2 * limits.max_files + 1024:
                raise TooLarge(f"文件夹数超过上限 max_files = {limits.max_files}")
            before = kinds.get(entry.path)
            if before in ("file", "folder") or (before == "implied" and not entry.is_folder):
                raise BadArchive(f"条目重名或与文件夹冲突: {shown_name(entry.path)}")
            kinds[entry.path] = "folder" if entry.is_folder else "file"
        yield entry


def _note_folders(path: str, kinds: dict[str, str]) -> None:
    """Mark every folder above ``path`` as needed, from the innermost up to the first known one."""
    slash = path.rfind("/")
    while slash > 0:
        folder = path[:slash]
        if kinds.get(folder) == "file":
            raise BadArchive(f"文件与文件夹冲突: {shown_name(folder)}")
        if folder in kinds:
            return
        kinds[folder] = "implied"
        slash = path.rfind("/", 0, slash)


def _within_limits(entries: Iterator[Entry], limits: Limits, kind: str, plainness: Plainness) -> Iterator[Entry]:
    """Count what really comes out, and leave out the rubbish after checking it."""
    total = 0

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal total
        with _naming(kind):
            for chunk in chunks:
                total += len(chunk)
                limits.check_bytes(total)
                yield chunk

    for entry in entries:
        chunks = counted(entry.chunks)
        if is_rubbish(entry.path):
            plainness.broken()
        elif entry.path:
            yield Entry(entry.path, entry.is_folder, chunks)
        for _ in chunks:  # Rubbish, and what the caller left unread, is checked all the same.
            pass
