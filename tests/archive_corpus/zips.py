"""Zip archives by hand: a builder with every header field open to change, and the tables of cases."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Changes = dict[str, Any] | None  # of header fields
Row = tuple[str, str, bytes, Any]  # slug, file name, archive, and why (hostile) or the tree (harmless)

PAGE = b"<!doctype html><title>Pages</title><p>" + b"hello " * 20
FULL16, FULL32, FULL64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
LINK, HAN = 0o120777, "\u4f60\u597d"  # HAN is two common Chinese characters: 6 bytes in UTF-8, 4 in GB18030
DEEP_1024 = "/".join(["d" * 204] * 4 + ["f" * 204])  # five parts of 204 bytes and four slashes: 1,024 bytes

# Left out without a word.
RUBBISH = ("__MACOSX/._a.html", ".DS_Store", "b/.DS_Store", "Thumbs.db", "b/Thumbs.db", "b/__MACOSX/c/d.html")

# slug -> (name, why): broken in zip and tar alike; the names hold no backslash, as tar refuses that anyway.
BAD_NAMES = {
    "absolute": ("/abs.html", "absolute path"),
    "absolute-host": ("//host/share.html", "absolute path"),
    "drive-slash": ("c:/x.html", "drive letter"),
    "drive-relative": ("C:x.html", "drive letter"),
    "dotdot-first": ("../x.html", "`..` part"),
    "dotdot-middle": ("a/../x.html", "`..` part"),
    "dotdot-last": ("a/..", "`..` part"),
    "dotdot-only": ("..", "`..` part"),
    "dotdot-after-dot": ("./../x.html", "`..` part"),
    "dotdot-after-empty": ("a//../x.html", "`..` part"),
    "dotdot-in-rubbish": ("__MACOSX/../x.html", "`..` part inside __MACOSX"),
    "dotdot-to-rubbish": ("../.DS_Store", "`..` part before a left-out name"),
    "control-in-rubbish": ("__MACOSX/._\x01", "control character inside __MACOSX"),
    "control-newline": ("a\nb.html", "C0 character"),
    "control-tab": ("a\tb.html", "C0 character"),
    "control-escape": ("a\x1b[2Jb.html", "C0 character"),
    "control-del": ("a\x7fb.html", "DEL"),
    "control-c1-first": ("a\x80b.html", "C1 character"),
    "control-c1-last": ("a\x9fb.html", "C1 character"),
    "control-in-folder": ("a\x01/b.html", "C0 character"),
    "part-256": ("p" * 251 + ".html", "a part of 256 bytes"),
    "part-256-folder": ("p" * 256 + "/b.html", "a part of 256 bytes"),
    "part-256-han": (HAN[0] * 85 + "a", "a part of 86 characters and 256 bytes"),
    "path-1025": (DEEP_1024 + "f", "a path of 1,025 bytes"),
    "path-1025-han": (DEEP_1024[:-5] + HAN, "a path of 1,021 characters and 1,025 bytes"),
}


class Layout:
    """A fixed-size header: packs named numbers, and refuses a misspelt name rather than ignore it."""

    def __init__(self, form: str, names: str) -> None:
        self.form, self.names = form, names.split()

    def pack(self, fields: dict[str, Any], changes: dict[str, Any]) -> bytes:
        unknown = changes.keys() - set(self.names)
        if unknown:
            raise ValueError(f"no such header field: {unknown}")
        return struct.pack(self.form, *({**fields, **changes}[name] for name in self.names))


LOCAL = Layout("<4s5H3L2H", "sig version flags method time date crc csize usize nlen xlen")
CENTRAL = Layout(
    "<4s6H3L5H2L",
    "sig made version flags method time date crc csize usize nlen xlen clen disk iattr eattr offset",
)
END = Layout("<4s4H2LH", "sig disk cd_disk here total size offset clen")
END64 = Layout("<4sQ2H2L4Q", "sig length made version disk cd_disk here total size offset")
LOCATOR = Layout("<4sLQL", "sig disk offset disks")


def deflate(data: bytes, level: int = 9) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True)
class Member:
    """One entry. What is not given follows from `data`; `local`, `central`, `both` change header fields."""

    name: str | bytes
    data: bytes = b""
    method: int | None = None  # deflate if there is anything to deflate
    flags: int | None = None  # the UTF-8 flag if the name is a str and needs it
    body: bytes | None = None  # the compressed bytes, if not honestly made from `data`
    extra: bytes = b""  # in both headers; `local_extra` and `central_extra` come after it
    local_extra: bytes = b""
    central_extra: bytes = b""
    mode: int = 0o100644
    comment: bytes = b""
    descriptor: bytes = b""  # what follows the body
    before: bytes = b""  # what stands before the local header (a gap)
    listed: bool = True  # False: the central directory does not know it
    at: int | None = None  # write no local entry, only a central one that points here
    local_name: bytes | None = None
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    both: dict[str, Any] = field(default_factory=dict)

    @property
    def raw_name(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name

    def fields(self) -> dict[str, Any]:
        method = self.method if self.method is not None else 8 if self.data else 0
        flags = self.flags
        if flags is None:
            flags = 0x800 if isinstance(self.name, str) and not self.name.isascii() else 0
        return {
            "version": 20, "made": 0x031E, "flags": flags, "method": method, "time": 0x6000, "date": 0x5821,
            "crc": zlib.crc32(self.data), "csize": len(self.packed(method)), "usize": len(self.data),
            "clen": len(self.comment), "disk": 0, "iattr": 0, "eattr": self.mode << 16 & FULL32,
        }  # fmt: skip

    def packed(self, method: int) -> bytes:
        if self.body is not None:
            return self.body
        return self.data if method == 0 else deflate(self.data)

    def local_entry(self) -> bytes:
        fields = self.fields()
        name = self.raw_name if self.local_name is None else self.local_name
        extra = self.extra + self.local_extra
        head = fields | {"sig": b"PK\3\4", "nlen": len(name), "xlen": len(extra)}
        packed = self.packed(fields["method"])
        return LOCAL.pack(head, self.both | self.local) + name + extra + packed + self.descriptor

    def central_entry(self, offset: int) -> bytes:
        name, extra = self.raw_name, self.extra + self.central_extra
        head = self.fields() | {"sig": b"PK\1\2", "nlen": len(name), "xlen": len(extra), "offset": offset}
        return CENTRAL.pack(head, self.both | self.central) + name + extra + self.comment


def zip_of(
    *members: Member, prefix: bytes = b"", gap: bytes = b"", after: bytes = b"", comment: bytes = b"",
    end: Changes = None, end64: Changes = None, locator: Changes = None, locate: bool = True,
    between: bytes = b"",
) -> bytes:  # fmt: skip
    """A zip. `prefix` is counted in the offsets; `gap`, `after` and `between` stand before the central
    directory, after it, and before the zip64 locator; `end64` asks for the zip64 records, and `locate` for
    their locator; `end`, `end64` and `locator` change fields of these records."""
    out, central, count = bytearray(prefix), bytearray(), 0
    for member in members:
        offset = member.at
        if offset is None:
            out += member.before
            offset = len(out)
            out += member.local_entry()
        if member.listed:
            central += member.central_entry(offset)
            count += 1
    out += gap
    honest = {"disk": 0, "cd_disk": 0, "here": count, "total": count}
    honest |= {"size": len(central), "offset": len(out)}
    out += central + after
    last = honest | {"sig": b"PK\5\6", "clen": len(comment)}
    if end64 is not None:
        record = honest | {"sig": b"PK\6\6", "length": 44, "made": 45, "version": 45}
        place = {"sig": b"PK\6\7", "disk": 0, "offset": len(out), "disks": 1}
        out += END64.pack(record, end64) + between
        out += LOCATOR.pack(place, locator or {}) if locate else b""
        last |= {"here": FULL16, "total": FULL16, "size": FULL32, "offset": FULL32}
    return bytes(out) + END.pack(last, end or {}) + comment


def extra(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def extra64(*numbers: int) -> bytes:
    return extra(1, struct.pack(f"<{len(numbers)}Q", *numbers))


def unicode_path(plain: bytes, real: str | bytes, crc: int = 0) -> bytes:
    """The Unicode Path field; `crc` is XORed into the checksum of the plain name that makes it valid."""
    real = real.encode() if isinstance(real, str) else real
    return extra(0x7075, struct.pack("<BL", 1, zlib.crc32(plain) ^ crc) + real)


BODY, STORED = deflate(PAGE), deflate(PAGE, 0)
U, C, CRC = len(PAGE), len(BODY), zlib.crc32(PAGE)
HOME = Member("index.html", PAGE)  # an innocent first entry: a refusal must be of the whole, not of one entry
HOME_SIZE = len(HOME.local_entry())
SIGNED = struct.pack("<4s3L", b"PK\7\x08", CRC, C, U)  # a data descriptor
NO_SIZES = {"crc": 0, "csize": 0, "usize": 0}
WIDE = {"csize": FULL32, "usize": FULL32}  # "see the zip64 field"
UT = extra(0x5455, b"\x03" + struct.pack("<2L", 1_000_000_000, 1_700_000_000))


def page(name: str | bytes = "a.html", data: bytes = PAGE, **more: Any) -> Member:
    return Member(name, data, **more)


def streamed(descriptor: bytes = SIGNED, local: Changes = None, **more: Any) -> Member:
    """An entry written to a pipe: checksum and sizes follow the body, and are zero in the local header."""
    local = NO_SIZES | (local or {})
    settings: dict[str, Any] = {"flags": 8, "descriptor": descriptor, "local": local} | more
    return page(**settings)


def wide(**changes: Any) -> Member:
    """An entry that uses zip64 in both headers without need."""
    settings: dict[str, Any] = {"extra": extra64(U, C), "both": WIDE} | changes
    return page(**settings)


def two(*members: Member, **more: Any) -> bytes:
    return zip_of(HOME, *members, **more)


# fmt: off
def hostile() -> Iterator[Row]:
    for slug, (name, why) in BAD_NAMES.items():
        yield f"zip-name-{slug}", "a.zip", two(page(name)), why
    for slug, why, data in (*_names(), *_kinds(), *_bodies(), *_headers(), *_layout(), *_zip64(), *_trees()):
        yield f"zip-{slug}", "a.zip", data, why


def _names() -> Iterator[tuple[str, str, bytes]]:
    for slug in ("absolute", "drive-slash", "dotdot-middle", "control-c1-first", "part-256", "path-1025"):
        name, why = BAD_NAMES[slug]
        yield f"unicode-path-{slug}", f"{why}, by Unicode Path", two(
            page(extra=unicode_path(b"a.html", name)))
    yield "name-empty", "empty name", two(page(""))
    yield "name-dot", "a file whose name is nothing but `.`", two(page("."))
    yield "name-file-dot", "a file whose last part is `.`", two(page("a/."))
    yield "name-file-dot-backslash", "a file whose last part is `.`", two(page("a\\."))
    yield "name-dots-4k", "a name over 4,096 bytes, most of it `./`", two(page("./" * 2048 + "a.html"))
    yield "name-plain-4k", "a plain name over 4,096 bytes", two(
        page(b"x" * 4097, extra=unicode_path(b"x" * 4097, "a.html")))
    yield "name-nul", "NUL in a name", two(page("a\0b.html"))
    yield "name-nul-last", "NUL in a name", two(page("a.html\0"))
    yield "name-nul-hides-extension", "NUL in a name", two(page("a.html\0.png"))
    yield "name-nul-unicode-path", "NUL in a name", two(page(extra=unicode_path(b"a.html", "a\0b.html")))
    yield "name-backslash-absolute", "absolute path", two(page("\\abs.html"))
    yield "name-unc", "absolute path", two(page("\\\\host\\share.html"))
    yield "name-drive-backslash", "drive letter", two(page("C:\\x.html"))
    yield "name-drive-folder", "drive letter", two(Member("C:/", mode=0o40755))
    yield "name-dotdot-backslash", "`..` part", two(page("..\\x.html"))
    yield "name-dotdot-backslash-middle", "`..` part", two(page("a\\..\\x.html"))
    yield "name-dotdot-mixed", "`..` part", two(page("a/..\\x.html"))
    yield "name-dotdot-folder", "`..` part", two(Member("a/../", mode=0o40755))
    yield "name-dotdot-folder-backslash", "`..` part", two(Member("..\\", mode=0o40755))
    yield "name-gb18030-dotdot", "`..` part", two(page(HAN.encode("gb18030") + b"/../x.html"))
    yield "name-gb18030-c1", "C1 character in GB18030", two(page(b"\xc4\xe3\x810\x810.html"))
    yield "name-not-utf8", "UTF-8 flag on a name that is not UTF-8", two(page(b"\xc4\xe3.html", flags=0x800))
    yield "name-overlong-slash", "UTF-8 flag, overlong form", two(page(b"..\xc0\xafx.html", flags=0x800))
    yield "name-surrogate", "UTF-8 flag, a surrogate", two(page(b"\xed\xa0\x80.html", flags=0x800))
    yield "name-no-charset", "neither UTF-8 nor GB18030", two(page(b"\xff\xff.html"))
    yield "name-gb18030-half", "neither UTF-8 nor GB18030", two(page(b"a\xc4"))
    yield "name-gb18030-256", "a part of 128 GB18030 pairs is 384 bytes of UTF-8", two(
        page((HAN[0] * 128).encode("gb18030")))


def _kinds() -> Iterator[tuple[str, str, bytes]]:
    kinds = {"symlink": LINK, "fifo": 0o10644, "char-device": 0o20644, "block-device": 0o60644,
        "socket": 0o140644}
    for slug, mode in kinds.items():
        yield slug, f"{slug} by unix mode", two(page("a", b"index.html", mode=mode))
    for slug, made in {"dos": 0x0014, "ntfs": 0x0A14, "unix": 0x031E, "vfat": 0x0E14}.items():
        # bsdtar makes a folder of the one that DOS made, whatever its unix mode, and its content is lost.
        yield f"folder-attribute-{slug}", "a file that the DOS attributes call a folder", two(
            page(central={"made": made, "eattr": 0o100644 << 16 | 0x10}))
    yield "symlink-empty", "symlink without a target", two(Member("a", mode=LINK))
    yield "symlink-streamed", "symlink behind a data descriptor", two(streamed(mode=LINK))
    yield "symlink-folder-name", "symlink with a folder's name", two(Member("a/", mode=LINK))
    yield "symlink-darwin", "symlink, made by OS X", two(page(mode=LINK, central={"made": 0x131E}))
    yield "symlink-dos", "symlink mode, made by DOS", two(page(mode=LINK, central={"made": 0x0014}))
    yield "symlink-in-rubbish", "symlink inside __MACOSX", two(page("__MACOSX/a", mode=LINK))
    yield "symlink-rubbish", "symlink with a left-out name", two(page(".DS_Store", mode=LINK))
    for slug, flags in {"encrypted": 1, "encrypted-strong": 0x40, "encrypted-masked": 0x2000}.items():
        yield slug, f"flag {flags:#x}", two(page(flags=flags))
    yield "encrypted-both", "flags of strong encryption", two(page(flags=0x41))
    yield "encrypted-empty", "encrypted entry without content", two(Member("a.html", flags=1))
    yield "encrypted-in-rubbish", "encrypted entry inside __MACOSX", two(page("__MACOSX/a", flags=1))
    lz = lzma.compress(PAGE, lzma.FORMAT_ALONE)
    zstd = b"\x28\xb5\x2f\xfd\x20" + bytes([U]) + struct.pack("<L", 1 | U << 3)[:3] + PAGE
    aes = extra(0x9901, struct.pack("<H2sBH", 2, b"AE", 3, 8))
    methods = {
        "shrunk": page(method=1), "imploded": page(method=6), "deflate64": page(method=9),
        "bzip2": page(method=12, body=bz2.compress(PAGE)),
        "lzma": page(method=14, body=b"\x09\x14\x05\0" + lz[:5] + lz[13:], flags=2),
        "zstd": page(method=93, body=zstd), "xz": page(method=95, body=lzma.compress(PAGE)),
        "ppmd": page(method=98), "aes": page(method=99, extra=aes), "unknown": page(method=0xFFFF),
        "unknown-empty": Member("a.html", method=99), "unknown-folder": Member("a/", method=9, mode=0o40755),
        "unknown-in-rubbish": page("__MACOSX/a", method=9),
    }
    for slug, member in methods.items():
        yield f"method-{slug}", f"compression method {member.method}", two(member)


def _bodies() -> Iterator[tuple[str, str, bytes]]:
    unfinished = zlib.compressobj(9, zlib.DEFLATED, -15)
    flushed = unfinished.compress(PAGE) + unfinished.flush(zlib.Z_SYNC_FLUSH)
    yield "crc-deflated", "wrong CRC", two(page(both={"crc": CRC ^ 1}))
    yield "crc-stored", "wrong CRC", two(page(method=0, both={"crc": CRC ^ 1}))
    yield "crc-empty", "wrong CRC of nothing", two(Member("a.html", both={"crc": 1}))
    yield "crc-streamed", "wrong CRC, also in the descriptor", two(
        streamed(struct.pack("<4s3L", b"PK\7\x08", CRC ^ 1, C, U), central={"crc": CRC ^ 1}))
    yield "crc-in-rubbish", "wrong CRC inside __MACOSX", two(page("__MACOSX/a", both={"crc": CRC ^ 1}))
    yield "crc-left-out", "wrong CRC of a left-out file", two(page("Thumbs.db", both={"crc": CRC ^ 1}))
    yield "content-changed", "stored content changed", two(
        page(method=0, body=PAGE.replace(b"hello", b"hullo")))
    yield "length-less", "length one less than content", two(
        page(both={"usize": U - 1, "crc": zlib.crc32(PAGE[:-1])}))
    yield "length-less-whole", "length one less than content, CRC of all", two(page(both={"usize": U - 1}))
    yield "length-more", "length one more than content", two(page(both={"usize": U + 1}))
    yield "length-zero", "length zero, content not", two(page(both={"usize": 0, "crc": 0}))
    yield "stored-sizes", "stored, but sizes differ", two(page(method=0, both={"usize": U + 1}))
    yield "stored-sizes-less", "stored, but sizes differ", two(
        page(method=0, both={"usize": U - 1, "crc": zlib.crc32(PAGE[:-1])}))
    yield "deflate-tail", "deflate stream ends before its size", two(page(body=BODY + b"\0"))
    yield "deflate-tail-stream", "two deflate streams", two(page(body=BODY + BODY))
    yield "deflate-tail-empty", "a byte after an empty stream", two(page(data=b"", method=8, body=b"\3\0\0"))
    yield "deflate-cut", "deflate stream cut by one byte", two(page(body=BODY[:-1]))
    yield "deflate-unfinished", "deflate stream without a last block", two(page(body=flushed))
    yield "deflate-block-type", "deflate block of type 3", two(page(body=b"\x07" + BODY[1:]))
    yield "deflate-stored-length", "deflate stored block, length check wrong", two(
        page(body=STORED[:3] + bytes([STORED[3] ^ 1]) + STORED[4:]))
    yield "deflate-distance", "deflate distance before the start", two(
        page(data=bytes(4), body=b"\x63\0\x12\0"))
    yield "deflate-zlib", "zlib wrapper around deflate", two(page(body=zlib.compress(PAGE)))
    yield "folder-content", "folder with content", two(page("a/", method=0, mode=0o40755))
    yield "folder-content-deflated", "folder with content", two(page("a/", mode=0o40755))
    yield "folder-content-backslash", "folder with content", two(
        page("a\\", method=0, central={"made": 0x14}))
    yield "folder-content-dot", "`./` with content", two(page("./", method=0, mode=0o40755))


def _headers() -> Iterator[tuple[str, str, bytes]]:
    for slug, changes in {
        "method": {"method": 0}, "flags-utf8": {"flags": 0x800}, "flags-encrypted": {"flags": 1},
        "crc": {"crc": CRC ^ 1}, "crc-zero": {"crc": 0},
        "csize": {"csize": C + 1}, "usize": {"usize": U + 1}, "sizes-zero": {"csize": 0, "usize": 0},
    }.items():
        yield f"local-{slug}", f"local header contradicts: {changes}", two(page(local=changes))
    yield "local-name", "local header contradicts: name", two(page(local_name=b"b.html"))
    yield "local-name-case", "local header contradicts: name", two(page(local_name=b"A.html"))
    yield "local-name-longer", "local header contradicts: name", two(page(local_name=b"a.html.php"))
    yield "local-name-empty", "local header contradicts: name", two(page(local_name=b""))
    yield "local-name-dotdot", "local header contradicts: name", two(page(local_name=b"../a.x"))
    yield "local-unicode-path", "local header contradicts: Unicode Path", two(
        page(local_extra=unicode_path(b"a.html", "b.html")))
    yield "local-unicode-path-flag", "local header contradicts: Unicode Path, in spite of the UTF-8 flag", two(
        page(flags=0x800, local_extra=unicode_path(b"a.html", "b.html")))
    yield "local-unicode-path-other", "both headers have a Unicode Path, and not the same", two(
        page(local_extra=unicode_path(b"a.html", "b.html"), central_extra=unicode_path(b"a.html", "c.html")))
    yield "unicode-path-flag", "UTF-8 flag, and a Unicode Path that is another name", two(
        page(flags=0x800, extra=unicode_path(b"a.html", "b.html")))
    yield "local-signature", "no local header where the entry should be", two(page(local={"sig": b"PK\3\5"}))
    yield "central-signature", "no central header", two(page(central={"sig": b"PK\1\3"}))
    yield "central-flags-descriptor", "only the central header says descriptor", two(
        page(central={"flags": 8}))
    yield "central-name-overrun", "central name longer than the directory", two(page(central={"nlen": 500}))
    yield "central-extra-overrun", "central extra longer than the directory", two(page(central={"xlen": 500}))
    yield "central-comment-overrun", "central comment longer than the directory", two(
        page(central={"clen": 500}))
    yield "central-comment-short", "central comment shorter than it is", two(
        page(comment=b"note", central={"clen": 3}))
    yield "disk-start", "entry on another disk", two(page(central={"disk": 1}))
    for slug, numbers in {"crc": (CRC ^ 1, C, U), "csize": (CRC, C + 1, U), "usize": (CRC, C, U + 1)}.items():
        bare = struct.pack("<3L", *numbers)
        yield f"descriptor-{slug}", f"descriptor contradicts: {slug}", two(streamed(b"PK\7\x08" + bare))
        yield f"descriptor-bare-{slug}", f"descriptor without signature contradicts: {slug}", two(
            streamed(bare))
    yield "descriptor-missing", "descriptor missing, entry follows", two(streamed(b""), page("b.html"))
    yield "descriptor-missing-last", "descriptor missing, directory follows", two(streamed(b""))
    yield "descriptor-short", "descriptor cut", two(streamed(SIGNED[:-4]))
    yield "descriptor-signature-only", "descriptor of four bytes", two(streamed(SIGNED[:4]))
    yield "descriptor-long", "four bytes after the descriptor", two(streamed(SIGNED + b"\0" * 4))
    yield "descriptor-signature", "descriptor with another signature", two(streamed(b"PK\7\7" + SIGNED[4:]))
    yield "descriptor-twice", "two descriptors", two(streamed(SIGNED * 2))
    yield "descriptor-unannounced", "descriptor without its flag", two(page(descriptor=SIGNED))
    yield "descriptor-local-only", "only the local header says descriptor", two(
        streamed(central={"flags": 0}))
    yield "descriptor-local-sizes", "local size contradicts in spite of a descriptor", two(
        streamed(local={"usize": 7}))
    yield "descriptor-local-crc", "local CRC contradicts in spite of a descriptor", two(
        streamed(local={"crc": 7}))


def _layout() -> Iterator[tuple[str, str, bytes]]:
    good, other = two(), page("b.html")
    last = good[-22:]
    yield "before", "data before, offsets not moved", b"#!/bin/sh\n" + good
    yield "before-counted", "data before, offsets moved", two(prefix=b"#!/bin/sh\n")
    yield "before-zeros", "zeros before", two(prefix=bytes(512))
    yield "before-span-mark", "spanning mark before", two(prefix=b"PK\7\x08")
    yield "before-picture", "a GIF before", two(prefix=b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff;")
    for slug, tail in {"newline": b"\n", "zeros-and-byte": bytes(512) + b"x", "zip": good}.items():
        yield f"after-{slug}", f"{slug} after the end", good + tail
    yield "after-moved-zip", "two zips one after the other, offsets right", zip_of(other, prefix=good)
    yield "comment-short", "comment length less than the comment", two(comment=b"note", end={"clen": 3})
    yield "comment-long", "comment length more than the comment", two(comment=b"note", end={"clen": 5})
    yield "comment-none", "comment length without a comment", two(end={"clen": 1})
    for cut in (1, 21, 22, 23, 40, len(good) - HOME_SIZE, len(good) - HOME_SIZE + 20, len(good) - 4):
        yield f"cut-{cut}", f"last {cut} bytes missing", good[:-cut]
    yield "gap-between", "gap between entries", two(page(before=b"gap!"))
    yield "gap-first", "gap before the first entry", zip_of(page(before=bytes(4)), other)
    yield "gap-directory", "gap before the central directory", two(gap=bytes(4))
    yield "gap-end", "gap after the central directory", two(after=bytes(4))
    yield "gap-signature", "digital signature after the central directory", two(
        after=b"PK\5\5" + struct.pack("<H", 4) + b"sign")
    yield "hidden-first", "local entry not listed", zip_of(page(listed=False), HOME)
    yield "hidden-all", "local entries, and a directory of none", zip_of(page(listed=False))
    yield "hidden-middle", "local entry not listed", two(page(listed=False), other)
    yield "hidden-last", "local entry not listed", two(page(listed=False))
    yield "hidden-same-name", "local entry not listed", two(page("index.html", b"other", listed=False))
    inner = page("b.html")
    holder = Member("a.bin", inner.local_entry(), method=0)
    inside = HOME_SIZE + 30 + len("a.bin")
    yield "overlap-stored", "entry inside a stored entry", two(holder, page("b.html", at=inside))
    quoted = struct.pack("<BHH", 0, len(inner.local_entry()) - C, ~(len(inner.local_entry()) - C) & FULL16)
    outer = Member("a.bin", inner.local_entry()[:-C] + PAGE, body=quoted + inner.local_entry())
    yield "overlap-quoted", "entry inside a deflated entry", two(outer, page("b.html", at=inside + 5))
    yield "offset-outside", "offset after the end of the file", two(page(central={"offset": 100_000}))
    yield "offset-directory", "offset inside the central directory", two(
        page(central={"offset": HOME_SIZE * 2 + 30}))
    yield "offset-off-by-one", "offset one too far", two(page(central={"offset": HOME_SIZE + 1}))
    for slug, changes in {
        "here": {"here": 1}, "total": {"total": 1}, "count-less": {"here": 1, "total": 1},
        "count-more": {"here": 3, "total": 3}, "count-zero": {"here": 0, "total": 0},
        "disk": {"disk": 1}, "cd-disk": {"cd_disk": 1}, "disks": {"disk": 1, "cd_disk": 1},
    }.items():
        yield f"end-{slug}", f"end record: {changes}", two(other, end=changes)
    length = len(two(other))
    size, offset = struct.unpack("<2L", two(other)[-10:-2])
    for slug, changes in {
        "size-less": {"size": size - 1}, "size-more": {"size": size + 1}, "size-zero": {"size": 0},
        "size-huge": {"size": FULL32 - 1}, "offset-less": {"offset": offset - 1},
        "offset-zero": {"offset": 0},
        "offset-more": {"offset": offset + 1}, "offset-huge": {"offset": FULL32 - 1},
        "size-zero-at-end": {"size": 0, "offset": length - 22},
        "moved-together": {"size": size - 4, "offset": offset + 4},
    }.items():
        yield f"end-{slug}", f"end record: {changes}", two(other, end=changes)
    yield "end-twice", "an end record as the comment of an end record", good[:-2] + b"\x16\0" + last
    first = two(end={"clen": len(zip_of(other))})
    yield "end-zip-in-comment", "a whole zip as the comment of a zip, offsets right", zip_of(
        other, prefix=first)
    yield "end-inside", "an entry holds an end record whose comment reaches the end", _end_inside()
    for slug, note in {"more": bytes(17) + b"\1", "less": b"", "cut": b"\0\0", "other": last[4:20] + b"\1\0"}.items():
        # What a reader finds that looks for the last signature and no further.
        yield f"end-in-comment-{slug}", "an end record's signature in the comment", two(comment=b"note PK\5\6" + note)
    yield "end-in-comment-padded", "an end record's signature in the comment, then zeros", two(
        comment=b"PK\5\6" + b"\1" * 18) + bytes(100)
    for slug, body in {"zeros": bytes(8), "nothing": b""}.items():
        overrun = struct.pack("<HH", 0x5455, 16) + body
        yield f"extra-overrun-{slug}", "an extra field longer than all of them", two(page(extra=overrun))
        yield f"extra-overrun-local-{slug}", "an extra field longer than all of them", two(page(local_extra=overrun))
    yield "extra-rest", "bytes after the extra fields", two(page(extra=UT + b"\0\1"))
    yield "end-signature", "no end record", two(end={"sig": b"PK\5\7"})


def _end_inside() -> bytes:
    start = HOME_SIZE + 30 + len("a.bin")  # where the content of a.bin begins
    rest = len(two(Member("a.bin"))) - start  # what stands after it: the outer directory and end record
    inner = zip_of(page("b.html"), prefix=bytes(start), end={"clen": rest})[start:]
    return two(Member("a.bin", inner, method=0))


def _zip64() -> Iterator[tuple[str, str, bytes]]:
    good = two(end64={})
    asks = {"count": {"here": FULL16, "total": FULL16}, "size": {"size": FULL32},
        "offset": {"offset": FULL32}}
    for slug, changes in asks.items():
        yield f"zip64-none-{slug}", f"end record asks for zip64 ({slug}), which is missing", two(end=changes)
    yield "zip64-no-locator", "zip64 end record without a locator", two(end64={}, locate=False)
    yield "zip64-gap-locator", "gap before the locator", two(end64={}, between=bytes(4))
    yield "zip64-end-data", "data of unknown use in the zip64 end record", two(
        end64={"length": 44 + 100}, between=bytes(100))
    yield "zip64-end-entry", "an entry inside the zip64 end record", two(
        end64={"length": 44 + len(page("b.html").local_entry())}, between=page("b.html").local_entry())
    yield "zip64-gap-end", "gap after the locator", good[:-22] + bytes(4) + good[-22:]
    wrong = {"sig": b"PK\6\5"}
    yield "zip64-locator-signature", "no zip64 locator", two(end64={}, locator=wrong)
    yield "zip64-end-signature", "no zip64 end record", two(end64=wrong)
    place = len(good) - 22 - 20 - 56
    for slug, changes in {
        "disk": {"disk": 1}, "disks": {"disks": 2}, "offset-more": {"offset": place + 1},
        "offset-zero": {"offset": 0}, "offset-outside": {"offset": 1 << 40},
        "offset-huge": {"offset": FULL64},
    }.items():
        yield f"zip64-locator-{slug}", f"zip64 locator: {changes}", two(end64={}, locator=changes)
    size, offset = struct.unpack("<2Q", good[place + 40 : place + 56])
    for slug, changes in {
        "length-less": {"length": 43}, "length-more": {"length": 45},
        "length-huge": {"length": FULL64}, "disk": {"disk": 1}, "cd-disk": {"cd_disk": 1},
        "here": {"here": 0},
        "total": {"total": 2}, "count-more": {"here": 2, "total": 2}, "count-zero": {"here": 0, "total": 0},
        "count-huge": {"here": FULL64, "total": FULL64}, "size-less": {"size": size - 1},
        "size-zero": {"size": 0}, "size-huge": {"size": FULL64}, "offset-less": {"offset": offset - 1},
        "offset-huge": {"offset": FULL64}, "wraps": {"size": size + 1, "offset": FULL64},
    }.items():
        yield f"zip64-end-{slug}", f"zip64 end record: {changes}", two(end64=changes)
    for slug, changes in {
        "count": {"here": 2, "total": 2}, "size": {"size": size + 1}, "offset": {"offset": offset - 1},
    }.items():
        yield f"zip64-against-{slug}", f"end record contradicts its zip64 record: {changes}", two(
            end64={}, end=changes)
    for slug, member in {
        "missing": page(both=WIDE), "missing-local": page(local=WIDE),
        "missing-csize": page(both={"csize": FULL32}),
        "missing-usize": page(central={"usize": FULL32}), "missing-offset": page(central={"offset": FULL32}),
        "short": wide(extra=extra64(U)), "cut": wide(extra=extra(1, struct.pack("<QL", U, C))),
        "empty": wide(extra=extra(1, b"")), "overrun": wide(extra=struct.pack("<HHQ", 1, 16, U)),
        "twice": wide(extra=extra64(U, C) * 2), "twice-local": wide(local_extra=extra64(U, C)),
        "twice-central": wide(central_extra=extra64(U, C)),
        "twice-differs": wide(central_extra=extra64(U + 1, C)),
        "usize": wide(extra=extra64(U + 1, C)), "csize": wide(extra=extra64(U, C + 1)),
        "swapped": wide(extra=extra64(C, U)),
        "local-usize": wide(extra=b"", local_extra=extra64(U + 1, C), central_extra=extra64(U, C)),
        "local-csize": wide(extra=b"", local_extra=extra64(U, C + 1), central_extra=extra64(U, C)),
        "usize-huge": wide(extra=extra64(FULL64, C)), "csize-huge": wide(extra=extra64(U, FULL64)),
        "csize-wraps": wide(extra=extra64(U, FULL64 - HOME_SIZE)),
        "against-plain": page(central_extra=extra64(U + 1, C + 1)),
        "offset": page(central={"offset": FULL32}, central_extra=extra64(HOME_SIZE + 1)),
        "offset-huge": page(central={"offset": FULL32}, central_extra=extra64(FULL64)),
        "disk": page(central={"disk": FULL16}, central_extra=extra(1, struct.pack("<L", 1))),
    }.items():
        yield f"zip64-extra-{slug}", f"zip64 extra field: {slug}", two(member)
    sizes = {"crc": (CRC ^ 1, C, U), "csize": (CRC, C + 1, U), "usize": (CRC, C, U + (1 << 32))}
    for slug, numbers in sizes.items():
        descriptor = struct.pack("<4sLQQ", b"PK\7\x08", *numbers)
        member = streamed(descriptor, WIDE, local_extra=extra64(0, 0))
        yield f"zip64-descriptor-{slug}", f"zip64 descriptor contradicts: {slug}", two(member)


def _trees() -> Iterator[tuple[str, str, bytes]]:
    other, folder, han = b"<p>other", Member("a/", mode=0o40755), HAN + ".html"
    gbk, plain = han.encode("gb18030"), b"x.html"
    for slug, why, members in (
        ("same", "same name twice", (page(), page())),
        ("same-other-content", "same name twice", (page(), page(data=other))),
        ("same-dot", "`./a.html` and `a.html`", (page("./a.html"), page(data=other))),
        ("same-empty-part", "`a//b` and `a/b`", (page("a//b.html"), page("a/b.html", other))),
        ("same-backslash", "`a\\b` and `a/b`", (page("a\\b.html"), page("a/b.html", other))),
        ("same-backslash-last", "`a/b` and `a\\b`", (page("a/b.html"), page("a\\b.html", other))),
        ("same-unicode-path", "name, and Unicode Path",
         (page(), page(plain, extra=unicode_path(plain, "a.html")))),
        ("same-unicode-paths", "two plain names, one Unicode Path",
         (page(plain, extra=unicode_path(plain, han)), page("y.html", extra=unicode_path(b"y.html", han)))),
        ("same-charsets", "one name in UTF-8 and GB18030", (page(han), page(gbk, other))),
        ("same-flag", "one name with the UTF-8 flag and without", (page(han), page(han, other, flags=0))),
        ("file-then-inside", "file where a folder is needed", (page("a"), page("a/b.html"))),
        ("inside-then-file", "file where a folder is needed", (page("a/b.html"), page("a"))),
        ("file-then-folder", "file and folder of one name", (page("a"), folder)),
        ("folder-then-file", "file and folder of one name", (folder, page("a"))),
        ("file-far-above", "file where a folder is needed", (page("a/b/c/d.html"), page("a/b"))),
        ("file-above-backslash", "file where a folder is needed", (page("a\\b.html"), page("a"))),
        ("file-then-inner-folder", "file where a folder is needed",
         (page("a"), Member("a/b/", mode=0o40755))),
    ):
        yield slug, why, two(*members)
    rubbish = [page(name) for name in RUBBISH]
    yield "nothing", "no entries", zip_of()
    yield "nothing-comment", "no entries", zip_of(comment=b"empty")
    yield "only-folders", "only folders", zip_of(folder, Member("a/b/", mode=0o40755), Member("c\\"))
    yield "only-dot", "only `./`", zip_of(Member("./", mode=0o40755))
    yield "only-rubbish", "only rubbish", zip_of(*rubbish)
    yield "only-rubbish-and-folders", "only rubbish and folders", zip_of(folder, *rubbish)


def harmless() -> Iterator[Row]:
    other, han, gbk = b"<p>other", HAN + ".html", (HAN + ".html").encode("gb18030")
    folder, a = Member("a/", mode=0o40755), {"a.html": PAGE}
    many, last = [page(f"{number}.html") for number in range(300)], "p" * 250 + ".html"
    trail = b"\x81\x5c.html"  # one character, whose second byte is a backslash
    nested = zip_of(*(page(f"{number}.zip", zip_of(page(data=bytes(100_000)))) for number in range(16)))
    wide_descriptor = struct.pack("<4sLQQ", b"PK\7\x08", CRC, C, U)
    ntfs = extra(10, bytes(4) + struct.pack("<2H3Q", 1, 24, *[133_000_000_000_000_000] * 3))
    owner = extra(0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4))
    for slug, tree, members in (
        ("plain", a, [page()]),
        ("stored", a, [page(method=0)]),
        ("deflate-stored-block", a, [page(body=STORED)]),
        ("deflate-two-blocks", {"a.html": PAGE * 2}, [page(data=PAGE * 2, body=flushed(PAGE, PAGE))]),
        ("empty-file", {"a.html": b""}, [page(data=b"")]),
        ("empty-file-deflated", {"a.html": b""}, [page(data=b"", method=8)]),
        ("binary", {"a.bin": bytes(range(256)) * 300}, [page("a.bin", bytes(range(256)) * 300)]),
        ("many", {member.name: PAGE for member in many}, many),
        ("folder", {"a/b.html": PAGE}, [folder, page("a/b.html")]),
        ("folder-after-files", {"a/b.html": PAGE}, [page("a/b.html"), folder]),
        ("folder-empty", {"a/": b"", "b/c/": b""}, [folder, Member("b/c/", mode=0o40755)]),
        ("folder-implied", {"a/b/c.html": PAGE}, [page("a/b/c.html")]),
        ("names-with-signs", {"a b/c'd\"&?*%2e<>|:.html": PAGE}, [page("a b/c'd\"&?*%2e<>|:.html")]),
        ("names-with-dots", {".well-known/...": PAGE, "..a/b..": PAGE},
         [page(".well-known/..."), page("..a/b..")]),
        ("names-by-case", {"a.html": PAGE, "A.html": other}, [page(), page("A.html", other)]),
        ("utf8-flag", {han: PAGE, HAN + "/a.html": PAGE}, [page(han), page(HAN + "/a.html")]),
        ("utf8-flag-ascii", a, [page(flags=0x800)]),
        ("utf8-no-flag", {han: PAGE}, [page(han, flags=0)]),
        ("utf8-beyond-bmp", {"\U0001f600\U00020000.html": PAGE}, [page("\U0001f600\U00020000.html")]),
        ("gb18030", {han: PAGE}, [page(gbk)]),
        ("gb18030-four-bytes", {"\U0001f600.html": PAGE}, [page("\U0001f600.html".encode("gb18030"))]),
        ("gb18030-trail-backslash", {trail.decode("gb18030"): PAGE}, [page(trail)]),
        ("gb18030-backslash", {f"{HAN}/{han}": PAGE}, [page(HAN.encode("gb18030") + b"\\" + gbk)]),
        ("unicode-path", {han: PAGE}, [page(b"__.html", extra=unicode_path(b"__.html", han))]),
        ("unicode-path-over-gb18030", {han: PAGE}, [page(gbk, extra=unicode_path(gbk, han))]),
        ("unicode-path-same", {han: PAGE}, [page(han, extra=unicode_path(han.encode(), han))]),
        ("unicode-path-folder", {HAN + "/": b""}, [Member(b"__/", extra=unicode_path(b"__/", HAN + "/"))]),
        ("unicode-path-stale", a, [page(extra=unicode_path(b"a.html", "b.html", crc=1))]),
        ("unicode-path-stale-gb18030", {han: PAGE}, [page(gbk, extra=unicode_path(gbk, "b.html", crc=1))]),
        ("unicode-path-stale-dotdot", a, [page(extra=unicode_path(b"a.html", "../b.html", crc=1))]),
        ("backslash", {"a/b/c.html": PAGE}, [page("a\\b\\c.html", central={"made": 0x0014})]),
        ("backslash-mixed", {"a/b/c.html": PAGE}, [page("a/b\\c.html")]),
        ("backslash-folder", {"a/b.html": PAGE, "c/": b""},
         [Member("a\\"), page("a\\b.html"), Member("c\\")]),
        ("dot", {"a.html": PAGE, "b/c.html": PAGE}, [page("./a.html"), page("./b/c.html")]),
        ("dot-backslash", {"a/b.html": PAGE}, [page(".\\a\\b.html")]),
        ("dot-folder", a, [Member("./", mode=0o40755), page("./a.html")]),
        ("empty-parts", {"a/b.html": PAGE}, [page("a//b.html")]),
        ("rubbish", a, [page(), *map(page, RUBBISH), Member("__MACOSX/", mode=0o40755)]),
        ("rubbish-lookalikes", {"a/__MACOSX.html": PAGE, "DS_Store": PAGE, "xThumbs.db": PAGE},
         [page("a/__MACOSX.html"), page("DS_Store"), page("xThumbs.db")]),
        ("descriptor", a, [streamed()]),
        ("descriptor-bare", a, [streamed(SIGNED[4:])]),
        ("descriptor-many", a | {"b.html": PAGE, "c.html": PAGE},
         [streamed(), streamed(SIGNED[4:], name="b.html"), page("c.html")]),
        ("descriptor-empty", {"a.html": b""},
         [streamed(b"PK\7\x08" + struct.pack("<3L", 0, 2, 0), data=b"", method=8)]),
        ("zip64", a, [wide()]),
        ("zip64-local", a, [page(local=WIDE, local_extra=extra64(U, C))]),
        ("zip64-with-others", a, [wide(extra=UT + extra64(U, C) + owner)]),
        ("zip64-offset", a, [page(central={"offset": FULL32}, central_extra=extra64(HOME_SIZE))]),
        ("zip64-all", a, [page(local=WIDE, local_extra=extra64(U, C), central=WIDE | {"offset": FULL32},
                               central_extra=extra64(U, C, HOME_SIZE))]),
        ("zip64-descriptor", a, [streamed(wide_descriptor, WIDE, local_extra=extra64(0, 0))]),
        ("zip64-descriptor-bare", a, [streamed(wide_descriptor[4:], WIDE, local_extra=extra64(0, 0))]),
        ("zip64-descriptor-central", a, [streamed(wide_descriptor, WIDE, local_extra=extra64(0, 0),
                                                  central=WIDE, central_extra=extra64(U, C))]),
        ("extras", a, [page(extra=UT + owner + ntfs + extra(0xCAFE, b""))]),
        ("extras-differ", a, [page(local_extra=UT, central_extra=UT[:2] + b"\5\0" + UT[4:9])]),
        ("extra-padding", a | {"b.html": PAGE}, [page(extra=bytes(3)), page("b.html", extra=UT + bytes(9))]),
        ("extra-comment", a, [page(comment=b"\xff note", extra=extra(0x6375, b"\1" + bytes(4) + b"note"))]),
        ("modes", {"a": PAGE, "b": PAGE, "c": PAGE, "d": PAGE},
         [page("a", mode=0o106777), page("b", mode=0o100000), page("c", mode=0), page("d", mode=0o755)]),
        ("made-elsewhere", {"a": PAGE, "b": PAGE, "c": PAGE},
         [page("a", mode=0, central={"made": 0x0014, "eattr": 0x21}), page("b", central={"made": 0x0A1F}),
          page("c", central={"made": 0x133F, "iattr": 1})]),
        ("times", {"a": PAGE, "b": PAGE},
         [page("a", both={"time": 0, "date": 0}), page("b", both={"time": FULL16, "date": FULL16})]),
        ("deflate-levels", {"a": PAGE, "b": PAGE}, [page("a", flags=2), page("b", flags=6)]),
        ("part-255", {last: PAGE, "q" * 255 + "/a.html": PAGE}, [page(last), page("q" * 255 + "/a.html")]),
        ("part-255-han", {HAN[0] * 85: PAGE}, [page(HAN[0] * 85)]),
        ("part-255-gb18030", {HAN[0] * 85: PAGE}, [page((HAN[0] * 85).encode("gb18030"))]),
        ("path-1024", {DEEP_1024: PAGE}, [page(DEEP_1024)]),
        ("path-1024-han", {DEEP_1024[:-6] + HAN: PAGE}, [page(DEEP_1024[:-6] + HAN)]),
        ("nested", {"a.zip": nested}, [page("a.zip", nested)]),
        ("nested-stored", {"a.zip": nested, "b.zip": two()},
         [page("a.zip", nested, method=0), page("b.zip", two(), method=0)]),
    ):
        yield f"zip-{slug}", "a.zip", two(*members), {"index.html": PAGE} | tree
    numbers = struct.unpack("<2H2L", zip_of(HOME)[-14:-2])
    plain = dict(zip(("here", "total", "size", "offset"), numbers, strict=True))
    for slug, data in {
        "alone": zip_of(HOME), "comment": zip_of(HOME, comment=b"note"),
        "comment-longest": zip_of(HOME, comment=b"n" * FULL16),
        # bsdtar pads what it writes into a pipe.
        "padded": zip_of(HOME) + bytes(10240), "padded-comment": zip_of(HOME, comment=b"note") + b"\0",
        "zip64-end": zip_of(HOME, end64={}), "zip64-end-plain": zip_of(HOME, end64={}, end=plain),
        "zip64-end-comment": zip_of(HOME, end64={}, comment=b"note"),
    }.items():
        yield f"zip-{slug}", "a.zip", data, {"index.html": PAGE}

# fmt: on


def flushed(*parts: bytes) -> bytes:
    """Deflated so that each part is blocks of its own, and the last two bytes are an empty last block."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = tuple(packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in parts)
    return b"".join(parts) + packer.flush()


