"""The byte shapes of tools that are not at hand: what each is known to write, made by hand.

Only the form is told here: versions, flags, descriptors, extra fields, attributes, number fields.
"""

import struct
import zlib
from collections.abc import Iterator

from .tars import END as TAR_END
from .tars import GNU, every, folder, gz, header, octal, padded, pax
from .zips import HAN, PAGE, Member, Row, deflate, extra, extra64, unicode_path, zip_of

CSS, CRC = b"body {}\n", zlib.crc32
TREE = {"index.html": PAGE, "css/site.css": CSS, "empty/": b""}
FILES = {name: content for name, content in TREE.items() if not name.endswith("/")}
DOS, NTFS, UNIX, MAC = 0x0014, 0x0B3F, 0x0314, 0x1315
TIME = extra(0x5455, b"\1" + struct.pack("<L", 1_700_000_000))


def rows() -> Iterator[Row]:
    for slug, data, tree in _zips():
        yield f"shape-{slug}", "a.zip", data, tree
    for slug, data, tree in _tars():
        yield f"shape-{slug}", "a.tgz", data, tree


def _streamed(
    name: str | bytes, data: bytes, flags: int = 8, signed: bool = True, wide: bool = False, **more: object
) -> Member:
    """An entry whose sizes follow it."""
    body = deflate(data)
    numbers = struct.pack("<LQQ" if wide else "<3L", CRC(data), len(body), len(data))
    local = {"crc": 0, "csize": 0, "usize": 0} | dict(more.pop("local", {}))  # type: ignore[call-overload]
    settings: dict[str, object] = {"local": local, "flags": flags, "method": 8, "body": body} | more
    return Member(name, data, descriptor=(b"PK\7\x08" if signed else b"") + numbers, **settings)  # type: ignore[arg-type]


def _zips() -> Iterator[tuple[str, bytes, dict[str, bytes]]]:
    gbk, han = (HAN + ".html").encode("gbk"), HAN + ".html"
    dos_file, dos_folder = {"made": DOS, "eattr": 0x20}, {"made": DOS, "eattr": 0x10}
    # Windows Explorer: DOS attributes, names in the system's charset, no flag.
    yield "explorer", zip_of(
        *(Member(name, data, central=dos_file) for name, data in FILES.items()),
        Member("empty/", central=dos_folder), Member(gbk, PAGE, central=dos_file),
    ), TREE | {han: PAGE}  # fmt: skip
    named = Member(han, PAGE, flags=0x800, central=dos_file)
    yield "explorer-utf8", zip_of(Member("index.html", PAGE, central=dos_file), named), {"index.html": PAGE, han: PAGE}
    # Compress-Archive before PowerShell 6: backslashes, folders without attributes.
    yield "powershell", zip_of(
        Member("index.html", PAGE, central={"made": DOS, "eattr": 0}),
        Member("css\\site.css", CSS, central={"made": DOS, "eattr": 0}),
        Member("empty\\", central={"made": DOS, "eattr": 0}),
    ), TREE  # fmt: skip
    # WinRAR and 7-Zip on a Chinese Windows: GBK with backslashes or a Unicode Path.
    yield "windows-gbk", zip_of(
        Member(f"{HAN}\\{HAN}.html".encode("gbk"), PAGE, central=dos_file), Member("index.html", PAGE, central=dos_file)
    ), {f"{HAN}/{han}": PAGE, "index.html": PAGE}  # fmt: skip
    renamed = Member(gbk, PAGE, extra=unicode_path(gbk, han), central={"made": NTFS, "eattr": 0x20})
    yield "winrar", zip_of(renamed), {han: PAGE}
    # Finder and ditto: streamed, signed descriptors, old owners' fields of two lengths, __MACOSX.
    ux = {"local_extra": extra(0x5855, bytes(12)), "central_extra": extra(0x5855, bytes(8))}
    yield "ditto", zip_of(
        *(_streamed(name, data, **ux) for name, data in FILES.items()),
        Member("empty/", mode=0o40755, **ux), Member("__MACOSX/", mode=0o40755, **ux),  # type: ignore[arg-type]
        _streamed("__MACOSX/._index.html", bytes(120), **ux), _streamed(".DS_Store", bytes(60), **ux),
    ), TREE  # fmt: skip
    # JSZip: with streamFiles files have descriptors and folders have none; DOS attributes.
    yield "jszip", zip_of(
        Member("css/", flags=0, central=dos_folder),
        *(_streamed(name, data, central={"made": DOS, "eattr": 0}) for name, data in FILES.items()),
        Member("empty/", central=dos_folder),
    ), TREE  # fmt: skip
    # yazl: UTF-8 flag on all, folders of known size; forceZip64Format has zip64 descriptors and central fields.
    yield "yazl", zip_of(*(_streamed(name, data, 0x808) for name, data in FILES.items()),
                         Member("empty/", flags=0x800, mode=0o40775)), TREE  # fmt: skip
    forced = (
        _streamed(name, data, 0x808, wide=True, central={"csize": 0xFFFFFFFF, "usize": 0xFFFFFFFF},
                  central_extra=extra64(len(data), len(deflate(data))))
        for name, data in FILES.items()
    )  # fmt: skip
    yield "yazl-zip64", zip_of(*forced, end64={}), FILES
    yield "archiver", zip_of(*(_streamed(name, data, mode=0o100644) for name, data in FILES.items()),
                             Member("empty/", mode=0o40755)), TREE  # fmt: skip
    # Go: archive/zip streams with a short time field; folders are stored without a descriptor.
    yield "go", zip_of(*(_streamed(name, data, extra=TIME, central={"made": UNIX}) for name, data in FILES.items()),
                       Member("empty/", extra=TIME, mode=0o40755)), TREE  # fmt: skip
    # Java's ZipOutputStream: UTF-8 flag, DOS, and no attributes; jar puts a mark first.
    java = {"made": 20, "eattr": 0}
    yield "java", zip_of(*(_streamed(name, data, 0x808, central=java) for name, data in FILES.items()),
                         Member("empty/", flags=0x800, central=java)), TREE  # fmt: skip
    yield "java-jar", zip_of(Member("empty/", local_extra=extra(0xCAFE, b""), central_extra=extra(0xCAFE, b""),
                                    central=java), _streamed("index.html", PAGE, 0x808, central=java)), {
        "empty/": b"", "index.html": PAGE}  # fmt: skip
    # Old Java, and others that leave the descriptor's signature out; Ruby and PHP write plain ones.
    yield "unsigned", zip_of(*(_streamed(name, data, signed=False) for name, data in FILES.items())), FILES
    yield (
        "php",
        zip_of(*(Member(name, data, central={"made": 0x031E, "eattr": 0}) for name, data in TREE.items())),
        TREE,
    )
    # .NET writing where it cannot seek; Apache's commons-compress with zip64 always.
    yield "dotnet-streamed", zip_of(*(_streamed(name, data, central=dos_file) for name, data in FILES.items())), FILES
    local = {"csize": 0xFFFFFFFF, "usize": 0xFFFFFFFF}
    always = (
        _streamed(name, data, 0x808, wide=True, local=local, local_extra=extra64(0, 0), central=local,
                  central_extra=extra64(len(data), len(deflate(data))))
        for name, data in FILES.items()
    )  # fmt: skip
    yield "commons-compress-zip64", zip_of(*always, end64={}), FILES
    # zipalign and APK tools pad with zeros that are no field.
    yield (
        "aligned",
        zip_of(*(Member(name, data, method=0, local_extra=bytes(3)) for name, data in FILES.items())),
        FILES,
    )


