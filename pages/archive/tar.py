"""A tar.gz, read strictly and as a stream: one header after another, each with its checksum.

The standard library's reader takes damage for the end and links for files (contract 3 refuses both;
POSIX.1-2017 pax and GNU tar's manual for the layout). Nothing is held but one header and one chunk.
"""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from pages.archive.entry import Entry, Limits
from pages.archive.gunzip import Gunzip
from pages.archive.names import is_nameless, judged_path, shown_name
from pages.archive.plain import Plainness
from pages.errors import BadArchive, TooLarge

_BLOCK = 512
_MAX_EXTENSION_BYTES = 64 * 1024
# Of all entries together: real ones need some hundred bytes each.
_MAX_EXTENSION_BYTES_PER_ENTRY = 2048
_MAX_GLOBAL_HEADERS = 100
_MAX_OCTAL_SIZE = 0o77777777777

_NO_PREFIX = bytes(155)
# At the end of the prefix star has a NUL and two times.
_TIMES_OF_STAR = re.compile(rb"\0[0-7 ]{11}[ \0][0-7 ]{11}[ \0]")
# Where POSIX has the prefix GNU has two times, and after them what is for other kinds of entries.
_TIMES_OF_GNU = re.compile(rb"(?s)(?:[0-7 ]{11}[\0 ]|\0{12}|[\x80\xff].{11}){2}\0{131}")
_OCTAL = re.compile(rb"(?s) *([0-7]*) *(?:\0.*)?")
_FILES, _FOLDER = (b"0", b"\0", b"7"), b"5"
_LONG_NAME, _PAX, _PAX_GLOBAL = b"L", b"x", b"g"
_REFUSED_TYPES = {
    b"1": "硬链接",
    b"2": "符号链接",
    b"3": "设备文件",
    b"4": "设备文件",
    b"6": "管道",
    b"K": "链接",
    b"S": "稀疏文件",
}


class _Header(NamedTuple):
    block: bytes
    raw_name: bytes
    size: int
    kind: bytes


def judged_tar_path(untrusted_name: str) -> str:
    """``judged_path``, and no backslash: it would be a separator elsewhere, and is none in a tar."""
    if "\\" in untrusted_name:
        raise BadArchive(f"tar 条目名含反斜杠: {shown_name(untrusted_name)}")
    return judged_path(untrusted_name)


def read_tar_gz(
    file: BinaryIO, limits: Limits, plainness: Plainness, judge: Callable[[str], str] = judged_tar_path
) -> Iterator[Entry]:
    """The entries of a gzip-compressed tar in order.

    ``judge`` makes a safe path of an entry's name; ``plainness`` is shown all there is. Raises
    ``BadArchive`` for the first thing that is wrong, ``TooLarge`` when there are more than
    ``limits.max_files`` entries.
    """
    count = 0
    names = _Extensions(plainness, limits)
    with Gunzip(file, plainness) as stream:
        while (header := _next_header(stream, plainness)) is not None:
            if header.kind in (_LONG_NAME, _PAX, _PAX_GLOBAL):
                names.read(header, stream)
                continue
            count += 1
            if count > limits.max_files:
                raise TooLarge(f"条目数超过上限 max_files = {limits.max_files}")
            name, size = names.applied_to(header)
            entry = _entry(name, size, header.kind, stream, judge)
            plainness.see_entry(header.block, name, entry.path)
            yield entry
            for _ in entry.chunks:  # What the caller left unread.
                pass
            stream.exactly(-size % _BLOCK)  # Padding: some writers leave rubbish in it.
        names.finish()
        if stream.expect_only_zeros() % _BLOCK:
            plainness.broken()


def _entry(name: str, size: int, kind: bytes, stream: Gunzip, judge: Callable[[str], str]) -> Entry:
    if kind not in (*_FILES, _FOLDER):
        raise BadArchive(f"不允许{_REFUSED_TYPES.get(kind, '此类条目')}: {shown_name(name)}")
    is_folder = kind == _FOLDER or name.endswith("/")
    if is_folder and size:
        raise BadArchive(f"文件夹条目带有内容: {shown_name(name)}")
    path = judge(name)
    if not is_folder and is_nameless(name):
        raise BadArchive(f"条目名为空: {shown_name(name)}")
    return Entry(path, is_folder, stream.chunks(size))


def _next_header(stream: Gunzip, plainness: Plainness) -> _Header | None:
    """The next header; None at the two zero blocks that end a tar."""
    block = stream.exactly(_BLOCK)
    if not any(block):
        if any(stream.exactly(_BLOCK)):
            raise BadArchive("tar 结束标记损坏")
        return None
    # Old writers summed signed bytes; the field itself counts as spaces.
    total, written = sum(block) - sum(block[148:156]) + 8 * 0x20, _number(block[148:156])
    if written != total:
        plainness.broken()
        if written != total - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
            raise BadArchive("tar 头校验和错误")
    return _Header(block, _raw_name(block), _number(block[124:136]), block[156:157])


def _raw_name(block: bytes) -> bytes:
    """The header's own name, with the prefix that POSIX puts before it (GNU has other fields there)."""
    name = _text(block[:100])
    if block[345:500] == _NO_PREFIX or block[156:157] in _REFUSED_TYPES:
        return name
    if block[257:265] == b"ustar  \0" and _TIMES_OF_GNU.fullmatch(block[345:500]):
        return name
    if block[257:263] != b"ustar\0":
        raise BadArchive(f"tar 格式不明确: {shown_name(name.decode('latin-1'))}")
    prefix = _text(block[345:475] if _TIMES_OF_STAR.fullmatch(block[475:500]) else block[345:500])
    return prefix + b"/" + name if prefix else name


