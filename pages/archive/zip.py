"""A zip, read strictly: each byte of the file belongs to one entry, and both of its headers agree.

The standard library's reader believes the central directory and repairs what contradicts it, so that
two programs see two different archives in one file. This one refuses instead (contract 3; APPNOTE
6.3.10 for the layout). Content is inflated by zlib in bounded steps.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pages.archive.entry import CHUNK_BYTES, Entry, Limits
from pages.archive.names import judged_path, shown_name
from pages.errors import BadArchive, TooLarge

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # Traditional, strong, masked headers.
_PATCHED = 0x20
_DESCRIPTOR = 0x8  # Sizes and checksum follow the content.
_UTF8 = 0x800
_MUST_AGREE = _ENCRYPTED | _PATCHED | _DESCRIPTOR | _UTF8
_DOS_FOLDER = 0x10
_EXTRA_ZIP64, _EXTRA_UNICODE_PATH = 0x0001, 0x7075
_MAX_PADDING_BYTES = 64 * 1024
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


class _Directory(NamedTuple):
    start: int
    end: int
    entries: int


class _Record(NamedTuple):
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


def read_zip(file: BinaryIO, limits: Limits) -> Iterator[Entry]:
    """The entries of a zip in the order they stand in the file.

    ``file`` is seekable. Raises ``BadArchive`` for the first thing that is wrong, ``TooLarge`` when
    there are more than ``limits.max_files`` entries.
    """
    size = file.seek(0, os.SEEK_END)
    directory = _find_directory(file, size)
    if directory.entries > limits.max_files:
        raise TooLarge(f"条目数超过上限 max_files = {limits.max_files}")
    records = _read_directory(file, directory)
    records.sort()
    expected = 0
    for index, record in enumerate(records):
        if record.offset != expected:
            raise BadArchive("条目重叠、有隐藏数据，或压缩包前有多余数据")
        expected = records[index + 1].offset if index + 1 < len(records) else directory.start
        yield Entry(record.path, record.is_folder, _content(file, record, expected))
    if expected != directory.start:
        raise BadArchive("压缩包前有多余数据")


def _find_directory(file: BinaryIO, size: int) -> _Directory:
    """Where the central directory is, by the one end record that ends the file."""
    tail_start = max(0, size - _END.size - _FULL16 - _MAX_PADDING_BYTES)
    file.seek(tail_start)
    tail = file.read()
    ends = [at for at in _occurrences(tail, b"PK\x05\x06") if _is_end(tail, at)]
    if len(ends) != 1:
        raise BadArchive("不是完整的 zip 文件（末尾记录缺失、有多余数据或不唯一）")
    at = tail_start + ends[0]
    _, disk, start_disk, count_here, count, length, start, _ = _END.unpack_from(tail, ends[0])
    if disk or start_disk or count_here != count:
        raise BadArchive("不支持分卷 zip")
    found = _Directory(start, start + length, count)
    file.seek(max(0, at - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if at >= _LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        found, at = _find_directory64(file, locator, found, at - _LOCATOR.size)
    if found.end != at:
        raise BadArchive("中央目录的位置或大小不符")
    return found


def _find_directory64(file: BinaryIO, locator: bytes, small: _Directory, locator_at: int) -> tuple[_Directory, int]:
    """The zip64 end record's directory, and where that record stands; the small record must agree."""
    _, disk, at, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1 or at + _END64.size > locator_at:
        raise BadArchive("zip64 末尾记录无效")
    file.seek(at)
    signature, length, _, _, disk, start_disk, count_here, count, directory_size, start = _END64.unpack(
        file.read(_END64.size)
    )
    if signature != b"PK\x06\x06" or at + 12 + length != locator_at or disk or start_disk or count_here != count:
        raise BadArchive("zip64 末尾记录无效")
    if (
        small.entries not in (count, _FULL16)
        or small.start not in (start, _FULL32)
        or small.end - small.start not in (directory_size, _FULL32)
    ):
        raise BadArchive("zip64 末尾记录与普通末尾记录矛盾")
    return _Directory(start, start + directory_size, count), at


def _occurrences(data: bytes, signature: bytes) -> Iterator[int]:
    at = data.find(signature)
    while at >= 0:
        yield at
        at = data.find(signature, at + 1)


def _is_end(tail: bytes, at: int) -> bool:
    """Is there a whole end record at ``at``, its comment the last thing in the file but for zeros?

    (bsdtar pads a zip that it writes into a pipe to whole blocks.)
    """
    if at + _END.size > len(tail):
        return False
    end = at + _END.size + int(_END.unpack_from(tail, at)[7])
    return end <= len(tail) and not any(tail[end:])


