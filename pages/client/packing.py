"""A folder as a tar.gz that is made while it is sent: the same files give the same bytes, whenever and wherever."""

import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from pages.client.folder import File
from pages.gzips import new_gzip

_MTIME = 315_532_800  # 1980, as in reproducible builds: the server takes no times from archives.
_BATCH_BYTES = 256 * 1024


def packed(files: Sequence[File], folders: Sequence[str], sent: Callable[[int], None]) -> Iterator[bytes]:
    """The archive, piece by piece; ``sent`` is told how many bytes of the files each piece took in.

    Raises ``Failed`` for a file that is not as it was seen: whoever receives the pieces gets no end of the archive.
    """
    compressor = new_gzip(isal_level=1)
    for batch in _batches(_tar(files, folders, sent)):
        if piece := compressor.compress(batch):
            yield piece
    yield compressor.flush()


def _tar(files: Sequence[File], folders: Sequence[str], sent: Callable[[int], None]) -> Iterator[bytes]:
    by_name: dict[str, File | None] = {f"{folder}/": None for folder in folders}
    by_name |= {file.path: file for file in files}
    for name in sorted(by_name):  # A folder comes before what is in it.
        file = by_name[name]
        if file is None:
            yield _header(tarfile.DIRTYPE, 0o755, name, 0)
            continue
        yield _header(tarfile.REGTYPE, 0o644, name, file.size)
        for chunk in file.chunks():
            sent(len(chunk))
            yield chunk
        yield bytes(-file.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(kind: bytes, mode: int, name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, _MTIME
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    length = 0
    for piece in pieces:
        batch.append(piece)
        length += len(piece)
        if length >= _BATCH_BYTES:
            yield b"".join(batch)
            batch, length = [], 0
    yield b"".join(batch)
