"""A file of fixed size, in blocks, that all processes of an installation read and change.

For what must be shared and may be lost: nothing is synced. A file that is damaged, or somebody else's, is made anew;
where the disk gives none, a process goes on with memory of its own.
"""

import errno
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pages import files

log = logging.getLogger(__name__)

T = TypeVar("T")

# No block lies across two pages of memory, so none is ever written by half.
BLOCK_BYTES = 512
_SECRET_BYTES = 32
_MAGIC = b"pages blocks 1\n\0"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# It is held for microseconds; whoever holds it this long was stopped.
_LOCK_SECONDS = 1.0


class Blocks(Protocol):
    """The blocks, while nobody else is at them."""

    secret: bytes

    def read(self, number: int) -> bytes: ...

    def write(self, number: int, block: bytes) -> None: ...


class SharedBlocks:
    """``count`` blocks at ``path``, zero at first, and a secret that is made with them. Readable by the owner only."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count
        self._memory: _Memory | None = None
        self._memory_lock = threading.Lock()

    def use(self, action: Callable[[Blocks], T]) -> T:
        """What ``action`` returns; no other thread or process is at the blocks meanwhile."""
        try:
            return self._use_file(action)
        except OSError as error:
            with self._memory_lock:
                if self._memory is None:
                    log.warning("%s cannot be used, each process goes on by itself: %s", self._path, error)
                    self._memory = _Memory(self._count)
                return action(self._memory)

    def _use_file(self, action: Callable[[Blocks], T]) -> T:
        descriptor = self._opened()
        try:
            _lock(descriptor)
            return action(_File(descriptor, self._secret(descriptor)))
        finally:
            os.close(descriptor)

    def _opened(self) -> int:
        try:
            return _open_regular(self._path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EACCES, errno.ENXIO, errno.EINVAL):
                raise
            os.unlink(self._path)  # A link, a device, somebody else's.
            return _open_regular(self._path)

    def _secret(self, descriptor: int) -> bytes:
        """The secret of an open and locked file; of a new one, when it is not ours as it should be."""
        status = os.fstat(descriptor)
        if status.st_mode & 0o177:
            os.fchmod(descriptor, 0o600)
        head = os.pread(descriptor, BLOCK_BYTES, 0)
        if status.st_size != (self._count + 1) * BLOCK_BYTES or not head.startswith(_MAGIC):
            head = _MAGIC + secrets.token_bytes(_SECRET_BYTES)
            os.ftruncate(descriptor, 0)
            # All of it now: a full disk must not stop a write later.
            os.posix_fallocate(descriptor, 0, (self._count + 1) * BLOCK_BYTES)
            os.pwrite(descriptor, head, 0)
        return head[len(_MAGIC) : len(_MAGIC) + _SECRET_BYTES]


class _File:
    def __init__(self, descriptor: int, secret: bytes) -> None:
        self._descriptor = descriptor
        self.secret = secret

    def read(self, number: int) -> bytes:
        block = os.pread(self._descriptor, BLOCK_BYTES, (number + 1) * BLOCK_BYTES)
        if len(block) != BLOCK_BYTES:
            raise OSError(errno.EIO, "somebody cut it short")
        return block

    def write(self, number: int, block: bytes) -> None:
        if os.pwrite(self._descriptor, block, (number + 1) * BLOCK_BYTES) != BLOCK_BYTES:
            raise OSError(errno.ENOSPC, "written by half")


class _Memory:
    def __init__(self, count: int) -> None:
        self._bytes = bytearray(count * BLOCK_BYTES)
        self.secret = secrets.token_bytes(_SECRET_BYTES)

    def read(self, number: int) -> bytes:
        return bytes(self._bytes[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])

    def write(self, number: int, block: bytes) -> None:
        self._bytes[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES] = block


def _open_regular(path: Path) -> int:
    descriptor = os.open(path, _FLAGS, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while not files.try_lock(descriptor):
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "locked by a process that does not go on")
        time.sleep(0.0002)
