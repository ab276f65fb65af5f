"""How fast verify, full backup, drill and restore are: python bench/verify.py [MB of text in each of 4 deploys]."""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from helpers import Admin, tar_of  # noqa: E402

from pages.app import create_app  # noqa: E402
from pages.config import load_config  # noqa: E402
from pages.work import run_now  # noqa: E402


def fill(settings: dict[str, str], megabytes: int) -> None:
    """Four deploys of one site: text in files of 25 KB, and as much again that cannot be compressed."""
    admin = Admin(create_app(load_config(settings), run_now).test_client())
    admin.create("blog")
    source = random.Random(1)
    words = [bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 9))) for _ in range(3000)]
    for _ in range(4):
        text = {f"d{n % 50}/f{n}.html": b" ".join(source.choices(words, k=4000)) for n in range(megabytes * 40)}
        assert (
            admin.deploy(tar_of({**text, "image.bin": source.randbytes(megabytes << 20)}), "a.tar.gz").status_code
            == 200
        )


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pages-bench-") as folder:
        settings = {"PAGES_DATA_DIR": f"{folder}/data", "PAGES_BACKUP_DIR": f"{folder}/backups"}
        fill(settings, megabytes)
        size = sum(f.stat().st_size for f in Path(folder, "data").rglob("*") if f.is_file() and not f.is_symlink())
        print(f"{size / 1e9:.2f} GB of data")
        for name, command, extra in (
            ("verify", ["verify"], {}),
            ("full backup", ["backup", "--full"], {}),
            ("drill", ["backup", "--drill"], {}),
            ("restore", ["restore"], {"PAGES_DATA_DIR": f"{folder}/new"}),
        ):
            files = [str(path) for path in Path(folder, "backups").glob("*.tar")] if name == "restore" else []
            started = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "pages", *command, *files],
                env={**os.environ, **settings, **extra, "PYTHONPATH": str(PROJECT)},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            took = time.monotonic() - started
            print(f"{name}: {took:.2f} s, {size / took / 1e9:.2f} GB/s of the data")
        print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