def _read_directory(file: BinaryIO, directory: _Directory) -> list[_Record]:
    file.seek(directory.start)
    records = []
    left = directory.end - directory.start
    for _ in range(directory.entries):
        header = _exactly(file, _CENTRAL.size)
        fields = _CENTRAL.unpack(header)
        name_length, extra_length, comment_length = fields[10:13]
        left -= _CENTRAL.size + name_length + extra_length + comment_length
        if fields[0] != b"PK\x01\x02" or left < 0:
            raise BadArchive("中央目录损坏")
        rest = _exactly(file, name_length + extra_length + comment_length)
        records.append(_record(fields, rest[:name_length], rest[name_length : name_length + extra_length]))
    if left:
        raise BadArchive("中央目录与条目数不符")
    return records


def _record(fields: tuple[int, ...], raw_name: bytes, extra: bytes) -> _Record:
    _, _, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, offset = fields
    extras = _extra_fields(extra)
    name = _decoded_name(raw_name, flags, extras.get(_EXTRA_UNICODE_PATH))
    shown = shown_name(name)
    if flags & _ENCRYPTED:
        raise BadArchive(f"不支持加密条目: {shown}")
    if method not in (_STORED, _DEFLATED) or flags & _PATCHED:
        raise BadArchive(f"不支持的压缩方法 {method}: {shown}（请用标准 Deflate 重新压缩）")
    size, packed, offset, disk = _zip64_values(
        extras.get(_EXTRA_ZIP64), (size, _FULL32), (packed, _FULL32), (offset, _FULL32), (disk, _FULL16)
    )
    if disk:
        raise BadArchive("不支持分卷 zip")
    if method == _STORED and size != packed:
        raise BadArchive(f"大小矛盾: {shown}")
    is_folder = _is_folder(name, attributes, shown)
    if is_folder and size:
        raise BadArchive(f"文件夹条目带有内容: {shown}")
    path = judged_path(name)
    if not path and not is_folder:
        raise BadArchive(f"条目名为空: {shown}")
    return _Record(offset, raw_name, path, is_folder, flags, method, crc, packed, size)


def _is_folder(name: str, attributes: int, shown: str) -> bool:
    """By the trailing slash; what the attributes say must not contradict it."""
    kind = stat.S_IFMT(attributes >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"不允许符号链接或特殊文件: {shown}")
    folder = name.endswith("/")
    if not folder and (kind == stat.S_IFDIR or (kind == 0 and attributes & _DOS_FOLDER)):
        raise BadArchive(f"条目是文件还是文件夹不明确: {shown}")
    return folder


def _decoded_name(raw: bytes, flags: int, unicode_path: bytes | None) -> str:
    """The name as its maker meant it, with ``/`` between the parts (contract 3, "Zip names")."""
    better = _unicode_path(raw, unicode_path)
    if flags & _UTF8:
        name = _decoded(raw, "utf-8")
        if better is not None and better != name:
            raise BadArchive(f"条目有两个不同的名字: {shown_name(better)}")
    else:
        name = better or _decoded(raw, "utf-8") or _decoded(raw, "gb18030")
    if name is None:
        raise BadArchive(f"条目名不是 UTF-8 或 GB18030: {shown_name(raw.decode('latin-1'))}")
    return name.replace("\\", "/")


def _unicode_path(raw: bytes, field: bytes | None) -> str | None:
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


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if at + length > len(extra):
            break
        if tag in fields and tag in (_EXTRA_ZIP64, _EXTRA_UNICODE_PATH):
            raise BadArchive("扩展字段重复")
        fields[tag] = extra[at : at + length]
        at += length
    # Alignment tools pad with zeros that make no whole field.
    if any(extra[at:]):
        raise BadArchive("扩展字段损坏")
    return fields


def _zip64_values(field: bytes | None, *values: tuple[int, int]) -> tuple[int, ...]:
    """Each (value, placeholder): where the header holds the placeholder, the zip64 field has it."""
    at = 0
    result = []
    for value, placeholder in values:
        if field is not None and value == placeholder:
            width = 4 if placeholder == _FULL16 else 8
            if at + width > len(field):
                raise BadArchive("zip64 字段损坏")
            value = int.from_bytes(field[at : at + width], "little")
            at += width
        result.append(value)
    if field is not None and at < len(field):
        # Values that the header has already, written again: they must be the same.
        said_again = b"".join(value.to_bytes(8, "little") for value in result[:3])
        if not said_again.startswith(field[:24]):
            raise BadArchive("zip64 字段与文件头矛盾")
    return tuple(result)


