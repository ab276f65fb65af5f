"""Sites to measure with, the same every time: text in many files, one of each kind, incompressible megabytes."""

import random
import shutil
import subprocess
from pathlib import Path

from processes import Failed

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE


def make_text_site(folder: Path, files: int, megabytes: int) -> None:
    """Pages of words in folders of 50, from a tenth to nearly twice the mean size."""
    chance = random.Random(1)
    words = " ".join(f"word{chance.randrange(5000)}" for _ in range(200_000))
    mean = megabytes * MEGABYTE // files
    for number in range(files):
        size = chance.randrange(mean // 10, mean * 19 // 10)
        start = chance.randrange(max(len(words) - size, 1))
        path = folder / f"d{number // 50}" / f"{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((words[start:] + words)[:size])
    (folder / "index.html").write_text("<h1>Home</h1>")


def make_media_site(folder: Path, megabytes: int) -> None:
    """A page and files of 1 MB that cannot be compressed, as photos and videos are."""
    chance = random.Random(2)
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Home</h1>")
    for number in range(megabytes):
        (folder / f"{number}.bin").write_bytes(chance.randbytes(MEGABYTE))


def make_serving_site(folder: Path) -> None:
    """One page, one asset, one large file, as they are asked for."""
    folder.mkdir()
    chance = random.Random(3)
    words = " ".join(f"word{chance.randrange(5000)}" for _ in range(3000))
    (folder / "index.html").write_text("<h1>Home</h1>")
    (folder / "page.html").write_text(words[: 10 * KILOBYTE])
    (folder / "asset.css").write_text(words[:KILOBYTE])
    (folder / "large.bin").write_bytes(chance.randbytes(MEGABYTE))


def zip_of(folder: Path, archive: Path, level: int = 6) -> Path:
    """Zip a folder's content; level 0 stores it."""
    run("zip", "-qr", f"-{level}", archive, ".", inside=folder)
    return archive


def tar_of(folder: Path, archive: Path) -> Path:
    """``tar czf`` of a folder's content."""
    run("tar", "czf", archive, "-C", folder, ".")
    return archive


def second_version(folder: Path) -> None:
    """Change one file, so that the next archive is another version of the site."""
    (folder / "index.html").write_text("<h1>Home again</h1>")


def copy_of(folder: Path, copy: Path) -> Path:
    """A copy that may be changed."""
    shutil.copytree(folder, copy)
    return copy


def settle(folder: Path) -> None:
    """Write out what earlier work left in memory, or the next to sync would pay for it."""
    run("sync", "-f", folder)


def run(*command: str | Path, inside: Path | None = None) -> None:
    """A program that has to succeed."""
    done = subprocess.run([str(part) for part in command], cwd=inside, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {(done.stdout + done.stderr)[-500:]}")
