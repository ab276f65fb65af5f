"""From a request's path to a file below a site's root, without following a link (contract 4)."""

import errno
import os
import stat
from dataclasses import dataclass, replace
from typing import Any

from pages.media_types import may_have_twins, media_type
from pages.paths import ENCODINGS
from pages.precompress import SUFFIXES

_WELL_KNOWN = ".well-known"
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class File:
    """A regular file to send: ``path`` below ``root``, of a media type, in a content coding or in none.

    ``varies`` says that another request may get it in another coding.
    """

    root: str
    path: str
    status: os.stat_result
    kind: str
    varies: bool
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, by its path without a slash at either end."""

    path: str


def parts_of(path: str) -> list[str] | None:
    """A decoded path's parts; the last is empty for a folder. None for what can be no file.

    Dotfiles are none, but for what stands under ``/.well-known/`` (RFC 8615).
    """
    parts: list[str] = path.removeprefix("/").split("/")
    if "\0" in path or "" in parts[:-1]:
        return None
    if "/." in path or path.startswith("."):
        visible = parts[1:] if parts[0] == _WELL_KNOWN and len(parts) > 1 else parts
        if any(part.startswith(".") for part in visible):
            return None
    return parts


def decoded(path_info: str) -> str | None:
    """A request's path, as WSGI has it, as text; None when it is not UTF-8."""
    if path_info.isascii():
        return path_info
    try:
        return path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


def file_at(tree: str, parts: list[str]) -> File | None:
    """The regular file at ``parts`` below a tree; None for anything else. ``OSError`` if it cannot be told."""
    found = file_or_folder_at(tree, parts)
    return found if isinstance(found, File) else None


def best_variant(file: File, environ: dict[str, Any]) -> File:
    """The compressed twin of a file that the client accepts, made of this very file; else the file.

    A range is of the file as it was uploaded.
    """
    if not file.varies or "HTTP_RANGE" in environ or "HTTP_ACCEPT_ENCODING" not in environ:
        return file
    folder = f"{os.path.dirname(file.root)}/{ENCODINGS}"
    for encoding in _accepted(environ["HTTP_ACCEPT_ENCODING"]):
        path = file.path + SUFFIXES[encoding]
        try:
            status = os.lstat(f"{folder}/{path}")
        except OSError:
            continue
        # Another time: the file was changed by hand since.
        if stat.S_ISREG(status.st_mode) and status.st_mtime_ns == file.status.st_mtime_ns:
            return replace(file, root=folder, path=path, status=status, encoding=encoding)
    return file


def _accepted(header: str) -> list[str]:
    """The codings of ours that an ``Accept-Encoding`` allows by name, the best first (RFC 9110, 12.5.3)."""
    tokens = {}
    for item in header.lower().split(","):
        token, _, weight = item.partition(";")
        tokens[token.strip()] = weight.replace(" ", "")
    return [name for name in SUFFIXES if name in tokens and not _is_zero(tokens[name])]


def _is_zero(weight: str) -> bool:
    return weight.startswith("q=0") and not weight.removeprefix("q=0").strip(".0")


def file_or_folder_at(tree: str, parts: list[str]) -> File | Folder | None:
    """The regular file or the folder at ``parts``, no link followed on the way; else None. ``OSError`` as above."""
    at = tree
    last = len(parts) - 1
    for position, part in enumerate(parts):
        at = f"{at}/{part}"
        try:
            status = os.lstat(at)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return None
        if stat.S_ISDIR(status.st_mode):
            if position == last:
                return Folder("/".join(parts))
        elif position < last or not stat.S_ISREG(status.st_mode):
            return None
    path = "/".join(parts)
    return File(tree, path, status, media_type(path), may_have_twins(path))
