"""Mutants of archives: a seed's bytes damaged, or its structure changed and put together again.

A mutant is made of (seed, number) alone, so that one can be made again without those before it. What makes a
mutant pass the outer checks is done again for most of them: checksums, sizes, offsets, the gzip framing. Else
nearly all would fail there, and what lies behind would never be reached.
"""

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archive_corpus import Harmless
from archive_corpus.tars import END, FIELDS, GNU, USTAR, base256, entry, gz_head, long, octal, page, pax, record
from archive_corpus.zips import extra, extra64, unicode_path

BLOCK = 512
NAMES = (b"a.html", b"index.html", b"a/b.html", b"a", b"a/", b"../a", b"/a", b"a/../b", b".", b"", b"a//b", b"./a",
         b"a\\b", b"C:a", b"\xc4\xe3.html", "\u4f60.html".encode(), b"a\0b", b".DS_Store", b"__MACOSX/a", b"x" * 256,
         b"INDEX.HTML", b"a/.", b"-rf", b" ")  # fmt: skip
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x100, 511, 512, 513, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 33, 1 << 63)
ZIP_LOCAL = dict(zip(("version", "flags", "method", "time", "date", "crc", "csize", "usize", "nlen", "xlen"),
                     ((4, 2), (6, 2), (8, 2), (10, 2), (12, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
                     strict=True))  # fmt: skip
ZIP_CENTRAL = dict(zip(("made", "version", "flags", "method", "crc", "csize", "usize", "nlen", "xlen", "clen",
                        "disk", "iattr", "eattr", "offset"),
                       ((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2),
                        (34, 2), (36, 2), (38, 4), (42, 4)), strict=True))  # fmt: skip
ZIP_END = {"disk": (4, 2), "cd": (6, 2), "here": (8, 2), "total": (10, 2), "size": (12, 4), "offset": (16, 4),
           "clen": (20, 2)}  # fmt: skip


@dataclass
class ZipPart:
    """An entry of a zip: its local part with content and descriptor, and its central header."""

    local: bytearray
    central: bytearray


class Mutants:
    """The mutants of some archives: ``(file name, what was done, bytes)`` by number."""

    def __init__(self, cases: Sequence[Harmless], seed: int, largest: int = 40_000) -> None:
        self._seed = seed
        inner = [(case, case.data if is_zip(case.filename) else gzip.decompress(case.data)) for case in cases]
        inner = [(case, data) for case, data in inner if len(data) <= largest]
        self._zips = [(case, data) for case, data in inner if is_zip(case.filename)]
        self._tars = [(case, data) for case, data in inner if not is_zip(case.filename)]

    def make(self, number: int) -> tuple[str, str, bytes]:
        chance = random.Random(f"{self._seed}-{number}")
        if chance.random() < 0.5:
            (case, data), (_, donor) = chance.choices(self._zips, k=2)
            return "a.zip", *_labelled(case, *_zip_mutant(chance, data, donor))
        (case, data), (_, donor) = chance.choices(self._tars, k=2)
        return "a.tar.gz", *_labelled(case, *_tar_mutant(chance, data, donor, case.data))


def is_zip(filename: str) -> bool:
    return filename.endswith(".zip")


def _labelled(case: Harmless, done: list[str], data: bytes) -> tuple[str, bytes]:
    return f"{case.name}: {', '.join(done)}", data


# --- Bytes ----------------------------------------------------------------------------------


def damaged(chance: random.Random, data: bytes, donor: bytes, spots: Sequence[int]) -> tuple[str, bytes]:
    """One change of bytes that knows nothing of the format but its ``spots``: where headers begin."""
    out = bytearray(data)
    what = chance.choice(("flip", "flip", "number", "cut", "splice", "copy", "delete", "swap", "zeros", "noise"))
    at, other = _spot(chance, data, spots), _spot(chance, data, spots)
    length = chance.choice((1, 2, 4, 8, 30, 46, 512, 1024))
    if what == "flip":
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            out[_spot(chance, data, spots)] ^= 1 << chance.randrange(8)
    elif what == "number":
        width = chance.choice((1, 2, 4, 8))
        out[at : at + width] = (_number(chance) % (1 << 8 * width)).to_bytes(width, "little")
    elif what == "cut":
        del out[chance.choice((at, max(1, len(out) - chance.randrange(1, 600)))) :]
    elif what == "splice":
        out[at:] = donor[chance.randrange(len(donor)) :]
    elif what == "copy":
        out[at:at] = data[other : other + length]
    elif what == "delete":
        del out[at : at + length]
    elif what == "swap":
        out[at : at + length], out[other : other + length] = data[other : other + length], data[at : at + length]
    else:
        out[at:at] = bytes(length) if what == "zeros" else chance.randbytes(length)
    return what, bytes(out)


def _spot(chance: random.Random, data: bytes, spots: Sequence[int]) -> int:
    place = chance.randrange(len(data))
    if spots and chance.random() < 0.7:
        place = chance.choice(spots) + chance.randrange(64)
    return min(place, len(data) - 1)


def _number(chance: random.Random) -> int:
    return chance.choice((*NUMBERS, chance.getrandbits(8), chance.getrandbits(16), chance.getrandbits(32)))


def _shuffled(chance: random.Random, items: list, donor: list) -> str:  # type: ignore[type-arg]
    """Leave out, repeat, move or take over one of the items."""
    what = chance.choice(("drop", "repeat", "move", "donate"))
    if what == "drop" and len(items) > 1:
        items.pop(chance.randrange(len(items)))
    elif what == "repeat":
        items.insert(chance.randrange(len(items) + 1), chance.choice(items))
    elif what == "move":
        items.insert(chance.randrange(len(items)), items.pop(chance.randrange(len(items))))
    else:
        items.insert(chance.randrange(len(items) + 1), chance.choice(donor or items))
    return what


# --- Zip ------------------------------------------------------------------------------------


def _zip_mutant(chance: random.Random, data: bytes, donor: bytes) -> tuple[list[str], bytes]:
    parts, other = zip_parts(data), zip_parts(donor)
    done = []
    if parts and chance.random() < 0.75:
        for _ in range(chance.choice((1, 1, 2, 3))):
            done.append(chance.choice(_ZIP_CHANGES)(chance, parts, other))
        data, how = _zip_joined(chance, parts)
        done.append(how)
    if not done or chance.random() < 0.25:
        spots = [at for at in range(len(data) - 1) if data[at : at + 2] == b"PK"]
        what, data = damaged(chance, data, donor, spots)
        done.append(what)
    return done, data


def zip_parts(data: bytes) -> list[ZipPart]:
    """The entries of a harmless zip."""
    at = data.rfind(b"PK\5\6")
    count, start = struct.unpack_from("<H4xL", data, at + 10)
    if start == 0xFFFFFFFF or count == 0xFFFF:
        end64 = data.rfind(b"PK\6\6")
        count, start = struct.unpack_from("<Q8xQ", data, end64 + 32)
    centrals = []
    at = start
    for _ in range(count):
        length = 46 + sum(struct.unpack_from("<3H", data, at + 28))
        centrals.append(bytearray(data[at : at + length]))
        at += length
    offsets = [_offset_in(central) for central in centrals]
    ends = sorted([*offsets, start])
    return [
        ZipPart(bytearray(data[offset : ends[ends.index(offset) + 1]]), central)
        for offset, central in zip(offsets, centrals, strict=True)
    ]


def _offset_in(central: bytearray) -> int:
    offset = int.from_bytes(central[42:46], "little")
    if offset == 0xFFFFFFFF:  # It is the last number of the zip64 field, which is the last one we make.
        name, more = struct.unpack_from("<2H", central, 28)
        offset = int.from_bytes(central[46 + name : 46 + name + more][-8:], "little")
    return offset


def _zip_joined(chance: random.Random, parts: list[ZipPart]) -> tuple[bytes, str]:
    """A zip of these parts, its offsets and end record true but for a chance."""
    out, directory, count = bytearray(), bytearray(), 0
    true = chance.random() < 0.9
    for part in parts:
        offset = len(out)
        out += part.local
        central = bytearray(part.central)
        if true and len(central) >= 46 and central[42:46] != b"\xff" * 4:
            central[42:46] = struct.pack("<L", offset)
        directory += central
        count += bool(central)
    how = "joined" if true else "offsets kept"
    end = bytearray(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(out), 0))
    if chance.random() < 0.1:
        how += "; end " + _set_number(chance, end, ZIP_END)
    tail = b""
    if chance.random() < 0.1:
        head = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(out))
        tail = head + struct.pack("<4sLQL", b"PK\6\7", 0, len(out) + len(directory), 1)
        how += "; zip64"
    note = b""
    if chance.random() < 0.1:
        note = chance.choice((b"note", bytes(30), bytes(end), b"PK\5\6", chance.randbytes(30)))
        end[20:22] = struct.pack("<H", len(note) if chance.random() < 0.7 else chance.randrange(60))
        how += "; comment"
    return bytes(out + directory + tail + end + note), how


