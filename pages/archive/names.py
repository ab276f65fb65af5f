"""Entry names: an untrusted name in, a safe relative path out."""

import re

from pages.errors import BadArchive

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 1024

_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc: these, and no more ever.
# What nearly all names are: they need no closer look.
_HARMLESS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_RUBBISH_FOLDERS = {"__MACOSX"}
_RUBBISH_FILES = {".DS_Store", "Thumbs.db"}


def judged_path(untrusted_name: str) -> str:
    """The path an entry may have below a site's root; ``""`` is the root itself (``./``).

    Parts that are empty or ``.`` are dropped. Raises ``BadArchive`` for an empty or absolute name, a
    drive letter, a ``..`` part, a NUL or control character, a part over 255 bytes and a path over
    1,024 bytes (contract 3, the list of refusals).
    """
    if not untrusted_name:
        raise BadArchive("条目名为空")
    if len(untrusted_name) <= MAX_PART_BYTES and _HARMLESS.fullmatch(untrusted_name):
        return untrusted_name
    if _CONTROL.search(untrusted_name):
        raise BadArchive(f"条目名含控制字符: {shown_name(untrusted_name)}")
    if _DRIVE.match(untrusted_name):
        raise BadArchive(f"不允许盘符: {shown_name(untrusted_name)}")
    path = contained_path(untrusted_name)
    length = len(path.encode())
    if length > MAX_PART_BYTES and any(len(part.encode()) > MAX_PART_BYTES for part in path.split("/")):
        raise BadArchive(f"文件名超过 {MAX_PART_BYTES} 字节: {shown_name(untrusted_name)}")
    if length > MAX_PATH_BYTES:
        raise BadArchive(f"路径超过 {MAX_PATH_BYTES} 字节: {shown_name(untrusted_name)}")
    return path


def contained_path(name: str) -> str:
    """A relative path that cannot lead out of the folder it is put below; ``BadArchive`` if it could."""
    if name.startswith("/"):
        raise BadArchive(f"不允许绝对路径: {shown_name(name)}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchive(f"不允许上级路径 ..: {shown_name(name)}")
    return "/".join(parts)


def is_nameless(name: str) -> bool:
    """Does the last part name nothing (``""``, ``.``)? A folder may be called so, a file cannot."""
    return name.rpartition("/")[2] in ("", ".")


def is_rubbish(path: str) -> bool:
    """Is this what macOS and Windows add to archives by themselves?"""
    parts = path.split("/")
    return parts[-1] in _RUBBISH_FILES or not _RUBBISH_FOLDERS.isdisjoint(parts)


def shown_name(untrusted_name: str) -> str:
    """A name as an error message may hold it: short and without control characters."""
    text = untrusted_name if len(untrusted_name) <= 120 else untrusted_name[:117] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