def _entry(name: str, data: bytes, kind: bytes = b"0", **raw: bytes) -> bytes:
    fields = {"name": name.encode()[:100], "mode": b"0000644\0", "uid": b"0001750\0", "gid": b"0001750\0",
              "size": octal(len(data)), "mtime": octal(1_700_000_000), "kind": kind,
              "magic": b"ustar\00000"}  # fmt: skip
    return header(**fields | raw) + padded(data)


def _tars() -> Iterator[tuple[str, bytes, dict[str, bytes]]]:
    node = {"mode": b"000644 \0", "uid": b"001750 \0", "gid": b"001750 \0", "devmajor": b"000000 \0",
            "devminor": b"000000 \0"}  # fmt: skip
    times = pax(mtime="1700000000.123", atime="1700000000", ctime="1700000000.5", SCHILY_dev="66", SCHILY_ino="7",
                SCHILY_nlink="1")  # fmt: skip
    # npm's tar: numbers that end in a blank, times and inodes in pax headers.
    yield "node-tar", gz(b"".join(
        times + _entry(name, data, size=b"%011o " % len(data), **node) for name, data in FILES.items()
    ) + folder("empty/", **node | {"mode": b"000755 \0"}) + TAR_END), TREE  # fmt: skip
    # Go: archive/tar in its three formats.
    yield "go-tar", gz(b"".join(_entry(name, data) for name, data in FILES.items())
                       + folder("empty/", mode=b"0000755\0") + TAR_END), TREE  # fmt: skip
    yield "go-tar-pax", gz(pax(path=HAN + ".html") + _entry("__.html", PAGE) + TAR_END), {HAN + ".html": PAGE}
    yield "go-tar-gnu", gz(b"".join(_entry(name, data, magic=GNU) for name, data in FILES.items()) + TAR_END), FILES
    # git archive: the commit in a global header, modes 0664, and whole records of 10 KiB.
    git = every(comment="0123456789012345678901234567890123456789") + b"".join(
        _entry(name, data, mode=b"0000664\0", uid=b"0000000\0", gid=b"0000000\0", uname=b"root", gname=b"root")
        for name, data in FILES.items()
    )  # fmt: skip
    yield "git-archive", gz(git + bytes(-len(git) % 10_240 or 10_240)), FILES
    # macOS' bsdtar: attributes in ._ files beside each file, and in pax headers.
    apple = pax(mtime="1700000000.1", LIBARCHIVE_xattr_com_apple_quarantine="MDA4MQ", SCHILY_xattr_com="x")
    yield "macos-tar", gz(b"".join(
        _entry("__MACOSX/._" + name.rpartition("/")[2], bytes(160)) + apple + _entry("./" + name, data)
        for name, data in FILES.items()
    ) + _entry(".DS_Store", bytes(6148)) + TAR_END), FILES  # fmt: skip
    # commons-compress and old tools: the version left out, zeros for owners.
    bare = (_entry(name, data, magic=b"ustar\0\0\0", uid=b"", gid=b"") for name, data in FILES.items())
    yield "ustar-no-version", gz(b"".join(bare) + TAR_END), FILES
    tar = b"".join(_entry(name, data) for name, data in FILES.items()) + TAR_END
    # bgzip and pigz -i: blocks with a field of their own, an empty member at the end.
    blocks = [tar[at : at + 700] for at in range(0, len(tar), 700)]
    yield "bgzip", b"".join(gz(block, 4, b"\6\0BC\2\0\0\0") for block in (*blocks, b"")), FILES
