"""The archive that a deploy writes: byte for byte what ``tarfile`` would write, and no thread left behind."""

import gzip
import io
import tarfile
import threading
from typing import Any

import pytest

from pages.packing import TarGz

TIME = 1_700_000_000
ENTRIES: list[tuple[str, bytes | None]] = [
    ("index.html", b"home"),
    ("empty.txt", b""),
    ("a", None),
    ("a/" + "b" * 98, b"a name of 100"),
    ("a/" + "b" * 99, b"a name of 101"),
    ("f" * 99, None),
    ("g" * 100, None),
    ("a/block", bytes(512)),
    ("文档", None),
    ("文档/说明.html", "说明".encode()),
    ("large", bytes(range(256)) * 10_000),
]


def tar_by_tarfile() -> bytes:
    """The same entries, one after the other by the standard library."""
    out = b""
    for name, content in ENTRIES:
        info = tarfile.TarInfo(name if content is not None else name + "/")
        info.type, info.mode = (tarfile.DIRTYPE, 0o755) if content is None else (tarfile.REGTYPE, 0o644)
        info.size, info.mtime = len(content or b""), TIME
        out += info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict") + (content or b"") + bytes(-info.size % 512)
    return out + bytes(1024)


def test_an_archive_is_what_tarfile_would_write() -> None:
    file = io.BytesIO()
    with TarGz(file, TIME) as tar:
        for name, content in ENTRIES:
            if content is None:
                tar.add_folder(name)
            else:
                tar.add_file(name, len(content), [content[:3], content[3:]])
    assert gzip.decompress(file.getvalue()) == tar_by_tarfile()


def fill(file: Any, count: int, failure: Exception | None = None) -> None:
    """Write an archive of so many files, and fail before it is whole."""
    with TarGz(file, TIME) as tar:
        for number in range(count):
            tar.add_file(f"{number}", 20_000, [bytes(20_000)])
        if failure:
            raise failure


class FullDisk(io.RawIOBase):
    """Takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        self._room = room

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self._room -= len(bytes(data))  # type: ignore[call-overload]
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return len(bytes(data))  # type: ignore[call-overload]


@pytest.mark.parametrize("files", [0, 1, 1_000], ids=["nothing-in-it", "small", "more-than-can-wait"])
@pytest.mark.parametrize("room", [0, 5])
def test_a_full_disk_is_told_to_who_fills_the_archive_and_leaves_no_thread(files: int, room: int) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"):
        fill(FullDisk(room), files)
    assert threading.active_count() == before


def test_a_failure_while_an_archive_is_filled_is_raised_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="unpacking failed"):
        fill(io.BytesIO(), 100, ValueError("unpacking failed"))
    assert threading.active_count() == before


def test_a_failure_while_an_archive_is_filled_goes_before_one_of_the_disk() -> None:
    with pytest.raises(ValueError, match="unpacking failed"):
        fill(FullDisk(0), 1, ValueError("unpacking failed"))
