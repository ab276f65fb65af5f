"""Tar.gz archives by hand: builders with raw control of every header field, and the tables of cases."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from .zips import BAD_NAMES, DEEP_1024, HAN, PAGE, RUBBISH, Row, flushed, zeros, zip_of
from .zips import HOME as ZIP_HOME

FIELDS = {
    "name": 100, "mode": 8, "uid": 8, "gid": 8, "size": 12, "mtime": 12, "checksum": 8, "kind": 1,
    "linkname": 100, "magic": 8, "uname": 32, "gname": 32, "devmajor": 8, "devminor": 8, "prefix": 155,
    "rest": 12,
}  # fmt: skip
Pieces = bytes | Iterable[bytes]
Case = tuple[Any, ...]  # slug, and what is said of it; then the entries
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", b""
BLOCK, END = 512, bytes(1024)
STAR, STAR_TIMES = bytes(8) + b"tar\0", b"14371541372 14371541372 "  # where ustar has the end of its prefix


def header(**fields: bytes) -> bytes:
    """One block. Fields are raw bytes filled up with NUL; the checksum is right unless it is given."""
    unknown = fields.keys() - FIELDS.keys()
    if unknown:
        raise ValueError(f"no such header field: {unknown}")
    for name, value in fields.items():
        if len(value) > FIELDS[name]:
            raise ValueError(f"{name} does not fit: {value!r}")
    given = {"checksum": b" " * 8} | fields
    block = b"".join(given.get(name, b"").ljust(width, b"\0") for name, width in FIELDS.items())
    if "checksum" in fields:
        return block
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def entry(name: str | bytes, data: bytes = b"", kind: bytes = b"0", **raw: bytes) -> bytes:
    """A header and its content, padded to whole blocks; `raw` changes header fields."""
    honest = {
        "name": name.encode() if isinstance(name, str) else name, "mode": b"0000644\0", "uid": b"0001750\0",
        "gid": b"0001750\0", "size": octal(len(data)), "mtime": octal(1_700_000_000), "kind": kind,
        "magic": USTAR,
    }  # fmt: skip
    return header(**honest | raw) + padded(data)


def octal(number: int) -> bytes:
    return b"%011o\0" % number


def base256(number: int, width: int = 12) -> bytes:
    """GNU's binary number: a first byte of 0x80, or of 0xFF for a negative one."""
    if number < 0:
        return number.to_bytes(width, "big", signed=True)
    return b"\x80" + number.to_bytes(width - 1, "big")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def page(name: str | bytes = "a.html", data: bytes = PAGE, **raw: bytes) -> bytes:
    return entry(name, data, **raw)


def folder(name: str | bytes, **raw: bytes) -> bytes:
    return entry(name, kind=b"5", **raw)


def long(name: str | bytes, kind: bytes = b"L", end: bytes = b"\0", **raw: bytes) -> bytes:
    """GNU's long name for the entry that follows (`K`: its link target)."""
    name = name.encode() if isinstance(name, str) else name
    return entry("././@LongLink", name + end, kind, magic=GNU, **raw)


def record(key: str, value: str | bytes) -> bytes:
    """A PAX record; its length counts its own digits."""
    rest = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d" % length + rest


def pax(*records: bytes, kind: bytes = b"x", **values: str | bytes) -> bytes:
    """An extended header for the next entry (`g`: for all that follow). `_` in a key stands for `.`."""
    body = b"".join(records) + b"".join(record(key.replace("_", "."), value) for key, value in values.items())
    return entry("PaxHeaders/x", body, kind)


def every(**values: str | bytes) -> bytes:
    return pax(kind=b"g", **values)


HOME = page("index.html")  # an innocent first entry: a refusal must be of the whole, not of one entry


def tar_of(*entries: bytes, end: bytes = END) -> bytes:
    return HOME + b"".join(entries) + end


def gz(data: Pieces, flags: int = 0, fields: bytes = b"", level: int = 9, **end: int) -> bytes:
    """One gzip member; `fields` are what `flags` announce; `crc` and `size` are right unless given."""
    packer, crc, size = zlib.compressobj(level, zlib.DEFLATED, -15), 0, 0
    out = bytearray(gz_head(flags, fields))
    for piece in [data] if isinstance(data, bytes) else data:
        out += packer.compress(piece)
        crc, size = zlib.crc32(piece, crc), size + len(piece) & 0xFFFFFFFF
    return bytes(out + packer.flush()) + struct.pack("<2L", end.get("crc", crc), end.get("size", size))


def gz_head(flags: int, fields: bytes = b"", method: int = 8) -> bytes:
    return struct.pack("<2sBBLBB", b"\x1f\x8b", method, flags, 1_700_000_000, 2, 3) + fields


def gz_checked(data: bytes, flags: int, fields: bytes, wrong: int = 0) -> bytes:
    """A gzip member whose header has a checksum."""
    check = zlib.crc32(gz_head(flags | 2, fields)) & 0xFFFF
    return gz(data, flags | 2, fields + struct.pack("<H", check ^ wrong))