def _number(field: bytes) -> int:
    """A number field: octal text, or GNU's base-256."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise BadArchive("tar 头中的数字无效")
        return int.from_bytes(field[1:], "big")
    text = _OCTAL.fullmatch(field)
    if text is None:
        raise BadArchive("tar 头中的数字无效")
    return int(text[1] or b"0", 8)


def _text(field: bytes) -> bytes:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        raise BadArchive(f"条目名含 NUL: {shown_name(text.decode('latin-1'))}")
    return text


class _Extensions:
    """The name extensions that stand before an entry and apply to it alone."""

    def __init__(self, plainness: Plainness, limits: Limits) -> None:
        self._plainness = plainness
        self._bytes_left = _MAX_EXTENSION_BYTES_PER_ENTRY * limits.max_files + _MAX_EXTENSION_BYTES
        self._long_name: bytes | None = None
        self._pax: dict[bytes, bytes] | None = None
        self._globals = 0
        self._ends_in_global = False

    def finish(self) -> None:
        """The archive ends here: ``BadArchive`` when an entry was still to come."""
        if self._long_name is not None or self._pax is not None:
            raise BadArchive("扩展头后没有条目")
        if self._ends_in_global:  # For which Python wants an entry.
            self._plainness.broken()

    def read(self, header: _Header, stream: Gunzip) -> None:
        """Take in one extension header's content."""
        self._plainness.see_header(header.block)
        self._bytes_left -= header.size
        if header.size > _MAX_EXTENSION_BYTES or self._bytes_left < 0:
            raise BadArchive("扩展头过大")
        content = b"".join(stream.chunks(header.size))
        padding = stream.exactly(-header.size % _BLOCK)
        if header.kind == _PAX_GLOBAL:
            self._read_global(content)
        elif header.kind == _PAX and self._pax is None:
            self._pax = self._records_of(content)
        elif header.kind == _LONG_NAME and self._long_name is None:
            self._long_name = _text(content)
            if not content.endswith(b"\0"):  # Then some read on into the padding.
                self._plainness.broken()
                if any(padding):
                    raise BadArchive("长名字没有结束")
        else:
            raise BadArchive("扩展头重复")

    def _read_global(self, content: bytes) -> None:
        self._globals += 1
        self._ends_in_global = True
        records = self._records_of(content)
        if self._globals > _MAX_GLOBAL_HEADERS or not {b"path", b"size"}.isdisjoint(records):
            raise BadArchive("不允许全局 PAX 路径或大小")

    def _records_of(self, content: bytes) -> dict[bytes, bytes]:
        records = _pax_records(content)
        self._plainness.see_pax(records)
        return records

    def applied_to(self, header: _Header) -> tuple[str, int]:
        """The entry's name and size in bytes; the extensions are used up by it."""
        pax, long_name = self._pax or {}, self._long_name
        self._pax = self._long_name = None
        self._ends_in_global = False
        if long_name is not None and b"path" in pax:
            raise BadArchive("条目有两个不同的长名字")
        raw = pax.get(b"path", header.raw_name if long_name is None else long_name)
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise BadArchive(f"tar 条目名不是 UTF-8: {shown_name(raw.decode('latin-1'))}") from None
        return name, _pax_size(pax, header.size)


def _pax_size(pax: dict[bytes, bytes], header_size: int) -> int:
    if b"size" not in pax:
        return header_size
    digits = pax[b"size"]
    if not digits.isdigit() or len(digits) > 20:
        raise BadArchive("PAX 大小无效")
    size = int(digits)
    # Two sizes are two archives in one file, but for a size that the header cannot hold.
    if size != header_size and size <= _MAX_OCTAL_SIZE:
        raise BadArchive("PAX 大小与头部矛盾")
    return size


def _pax_records(content: bytes) -> dict[bytes, bytes]:
    """``"LENGTH KEY=VALUE\\n"`` records, all that the length of each says and nothing else."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        digits, space, _ = content[at : at + 8].partition(b" ")
        if not space or not digits.isdigit():
            raise BadArchive("PAX 记录损坏")
        end = at + int(digits)
        record = content[at + len(digits) + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(content) or not record.endswith(b"\n") or not equals or not key:
            raise BadArchive("PAX 记录损坏")
        if key in records:
            raise BadArchive("PAX 记录重复")
        _refuse_pax_key(key, value)
        records[key] = value
        at = end
    return records


def _refuse_pax_key(key: bytes, value: bytes) -> None:
    if key == b"linkpath":
        raise BadArchive("不允许链接")
    if key.startswith(b"GNU.sparse.") or key in (b"SCHILY.realsize", b"SUN.holesdata"):
        raise BadArchive("不允许稀疏文件")
    if key.startswith(b"GNU.volume."):
        raise BadArchive("不支持分卷 tar")
    # bsdtar in the C locale declares names BINARY and means the bytes on disk, which have to be UTF-8.
    if key in (b"hdrcharset", b"charset") and value not in (b"ISO-IR 10646 2000 UTF-8", b"BINARY"):
        raise BadArchive("PAX 字符集不是 UTF-8")
