"""Archives made by the real tools found on the machine, of folders made for the purpose."""

import gzip
import io
import os
import random
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .zips import HAN, Row

PLAIN = {
    "index.html": b"<!doctype html><title>Pages</title>" + b"hello " * 500,
    "css/site.css": b"body { margin: 0 }\n" * 40,
    "bin/run.sh": b"#!/bin/sh\n",
    "with space/it's 100% & more.txt": b"x",
    ".well-known/security.txt": b"Contact: mailto:a@example.org\n",
    f"{HAN}/{HAN} {HAN}.html": HAN.encode() * 100,
    "empty.txt": b"",
    "blocks.bin": bytes(10_240),
    "noise.bin": random.Random(1).randbytes(70_000),
    "empty folder/inner/": b"",
}
FAR = "/".join(["a folder of a long path"] * 14)  # 335 bytes: more than ustar's prefix and name can hold
FULL = PLAIN | {
    f"{FAR}/far.html": b"far",
    f"{FAR}/{HAN * 30}.html": b"far and 181 bytes",
    "n" * 250 + ".html": b"255 bytes",
    f"{FAR}/empty/": b"",
}
TIMES = {"index.html": 1, "css/site.css": -86_400, "bin/run.sh": 4_102_444_801, "noise.bin": 9_000_000_000}
# Name (the tool first) and command; a shell runs it in the folder to pack. {} is the archive without suffix.
COMMANDS = {
    "zip": "zip -qr {}.zip .",
    "zip-names": "zip -qr {}.zip * .[!.]*",
    "zip-stored": "zip -q0r {}.zip .",
    "zip-best": "zip -q9r {}.zip .",
    "zip-no-folders": "zip -qrD {}.zip .",
    "zip-no-extras": "zip -qrX {}.zip .",
    "zip-c-locale": "zip -qr {}.zip .",
    "zip-utf8": "zip -qr -UN=UTF8 {}.zip .",
    "zip-utf8-c-locale": "zip -qr -UN=UTF8 {}.zip .",
    "zip-piped": "zip -qr - . | cat > {}.zip",
    "zip-piped-stored": "zip -q0r - . | cat > {}.zip",
    "zip-descriptors": "zip -qr -fd {}.zip .",
    "zip-zip64": "zip -qr -fz {}.zip .",
    "zip-comment": "zip -qr {}.zip . && echo 'a note' | zip -qz {}.zip",
    "zip-updated": "zip -qr {}.zip css && zip -qr {}.zip .",
    "zip-deleted": "echo x > extra.txt; zip -qr {}.zip . && zip -qd {}.zip extra.txt; rm extra.txt",
    "7z": "7z a -tzip {}.zip .",
    "7z-names": "7z a -tzip {}.zip * .[!.]*",
    "7z-stored": "7z a -tzip -mm=Copy {}.zip .",
    "7z-utf8": "7z a -tzip -mcu=on {}.zip .",
    "7z-local-charset": "7z a -tzip -mcl=on {}.zip .",
    "7z-best-times": "7z a -tzip -mx=9 -mtc=on {}.zip .",
    "7z-no-times": "7z a -tzip -mtm=off {}.zip .",
    "7z-piped": "7z a -tzip -so x.zip . > {}.zip",
    "7z-tar": "7z a -ttar {}.tar . && gzip -n {}.tar",
    "7z-tar-gnu": "7z a -ttar -mm=gnu {}.tar . && gzip -n {}.tar",
    "7z-tar-pax": "7z a -ttar -mm=pax {}.tar . && 7z a -tgzip {}.tar.gz {}.tar && rm {}.tar",
    "bsdtar-zip": "bsdtar --format zip -cf {}.zip .",
    "bsdtar-zip-stored": "bsdtar --format zip --options zip:compression=store -cf {}.zip .",
    "bsdtar-zip-zip64": "bsdtar --format zip --options zip:zip64 -cf {}.zip .",
    "bsdtar-zip-piped": "bsdtar --format zip -cf - . | cat > {}.zip",
    "bsdtar-zip-plain-names": "bsdtar --format zip --options zip:hdrcharset=UTF-8 -cf {}.zip .",
    "bsdtar": "bsdtar -czf {}.tar.gz .",
    "bsdtar-names": "bsdtar -czf {}.tar.gz * .[!.]*",
    "bsdtar-pax": "bsdtar --format pax -czf {}.tar.gz .",
    "bsdtar-gnu": "bsdtar --format gnutar -czf {}.tar.gz .",
    "bsdtar-ustar": "bsdtar --format ustar -czf {}.tar.gz .",
    "bsdtar-v7": "bsdtar --format v7tar -czf {}.tar.gz .",
    "bsdtar-piped": "bsdtar -b 1 -cf - . | gzip -9 > {}.tar.gz",
    "tar": "tar -czf {}.tar.gz .",
    "tar-names": "tar -czf {}.tar.gz * .[!.]*",
    "tar-gnu": "tar --format=gnu -czf {}.tar.gz .",
    "tar-oldgnu": "tar --format=oldgnu -czf {}.tar.gz .",
    "tar-pax": "tar --format=pax -czf {}.tar.gz .",
    "tar-pax-c-locale": "tar --format=pax -czf {}.tar.gz .",
    "tar-pax-xattrs": "tar --format=pax --xattrs --acls -czf {}.tar.gz .",
    "tar-pax-global": "tar --format=pax --pax-option=comment=note -czf {}.tar.gz .",
    "tar-ustar": "tar --format=ustar -czf {}.tar.gz .",
    "tar-v7": "tar --format=v7 -czf {}.tar.gz .",
    "tar-large-blocks": "tar -b 500 -cf - . | gzip > {}.tar.gz",
    "tar-small-blocks": "tar -b 1 -cf - . | gzip > {}.tar.gz",
    "tar-two-members": "tar -cf - . | (head -c 5120 | gzip; gzip) > {}.tar.gz",
    "tar-appended": "tar -cf {}.tar css && tar --exclude=css -rf {}.tar * .[!.]* && gzip {}.tar",
    "tar-atime-preserved": "tar --format=gnu --atime-preserve --sort=name -czf {}.tar.gz .",
    "tar-large-owner": "tar --format=pax --numeric-owner --owner=4000000 -czf {}.tar.gz .",
    "cpio-ustar": "find . | cpio -o -H ustar | gzip > {}.tar.gz",
    "pax-ustar": "pax -w -x ustar . | gzip > {}.tar.gz",
    "busybox-tar": "busybox tar -czf {}.tar.gz .",
    "git": "git init -q {}.git && git --git-dir={}.git --work-tree=. add -A && git --git-dir={}.git -c user.name=a"
    " -c user.email=a@example.org commit -qm a && git --git-dir={}.git archive --format=tar.gz -o {}.tar.gz HEAD;"
    " rm -rf {}.git",
    "git-zip": "git init -q {}.git && git --git-dir={}.git --work-tree=. add -A && git --git-dir={}.git"
    " -c user.name=a -c user.email=a@example.org commit -qm a && git --git-dir={}.git archive -o {}.zip HEAD;"
    " rm -rf {}.git",
    "7z-tgz": "7z a -ttar -so x.tar . | 7z a -tgzip -si {}.tgz",
    "pigz": "tar -cf - . | pigz -p 4 -b 128 > {}.tar.gz",
    "jar": "jar cMf {}.zip .",
}
# Name, and what the refusal has to say.
REFUSED = {
    "7z-lzma": ("7z a -tzip -mm=LZMA {}.zip .", "不支持的压缩方法 14"),
    "7z-bzip2": ("7z a -tzip -mm=BZip2 {}.zip .", "不支持的压缩方法 12"),
    "7z-deflate64": ("7z a -tzip -mm=Deflate64 {}.zip .", "不支持的压缩方法 9"),
    "7z-ppmd": ("7z a -tzip -mm=PPMd {}.zip .", "不支持的压缩方法 98"),
    "7z-encrypted": ("7z a -tzip -psecret {}.zip .", "不支持加密条目"),
    "7z-aes": ("7z a -tzip -psecret -mem=AES256 {}.zip .", "不支持加密条目"),
    "7z-as-zip": ("7z a -t7z {}.7z . && mv {}.7z {}.zip", "内容不是 zip 格式"),
    "zip-encrypted": ("zip -qr -P secret {}.zip .", "不支持加密条目"),
    "zip-symlinks": ("ln -s index.html link; zip -qry {}.zip .; rm link", "不允许符号链接"),
    "zip-prefixed": ("(echo '#!/bin/sh'; zip -qr - .) > {}.zip", ""),
    "zip-bzip2": ("zip -qr -Z bzip2 {}.zip .", "不支持的压缩方法 12"),
    "tar-symlink": ("ln -s index.html link; tar -czf {}.tar.gz .; rm link", "不允许符号链接"),
    "tar-hard-link": ("ln index.html link; tar -czf {}.tar.gz .; rm link", "不允许硬链接"),
    "tar-fifo": ("mkfifo fifo; tar -czf {}.tar.gz .; rm fifo", "不允许管道"),
    "tar-sparse": ("truncate -s 9M hole; tar --sparse --format=gnu -czf {}.tar.gz .; rm hole", "不允许稀疏文件"),
    "tar-sparse-pax": ("truncate -s 9M hole; tar --sparse --format=pax -czf {}.tar.gz .; rm hole", "不允许稀疏文件"),
    "tar-label": ("tar -V label -czf {}.tar.gz .", "不允许此类条目"),
    "tar-incremental": ("tar -g /dev/null --format=gnu -czf {}.tar.gz .", "不允许此类条目"),
    "tar-plain": ("tar -cf {}.tar . && mv {}.tar {}.tar.gz", "内容不是 tar.gz 格式"),
    "tar-bzip2": ("tar -cjf {}.tar.gz .", "内容不是 tar.gz 格式"),
    "bsdtar-symlink": ("ln -s index.html link; bsdtar -czf {}.tar.gz .; rm link", "不允许符号链接"),
    "bsdtar-zip-symlink": ("ln -s index.html link; bsdtar --format zip -cf {}.zip .; rm link", "不允许符号链接"),
}
# These formats hold no long paths.
ONLY_PLAIN = {"bsdtar-ustar", "bsdtar-v7", "tar-ustar", "tar-v7", "cpio-ustar", "pax-ustar", "busybox-tar"}