# fmt: off
def hostile() -> Iterator[Row]:
    for slug, (name, why) in BAD_NAMES.items():
        if len(name.encode()) <= 100:
            yield f"tar-name-{slug}", "a.tar.gz", gz(tar_of(page(name))), why
        yield f"tar-long-{slug}", "a.tar.gz", gz(tar_of(long(name), page("a.html", magic=GNU))), f"{why}, GNU"
        yield f"tar-pax-{slug}", "a.tar.gz", gz(tar_of(pax(path=name), page())), f"{why}, PAX"
    for slug, why, *entries in (*_names(), *_kinds(), *_numbers(), *_pax(), *_trees()):
        yield f"tar-{slug}", "a.tar.gz", gz(tar_of(*entries)), why
    for slug, why, data in _stream():
        yield f"tar-{slug}", "a.tar.gz", gz(data), why
    for slug, why, data in _gzip():
        yield f"gzip-{slug}", "a.tar.gz", data, why
    for slug, name, data in _content():
        yield f"content-{slug}", name, data, "content is not what the name says"


def _names() -> Iterator[Case]:
    yield "name-empty", "empty name", page("")
    yield "name-empty-v7", "empty name", page("", magic=V7)
    yield "name-dot", "a file whose name is nothing but `.`", page(".")
    yield "name-long-empty", "empty name, GNU", long(""), page(magic=GNU)
    yield "name-long-nothing", "empty name, GNU", long("", end=b""), page(magic=GNU)
    yield "name-long-nul", "NUL in a name, GNU", long("a\0b.html"), page(magic=GNU)
    yield "name-pax-nul", "NUL in a name, PAX", pax(path="a\0b.html"), page()
    yield "name-pax-nul-last", "NUL in a name, PAX", pax(path="a.html\0"), page()
    yield "name-backslash", "backslash", page("a\\b.html")
    yield "name-backslash-last", "backslash", folder("a\\")
    yield "name-backslash-long", "backslash, GNU", long("a\\b.html"), page(magic=GNU)
    yield "name-backslash-pax", "backslash, PAX", pax(path="a\\b.html"), page()
    yield "name-backslash-prefix", "backslash in the prefix", page(prefix=b"a\\b")
    yield "name-latin1", "not UTF-8", page(b"caf\xe9.html")
    yield "name-gb18030", "not UTF-8", page((HAN + ".html").encode("gb18030"))
    yield "name-overlong", "not UTF-8: overlong form", page(b"a\xc0\xafb.html")
    yield "name-surrogate", "not UTF-8: a surrogate", page(b"\xed\xa0\x80.html")
    yield "name-latin1-long", "not UTF-8, GNU", long(b"caf\xe9.html"), page(magic=GNU)
    yield "name-latin1-pax", "not UTF-8, PAX", pax(path=b"caf\xe9.html"), page()
    yield "name-latin1-prefix", "not UTF-8 in the prefix", page(prefix=b"caf\xe9")
    yield "name-latin1-rubbish", "not UTF-8 inside __MACOSX", page(b"__MACOSX/\xe9")
    yield "name-long-runs-on", "a long name that some readers read on into its padding", long(
        "b", end=b"")[:513] + b"idden.html" + bytes(501), page(magic=GNU)
    yield "name-file-dot", "a file whose last part is `.`", page("a/.")
    yield "name-file-dot-long", "a file whose last part is `.`, GNU", long("a/."), page(magic=GNU)
    yield "name-file-dot-pax", "a file whose last part is `.`, PAX", pax(path="a/."), page()
    magics = {"letter": b"ustarX00", "space": b"ustar \0\0", "short": b"ustar1\0\0", "none": V7, "gnu": GNU}
    for slug, magic in magics.items():
        # Some readers put the prefix before the name, others do not.
        yield f"prefix-magic-{slug}", f"prefix behind magic {magic!r}", page(magic=magic, prefix=b"hidden")
    yield "prefix-gnu-after-times", "more than times where GNU has them", page(
        magic=GNU, prefix=octal(1_700_000_001) * 2 + b"hidden")
    yield "prefix-star-dirty", "star's mark, but more in the prefix than star's", page(
        prefix=b"p" * 20 + bytes(111) + b"hidden", rest=STAR)
    yield "prefix-star-dotdot", "`..` in star's prefix", page(prefix=b"a/.." + bytes(127) + STAR_TIMES, rest=STAR)
    yield "prefix-absolute", "absolute path by the prefix", page(prefix=b"/abs")
    yield "prefix-dotdot", "`..` in the prefix", page(prefix=b"a/..")
    yield "prefix-control", "C0 character in the prefix", page(prefix=b"a\x01")
    yield "folder-dotdot", "`..` part", folder("a/../")
    yield "folder-absolute", "absolute path", folder("/")


