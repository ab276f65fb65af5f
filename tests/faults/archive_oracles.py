"""What must hold for any archive at all: judged by the reader's own promises and by other programs' reading.

Each oracle returns what is wrong as a sentence, or "" when all is well. Where the other programs differ among
themselves, the class of the difference is named in ``EXPLAINED`` and only contents are compared, not names.
"""

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pages.archive import Limits, Plainness, archive_kind, read_archive, read_stored_archive
from pages.archive.names import is_rubbish
from pages.errors import BadArchive, TooLarge
from pages.packing import TarGz
from pages.staging import Staging

LIMITS = Limits(max_files=2_000, max_unpacked_bytes=8 * 1024 * 1024)
Tree = dict[str, bytes | None]  # Files by path; None is a folder.

EXPLAINED = {
    "prefix of GNU": "tarfile puts the times that GNU keeps where POSIX has the prefix before the name",
    "charset": "zip names without the UTF-8 flag: each program guesses another charset, or takes the raw bytes",
    "backslash": "zip names with a backslash: unzip and bsdtar make it a separator only for some makers",
    "folder with a file's type": "a name that ends in a slash in an entry that is a file by its type",
}


class Refused(Exception):
    """The reader's one way to say no."""


def judged(data: bytes, filename: str, limits: Limits = LIMITS) -> tuple[Tree, bool]:
    """The reader's tree, and whether the archive is plain; ``Refused``, and any other error is a failure."""
    plainness, tree = Plainness(), Tree()
    try:
        for entry in read_archive(io.BytesIO(data), archive_kind(filename), limits, plainness):
            content = b"".join(entry.chunks)
            tree[entry.path] = None if entry.is_folder else content
    except (BadArchive, TooLarge) as error:
        raise Refused(str(error)) from error
    return tree, plainness.holds and not filename.endswith(".zip")


# --- The standard library, in this process --------------------------------------------------


def against_stdlib(data: bytes, filename: str, tree: Tree, plain: bool) -> str:
    """The standard library may drop files in silence; it must find none that the reader has not."""
    try:
        theirs, is_exact = _by_zipfile(data) if filename.endswith(".zip") else _by_tarfile(data)
    except _STDLIB_REFUSALS as error:
        if "CRC" in str(error):  # Whatever else they are strict about, this they cannot be mistaken in.
            return f"accepted, but the standard library says {error!r}"
        return f"plain, but tarfile refuses it: {error!r}" if plain else ""
    files = {path: content for path, content in tree.items() if content is not None}
    if plain and (not is_exact or theirs != files):
        return f"plain, but tarfile reads {_short(theirs)}, the reader {_short(files)}"
    if is_exact:
        lost = {path: content for path, content in theirs.items() if files.get(path) != content}
        lost = {path: content for path, content in lost.items() if content or path not in tree}
        return f"tarfile or zipfile also reads {_short(lost)}, the reader {_short(files)}" if lost else ""
    lost_contents = Counter(theirs.values()) - Counter(files.values())
    return f"zipfile also reads contents {list(lost_contents)[:3]}" if lost_contents else ""


_STDLIB_REFUSALS = (
    zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError, zlib.error, EOFError, ValueError,
    IndexError, OSError, KeyError,
)  # fmt: skip


def _by_zipfile(data: bytes) -> tuple[dict[str, bytes], bool]:
    files, exact = {}, True
    with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as archive:
        warnings.simplefilter("ignore")  # A name that comes twice.
        for info in archive.infolist():
            exact = exact and info.orig_filename.isascii() and b"up" not in info.extra  # (Unicode Path: 0x7075.)
            path = usual(info.orig_filename.replace("\\", "/"))
            if b"up" in info.extra:  # By its other name it may be one that is left out.
                continue
            if not path.endswith("/") and not is_rubbish(path):
                files[path] = archive.read(info)
    return files, exact


def _by_tarfile(data: bytes) -> tuple[dict[str, bytes], bool]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for info in archive:
            path = usual(info.name)
            if info.isreg() and not path.endswith("/") and not is_rubbish(path):
                file = archive.extractfile(info)
                assert file
                files[path] = file.read()
    tar = gzip.decompress(data)
    headers = (tar[at : at + 512] for at in range(0, len(tar), 512))
    return files, not any(block[257:265] == b"ustar  \0" and any(block[345:500]) for block in headers)