SMALL = {"index.html": b"<!doctype html>", f"a/{HAN}.html": b"hello " * 50, "empty.txt": b"", "b/": b""}
SMALL_FULL = SMALL | {f"{'n' * 90}/{'m' * 90}.html": b"far"}


def rows(tmp: Path, small: bool = False) -> Iterator[Row]:
    plain_files, full_files = (SMALL, SMALL_FULL) if small else (PLAIN, FULL)
    plain, full = _grown(tmp / "plain", plain_files), _grown(tmp / "full", full_files)
    for name, seconds in ({} if small else TIMES).items():  # before 1970, after 2038, over eleven octal digits
        os.utime(full / name, (seconds, seconds))
    out = tmp / "out"
    out.mkdir()
    env = os.environ | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "ZIPOPT": "", "TAR_OPTIONS": ""}
    version = subprocess.run(["tar", "--version"], capture_output=True).stdout if shutil.which("tar") else b""
    gnu = b"GNU" in version
    for slug, command in COMMANDS.items():
        tree = plain if slug in ONLY_PLAIN else full
        if not shutil.which(slug.partition("-")[0]) or (slug.startswith("tar") and not gnu):
            continue
        base = out / slug
        local = env | {"LC_ALL": "C" if slug.endswith("c-locale") else "C.UTF-8"}
        shell = command.replace("{}", shlex.quote(str(base)))
        done = subprocess.run(shell, shell=True, cwd=tree, env=local, capture_output=True)
        made = sorted(out.glob(slug + ".*"))
        if done.returncode or len(made) != 1:  # an older version that does not know the option
            continue
        files = plain_files if tree == plain else full_files
        if slug in ("zip-no-folders", "git", "git-zip"):
            files = {name: content for name, content in files.items() if not name.endswith("/")}
        yield f"tool-{slug}", made[0].name, made[0].read_bytes(), files
    if shutil.which("zip"):
        yield _stdin(out, env)
    if not small:
        yield from _python(plain, full, out)