def _kinds() -> Iterator[Case]:
    kinds = {"hard-link": b"1", "symlink": b"2", "char-device": b"3", "block-device": b"4", "fifo": b"6"}
    for slug, kind in kinds.items():
        link = b"index.html" if kind in b"12" else b""
        yield slug, f"type {slug}", entry("a.html", kind=kind, linkname=link)
    yield "symlink-out", "symlink out of the site", entry("a", kind=b"2", linkname=b"/etc/passwd")
    yield "symlink-folder-name", "symlink with a folder's name", entry("a/", kind=b"2", linkname=b"..")
    yield "symlink-v7", "symlink in an old tar", entry("a", kind=b"2", linkname=b"index.html", magic=V7)
    yield "symlink-in-rubbish", "symlink inside __MACOSX", entry("__MACOSX/a", kind=b"2", linkname=b"b")
    yield "symlink-rubbish", "symlink with a left-out name", entry(".DS_Store", kind=b"2", linkname=b"b")
    yield "symlink-long-name", "symlink with a GNU long name", long("a"), entry(
        "a", kind=b"2", linkname=b"b", magic=GNU)
    yield "symlink-long-link", "GNU long link", long("b" * 200, b"K"), entry(
        "a", kind=b"2", linkname=b"b", magic=GNU)
    yield "symlink-pax-link", "PAX link", pax(linkpath="b" * 200), entry("a", kind=b"2", linkname=b"b")
    yield "hard-link-content", "hard link with content", entry("a.html", PAGE, b"1", linkname=b"index.html")
    yield "hard-link-long-link", "GNU long link", long("index.html", b"K"), entry("a", kind=b"1", magic=GNU)
    yield "sparse-old", "GNU sparse file", entry("a", PAGE, b"S", magic=GNU)
    for kind in (bytes([code]) for code in b"89ADEIMNVXZz \x01\xff"):
        yield f"kind-{kind.hex()}", f"type flag {kind!r}", entry("a.html", PAGE, kind)
    yield "kind-in-rubbish", "unknown type inside __MACOSX", entry("__MACOSX/a", kind=b"Z")
    yield "folder-content", "folder with content", entry("a/", PAGE, b"5")
    yield "folder-content-as-file", "folder with content, type 0", entry("a/", PAGE, b"0")
    yield "folder-content-v7", "folder with content, type NUL", entry("a/", PAGE, b"\0", magic=V7)


def _numbers() -> Iterator[Case]:
    sizes = {
        "negative-content": base256(-len(PAGE)), "overflow": base256((1 << 64) + len(PAGE)),
        "overflow-63": base256(1 << 63), "overflow-88": base256((1 << 88) - 1),
        "overflow-mark": b"\x81" + bytes(9) + b"\0\x9e", "digit-8": b"00000000238\0",
        "letters": b"0000000023x\0", "hex": b"0x000000009e", "minus": b"-0000000236\0",
        "plus": b"+0000000236\0", "underscore": b"0000000_236\0", "inner-space": b"0000 000236\0",
    }
    for slug, size in sizes.items():
        yield f"size-{slug}", f"size field {size!r}", page(size=size)
    for slug, size in {"negative": base256(-1), "negative-large": base256(-(1 << 70))}.items():
        # Without content, so that who takes a negative size for zero finds nothing else wrong.
        yield f"size-{slug}", f"size field {size!r}", page(data=b"", size=size)
    sums = {"zero": b"000000\0 ", "blank": b"", "spaces": b" " * 8, "letters": b"abcdef\0 "}
    for slug, checksum in sums.items():
        yield f"checksum-{slug}", f"checksum field {checksum!r}", page(checksum=checksum)
    right = int(page()[148:154], 8)
    for slug, off in {"less": -1, "more": 1, "wraps": 1 << 16}.items():
        yield f"checksum-{slug}", f"checksum off by {off}", page(checksum=b"%06o\0 " % (right + off))
    yield "checksum-folder", "wrong checksum of a folder", folder("a/", checksum=b"000000\0 ")
    yield "checksum-long", "wrong checksum of a long name", long("a.html", checksum=b"000000\0 "), page(
        magic=GNU)
    yield "checksum-rubbish", "wrong checksum inside __MACOSX", page("__MACOSX/a", checksum=b"000000\0 ")