def usual(path: str) -> str:
    """Without what a file system ignores in a path; a slash at the end stays."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts) + "/" * (path.endswith("/") or not parts)


# --- Other programs, on disk ----------------------------------------------------------------


def against_programs(data: bytes, filename: str, tree: Tree, plain: bool, folder: Path) -> str:
    """Unpacked by bsdtar, and by unzip or GNU tar: the very tree, where both take the archive."""
    archive = folder / filename
    archive.write_bytes(data)
    kind = archive_kind(filename)
    commands = {"bsdtar": ["bsdtar", "-xf"], "tar": ["tar", "-xzf"], "unzip": ["unzip", "-q", "-o"]}
    names = ("bsdtar", "unzip" if kind == "zip" else "tar")
    trees = {name: _unpacked(commands[name], archive, folder / name) for name in names if shutil.which(name)}
    wrong = ""
    if plain and trees.get("tar") != _with_parents(tree):
        wrong = f"plain, but tar reads {_short(trees.get('tar'))}, the reader {_short(tree)}"
    elif None not in trees.values():
        wrong = _differences(trees, tree, is_exact=kind == "tar.gz" or _is_exact(data))
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
    return wrong


def _is_exact(data: bytes) -> bool:
    """Do all programs take this zip's names in the same way? (``EXPLAINED``, charset and backslash.)"""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return all(i.orig_filename.isascii() and "\\" not in i.orig_filename and b"up" not in i.extra
                   for i in archive.infolist())  # fmt: skip


def _differences(trees: dict[str, Tree | None], tree: Tree, is_exact: bool) -> str:
    ours = _with_parents(tree)
    for program, theirs in trees.items():
        theirs = {path: content for path, content in (theirs or {}).items() if not is_rubbish(path)}
        if is_exact and _files(theirs) != _files(ours):
            return f"{program} reads {_short(theirs)}, the reader {_short(ours)}"
        if _contents(theirs) != _contents(ours):
            return f"{program} reads other contents: {_short(theirs)}, the reader {_short(ours)}"
    return ""


def _contents(tree: Tree) -> Counter[bytes]:
    """What the files hold. (To unzip ``a\\`` of a Unix is an empty file, to the reader a folder.)"""
    return Counter(content for content in tree.values() if content)


def _files(tree: Tree) -> dict[str, bytes]:
    return {path: content for path, content in tree.items() if content is not None}


def _with_parents(tree: Tree) -> Tree:
    parents: Tree = {}
    for path in tree:
        while path := path.rpartition("/")[0]:
            parents[path] = None
    return {**parents, **tree}


def _unpacked(command: list[str], archive: Path, folder: Path) -> Tree | None:
    """What a program makes of an archive; None where it says no."""
    folder.mkdir()
    done = subprocess.run(
        [*command, str(archive)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    return on_disk(folder) if done.returncode == 0 else None


def on_disk(folder: Path) -> Tree:
    """A folder's files and folders, whatever their modes; a link or device is a file that nobody else has."""
    tree: Tree = {}
    for top, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(top, name)
            found, key = os.lstat(path), os.path.relpath(path, folder)
            key = key.encode(errors="surrogateescape").decode(errors="replace")
            if stat.S_ISDIR(found.st_mode):
                os.chmod(path, 0o755)
                tree[key] = None
            elif stat.S_ISREG(found.st_mode):
                os.chmod(path, 0o644)
                tree[key] = Path(path).read_bytes()
            else:
                tree[key] = b"a special file: %o" % found.st_mode
    return tree


# --- Staged to disk -------------------------------------------------------------------------


def staged(data: bytes, filename: str, tree: Tree, plain: bool, folder: Path) -> str:
    """Staged as a deploy does it: the tree on disk, and the stored archive by ``tar xzf`` and by the reader."""
    stored, staging = folder / "stored.tar.gz", Staging(folder / "tree")
    entries = read_archive(io.BytesIO(data), archive_kind(filename), LIMITS)
    if plain:
        staging.add(entries, None)
        stored.write_bytes(data)
    else:
        with open(stored, "wb") as file, TarGz(file, 1_700_000_000) as tar:
            staging.add(entries, tar)
    ours = {path: content for path, content in _with_parents(tree).items() if path}
    found = {
        "the staged tree": on_disk(staging.tree),
        "tar xzf of the stored archive": _unpacked(["tar", "-xzf"], stored, folder / "by-tar"),
        "the reader on the stored archive": _read(read_stored_archive(io.BytesIO(stored.read_bytes()))),
    }
    again = Staging(folder / "again")
    again.add(read_stored_archive(io.BytesIO(stored.read_bytes())), None)
    wrong = [f"{what} is {_short(theirs)} and not {_short(ours)}" for what, theirs in found.items() if theirs != ours]
    if again.digest() != staging.digest():
        wrong.append("the stored archive has another digest")
    for name in ("tree", "by-tar", "again"):
        shutil.rmtree(folder / name)
    return "; ".join(wrong)


def _read(entries: Iterable) -> Tree:  # type: ignore[type-arg]
    read = {entry.path: None if entry.is_folder else b"".join(entry.chunks) for entry in entries}
    return {path: content for path, content in _with_parents(read).items() if path}


def _short(tree: object) -> str:
    text = repr(tree)
    return text if len(text) < 600 else text[:600] + "…"
