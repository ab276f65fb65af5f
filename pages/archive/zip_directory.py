"""A zip's central directory: found by the one end record, every entry of it judged."""

import os
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pages.archive import zip_fields as fields
from pages.archive.names import is_nameless, judged_path, shown_name
from pages.errors import BadArchive

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")

_DOS_FOLDER = 0x10
_MAX_PADDING_BYTES = 64 * 1024
_MAX_RAW_NAME_BYTES = 4096  # Room for a path of 1,024 bytes in any charset, and for some "./" in it.


class Directory(NamedTuple):
    """Where the central directory starts and ends in the file, and how many entries it says it has."""

    start: int
    end: int
    entries: int


class Record(NamedTuple):
    """One entry of the central directory."""

    offset: int
    raw_name: bytes
    path: str
    is_folder: bool
    flags: int
    method: int
    crc: int
    packed: int
    size: int


def find_directory(file: BinaryIO) -> Directory:
    """Where the central directory is, by the one end record that ends the file."""
    size = file.seek(0, os.SEEK_END)
    tail_start = max(0, size - _END.size - fields.FULL16 - _MAX_PADDING_BYTES)
    file.seek(tail_start)
    tail = file.read()
    content_length = len(tail.rstrip(b"\0"))
    ends = [at for at in _occurrences(tail, b"PK\x05\x06") if _is_end(tail, at, content_length)]
    # A signature in the comment is where some readers look for the end record.
    if len(ends) != 1 or tail.find(b"PK\x05\x06", ends[0] + 1) >= 0:
        raise BadArchive("不是完整的 zip 文件（末尾记录缺失、有多余数据或不唯一）")
    at = tail_start + ends[0]
    _, disk, start_disk, count_here, count, length, start, _ = _END.unpack_from(tail, ends[0])
    if disk or start_disk or count_here != count:
        raise BadArchive("不支持分卷 zip")
    found = Directory(start, start + length, count)
    file.seek(max(0, at - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if at >= _LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        found, at = _find_directory64(file, locator, found, at - _LOCATOR.size)
    if found.end != at:
        raise BadArchive("中央目录的位置或大小不符")
    return found


def _find_directory64(file: BinaryIO, locator: bytes, small: Directory, locator_at: int) -> tuple[Directory, int]:
    """The zip64 end record's directory, and where that record stands; the small record must agree."""
    _, disk, at, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1 or at + _END64.size > locator_at:
        raise BadArchive("zip64 末尾记录无效")
    file.seek(at)
    signature, length, _, _, disk, start_disk, count_here, count, directory_size, start = _END64.unpack(
        file.read(_END64.size)
    )
    # (Its extensible data is what no reader looks at.)
    is_whole = length == _END64.size - 12 and at + _END64.size == locator_at
    if signature != b"PK\x06\x06" or not is_whole or disk or start_disk or count_here != count:
        raise BadArchive("zip64 末尾记录无效")
    if (
        small.entries not in (count, fields.FULL16)
        or small.start not in (start, fields.FULL32)
        or small.end - small.start not in (directory_size, fields.FULL32)
    ):
        raise BadArchive("zip64 末尾记录与普通末尾记录矛盾")
    return Directory(start, start + directory_size, count), at


def _occurrences(data: bytes, signature: bytes) -> Iterator[int]:
    at = data.find(signature)
    while at >= 0:
        yield at
        at = data.find(signature, at + 1)


def _is_end(tail: bytes, at: int, content_length: int) -> bool:
    """Is there a whole end record at ``at``, its comment the last thing in the file but for zeros?

    (bsdtar pads a zip that it writes into a pipe to whole blocks.)
    """
    if at + _END.size > len(tail):
        return False
    end = at + _END.size + int(_END.unpack_from(tail, at)[7])
    return content_length <= end <= len(tail)


def read_directory(file: BinaryIO, directory: Directory) -> list[Record]:
    """Every entry; ``BadArchive`` for one that breaks a rule, or when their number or length is not as said."""
    file.seek(directory.start)
    records = []
    left = directory.end - directory.start
    for _ in range(directory.entries):
        header = fields.exactly(file, _CENTRAL.size)
        values = _CENTRAL.unpack(header)
        name_length, extra_length, comment_length = values[10:13]
        left -= _CENTRAL.size + name_length + extra_length + comment_length
        if values[0] != b"PK\x01\x02" or left < 0:
            raise BadArchive("中央目录损坏")
        if name_length > _MAX_RAW_NAME_BYTES:
            raise BadArchive(f"条目名超过 {_MAX_RAW_NAME_BYTES} 字节")
        rest = fields.exactly(file, name_length + extra_length + comment_length)
        records.append(_record(values, rest[:name_length], rest[name_length : name_length + extra_length]))
    if left:
        raise BadArchive("中央目录与条目数不符")
    return records


def _record(values: tuple[int, ...], raw_name: bytes, extra: bytes) -> Record:
    _, _, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, offset = values
    extras = fields.extra_fields(extra)
    name = fields.decoded_name(raw_name, flags, extras.get(fields.EXTRA_UNICODE_PATH))
    if flags & fields.ENCRYPTED:
        raise BadArchive(f"不支持加密条目: {shown_name(name)}")
    if method not in (fields.STORED, fields.DEFLATED) or flags & fields.PATCHED:
        raise BadArchive(f"不支持的压缩方法 {method}: {shown_name(name)}（请用标准 Deflate 重新压缩）")
    size, packed, offset, disk = fields.zip64_values(
        extras.get(fields.EXTRA_ZIP64),
        (size, fields.FULL32),
        (packed, fields.FULL32),
        (offset, fields.FULL32),
        (disk, fields.FULL16),
    )
    if disk:
        raise BadArchive("不支持分卷 zip")
    if method == fields.STORED and size != packed:
        raise BadArchive(f"大小矛盾: {shown_name(name)}")
    is_folder = _is_folder(name, attributes)
    if is_folder and size:
        raise BadArchive(f"文件夹条目带有内容: {shown_name(name)}")
    path = judged_path(name)
    if not is_folder and is_nameless(name):
        raise BadArchive(f"条目名为空: {shown_name(name)}")
    return Record(offset, raw_name, path, is_folder, flags, method, crc, packed, size)


def _is_folder(name: str, attributes: int) -> bool:
    """By the trailing slash; what the attributes say must not contradict it."""
    kind = stat.S_IFMT(attributes >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"不允许符号链接或特殊文件: {shown_name(name)}")
    folder = name.endswith("/")
    if not folder and (kind == stat.S_IFDIR or attributes & _DOS_FOLDER):
        raise BadArchive(f"条目是文件还是文件夹不明确: {shown_name(name)}")
    return folder