def refused_rows(tmp: Path) -> Iterator[Row]:
    """What the tools make with an option too much, and what the refusal says."""
    tree, out = _grown(tmp / "tree", SMALL), tmp / "refused"
    out.mkdir()
    env = os.environ | {"LC_ALL": "C.UTF-8", "ZIPOPT": "", "TAR_OPTIONS": ""}
    for slug, (command, says) in REFUSED.items():
        if shutil.which(slug.partition("-")[0]):
            shell = command.replace("{}", shlex.quote(str(out / slug)))
            subprocess.run(shell, shell=True, cwd=tree, env=env, capture_output=True)
            made = sorted(out.glob(slug + ".*"))
            if len(made) == 1:
                yield f"tool-{slug}", made[0].name, made[0].read_bytes(), says


def _grown(root: Path, tree: dict[str, bytes]) -> Path:
    for name, content in tree.items():
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    if "bin/run.sh" in tree:
        (root / "bin/run.sh").chmod(0o755)
    return root


def _stdin(out: Path, env: dict[str, str]) -> Row:
    """`zip` reading a file as its input and writing to a pipe: it calls the entry `-`. (Were its input a
    pipe, it would give the entry a fifo's unix mode, which is refused.)"""
    page = out / "page.html"
    page.write_bytes(PLAIN["index.html"])
    with page.open("rb") as file:
        done = subprocess.run(["zip", "-q", "-", "-"], stdin=file, capture_output=True, env=env, check=True)
    return "tool-zip-stdin", "stdin.zip", done.stdout, {"-": PLAIN["index.html"]}