def _set_number(chance: random.Random, header: bytearray, fields: dict[str, tuple[int, int]]) -> str:
    name = chance.choice(list(fields))
    at, width = fields[name]
    if len(header) >= at + width:
        before = int.from_bytes(header[at : at + width], "little")
        value = chance.choice((_number(chance), before + 1, before - 1, before ^ 1 << chance.randrange(8 * width)))
        header[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return name


def _zip_number(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    part = chance.choice(parts)
    if chance.random() < 0.3:
        return "local " + _set_number(chance, part.local, ZIP_LOCAL)
    if chance.random() < 0.5:
        return "central " + _set_number(chance, part.central, ZIP_CENTRAL)
    name = chance.choice([name for name in ZIP_LOCAL if name in ZIP_CENTRAL])
    value, (at, width), (far, _) = _number(chance), ZIP_LOCAL[name], ZIP_CENTRAL[name]
    packed = (value % (1 << 8 * width)).to_bytes(width, "little")
    part.local[at : at + width] = part.central[far : far + width] = packed
    return f"both {name}"


def _zip_name(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    part, name = chance.choice(parts), chance.choice(NAMES)
    where = chance.choice(("local", "central", "both", "both", "both"))
    if where != "central":
        _replace(part.local, 26, 30, name)
    if where != "local":
        _replace(part.central, 28, 46, name)
    return f"{where} name {name[:12]!r}"


def _replace(header: bytearray, length_at: int, name_at: int, name: bytes) -> None:
    length = int.from_bytes(header[length_at : length_at + 2], "little")
    header[name_at : name_at + length] = name
    header[length_at : length_at + 2] = struct.pack("<H", len(name))


def _zip_extra(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    part, where = chance.choice(parts), chance.choice(("local", "central", "both", "both"))
    name_length = int.from_bytes(part.central[28:30], "little")
    name = bytes(part.central[46 : 46 + name_length])
    more = chance.choice(
        (
            extra64(*(chance.choice(NUMBERS) for _ in range(chance.randrange(4)))),
            unicode_path(name, chance.choice(NAMES), chance.choice((0, 0, 0, 1))),
            extra(chance.getrandbits(16), chance.randbytes(chance.randrange(12))),
            bytes(chance.randrange(8)),
            chance.randbytes(chance.randrange(8)),
        )
    )
    for header, name_at, length_at in ((part.local, 30, 26), (part.central, 46, 28)):
        if (where == "local") == (length_at == 28) and where != "both":
            continue
        name_end, length = name_at + int.from_bytes(header[length_at : length_at + 2], "little"), len(more)
        header[name_end:name_end] = more
        total = int.from_bytes(header[length_at + 2 : length_at + 4], "little") + length
        header[length_at + 2 : length_at + 4] = struct.pack("<H", total % 65536)
    return f"{where} extra {more[:2].hex()}"


def _zip_content(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    """New content, packed in one of several ways; both headers say so, or the descriptor does."""
    part = chance.choice(parts)
    plain = chance.randbytes(chance.randrange(60)) * chance.choice((1, 1, 9))
    packer = zlib.compressobj(chance.choice((0, 1, 9)), zlib.DEFLATED, -15)
    method, packed = chance.choice(((0, plain), (8, packer.compress(plain) + packer.flush())))
    if chance.random() < 0.15:
        packed += b"\0"
    numbers = struct.pack("<3L", zlib.crc32(plain), len(packed), len(plain))
    flags = int.from_bytes(part.local[6:8], "little") & ~8 | chance.choice((0, 0, 8))
    tail = b""
    if flags & 8:
        wide = struct.pack("<L2Q", zlib.crc32(plain), len(packed), len(plain))
        tail = chance.choice((b"", b"PK\7\x08")) + chance.choice((numbers, numbers, wide))
    head = 30 + sum(struct.unpack_from("<2H", part.local, 26)) if len(part.local) >= 30 else 0
    part.local[6:10] = part.central[8:12] = struct.pack("<2H", flags, method)
    part.local[14:26] = numbers if not flags & 8 or chance.random() < 0.3 else bytes(12)
    part.central[16:28] = numbers
    part.local[head:] = packed + tail
    return "content"


def _zip_order(chance: random.Random, parts: list[ZipPart], donor: list[ZipPart]) -> str:
    return _shuffled(chance, parts, donor)


def _zip_hide(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    part = chance.choice(parts)
    if chance.random() < 0.5:
        part.central = bytearray()
        return "not in the directory"
    part.local = bytearray(chance.choice((b"", chance.randbytes(5))) + part.local + chance.choice((b"", b"gap")))
    return "gap"


def _zip_mode(chance: random.Random, parts: list[ZipPart], _: list[ZipPart]) -> str:
    part = chance.choice(parts)
    mode = chance.choice((0, 0o100644, 0o40755, 0o120777, 0o10644, 0o644, 0o106777, chance.getrandbits(16)))
    part.central[4:6] = struct.pack("<H", chance.choice((0x031E, 0x0014, 0x0B14, 0x0A14, 0x131E, 0x0714)))
    part.central[38:42] = struct.pack("<L", mode << 16 | chance.choice((0, 0x10, 0x20)))
    return f"mode {mode:o}"


_ZIP_CHANGES: tuple[Callable[[random.Random, list[ZipPart], list[ZipPart]], str], ...] = (
    _zip_number, _zip_number, _zip_name, _zip_extra, _zip_content, _zip_order, _zip_order, _zip_hide, _zip_mode,
)  # fmt: skip


# --- Tar ------------------------------------------------------------------------------------


def _tar_mutant(chance: random.Random, tar: bytes, donor: bytes, whole: bytes) -> tuple[list[str], bytes]:
    done = []
    if chance.random() < 0.1:  # In the gzip file itself.
        what, data = damaged(chance, whole, donor, [0, max(0, len(whole) - 64)])
        return [f"gzip {what}"], data
    entries, other = tar_entries(tar), tar_entries(donor)
    if entries and chance.random() < 0.75:
        for _ in range(chance.choice((1, 1, 2, 3))):
            done.append(chance.choice(_TAR_CHANGES)(chance, entries, other))
        end = chance.choice((END, END, END, END, END, END + bytes(chance.randrange(9000)), b"", bytes(512), END + b"x"))
        tar = b"".join(entries) + end
    if not done or chance.random() < 0.25:
        what, tar = damaged(chance, tar, donor, range(0, len(tar), BLOCK))
        done.append(what)
    if chance.random() < 0.85:
        tar = summed(tar)
        done.append("summed")
    how, data = _gzipped(chance, tar)
    return [*done, how], data


def tar_entries(tar: bytes) -> list[bytes]:
    """Each header of a harmless tar with its content: extension headers are entries as well."""
    entries, at = [], 0
    while at + BLOCK <= len(tar) and any(tar[at : at + BLOCK]):
        field = tar[at + 124 : at + 136]
        size = int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.strip(b" \0") or b"0", 8)
        end = at + BLOCK + size + -size % BLOCK
        entries.append(tar[at:end])
        at = end
    return entries


def summed(tar: bytes) -> bytes:
    """The tar with the checksum of every block that looks like a header made right."""
    blocks = [tar[at : at + BLOCK] for at in range(0, len(tar), BLOCK)]
    for at, block in enumerate(blocks):
        if len(block) == BLOCK and block[257:262] == b"ustar":
            blocks[at] = _summed(block)
    return b"".join(blocks)


def _summed(block: bytes) -> bytes:
    total = sum(block) - sum(block[148:156]) + 8 * 32
    return block[:148] + b"%06o\0 " % total + block[156:]


def _gzipped(chance: random.Random, tar: bytes) -> tuple[str, bytes]:
    if chance.random() < 0.8:
        return "gzip", gzip.compress(tar, 1, mtime=0)
    cut = chance.randrange(len(tar) + 1)
    first, second = (gzip.compress(piece, 1, mtime=0) for piece in (tar[:cut], tar[cut:]))
    whole = gzip.compress(tar, 1, mtime=0)
    ways = {
        "two members": first + second,
        "empty member": whole + gzip.compress(b""),
        "zeros after": whole + bytes(chance.randrange(1, 1000)),
        "rubbish after": whole + chance.randbytes(3),
        "trailer cut": whole[: -chance.randrange(1, 12)],
        "trailer wrong": whole[:-8] + chance.randbytes(8),
        "name": gz_head(8, b"a.tar\0") + whole[10:],
        "extra": gz_head(4, b"\2\0ab") + whole[10:],
        "flags": whole[:3] + bytes([chance.getrandbits(8)]) + whole[4:],
    }
    how = chance.choice(list(ways))
    return how, ways[how]


def _tar_field(chance: random.Random, entries: list[bytes], _: list[bytes]) -> str:
    """Another value in one field of one header."""
    at = chance.randrange(len(entries))
    name = chance.choice(("name", "mode", "size", "size", "kind", "kind", "linkname", "magic", "prefix", "uid", "rest",
                          "mtime", "uname", "devmajor"))  # fmt: skip
    start, width = _FIELD_STARTS[name], FIELDS[name]
    value = _field_value(chance, name, entries[at]).ljust(width, b"\0")[:width]
    entries[at] = _summed(entries[at][:start] + value + entries[at][start + width :])
    return f"{name} {value[:12]!r}"


def _field_value(chance: random.Random, name: str, block: bytes) -> bytes:
    if name in ("name", "prefix", "linkname"):
        return chance.choice((*NAMES, chance.randbytes(4), b"a\0b", b"p" * 100))
    if name == "kind":
        return bytes([chance.choice(b"0000555567\0LxgKS1234XVDMNAZ ")])
    if name == "magic":
        return chance.choice((USTAR, GNU, b"", b"ustar \0\0", b"ustar\0\0\0", b"ustarX00"))
    size = len(block) - BLOCK
    numbers = (octal(size), octal(size + 512), octal(max(size - 512, 0)), base256(size), base256(-1), base256(1 << 62),
               b"", b"%o" % size, b" %o " % size, b"-1", b"9", octal(1), octal(511), b"0x10")  # fmt: skip
    return chance.choice((*numbers, chance.randbytes(3), b"0000755\0", b"0004755\0"))


def _tar_extension(chance: random.Random, entries: list[bytes], _: list[bytes]) -> str:
    """A name, a size or something else said by a header before an entry."""
    name = chance.choice(NAMES)
    size = b"%d" % chance.choice((0, 1, 158, 512, 1024, 1 << 33, 1 << 63))
    key, value = chance.choice(
        (("path", name), ("path", name), ("size", size), ("linkpath", name), ("hdrcharset", b"BINARY"),
         ("GNU.sparse.major", b"1"), ("GNU.sparse.name", name), ("SCHILY.realsize", size), ("comment", b"x\ny"),
         ("mtime", b"1.5"), ("mtime", b"x"), ("uid", size), ("uname", b"\xff"), ("LIBARCHIVE.xattr.a", b"YQ=="),
         ("GNU.volume.size", size), ("SCHILY.filetype", b"symlink"), ("path", name + b"\0x"), ("atime", b"-1"))
    )  # fmt: skip
    body = record(key, value)
    if chance.random() < 0.2:
        body = damaged(chance, body, body, [])[1]
    kind = chance.choice((b"x", b"x", b"x", b"g"))
    header = chance.choice((pax(body, kind=kind), pax(body, kind=kind), long(name), long(name, b"K")))
    entries.insert(chance.randrange(len(entries) + 1), header)
    return f"extension {key}={value[:12]!r}"


def _tar_entry(chance: random.Random, entries: list[bytes], _: list[bytes]) -> str:
    name, content = chance.choice(NAMES), chance.randbytes(chance.choice((0, 1, 511, 512, 513)))
    made = entry(name[:100], content, chance.choice((b"0", b"0", b"5", b"\0")), magic=chance.choice((USTAR, GNU)))
    entries.insert(chance.randrange(len(entries) + 1), made)
    return f"entry {name[:12]!r}"


def _tar_order(chance: random.Random, entries: list[bytes], donor: list[bytes]) -> str:
    return _shuffled(chance, entries, donor)


def _tar_block(chance: random.Random, entries: list[bytes], _: list[bytes]) -> str:
    what = chance.choice((bytes(512), b"x" * 512, END, page("hidden.html")))
    at = chance.randrange(len(entries))
    entries[at] = chance.choice((what + entries[at], entries[at] + what, entries[at][:BLOCK] + what))
    return "block"


_FIELD_STARTS = {name: sum(list(FIELDS.values())[:index]) for index, name in enumerate(FIELDS)}
_TAR_CHANGES: tuple[Callable[[random.Random, list[bytes], list[bytes]], str], ...] = (
    _tar_field, _tar_field, _tar_extension, _tar_entry, _tar_order, _tar_order, _tar_block,
)  # fmt: skip
