"""A zip, read strictly: each byte of the file belongs to one entry, and both of its headers agree.

The standard library's reader believes the central directory and repairs what contradicts it, so that
two programs see two different archives in one file. This one refuses instead (contract 3; APPNOTE
6.3.10 for the layout). Content is inflated by zlib in bounded steps.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pages.archive import zip_fields as fields
from pages.archive.entry import CHUNK_BYTES, Entry, Limits
from pages.archive.names import judged_path, shown_name
from pages.archive.plain import Plainness
from pages.archive.zip_directory import Record, find_directory, read_directory
from pages.errors import BadArchive, TooLarge

_LOCAL = struct.Struct("<4s5H3L2H")
_MUST_AGREE = fields.ENCRYPTED | fields.PATCHED | fields.DESCRIPTOR | fields.UTF8


def read_zip(file: BinaryIO, limits: Limits, plainness: Plainness) -> Iterator[Entry]:
    """The entries of a zip in the order they stand in the file.

    ``file`` is seekable. Raises ``BadArchive`` for the first thing that is wrong, ``TooLarge`` when
    there are more than ``limits.max_files`` entries.
    """
    plainness.broken()  # A zip is no plain tar.
    directory = find_directory(file)
    if directory.entries > limits.max_files:
        raise TooLarge(f"条目数超过上限 max_files = {limits.max_files}")
    records = read_directory(file, directory)
    records.sort()
    expected = 0
    for index, record in enumerate(records):
        if record.offset != expected:
            raise BadArchive("条目重叠、有隐藏数据，或压缩包前有多余数据")
        expected = records[index + 1].offset if index + 1 < len(records) else directory.start
        yield Entry(record.path, record.is_folder, _content(file, record, expected))
    if expected != directory.start:
        raise BadArchive("压缩包前有多余数据")


def _content(file: BinaryIO, record: Record, end: int) -> Iterator[bytes]:
    """The entry's bytes, checked against both headers; ``end`` is where the next thing begins."""
    file.seek(record.offset)
    data_at = _check_local(file, record)
    data_end = data_at + record.packed
    if data_end > end:
        raise BadArchive(f"条目重叠或被截断: {shown_name(record.path)}")
    crc = total = 0
    unpacked = _stored(file, record.packed) if record.method == fields.STORED else _inflated(file, record)
    for chunk in unpacked:
        crc = zlib.crc32(chunk, crc)
        total += len(chunk)
        if total > record.size:
            break
        yield chunk
    if total != record.size:
        raise BadArchive(f"长度不符: {shown_name(record.path)}")
    if crc != record.crc:
        raise BadArchive(f"CRC 校验失败: {shown_name(record.path)}")
    _check_descriptor(file, record, data_end, end)


def _check_local(file: BinaryIO, record: Record) -> int:
    """Where the content starts; ``BadArchive`` when the local header says anything else."""
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(
        fields.exactly(file, _LOCAL.size)
    )
    rest = fields.exactly(file, name_length + extra_length)
    raw_name, extras = rest[:name_length], fields.extra_fields(rest[name_length:])
    if signature != b"PK\x03\x04" or raw_name != record.raw_name or method != record.method:
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown_name(record.path)}")
    if (flags ^ record.flags) & _MUST_AGREE:
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown_name(record.path)}")
    if fields.EXTRA_UNICODE_PATH in extras:  # bsdtar takes its name from here.
        other = fields.unicode_path(raw_name, extras[fields.EXTRA_UNICODE_PATH])
        if other is not None and judged_path(other.replace("\\", "/")) != record.path:
            raise BadArchive(f"条目有两个不同的名字: {shown_name(record.path)}")
    size, packed = fields.zip64_values(extras.get(fields.EXTRA_ZIP64), (size, fields.FULL32), (packed, fields.FULL32))
    central = (record.crc, record.packed, record.size)
    if (crc, packed, size) != central and not (flags & fields.DESCRIPTOR and _is_deferred(crc, packed, size, central)):
        raise BadArchive(f"本地文件头与中央目录矛盾: {shown_name(record.path)}")
    return int(record.offset + _LOCAL.size + name_length + extra_length)


def _is_deferred(crc: int, packed: int, size: int, central: tuple[int, int, int]) -> bool:
    """With a data descriptor, the local header may leave each value 0 (or all ones) for later."""
    return all(local in (0, fields.FULL32, final) for local, final in zip((crc, packed, size), central, strict=True))


def _check_descriptor(file: BinaryIO, record: Record, data_end: int, end: int) -> None:
    """Between the content and the next thing stands a true data descriptor, or nothing."""
    gap = end - data_end
    if not record.flags & fields.DESCRIPTOR:
        if gap:
            raise BadArchive("条目之间有隐藏数据")
        return
    file.seek(data_end)
    found = fields.exactly(file, min(gap, 24))
    true = [
        signature + struct.pack(layout, record.crc, record.packed, record.size)
        for signature in (b"", b"PK\x07\x08")
        for layout in ("<LLL", "<LQQ")
        if layout == "<LQQ" or max(record.packed, record.size) <= fields.FULL32
    ]
    if gap > 24 or found not in true:
        raise BadArchive(f"数据描述符不符: {shown_name(record.path)}")


def _stored(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        chunk = fields.exactly(file, min(length, CHUNK_BYTES))
        length -= len(chunk)
        yield chunk


def _inflated(file: BinaryIO, record: Record) -> Iterator[bytes]:
    """The inflated content in steps of bounded size; the stream must end where its bytes end."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left = record.packed
    pending = b""
    try:
        while not inflater.eof:
            if not pending:
                if not left:
                    raise BadArchive(f"压缩数据被截断: {shown_name(record.path)}")
                pending = fields.exactly(file, min(left, CHUNK_BYTES))
                left -= len(pending)
            chunk = inflater.decompress(pending, CHUNK_BYTES * 4)
            pending = inflater.unconsumed_tail
            if chunk:
                yield chunk
    except zlib.error as error:
        raise BadArchive(f"压缩数据损坏: {shown_name(record.path)}") from error
    if left or inflater.unused_data:
        raise BadArchive(f"压缩数据后有多余内容: {shown_name(record.path)}")