def _pax() -> Iterator[Case]:
    size = str(len(PAGE))
    records = {
        "no-newline": b"15 comment=abcd", "no-newline-more": b"15 comment=abcd" + record("mtime", "1"),
        "no-equals": b"14 comment ab\n", "no-space": b"15comment=abcd\n", "no-length": b" comment=abcd\n",
        "length-less": b"15 comment=abcd\n", "length-more": b"17 comment=abcd\n",
        "length-overlaps": b"20 comment=abcd\n" + record("mtime", "1"), "length-zero": b"0 comment=abcd\n",
        "length-minus": b"-15 comment=abcd\n", "length-plus": b"+16 comment=abc\n",
        "length-hex": b"0x10 comment=ab\n",
        "length-short": b"2 comment=abcd\n", "length-huge": b"99999999999999999999999 comment=abcd\n",
        "length-beyond": b"999 comment=abcd\n", "length-digits": "\u0661\u0668 comment=abcd\n".encode(),
        "text": b"comment=abcd\n", "binary": bytes(range(1, 100)), "rest": record("mtime", "1") + b"12",
        "nul": record("mtime", "1") + b"\0", "empty-line": record("mtime", "1") + b"\n",
    }
    for slug, body in records.items():
        yield f"pax-{slug}", f"PAX records {body[:60]!r}", pax(body), page()
        if slug in ("no-newline", "no-equals", "length-less", "length-more", "binary"):
            yield f"pax-global-{slug}", f"global PAX records {body[:60]!r}", pax(body, kind=b"g"), page()
    sizes = {
        "less": str(len(PAGE) - 1), "more": str(len(PAGE) + 1), "block": str(len(PAGE) + BLOCK), "zero": "0",
        "minus": "-" + size, "text": "many", "hex": hex(len(PAGE)), "float": size + ".0", "blank": " ",
        "underscore": size[0] + "_" + size[1:], "nul": size + "\0", "arabic": "\u0661\u0665\u0668",
        "huge": str(1 << 63), "overflow": str((1 << 64) + len(PAGE)), "digits": "9" * 5000,
    }
    for slug, value in sizes.items():
        yield f"pax-size-{slug}", f"PAX size {value[:20]!r} against the header", pax(size=value), page()
    yield "pax-size-hides", "PAX size 0 to hide an entry", pax(size="0"), entry("a.html", page("hidden.html"))
    yield "pax-size-swallows", "PAX size that swallows an entry", pax(size="1024"), entry("a.html"), page(
        "b.html"), page("c")
    for key, value in {"path": "b.html", "size": size, "linkpath": "b"}.items():
        yield f"global-{key}", f"global PAX {key}", every(**{key: value}), page()
    yield "global-path-late", "global PAX path", page(), every(path="b.html"), page("c.html")
    yield "global-sparse", "global PAX sparse file", every(GNU_sparse_major="1", GNU_sparse_minor="0"), page()
    yield "charset-binary-gbk", "hdrcharset BINARY, not UTF-8", pax(hdrcharset="BINARY", path=b"\xc4\xe3.html"), page()
    yield "charset-latin1", "hdrcharset Latin-1", pax(hdrcharset="ISO-IR 8859 1 1998"), page()
    sparse = b"1\n0\n%d\n" % len(PAGE)
    yield "sparse-0.0", "PAX sparse file 0.0", pax(GNU_sparse_size=size, GNU_sparse_numblocks="1"), page()
    yield "sparse-0.1", "PAX sparse file 0.1", pax(GNU_sparse_size=size, GNU_sparse_map="0," + size), page()
    yield "sparse-1.0", "PAX sparse file 1.0", pax(
        GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_name="a.html", GNU_sparse_realsize=size
    ), entry("GNUSparseFile.0/a.html", padded(sparse) + PAGE)
    yield "sparse-star", "star's sparse file", pax(SCHILY_realsize="9000"), page()
    yield "sparse-solaris", "Solaris' sparse file", pax(SUN_holesdata=" 0 158"), page()
    yield "sparse-global-star", "star's size for every file", every(SCHILY_realsize="9000"), page()
    for key in ("filename", "size", "offset"):
        yield f"volume-{key}", "a part of a file on several volumes", pax(**{f"GNU_volume_{key}": "9"}), page()
    yield "sparse-name", "PAX sparse name alone", pax(GNU_sparse_name="b.html"), page()
    yield "long-huge", "GNU long name over 64 KiB", long("a" + "/" * 70_000 + "b.html"), page(magic=GNU)
    yield "pax-huge", "PAX header over 64 KiB", pax(comment="c" * 70_000), page()
    many = (record(f"X.{number}", "1") for number in range(6000))
    yield "pax-huge-many", "PAX header over 64 KiB", pax(*many), page()
    yield "global-huge", "global PAX header over 64 KiB", every(comment="c" * 70_000), page()
    heads = {"long": long("b.html"), "pax": pax(path="b.html"), "pax-mtime": pax(mtime="1")}
    for slug, head in heads.items():
        yield f"chained-{slug}", "two extension headers for one entry", head, head, page(magic=GNU)
        yield f"dangling-{slug}", "extension header without an entry", page(), head
    yield "chained-long-and-pax", "a GNU name and a PAX path", long("b.html"), pax(path="c.html"), page(magic=GNU)
    yield "chained-pax-and-long", "a PAX path and a GNU name", pax(path="c.html"), long("b.html"), page(magic=GNU)
    twice = record("path", "b.html"), record("path", "c.html")
    yield "pax-record-twice", "two PAX paths in one header", pax(*twice), page()
    yield "chained-long-other", "two GNU names", long("b.html"), long("c.html"), page(magic=GNU)
    yield "chained-pax-other", "two PAX headers", pax(path="b.html"), pax(mtime="1"), page()
    yield "dangling-link", "GNU long link without an entry", long("b.html", b"K")


def _trees() -> Iterator[Case]:
    other = b"<p>other"
    yield "same", "same name twice", page(), page()
    yield "same-other-content", "same name twice", page(), page(data=other)
    yield "same-dot", "`./a.html` and `a.html`", page("./a.html"), page(data=other)
    yield "same-empty-part", "`a//b` and `a/b`", page("a//b.html"), page("a/b.html", other)
    yield "same-pax", "name, and PAX path", page(), pax(path="a.html"), page("b.html")
    yield "same-long", "GNU name, and name", long("a.html"), page("b.html", magic=GNU), page()
    yield "same-prefix", "name, and prefix and name", page("a/b.html"), page("b.html", prefix=b"a")
    yield "file-then-inside", "file where a folder is needed", page("a"), page("a/b.html")
    yield "inside-then-file", "file where a folder is needed", page("a/b.html"), page("a")
    yield "file-then-folder", "file and folder of one name", page("a"), folder("a/")
    yield "folder-then-file", "file and folder of one name", folder("a/"), page("a")
    yield "folder-bare-then-file", "file and folder of one name", folder("a"), page("a")
    yield "file-far-above", "file where a folder is needed", page("a/b/c/d.html"), page("a/b")
    yield "file-then-inner-folder", "file where a folder is needed", page("a"), folder("a/b/")


