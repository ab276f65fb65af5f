"""Where things go that are wrong and cannot be made anew: nothing is deleted.

``quarantine/{date-time}/`` holds them under the paths they had; ``reasons.txt`` beside them says why each
is there. Moving one back to its path puts everything as it was.
"""

import os
import secrets
from datetime import datetime
from pathlib import Path

from pages import files
from pages.work import Work

REASONS = "reasons.txt"


class Quarantine:
    """The quarantine of one run below ``base``; its folder is made when the first thing comes in."""

    def __init__(self, base: Path, now: datetime) -> None:
        self._base = base
        self._stamp = now.strftime("%Y%m%d-%H%M%S")
        self._folder: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where this run's things are; None when there are none."""
        return self._folder

    def take(self, work: Work, path: Path, reason: str) -> None:
        """Move ``path`` (a file, link or folder below the base) here, durably; nothing if it is gone."""
        if not os.path.lexists(path):
            return
        target = self._note(path, reason)
        work.move(path, target)
        files.fsync_folder(path.parent)

    def copy(self, path: Path, reason: str) -> None:
        """Give a file that is about to be replaced a second name here."""
        target = self._note(path, reason)
        files.make_folders(target.parent)
        os.link(path, target, follow_symlinks=False)
        files.fsync_folder(target.parent)

    def _note(self, path: Path, reason: str) -> Path:
        """Where something will be; the reason is on disk before it is."""
        folder = self._made()
        relative = path.relative_to(self._base)
        target = folder / relative
        while os.path.lexists(target):
            target = target.with_name(f"{target.name}.{secrets.token_hex(2)}")
        shown = str(target.relative_to(folder)).encode("utf-8", "backslashreplace").decode()
        with open(folder / REASONS, "a", encoding="utf-8") as file:
            file.write(f"{shown}: {reason}\n")
            file.flush()
            os.fsync(file.fileno())
        return target

    def _made(self) -> Path:
        while self._folder is None:
            folder = self._base / "quarantine" / self._stamp
            files.make_folders(folder.parent)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:  # Another run of the same second.
                self._stamp = f"{self._stamp}.{secrets.token_hex(2)}"
                continue
            files.fsync_folder(folder.parent)
            self._folder = folder
        return self._folder
