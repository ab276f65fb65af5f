"""Room on the disk: a reserve that uploads leave alone, and a ballast that deletions may use.

Deleting needs room as well: a work folder, a new ``metadata.json``. So a little is held by files of no content
that matters, and given up when a deletion finds the disk full: who runs out of space can always free some.
"""

import errno
import logging
import os
from collections.abc import Callable
from typing import TypeVar

from pages.errors import StorageFull
from pages.files import NotSynced
from pages.paths import Paths

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# A file of the user's own limit (RLIMIT_FSIZE) is as full as a disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# A deletion makes seven files and folders at most, and one of them is as large as metadata.json.
_FILES, _FILE_BYTES = 16, 64 * 1024
# Every file of a site takes one, whatever its size; kept as the bytes of the reserve are.
_RESERVED_FILES = 1000
# How much may be written between two looks at the disk.
_STEP_BYTES, _STEP_FILES = 4 * 1024 * 1024, 500


class Space:
    """The room on the disk of one data folder; ``reserve`` is what uploads leave free, in bytes (0: nothing)."""

    def __init__(self, paths: Paths, reserve: int) -> None:
        self._paths = paths
        self._reserve = reserve

    def require(self, count: int = 0) -> None:
        """``StorageFull`` when writing ``count`` more bytes would leave less than the reserve."""
        if not self._reserve:
            return
        free = os.statvfs(self._paths.data)
        # Some file systems have no fixed number of files, and say so with 0.
        too_many = free.f_files and free.f_favail < _RESERVED_FILES
        if too_many or free.f_bavail * free.f_frsize - count < self._reserve:
            log.warning("Refused: it would leave less free than min_free_bytes = %d on the disk", self._reserve)
            raise StorageFull()

    def watch(self) -> Callable[[int, int], None]:
        """For one who writes for a while: call it with the (bytes, files) written so far. ``StorageFull``."""
        looked_at = [0, 0]

        def written(size: int, files: int) -> None:
            if size - looked_at[0] >= _STEP_BYTES or files - looked_at[1] >= _STEP_FILES:
                self.require()
                looked_at[:] = size, files

        return written

    def for_deleting(self, delete: Callable[[], Result], again: Callable[[], Result] | None = None) -> Result:
        """Do what frees space, also on a full disk: the ballast makes room for it, once (by ``again``, if given).

        Not when it was a sync that failed: what is not known to be on disk is not made so by a second try.
        """
        try:
            return delete()
        except OSError as error:
            if error.errno not in FULL or isinstance(error, NotSynced):
                raise
            log.warning("The disk is full (%s): a deletion takes the room that was kept for it", error)
            self.release()
            return (again or delete)()
        finally:
            self.refill()

    def release(self) -> None:
        """Give the ballast up."""
        for number in range(_FILES):
            (self._paths.ballast / str(number)).unlink(missing_ok=True)

    def refill(self) -> None:
        """Take back as much of the ballast as there is room for; cheap when it is there."""
        try:
            self._paths.ballast.mkdir(exist_ok=True)
            for name in map(str, range(_FILES)):
                if not self._is_whole(name):
                    self._fill(name)
        except OSError as error:
            if error.errno not in FULL:  # Else said already, and taken back later.
                log.warning("No room is kept for deletions on a full disk: %s", error)

    def _is_whole(self, name: str) -> bool:
        try:
            return os.stat(self._paths.ballast / name).st_size == _FILE_BYTES
        except FileNotFoundError:
            return False

    def _fill(self, name: str) -> None:
        path = self._paths.ballast / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
