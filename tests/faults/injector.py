"""The fault injector: inject.c compiled, preloaded, and armed by a process for itself."""

import ctypes
import errno
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).parent
_KILL, _ERROR, _SHORT, _POWER = 1, 2, 3, 4


@dataclass(frozen=True)
class Mode:
    """What happens at the N-th call. ``goes_on``: at every later one too; ``reads``: only opening counts."""

    kind: int
    code: int = 0
    goes_on: bool = False
    reads: bool = False
    flags: int = 0

    @property
    def is_deadly(self) -> bool:
        return self.kind in (_KILL, _POWER)

    @property
    def is_cut(self) -> bool:
        return self.kind == _POWER


MODES = {
    "kill": Mode(_KILL),
    "eio": Mode(_ERROR, errno.EIO),
    "enospc": Mode(_ERROR, errno.ENOSPC),
    "edquot": Mode(_ERROR, errno.EDQUOT),
    "erofs": Mode(_ERROR, errno.EROFS),
    "emfile": Mode(_ERROR, errno.EMFILE, reads=True),
    "short": Mode(_SHORT),
    "eio-on": Mode(_ERROR, errno.EIO, goes_on=True),
    "enospc-on": Mode(_ERROR, errno.ENOSPC, goes_on=True),
    "erofs-on": Mode(_ERROR, errno.EROFS, goes_on=True),
    "emfile-on": Mode(_ERROR, errno.EMFILE, goes_on=True, reads=True),
    "power0": Mode(_POWER, flags=2),
    "power1": Mode(_POWER, flags=1),
}


def library() -> Path:
    """inject.so, compiled into the temporary folder once for each version of its source."""
    source = HERE / "inject.c"
    built = Path(tempfile.gettempdir()) / f"pages-inject-{os.getuid()}-{source.stat().st_mtime_ns}.so"
    if not built.exists():
        aside = built.with_suffix(f".{secrets.token_hex(4)}")
        command = ["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(aside), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        os.rename(aside, built)
    return built


def with_injector(environment: dict[str, str]) -> dict[str, str]:
    """An environment whose programs have the injector in front of libc."""
    return {**environment, "LD_PRELOAD": str(library())}


def _calls() -> Any:
    return ctypes.CDLL(None)


def is_loaded() -> bool:
    return hasattr(_calls(), "inject_arm")


def restart_with_injector(module: str) -> NoReturn:
    """Run this program again, from its beginning, with the injector."""
    arguments = [sys.executable, "-m", module, *sys.argv[1:]]
    os.execve(sys.executable, arguments, with_injector(dict(os.environ)))


def watch(root: Path) -> None:
    """Count what changes below ``root`` from now on."""
    _watched[:] = [os.fsencode(root)]
    _calls().inject_root(_watched[0])


def arm(mode: Mode, number: int, mount_point: Path | None = None) -> None:
    """Have the fault come at the N-th call from here; ``mount_point`` is where power may be cut."""
    if mount_point is not None:
        _calls().inject_power(os.fsencode(mount_point), mode.flags)
    _calls().inject_arm(ctypes.c_long(number), mode.kind, mode.code, int(mode.goes_on), int(mode.reads))


_watched: list[bytes] = []


@contextmanager
def unseen() -> Iterator[None]:
    """What is done within is no part of the scene: no fault comes, nothing is counted."""
    if _watched:
        _calls().inject_root(b"")
    try:
        yield
    finally:
        if _watched:
            _calls().inject_root(_watched[0])


def disarm() -> None:
    _calls().inject_arm(ctypes.c_long(0), 0, 0, 0, 0)


def count() -> int:
    """How many calls there were since ``arm`` (number 0 arms for counting alone)."""
    counted = _calls().inject_count
    counted.restype = ctypes.c_long
    return int(counted())


def where() -> str:
    """The call that the fault hit first: its name and paths; empty when there was none."""
    text = _calls().inject_where
    text.restype = ctypes.c_char_p
    return str(text().decode("utf-8", "replace"))


def log_to(path: Path | None) -> None:
    """Write every call into a log, for the lint; ``None`` ends it."""
    _calls().inject_log(os.fsencode(path) if path else b"")


def mark(what: str, text: str = "") -> None:
    """A line of our own in the log."""
    _calls().inject_mark(what.encode(), text.encode())


def cut_the_power() -> None:
    """At once; the process ends with it."""
    _calls().inject_cut()