def _stream() -> Iterator[tuple[str, str, bytes]]:
    good, content = tar_of(), len(HOME) - BLOCK
    yield "end-none", "no end blocks", tar_of(end=b"")
    yield "end-one", "one end block", tar_of(end=bytes(BLOCK))
    yield "end-cut", "second end block cut", tar_of(end=bytes(1023))
    yield "end-byte", "second end block is one byte", tar_of(end=bytes(BLOCK + 1))
    yield "end-after", "byte after the end blocks", tar_of(end=END + b"x")
    yield "end-after-far", "byte long after the end blocks", tar_of(end=bytes(1 << 20) + b"x")
    yield "end-after-page", "entry after the end blocks", good + page() + END
    yield "end-after-tar", "tar after the tar", good + good
    yield "end-lone", "lone zero block between entries", tar_of(bytes(BLOCK), page())
    yield "end-second-dirty", "second end block is not zero", tar_of(end=bytes(1023) + b"x")
    yield "garbage-between", "block of garbage between entries", tar_of(b"x" * BLOCK, page())
    yield "cut-header", "cut inside a header", tar_of(page()[:300], end=b"")
    yield "cut-content", "cut inside content", tar_of(page()[: BLOCK + 20], end=b"")
    yield "cut-padding", "cut inside the padding", tar_of(page()[: BLOCK + content - 1], end=b"")
    yield "cut-after-header", "cut before content", tar_of(page()[:BLOCK], end=b"")
    yield "cut-long", "cut inside a long name", tar_of(long("a.html")[:600], end=b"")
    yield "cut-pax", "cut inside a PAX header", tar_of(pax(mtime="1")[:BLOCK], end=b"")
    yield "size-beyond", "size beyond the end", tar_of(page(size=octal(1 << 20)))
    yield "size-8gib", "size beyond the end, 12 digits", tar_of(page(size=b"777777777777"))
    yield "size-base256-beyond", "size beyond the end, binary", tar_of(page(size=base256(1 << 40)))
    yield "size-long-beyond", "long name beyond the end", tar_of(
        long("a.html", size=octal(60_000)), page(magic=GNU))
    yield "nothing", "no entries", END
    yield "only-folders", "only folders", folder("a/") + folder("a/b/") + END
    yield "only-dot", "only `./`", folder("./") + END
    rubbish = b"".join(map(page, RUBBISH))
    yield "only-rubbish", "only rubbish", rubbish + END
    yield "only-rubbish-and-folders", "only rubbish and folders", folder("c/") + rubbish + END
    yield "only-global", "only a global header", every(comment="abc") + END


def _gzip() -> Iterator[tuple[str, str, bytes]]:
    tar, good = tar_of(), gz(tar_of())
    yield "crc", "wrong CRC", gz(tar, crc=zlib.crc32(tar) ^ 1)
    yield "size", "wrong length", gz(tar, size=len(tar) + 1)
    yield "header-crc", "wrong header checksum", gz_checked(tar, 0, b"", 1)
    yield "header-crc-name", "wrong header checksum after a name", gz_checked(tar, 8, b"a.tar\0", 0x100)
    yield "header-method", "unknown compression method", gz_head(0, method=7) + good[10:]
    for cut in (1, 4, 8, 9, 20, len(good) - 10, len(good) - 5, len(good) - 1):
        yield f"cut-{cut}", f"last {cut} bytes missing", good[:-cut]
    yield "cut-header-extra", "cut inside the extra field", gz_head(4, b"\xff\0abc")
    yield "cut-header-name", "cut inside the name", gz_head(8, b"a.tar")
    yield "cut-header-crc", "cut inside the header checksum", gz_head(2, b"\0")
    yield "after", "byte after the last member", good + b"x"
    yield "after-newline", "newline after the last member", good + b"\n"
    yield "after-zeros", "byte after zeros after the last member", good + bytes(600) + b"x"
    yield "after-magic", "half a header after the last member", good + b"\x1f"
    yield "after-deflate", "a byte between deflate stream and trailer", good[:-8] + b"\0" + good[-8:]
    yield "after-plain", "plain tar after the last member", good + tar
    yield "before", "byte before the first member", b"\n" + good
    yield "before-zeros", "zeros before the first member", bytes(BLOCK) + good
    half, rest = tar[:700], tar[700:]
    yield "second-crc", "wrong CRC in the second member", gz(half) + gz(rest, crc=1)
    yield "second-size", "wrong length in the second member", gz(half) + gz(rest, size=len(tar))
    yield "first-crc", "wrong CRC in the first member", gz(half, crc=1) + gz(rest)
    yield "second-cut", "second member cut", gz(half) + gz(rest)[:-1]
    yield "second-missing", "second member missing", gz(half)
    yield "second-tar", "second member is another tar", good + gz(tar)
    yield "second-dirty", "second member is not zero", good + gz(b"x")