class _Pipe(io.BytesIO):
    """Something to write to that cannot seek, so that zipfile uses data descriptors."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("a pipe has no place")

    def seek(self, *where: int) -> int:
        raise OSError("a pipe has no place")


def _python(plain: Path, full: Path, out: Path) -> Iterator[Row]:
    for form in ("zip", "gztar"):
        made = Path(shutil.make_archive(str(out / f"shutil-{form}"), form, plain))
        yield f"tool-shutil-{form}", made.name, made.read_bytes(), PLAIN
    for slug, method, force in (("deflated", 8, False), ("stored", 0, False), ("zip64", 8, True)):
        for how, target in {"": io.BytesIO(), "-piped": _Pipe()}.items():
            with zipfile.ZipFile(target, "w", method) as archive:
                for name, content in FULL.items():
                    with archive.open(_info(name, method), "w", force_zip64=force) as file:
                        file.write(content)
            yield f"tool-zipfile-{slug}{how}", "python.zip", target.getvalue(), FULL
    forms = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for slug, number in forms.items():
        buffer, tree, files = io.BytesIO(), full, FULL
        if slug == "ustar":
            tree, files = plain, PLAIN
        with tarfile.open(fileobj=buffer, mode="w", format=number) as tar:
            tar.add(tree, arcname=".")
        yield f"tool-tarfile-{slug}", "python.tar.gz", gzip.compress(buffer.getvalue()), files


def _info(name: str, method: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = 0 if info.is_dir() else method
    return info
