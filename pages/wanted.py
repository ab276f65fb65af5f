"""The ``manifest`` part of a deploy: all that the site shall hold, each file by the SHA-256 of its content."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec

from pages.archive import Entry, Limits, without_conflicts
from pages.archive.names import is_nameless, is_rubbish, judged_path, shown_name
from pages.errors import BadArchive, InvalidField, TooLarge
from pages.model import named_once

_BYTES_PER_FILE, _MORE_BYTES = 512, 64 * 1024

# The end of the text, and not of its last line.
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    files: dict[str, Digest]
    folders: list[str] = []


# Made here: see model.
_decoder = msgspec.json.Decoder(_Form)


@dataclass(frozen=True)
class Wanted:
    """Each file's digest by its path, and the folders that are named beside."""

    files: dict[str, str]
    folders: tuple[str, ...]

    @cached_property
    def every_folder(self) -> set[str]:
        """All folders that the site has, those named and those that files need."""
        found = set(self.folders)
        for path in (*self.files, *self.folders):
            while (path := path.rpartition("/")[0]) not in found and path:
                found.add(path)
        return found

    def holds(self, entry: Entry) -> bool:
        """Is this file or folder, whatever its content, one of the site?"""
        return entry.path in (self.every_folder if entry.is_folder else self.files)

    def in_order(self) -> Iterator[tuple[str, bool]]:
        """Every path, and whether it is a folder: in one order for the same site, each folder before what is in it."""
        for name in sorted([*self.files, *(f"{folder}/" for folder in self.folders)]):
            yield name.removesuffix("/"), name.endswith("/")


def read_wanted(file: Path, limits: Limits) -> Wanted:
    """What an uploaded manifest says; paths are judged as an archive's are, and the same rubbish is left out.

    Raises ``InvalidField`` for the first thing that is wrong, ``TooLarge`` for more than ``limits.max_files`` names or
    512 bytes for each of them.
    """
    most = _BYTES_PER_FILE * limits.max_files + _MORE_BYTES
    if file.stat().st_size > most:
        raise TooLarge(f"字段 manifest 超过上限 {most} 字节")
    try:
        named = _named(_decoded(file.read_bytes(), limits))
        for _ in without_conflicts((Entry(path, is_folder, iter(())) for path, is_folder, _ in named), limits):
            pass
    except BadArchive as error:
        raise InvalidField("manifest", error.reason) from None
    kept = [each for each in named if each[0] and not is_rubbish(each[0])]
    files = {path: digest for path, is_folder, digest in kept if not is_folder}
    if not files:
        raise InvalidField("manifest", "没有列出文件")
    return Wanted(files, tuple(path for path, is_folder, _ in kept if is_folder))


def _decoded(data: bytes, limits: Limits) -> _Form:
    # Each name and digest has two quotes: many short ones would take far more memory than the bytes they come in.
    if data.count(b'"') - data.count(b'\\"') > 4 * limits.max_files + 16:
        raise _too_many(limits)
    try:
        form = _decoder.decode(data)
        json.loads(data, object_pairs_hook=named_once)
    except (msgspec.MsgspecError, ValueError):
        raise InvalidField("manifest", '必须是 {"files": {路径: SHA-256}, "folders": [路径]}，且名称不重复') from None
    if len(form.files) + len(form.folders) > limits.max_files:
        raise _too_many(limits)
    return form


def _named(form: _Form) -> list[tuple[str, bool, str]]:
    """Every name judged: (path, is it a folder, digest)."""
    for name in form.files:
        if is_nameless(name):
            raise BadArchive(f"条目名为空: {shown_name(name)}")
    files = [(_judged(name), False, digest) for name, digest in form.files.items()]
    return files + [(_judged(name), True, "") for name in form.folders]


def _judged(untrusted_name: str) -> str:
    if "\\" in untrusted_name:
        raise BadArchive(f"条目名含反斜杠: {shown_name(untrusted_name)}")
    return judged_path(untrusted_name)


def _too_many(limits: Limits) -> TooLarge:
    return TooLarge(f"条目数超过上限 max_files = {limits.max_files}")