def _content(file: BinaryIO, record: _Record, end: int) -> Iterator[bytes]:
    """The entry's bytes, checked against both headers; ``end`` is where the next thing begins."""
    file.seek(record.offset)
    data_at = _check_local(file, record)
    data_end = data_at + record.packed
    shown = shown_name(record.path)
    if data_end > end:
        raise BadArchive(f"条目重叠或被截断: {shown}")
    crc = total = 0
    unpacked = _stored(file, record.packed) if record.method == _STORED else _inflated(file, record, shown)
    for chunk in unpacked:
        crc = zlib.crc32(chunk, crc)
        total += len(chunk)
        if total > record.size:
            break
        yield chunk
    if total != record.size:
        raise BadArchive(f"长度不符: {shown}")
    if crc != record.crc:
        raise BadArchive(f"CRC 校验失败: {shown}")
    _check_descriptor(file, record, data_end, end)


def _check_local(file: BinaryIO, record: _Record) -> int:
    """Where the content starts; ``BadArchive`` when the local header says anything else."""
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(
        _exactly(file, _LOCAL.size)
    )
    raw_name = _exactly(file, name_length)
    extras = _extra_fields(_exactly(file, extra_length))
    shown = shown_name(record.path)
    if signature != b"PK\x03\x04" or raw_name != record.raw_name or method != record.method:
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown}")
    if (flags ^ record.flags) & _MUST_AGREE:
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown}")
    if _EXTRA_UNICODE_PATH in extras and not flags & _UTF8:
        other = _unicode_path(raw_name, extras[_EXTRA_UNICODE_PATH])
        if other is not None and judged_path(other.replace("\\", "/")) != record.path:
            raise BadArchive(f"条目有两个不同的名字: {shown}")
    size, packed = _zip64_values(extras.get(_EXTRA_ZIP64), (size, _FULL32), (packed, _FULL32))
    central = (record.crc, record.packed, record.size)
    if (crc, packed, size) != central and not (flags & _DESCRIPTOR and _is_deferred(crc, packed, size, central)):
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown}")
    return int(record.offset + _LOCAL.size + name_length + extra_length)


def _is_deferred(crc: int, packed: int, size: int, central: tuple[int, int, int]) -> bool:
    """With a data descriptor, the local header may leave each value 0 (or all ones) for later."""
    return all(local in (0, _FULL32, final) for local, final in zip((crc, packed, size), central, strict=True))


def _check_descriptor(file: BinaryIO, record: _Record, data_end: int, end: int) -> None:
    """Between the content and the next thing stands a true data descriptor, or nothing."""
    gap = end - data_end
    if not record.flags & _DESCRIPTOR:
        if gap:
            raise BadArchive("条目之间有隐藏数据")
        return
    file.seek(data_end)
    found = _exactly(file, min(gap, 24))
    true = [
        signature + struct.pack(layout, record.crc, record.packed, record.size)
        for signature in (b"", b"PK\x07\x08")
        for layout in ("<LLL", "<LQQ")
        if layout == "<LQQ" or max(record.packed, record.size) <= _FULL32
    ]
    if gap > 24 or found not in true:
        raise BadArchive(f"数据描述符不符: {shown_name(record.path)}")


def _stored(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        chunk = _exactly(file, min(length, CHUNK_BYTES))
        length -= len(chunk)
        yield chunk


def _inflated(file: BinaryIO, record: _Record, shown: str) -> Iterator[bytes]:
    """The inflated content in steps of bounded size; the stream must end where its bytes end."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left = record.packed
    pending = b""
    try:
        while not inflater.eof:
            if not pending:
                if not left:
                    raise BadArchive(f"压缩数据被截断: {shown}")
                pending = _exactly(file, min(left, CHUNK_BYTES))
                left -= len(pending)
            chunk = inflater.decompress(pending, CHUNK_BYTES * 4)
            pending = inflater.unconsumed_tail
            if chunk:
                yield chunk
    except zlib.error as error:
        raise BadArchive(f"压缩数据损坏: {shown}") from error
    if left or inflater.unused_data:
        raise BadArchive(f"压缩数据后有多余内容: {shown}")


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise BadArchive("文件被截断")
    return data