def _content() -> Iterator[tuple[str, str, bytes]]:
    tar, html, zipped = tar_of(), PAGE, zip_of(ZIP_HOME)
    packed = gz(tar)
    yield from (
        ("zip-as-tar-gz", "a.tar.gz", zipped), ("zip-as-tgz", "a.tgz", zipped),
        ("tar-gz-as-zip", "a.zip", packed), ("tar-as-tar-gz", "a.tar.gz", tar), ("tar-as-tgz", "a.tgz", tar),
        ("tar-as-zip", "a.zip", tar), ("html-as-zip", "a.zip", html), ("html-as-tar-gz", "a.tar.gz", html),
        ("empty-as-zip", "a.zip", b""), ("empty-as-tar-gz", "a.tar.gz", b""), ("empty-as-tgz", "a.tgz", b""),
        ("zeros-as-zip", "a.zip", bytes(4096)), ("zeros-as-tar-gz", "a.tar.gz", bytes(4096)),
        ("gzip-of-html", "a.tar.gz", gz(html)), ("gzip-of-long-html", "a.tar.gz", gz(html * 20)),
        ("gzip-of-nothing", "a.tar.gz", gz(b"")), ("gzip-of-gzip", "a.tar.gz", gz(packed)),
        ("gzip-of-zip", "a.tar.gz", gz(zipped)), ("gzip-of-zip-as-zip", "a.zip", gz(zipped)),
        ("bzip2", "a.tar.gz", bz2.compress(tar)), ("xz", "a.tar.gz", lzma.compress(tar)),
        ("7z", "a.zip", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24)),
        ("rar", "a.zip", b"Rar!\x1a\7\1\0" + bytes(24)), ("end-record-head", "a.zip", b"PK\5\6"),
        ("zip-head", "a.zip", b"PK\3\4"), ("gzip-head", "a.tgz", b"\x1f\x8b"),
    )


