"""The file of a full backup: a plain tar, with the size and SHA-256 of each member at its end.

The first member says what it is, the last but one is the manifest, the last holds the SHA-256 of
all that stands before it. Every byte can be predicted from what the manifest says, so what is cut short or altered
anywhere is refused.
"""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from pages.archive.names import contained_path
from pages.errors import BadArchive, OperationFailed

HEADER, MANIFEST, END = "pages-backup.json", "manifest.json", "manifest.sha256"
FORMAT, VERSION = "pages-full", 1
_CHUNK_BYTES = 256 * 1024
_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ID = "[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"
_ALLOWED = re.compile(
    rf"registry/{_NAME}/{_NAME}\.json|sites-checkpoints/{_NAME}/{_NAME}/"
    rf"(?:metadata\.json|checkpoints/{_ID}\.tar\.gz|manifests/{_ID}\.json)|(?s:roots/{_NAME}/{_NAME}/(?P<path>.+))"
)


class SavedSite(msgspec.Struct, frozen=True):
    """One site of a full backup; ``root`` says whose the saved root is, "" when it is a checkpoint's."""

    username: str
    id: str
    root: str
    missing: list[str]


class SavedFile(msgspec.Struct, frozen=True):
    """A member: its size in bytes and SHA-256; ``mtime`` (nanoseconds) of a root's file, else 0."""

    size: int
    sha256: str
    mtime: int = 0


class Saved(msgspec.Struct, frozen=True):
    """The manifest of a full backup."""

    format: str
    version: int
    created_at: str
    sites: list[SavedSite]
    members: dict[str, SavedFile]


class Member(NamedTuple):
    """A member as it is read: take its ``chunks`` to the end before the next one."""

    name: str
    is_folder: bool
    chunks: Iterator[bytes]


class FullTar:
    """A full backup being written to ``file``; ``created_at`` is ISO 8601, ``second`` the Unix time of every member."""

    def __init__(self, file: BinaryIO, created_at: str, second: int) -> None:
        self._file = file
        self._created_at = created_at
        self._second = second
        self._digest = hashlib.sha256()
        self._written = 0
        self.members: dict[str, SavedFile] = {}
        self._add_bytes(HEADER, msgspec.json.encode({"format": FORMAT, "version": VERSION, "created_at": created_at}))

    def add_file(self, name: str, path: Path, mtime: int = 0) -> None:
        """Add a file of the disk; ``OperationFailed`` when it changes meanwhile."""
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._add(name, size, iter(lambda: file.read(_CHUNK_BYTES), b""), mtime)

    def add_folder(self, name: str) -> None:
        """Add a folder of a root; what is in it comes after it."""
        self._write(_header(name, 0, self._second, is_folder=True))

    def finish(self, sites: list[SavedSite]) -> Saved:
        """Write the manifest and the end; returns the manifest."""
        saved = Saved(FORMAT, VERSION, self._created_at, sites, dict(self.members))
        self._add_bytes(MANIFEST, msgspec.json.format(msgspec.json.encode(saved), indent=1))
        self._add_bytes(END, self._digest.hexdigest().encode() + b"\n")
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._written % tarfile.RECORDSIZE))
        return saved

    def _add_bytes(self, name: str, data: bytes) -> None:
        self._add(name, len(data), [data], 0)

    def _add(self, name: str, size: int, chunks: Iterable[bytes], mtime: int) -> None:
        self._write(_header(name, size, self._second))
        left, digest = size, hashlib.sha256()
        for chunk in chunks:
            left -= len(chunk)
            digest.update(chunk)
            self._write(chunk)
        if left:
            raise OperationFailed(f"{name} changed while it was backed up")
        self._write(bytes(-size % tarfile.BLOCKSIZE))
        self.members[name] = SavedFile(size, digest.hexdigest(), mtime)

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self._written += len(data)


def check(source: Path) -> Saved:
    """Read a full backup through; returns its manifest, ``OperationFailed`` when it is not whole and unaltered."""
    saved = None
    for member, found in read(source):
        for _ in member.chunks:
            pass
        saved = found or saved
    if saved is None:
        raise OperationFailed(f"{source.name} is not a whole full backup")
    return saved


def read(source: Path) -> Iterator[tuple[Member, Saved | None]]:
    """The members of a full backup in order; with the last one comes the manifest, and all was verified.

    Nothing that came before counts when this raises ``OperationFailed``: the file is cut short or altered, or names
    what no backup holds.
    """
    try:
        with open(source, "rb") as file, open(source, "rb") as raw, tarfile.open(fileobj=file, mode="r:") as tar:
            yield from _Reader(tar, raw).members()
    except (tarfile.TarError, ValueError, ArithmeticError, EOFError, RecursionError, msgspec.MsgspecError) as error:
        raise _refusal(error) from None


