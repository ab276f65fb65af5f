"""What a folder publishes: every file in a fixed order, with what tells whether it stays as it was seen."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pages.client.exits import FAILED, USAGE, Failed
from pages.client.ignore import Ignored
from pages.client.text import in_one_line

_CHUNK_BYTES = 256 * 1024
# Where builders put what they made.
_BUILT = ("dist", "build", "public", "out", "_site", "site", ".output/public")
_INDEXES = ("index.html", "index.htm")

Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class File:
    """A file to publish at ``path``. ``identity`` changes when it does."""

    path: str
    source: str
    size: int
    identity: Identity

    def chunks(self) -> Iterator[bytes]:
        """Its content; ``Failed`` when it is not the file that was seen, or not as it was."""
        try:
            with open(self.source, "rb", buffering=0, opener=_open) as file:
                left = self.size
                self._check(file.fileno())
                while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
                    left -= len(chunk)
                    yield chunk
                self._check(file.fileno())
        except OSError as error:
            raise Failed(f"{in_one_line(self.source)}: {error.strerror}") from None

    def _check(self, descriptor: int) -> None:
        if identity_of(os.fstat(descriptor)) != self.identity:
            raise Failed(f"{in_one_line(self.source)} changed while it was read: deploy again", FAILED)


@dataclass(frozen=True)
class Folder:
    """A folder to publish: its files and folders, in the order of their paths."""

    path: Path
    files: tuple[File, ...]
    folders: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def empty_folders(self) -> list[str]:
        """Those folders that no file's path names."""
        named = {parent for path in (*(file.path for file in self.files), *self.folders) for parent in _parents(path)}
        return [folder for folder in self.folders if folder not in named]


def look_into(path: Path) -> Folder:
    """What ``path`` publishes; ``Failed`` for what cannot be published as it is.

    Links are followed where they lead to a place within the folder.
    """
    root = Path(os.path.realpath(path))
    found = _Walk(root, Ignored(root))
    try:
        found.walk(str(root), "", ())
    except RecursionError:
        raise Failed(f"{path} has too many folders within each other", USAGE) from None
    if not found.files:
        raise Failed(f"there is nothing to publish in {path}", USAGE)
    files = tuple(sorted(found.files, key=lambda file: file.path))
    return Folder(root, files, tuple(sorted(found.folders)))


def why_not(folder: Folder) -> str | None:
    """Why this is most likely not the folder that is meant; None for one that may be."""
    if str(folder.path) in ("/", os.path.expanduser("~")):
        return f"{folder.path} is no site"
    names = {file.path for file in folder.files}
    if "package.json" not in names or not names.isdisjoint(_INDEXES):
        return None
    built = [name for name in _BUILT if any((folder.path / name / index).is_file() for index in _INDEXES)]
    hint = f"the site is in {folder.path / built[0]}" if built else "build it first, and deploy what comes out (dist/)"
    return f"{folder.path} has a package.json and no index.html: {hint}"


def identity_of(status: os.stat_result) -> Identity:
    """What changes whenever a file's content does."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class _Walk:
    def __init__(self, root: Path, is_ignored: Callable[[str, bool], bool]) -> None:
        self.files: list[File] = []
        self.folders: list[str] = []
        self._root = root
        self._is_ignored = is_ignored

    def walk(self, real: str, below: str, above: tuple[str, ...]) -> None:
        """Take in what is in the folder ``real``, published below ``below``; ``above`` are the folders it is in."""
        for entry in sorted(os.scandir(real), key=lambda entry: entry.name):
            path = _utf8(below + entry.name)
            if not self._is_ignored(path, _is_folder(entry)):
                self._take(entry, path, (*above, real))

    def _take(self, entry: os.DirEntry[str], path: str, above: tuple[str, ...]) -> None:
        real = self._followed(entry.path) if entry.is_symlink() else entry.path
        status = os.stat(real)
        if stat.S_ISDIR(status.st_mode):
            if real in above:
                raise Failed(f"{in_one_line(entry.path)} is a link to a folder that it is in", USAGE)
            self.folders.append(path)
            self.walk(real, f"{path}/", above)
        elif stat.S_ISREG(status.st_mode):
            self.files.append(File(path, real, status.st_size, identity_of(status)))
        else:
            raise Failed(f"{in_one_line(entry.path)} is neither a file nor a folder", USAGE)

    def _followed(self, link: str) -> str:
        real = Path(os.path.realpath(link))
        if not real.is_relative_to(self._root):
            raise Failed(f"{in_one_line(link)} is a link out of the folder, to {in_one_line(real)}", USAGE)
        if not real.exists():
            raise Failed(f"{in_one_line(link)} is a link to nothing", USAGE)
        return str(real)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads in a circle.
        return False


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Failed(f"the name {in_one_line(os.fsencode(path))} is not UTF-8", USAGE) from None
    return path