def harmless() -> Iterator[Row]:
    han, a, far = HAN + ".html", {"a.html": PAGE}, "far/" * 60 + "a.html"
    name_100, prefix_155, last = "n" * 95 + ".html", "p" * 77 + "/" + "q" * 77, "p" * 250 + ".html"
    gnu_times = octal(1_700_000_001) + octal(1_700_000_002)  # atime and ctime, where ustar has its prefix
    vendor = pax(
        mtime="1700000000.123456789", atime="1.5", ctime="-1.25", LIBARCHIVE_creationtime="1",
        SCHILY_xattr_user_note=b"\xff\0=\n", SCHILY_dev="2049", uid="4000000000", gname=HAN,
    )
    cases: tuple[Case, ...] = (
        ("plain", a, page()),
        ("v7", a | {"b/": b""}, page(kind=b"\0", magic=V7), entry("b/", kind=b"\0", magic=V7)),
        ("gnu", a | {"b/": b""}, page(magic=GNU), folder("b/", magic=GNU)),
        ("gnu-times", a | {"b": PAGE}, page(magic=GNU, prefix=gnu_times), page(
            "b", magic=GNU, prefix=base256(-1) + base256(1 << 40))),
        ("contiguous", a, page(kind=b"7")),
        ("empty-file", {"a.html": b""}, page(data=b"")),
        ("whole-block", {"a.bin": bytes(512), "b.bin": bytes(513)}, page("a.bin", bytes(512)),
         page("b.bin", bytes(513))),
        ("end-like-content", {"a.bin": bytes(4096), "b": PAGE}, page("a.bin", bytes(4096)), page("b")),
        ("many", {f"{number}.html": PAGE for number in range(300)},
         *(page(f"{number}.html") for number in range(300))),
        ("folder", {"a/b.html": PAGE}, folder("a/"), page("a/b.html")),
        ("folder-bare", {"a/b.html": PAGE}, folder("a"), page("a/b.html")),
        ("folder-after-files", {"a/b.html": PAGE}, page("a/b.html"), folder("a/")),
        ("folder-empty", {"a/": b"", "b/c/": b""}, folder("a/"), folder("b/c/")),
        ("folder-as-file", {"a/": b"", "b/c.html": PAGE}, entry("a/"), entry("b/"), page("b/c.html")),
        ("names-with-signs", {"a b/c'd\"&?*%2e<>|:.html": PAGE}, page("a b/c'd\"&?*%2e<>|:.html")),
        ("names-with-dots", {".well-known/...": PAGE, "..a/b..": PAGE}, page(".well-known/..."),
         page("..a/b..")),
        ("names-by-case", {"a.html": PAGE, "A.html": b""}, page(), page("A.html", b"")),
        ("name-100", {name_100: PAGE}, page(name_100)),
        ("prefix", {"a/b/c.html": PAGE}, page("b/c.html", prefix=b"a")),
        ("prefix-155", {f"{prefix_155}/{name_100}": PAGE}, page(name_100, prefix=prefix_155.encode())),
        ("han", {han: PAGE, HAN + "/": b""}, page(han), folder(HAN + "/")),
        ("long", {far: PAGE}, long(far), page(far[:100], magic=GNU)),
        ("long-han", {HAN * 40: PAGE}, long(HAN * 40), page((HAN * 40).encode()[:99], magic=GNU)),
        ("long-without-its-end", {far: PAGE}, long(far, end=b""), page(magic=GNU)),
        ("long-folder", {far + "/": b""}, long(far + "/"), folder(far[:100], magic=GNU)),
        ("long-short", {"b.html": PAGE, "c.html": PAGE}, long("b.html"), page(magic=GNU),
         page("c.html", magic=GNU)),
        ("pax", {far: PAGE, "b.html": PAGE}, pax(path=far), page(far[:100]), page("b.html")),
        ("pax-han", {han: PAGE}, pax(path=han), page("__.html")),
        ("pax-folder", {HAN + "/": b""}, pax(path=HAN + "/"), folder("__/")),
        ("pax-equals-newline", {"a=b.html": PAGE}, pax(path="a=b.html", comment="a=b\n12 c=d\n"), page()),
        ("pax-size", a, pax(size=str(len(PAGE))), page()),
        ("pax-size-empty", {"a.html": b""}, pax(size="0"), page(data=b"")),
        ("pax-large", a, pax(comment="c" * 60_000), page()),
        ("pax-charset", a, pax(hdrcharset="ISO-IR 10646 2000 UTF-8"), page()),
        # What bsdtar writes in the C locale: the bytes as they are on disk, which are UTF-8.
        ("pax-charset-binary", {han: PAGE}, pax(hdrcharset="BINARY", path=han), page()),
        ("global-charset-binary", a, every(hdrcharset="BINARY"), page()),
        ("pax-vendor", a | {"b": PAGE}, vendor, page(), vendor, page("b")),
        ("pax-before-gnu", a, entry("PaxHeaders/x", record("mtime", "1"), b"x", magic=GNU), page(magic=GNU)),
        ("global", a, every(comment="0123456789abcdef" * 2), page()),
        ("global-then-pax", {han: PAGE}, every(comment="0123", mtime="1"), pax(path=han), page()),
        ("global-vendor", a, every(SCHILY_archtype="exustar", LIBARCHIVE_note="1", atime="1"), page()),
        ("dot", a | {"b/c.html": PAGE}, folder("./"), page("./a.html"), folder("./b/"), page("./b/c.html")),
        ("dot-pax", {HAN + "/a.html": PAGE}, pax(path=f"./{HAN}/a.html"), page()),
        ("empty-parts", {"a/b.html": PAGE}, page("a//b.html")),
        ("rubbish", a, page(), *map(page, RUBBISH), folder("__MACOSX/")),
        ("modes", {"a": PAGE, "b": PAGE, "c/": b""},
         page("a", mode=b"0007777\0"), page("b", mode=b"0000000\0"), folder("c/", mode=b"0040000\0")),
        ("owners", {"a": PAGE, "b": PAGE}, page("a", uid=base256(3_000_000_000, 8), gid=b"7777777\0"),
         page("b", uname=b"\xff\xfe", gname=HAN.encode(), devmajor=b"0000000\0", devminor=b"0000000\0")),
        ("times", {"a": PAGE, "b": PAGE, "c": PAGE},
         page("a", mtime=base256(-86_400)), page("b", mtime=octal(0)), page("c", mtime=base256(1 << 40))),
        ("star", {"p/a.html": PAGE, "b.html": PAGE}, page(prefix=b"p" + bytes(130) + STAR_TIMES, rest=STAR),
         page("b.html", prefix=bytes(131) + STAR_TIMES, rest=STAR)),
        ("star-extended", a, every(SCHILY_archtype="exustar"), pax(atime="1.5", SCHILY_dev="1", SCHILY_ino="2",
         SCHILY_nlink="1", SCHILY_filetype="regular file"), page(prefix=bytes(131) + STAR_TIMES)),
        ("incremental", {"d/": b""}, pax(GNU_dumpdir="Ya.html\0\0"), folder("d/")),
        ("magic-odd", a, page(magic=b"ustar \0\0")),
        ("size-base256", a, page(size=base256(len(PAGE)))),
        ("size-spaces", {"a": PAGE, "b": PAGE, "c": PAGE}, page("a", size=b"%11o " % len(PAGE)),
         page("b", size=b"%o" % len(PAGE)), page("c", size=b"%012o" % len(PAGE))),
        ("checksum-blanks", {"a": PAGE, "b": PAGE}, _sum("a", b"%7o\0"), _sum("b", b"%06o \0")),
        ("checksum-zeros", {"a": PAGE, "b": PAGE}, _sum("a", b"%07o\0"), _sum("b", b"%o")),
        ("checksum-high-bytes", {han: PAGE}, page(han, gname=b"\xff" * 32)),
        ("part-255", {last: PAGE}, pax(path=last), page()),
        ("part-255-han", {HAN[0] * 85: PAGE}, long(HAN[0] * 85), page(magic=GNU)),
        ("path-1024-long", {DEEP_1024: PAGE}, long(DEEP_1024), page(magic=GNU)),
        ("path-1024-pax", {DEEP_1024[:-6] + HAN: PAGE}, pax(path=DEEP_1024[:-6] + HAN), page()),
        ("nested", {"a.tar.gz": gz(tar_of())}, page("a.tar.gz", gz(tar_of()))),
    )
    for slug, tree, *entries in cases:
        yield f"tar-{slug}", "a.tar.gz", gz(tar_of(*entries)), {"index.html": PAGE} | tree
    tar = tar_of(page())
    thirds, pieces = (tar[:700], tar[700:1100], tar[1100:]), [tar[at : at + 64] for at in range(0, 4096, 64)]
    for slug, data in {
        "fields": gz_checked(tar, 1 | 4 | 8 | 16, b"\6\0AB\2\0xyname.tar\0note\n\0"),
        "extra": gz(tar, 4, b"\0\0"), "name": gz(tar, 8, b"a.tar\0"),
        "name-latin1": gz(tar, 8, b"caf\xe9.tar\0"),
        "checked": gz_checked(tar, 0, b""), "stored": gz(tar, level=0),
        "members": b"".join(map(gz, thirds)), "members-many": b"".join(map(gz, pieces)),
        "members-empty": gz(b"") + gz(tar) + gz(b""), "member-of-zeros": gz(tar) + gz(bytes(9000)),
        "members-fields": gz(thirds[0], 8, b"a\0") + gz_checked(thirds[1] + thirds[2], 16, b"b\0"),
        "end-across-members": gz(tar[:-512]) + gz(tar[-512:]), "zeros-after": gz(tar) + bytes(512),
        "zero-after": gz(tar) + b"\0", "padding-10k": gz(tar + bytes(-len(tar) % 10_240)),
        "padding-1m": gz(tar + bytes(1 << 20)), "padding-odd": gz(tar + bytes(100)),
    }.items():
        yield f"gzip-{slug}", "a.tgz", data, {"index.html": PAGE, "a.html": PAGE}