class _Reader:
    def __init__(self, tar: tarfile.TarFile, raw: BinaryIO) -> None:
        self._tar = tar
        self._raw = raw
        self._digest = hashlib.sha256()
        self._members: dict[str, SavedFile] = {}
        self._seen: set[str] = set()
        self._kept = b""

    def members(self) -> Iterator[tuple[Member, Saved | None]]:
        """``OperationFailed`` for the first thing that is wrong."""
        digest = manifest = b""
        while (info := self._tar.next()) is not None:
            _judge(info, self._seen)
            before = self._digest.hexdigest().encode() + b"\n"
            self._expect(_header(info.name, info.size, int(info.mtime), is_folder=info.isdir()), info.name)
            if info.name in (HEADER, MANIFEST, END):
                for _ in self._chunks(info, keep=True):
                    pass
                manifest = self._kept if info.name == MANIFEST else manifest
                if info.name == END:
                    digest = before
                    break
            else:
                member = Member(info.name, info.isdir(), self._chunks(info))
                yield member, None
                for _ in member.chunks:
                    pass
            self._tar.members = []  # type: ignore[attr-defined]  # It would remember every one.
        if not digest or self._kept != digest:
            raise _refusal("it is cut short or altered")
        saved = self._judged(manifest)
        self._expect_end()
        yield Member(END, False, iter(())), saved

    def _judged(self, manifest: bytes) -> Saved:
        saved = msgspec.json.decode(manifest, type=Saved)
        if (saved.format, saved.version) != (FORMAT, VERSION):
            raise _refusal("it is of a version that this program does not know")
        found = {name: (file.size, file.sha256) for name, file in self._members.items() if name not in (MANIFEST, END)}
        if found != {name: (file.size, file.sha256) for name, file in saved.members.items()}:
            raise _refusal("its members are not those of its manifest")
        return saved

    def _chunks(self, info: tarfile.TarInfo, keep: bool = False) -> Iterator[bytes]:
        left, digest, kept = info.size, hashlib.sha256(), []
        while left:
            chunk = self._raw.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise _refusal(f"it is cut short in {info.name}")
            left -= len(chunk)
            digest.update(chunk)
            self._digest.update(chunk)
            kept += [chunk] if keep else []
            yield chunk
        self._expect(bytes(-info.size % tarfile.BLOCKSIZE), info.name)
        self._kept = b"".join(kept)
        if not info.isdir():
            self._members[info.name] = SavedFile(info.size, digest.hexdigest())

    def _expect(self, data: bytes, name: str) -> None:
        if self._raw.read(len(data)) != data:
            raise _refusal(f"it is cut short or altered at {name}")
        self._digest.update(data)

    def _expect_end(self) -> None:
        padding = 2 * tarfile.BLOCKSIZE
        padding += -(self._raw.tell() + padding) % tarfile.RECORDSIZE
        if self._raw.read(padding + 1) != bytes(padding):
            raise _refusal("it is cut short or altered at its end")


def _judge(info: tarfile.TarInfo, seen: set[str]) -> None:
    """``OperationFailed`` for what no full backup holds."""
    if info.name in seen:
        raise _refusal(f"{info.name!r} comes twice")
    seen.add(info.name)
    if info.size < 0 or info.type not in (tarfile.REGTYPE, tarfile.DIRTYPE):
        raise _refusal(f"{info.name!r} is no file or folder")
    if info.name in (HEADER, MANIFEST, END):
        return
    match = _ALLOWED.fullmatch(info.name)
    if match is None or (info.isdir() and not match["path"]):
        raise _refusal(f"{info.name!r} does not belong into a backup")
    if match["path"]:
        try:
            is_contained = contained_path(match["path"]) == match["path"] and "\0" not in match["path"]
        except BadArchive:
            is_contained = False
        if not is_contained:
            raise _refusal(f"{info.name!r} would lead out of its place")


def _refusal(reason: object) -> OperationFailed:
    return OperationFailed(f"this is not a whole full backup: {reason}")


def _header(name: str, size: int, second: int, is_folder: bool = False) -> bytes:
    info = tarfile.TarInfo(name + "/" * is_folder)
    info.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
    info.mode, info.size, info.mtime = 0o700 if is_folder else 0o600, size, second
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
