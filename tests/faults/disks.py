"""Disks of our own, whose power can be cut: an image in a file, mounted by a loop device.

A cut is the shutdown ioctl of ext4 and XFS: whatever is not on disk is gone, with the journal of the last moments
(power0) or without (power1). It is given only where /proc/self/mounts says that a loop device is mounted: here and in
inject.c. Only root can mount; ``why_not`` says what is missing.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_SIZES = {"ext4": "64M", "xfs": "320M"}
_OPTIONS = {"ext4": "loop,commit=600,noauto_da_alloc,nodiscard", "xfs": "loop,nodiscard,nouuid"}
_ENVIRONMENT = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C"}


class NoDisk(Exception):
    """No disk of our own can be had on this machine."""


def _run(*command: str) -> None:
    done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDisk(f"{' '.join(command)}: {done.stderr.strip()}")


def why_not(kind: str) -> str:
    """Why no disk of this kind can be mounted here; empty when one can."""
    if os.geteuid() != 0:
        return "only root can mount a disk image"
    folder = Path(tempfile.mkdtemp(prefix="pages-disk-"))
    try:
        with Disk(folder, kind):
            return ""
    except (NoDisk, OSError) as error:
        return str(error)
    finally:
        shutil.rmtree(folder)


class Disk:
    """A ground for a scene: an ext4 or XFS of its own, in an image below ``folder``. Unmounted at the end."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.mount_point: Path | None = folder / "mounted"
        self.root = folder / "mounted" / "root"
        self._image, self._saved, self._kind = folder / "image", folder / "saved", kind
        self._is_mounted = False

    def __enter__(self) -> Self:
        with open(self._image, "wb") as file:
            file.truncate(int(_SIZES[self._kind][:-1]) << 20)
        _run(f"mkfs.{self._kind}", "-q", "-F" if self._kind == "ext4" else "-f", str(self._image))
        self.root.parent.mkdir()
        self._mount()
        self.root.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unmount()

    def _mount(self) -> None:
        _run("mount", "-t", self._kind, "-o", _OPTIONS[self._kind], str(self._image), str(self.root.parent))
        self._is_mounted = True
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        devices = [device for device, place, *_ in mounts if place == str(self.root.parent)]
        if len(devices) != 1 or not devices[0].startswith("/dev/loop"):
            raise NoDisk(f"{self.root.parent} is on {devices}, which is no loop device")

    def _unmount(self) -> None:
        if self._is_mounted:
            _run("umount", str(self.root.parent))
            self._is_mounted = False

    def save(self) -> None:
        """This is what ``restore`` puts back."""
        self._unmount()
        _copy(self._image, self._saved)
        self._mount()

    def restore(self) -> None:
        """A disk as it was when it was saved."""
        self._unmount()
        _copy(self._saved, self._image)
        self._mount()

    def after_cut(self) -> None:
        """The power comes back: what is on disk is mounted again."""
        self._unmount()
        self._mount()


def _copy(source: Path, target: Path) -> None:
    """Copy an image without its holes."""
    target.unlink(missing_ok=True)
    _run("cp", "--sparse=always", str(source), str(target))