# fmt: on


def _sum(name: str, form: bytes) -> bytes:
    """A page whose checksum field is written another way."""
    return page(name, checksum=form % int(page(name)[148:154], 8))


def bombs() -> Iterator[Row]:
    def tar(slug: str, why: str, *entries: bytes) -> Row:
        return f"bomb-tar-{slug}", "a.tar.gz", gz(tar_of(*entries)), why

    eib8 = (1 << 63) - 1
    yield tar("pax-size", "PAX size of 8 EiB", pax(size=str(eib8)), entry("a.html"))
    head = entry("PaxHeaders/x", record("mtime", "1"), b"x", size=base256(eib8))
    yield tar("pax-header", "PAX header of 8 EiB", head)
    yield tar("long-header", "GNU long name of 8 GiB", long("a.html", size=b"777777777777"), page(magic=GNU))
    yield tar("size", "file of 8 EiB", page(size=base256(eib8)))
    yield tar("long-chain", "2,000 chained long names", *[long("a/" * 500 + "b")] * 2000, page(magic=GNU))
    yield tar("pax-chain", "2,000 chained PAX headers", *[pax(mtime="1")] * 2000, page())
    many = gz((HOME, *[every(comment="c" * 60_000)] * 2000))
    yield "bomb-tar-global-chain", "a.tar.gz", many, "2,000 global headers of 60 KB, then no end"
    deep = (f"{number:04x}" + "/a" * 499 + "/b" for number in range(5000))
    folders = gz((HOME, *(long(name) + entry("a", magic=GNU) for name in deep), END))
    records = b"".join(
        record(f"{number:x}", "") for number in range(3300)
    )  # 24 KB, and the same again in gzip's window
    extended = gz((HOME, *(pax(records) + entry(f"{number}") for number in range(4_000)), END), level=1)
    yield "bomb-tar-pax", "a.tar.gz", extended, "13,000,000 PAX records in 4,000 headers"
    members = gz(tar_of()) + gz(b"\0", level=1) * 120_000
    yield "bomb-gzip-tiny-members", "a.tar.gz", members, "120,000 members of one byte"
    yield "bomb-tar-deep", "a.tar.gz", folders, "limit: 2,500,000 folders by 5,000 entries"
    yield "bomb-tar-entries", "a.tar.gz", gz((*_tiny(200_000), END), level=1), "limit: 200,000 entries"
    giant = _gz_zeros(HOME + header(name=b"a", size=octal(2 << 30), kind=b"0", magic=USTAR), 2048, END)
    yield "bomb-tar-honest", "a.tar.gz", giant, "limit: 2 GiB of zeros, declared as such"
    padded_out = _gz_zeros(tar_of(), 200, b"", len(tar_of()))
    yield "bomb-gzip-padding", "a.tar.gz", padded_out, "wrong length after 200 MiB of zeros after the end"
    yield "bomb-gzip-members", "a.tar.gz", gz(b"") * 100_000, "100,000 empty members and no tar"
    yield "bomb-gzip-name", "a.tar.gz", gz_head(8, b"n" * (4 << 20)), "header name of 4 MiB without an end"


def _tiny(count: int) -> Iterator[bytes]:
    """Many empty files, cut from one pattern, as the builder would take long."""
    block = entry("")
    total = int(block[148:154], 8)
    for number in range(count):
        name = b"%06x" % number
        yield name + block[6:148] + b"%06o\0 " % (total + sum(name)) + block[156:]


def _gz_zeros(before: bytes, mib: int, after: bytes, size: int | None = None) -> bytes:
    """A gzip member of `mib` MiB of zeros between two other pieces."""
    body, crc = zeros(mib, zlib.crc32(before))
    right = len(before) + (mib << 20) + len(after) & 0xFFFFFFFF
    trailer = struct.pack("<2L", zlib.crc32(after, crc), right if size is None else size)
    return gz_head(0) + flushed(before)[:-2] + body + flushed(after) + trailer
