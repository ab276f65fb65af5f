"""The fields that a zip's local and central headers share: names, flags, extra fields."""

import struct
import zlib
from typing import BinaryIO

from pages.archive.names import shown_name
from pages.errors import BadArchive

STORED, DEFLATED = 0, 8
ENCRYPTED = 0x1 | 0x40 | 0x2000  # Traditional, strong, masked headers.
PATCHED = 0x20
DESCRIPTOR = 0x8  # Sizes and checksum follow the content.
UTF8 = 0x800
EXTRA_ZIP64, EXTRA_UNICODE_PATH = 0x0001, 0x7075
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF

_FIELD_HEAD = struct.Struct("<2H")


def decoded_name(raw: bytes, flags: int, unicode_path_field: bytes | None) -> str:
    """The name as its maker meant it, with ``/`` between the parts (contract 3, "Zip names")."""
    better = unicode_path(raw, unicode_path_field)
    if flags & UTF8:
        name = _decoded(raw, "utf-8")
        if better is not None and better != name:
            raise BadArchive(f"条目有两个不同的名字: {shown_name(better)}")
    else:
        name = better or _decoded(raw, "utf-8") or _decoded(raw, "gb18030")
    if name is None:
        raise BadArchive(f"条目名不是 UTF-8 或 GB18030: {shown_name(raw.decode('latin-1'))}")
    return name.replace("\\", "/")


def unicode_path(raw: bytes, field: bytes | None) -> str | None:
    """Info-ZIP's Unicode Path, when it belongs to this name (it holds the name's CRC)."""
    if field is None or len(field) < 5 or field[0] != 1:
        return None
    if int.from_bytes(field[1:5], "little") != zlib.crc32(raw):
        return None
    return _decoded(field[5:], "utf-8")


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def extra_fields(extra: bytes) -> dict[int, bytes]:
    """The fields by tag; ``BadArchive`` for what is no sequence of whole fields."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        tag, length = _FIELD_HEAD.unpack_from(extra, at)
        at += 4
        if at + length > len(extra):
            raise BadArchive("扩展字段损坏")
        if tag in fields and tag in (EXTRA_ZIP64, EXTRA_UNICODE_PATH):
            raise BadArchive("扩展字段重复")
        fields[tag] = extra[at : at + length]
        at += length
    # Alignment tools pad with zeros that make no whole field.
    if any(extra[at:]):
        raise BadArchive("扩展字段损坏")
    return fields


def zip64_values(field: bytes | None, *values: tuple[int, int]) -> tuple[int, ...]:
    """Each (value, placeholder): where the header holds the placeholder, the zip64 field has it."""
    if field is None:
        return tuple(value for value, _ in values)
    at = 0
    result = []
    for value, placeholder in values:
        if value == placeholder:
            width = 4 if placeholder == FULL16 else 8
            if at + width > len(field):
                raise BadArchive("zip64 字段损坏")
            value = int.from_bytes(field[at : at + width], "little")
            at += width
        result.append(value)
    if at < len(field):
        # Values that the header has already, written again: they must be the same.
        said_again = b"".join(value.to_bytes(8, "little") for value in result[:3])
        if not said_again.startswith(field[:24]):
            raise BadArchive("zip64 字段与文件头矛盾")
    return tuple(result)


def exactly(file: BinaryIO, length: int) -> bytes:
    """The next ``length`` bytes of the file."""
    data = file.read(length)
    if len(data) != length:
        raise BadArchive("文件被截断")
    return data