def bombs() -> Iterator[Row]:
    mib = bytes(1 << 20)
    small = {"usize": 1000, "crc": zlib.crc32(mib[:1000])}  # right for who stops reading there
    yield "bomb-zip-quoted", "a.zip", _quoted(1000, mib), "1,000 overlapping entries over one kernel: 1 GiB"
    ratio = page(body=zeros(200)[0] + b"\3\0", both=small)
    yield "bomb-zip-ratio", "a.zip", two(ratio), "200 MiB declared as 1,000 bytes"
    body, crc = zeros(2048)
    honest = page(body=body + b"\3\0", both={"usize": 1 << 31, "crc": crc})
    yield "bomb-zip-honest", "a.zip", two(honest), "limit: 2 GiB of zeros, declared as such"
    yield "bomb-zip-entries", "a.zip", _tiny(200_000), "limit: 200,000 entries"
    deep = (page(f"{number:03x}" + "/a" * 499 + "/b", b"x") for number in range(1000))
    yield "bomb-zip-deep", "a.zip", two(*deep), "limit: 500,000 folders by 1,000 entries"
    names = (
        page(b"%07x" % number * 9000, b"", extra=unicode_path(b"%07x" % number * 9000, f"{number}"))
        for number in range(700)
    )
    yield "bomb-zip-names", "a.zip", zip_of(*names), "700 names of 63,000 bytes"
    ends = two()[:-22] + (b"PK\5\6" * 16_390)[: FULL16 + 22]
    yield "bomb-zip-end-records", "a.zip", ends, "16,000 signatures to try as an end record"


def zeros(count: int, crc: int = 0) -> tuple[bytes, int]:
    """`count` MiB of zeros, as so many deflated forms of one, and the CRC carried on through them."""
    one = bytes(1 << 20)
    for _ in range(count):
        crc = zlib.crc32(one, crc)
    return flushed(one)[:-2] * count, crc


def _tiny(count: int) -> bytes:
    """Many entries of one byte, cut from one pattern, as the builder would take long."""
    pattern = Member("000000", b"x", method=0)
    local, central = pattern.local_entry(), pattern.central_entry(0)
    entries, directory = bytearray(), bytearray()
    for number in range(count):
        name = b"%06x" % number
        directory += central[:42] + struct.pack("<L", len(entries)) + name
        entries += local[:30] + name + b"x"
    end = {"here": count, "total": count, "size": len(directory), "offset": len(entries)}
    return zip_of(prefix=bytes(entries + directory), end64=end)


def _quoted(count: int, data: bytes) -> bytes:
    """Each entry's deflate stream quotes the next entry's local header and then runs on into its body."""
    member = Member("0", method=8, body=deflate(data), both={"crc": zlib.crc32(data), "usize": len(data)})
    members = [member]
    for number in range(1, count):
        inner = member.local_entry()
        head = inner[: 30 + len(member.name)]
        data = head + data
        quote = struct.pack("<BHH", 0, len(head), len(head) ^ FULL16)
        sizes = {"crc": zlib.crc32(data), "usize": len(data)}
        member = Member(f"{number:x}", method=8, body=quote + inner, both=sizes)
        members.append(member)
    offset, inside = 0, []
    for outer, member in zip(members[:0:-1], members[-2::-1], strict=True):
        offset += 30 + len(outer.name) + 5
        inside.append(replace(member, at=offset))
    return zip_of(members[-1], *inside)
