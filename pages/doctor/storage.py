"""The data folder: may it be written, is it on one disk that can do what is needed, with room, at the right time?"""

import os
import resource
import time
from pathlib import Path
from pwd import getpwuid

import pages
from pages import files
from pages.doctor.findings import Examined, Finding, Findings, ok, problem, warning
from pages.paths import FOLDERS
from pages.work import Workshop, run_now

_MIB = 1024 * 1024
_RESERVED_FILES, _ENOUGH_FILES = 1000, 10_000
_MAKE_ROOM = "delete sites or checkpoints, or set retention (keep_checkpoints, keep_days, keep_bytes) and backup_keep"
_ROOT = 0
# gunicorn's own limit of connections, and a file for each that is answered (gunicorn.conf.py).
_DESCRIPTORS = 8192
# Clocks of machines that share a disk differ by a little.
_AHEAD_SECONDS = 60


def data_folder(examined: Examined) -> Findings:
    """May it be written, and can its file system do what a switch needs?"""
    data = examined.paths.data
    if not data.is_dir():
        yield from _not_there(data)
        return
    owner = data.stat().st_uid
    if os.geteuid() == _ROOT and owner != _ROOT:
        name = _name_of(owner)
        todo = f"ask as that user as well: runuser -u {name} -- pages doctor"
        # Nor is anything tried there: what root made and did not come to remove, that user could not clear away.
        yield warning(f"root may write {data}, which says nothing of {name}, whose it is", todo)
    elif not examined.paths.work.is_dir():
        yield _writable(data)
    else:
        yield from _tried(examined)


def _tried(examined: Examined) -> Findings:
    try:
        with Workshop(examined.paths.work, run_now).work() as work:
            yield from _can(work.path)
    except OSError as error:
        todo = "it must belong to the user who runs Pages: chown -R"
        yield problem(f"{error.filename or examined.paths.work} cannot be written: {error.strerror}", todo)
    else:
        yield ok(f"{examined.paths.data} can be written")


def _not_there(data: Path) -> Findings:
    above = next(path for path in data.parents if path.exists())
    if os.access(above, os.W_OK | os.X_OK):
        yield ok(f"{data} is not there yet: the first start makes it")
    else:
        yield problem(f"{data} is not there, and {above} cannot be written", "make it: install -d -m 0750 -o USER")


def _writable(data: Path) -> Finding:
    if os.access(data, os.W_OK | os.X_OK):
        return ok(f"{data} can be written")
    return problem(f"{data} cannot be written", "it must belong to the user who runs Pages: chown -R")


def _can(folder: Path) -> Findings:
    """Symlinks, second names and the swap of two names, in a folder that goes away again."""
    first, second = folder / "first", folder / "second"
    first.write_bytes(b"1")
    for what, make in (("symlinks", os.symlink), ("second names (hard links)", os.link)):
        try:
            make(first, folder / what)
        except OSError as error:
            yield problem(f"this file system has no {what}: {error.strerror}", "put data_dir on another (ext4, xfs)")
    second.write_bytes(b"2")
    if not files.swapped(first, second):
        todo = "put data_dir on another (ext4, xfs, btrfs); until then such a switch leaves a gap of a moment"
        yield warning("this file system cannot swap two names in one step", todo)


def one_file_system(examined: Examined) -> Findings:
    """A switch is a rename, and nothing can be renamed to another disk."""
    data = examined.paths.data
    if not data.is_dir():
        return
    device = data.stat().st_dev
    parts = [data / name for name in FOLDERS if name != "cache" and (data / name).exists()]
    elsewhere = [str(path) for path in parts if path.stat().st_dev != device]
    if elsewhere:
        yield problem(f"on another file system than {data}: {', '.join(elsewhere)}", "move them onto one")
    else:
        yield ok("all of data_dir is on one, but for cache/, which need not be")


def room(examined: Examined) -> Findings:
    """Is there enough for the largest upload, packed and unpacked, beside what is kept free?"""
    config = examined.config
    for key, folder in (("data_dir", config.data_dir), ("backup_dir", config.backup_dir)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found = os.statvfs(there)
        free = found.f_bavail * found.f_frsize
        told = f"{free // _MIB:,} MiB and {found.f_favail:,} files free for {key}"
        # Some file systems have no fixed number of files, and say so with 0.
        files_left = found.f_favail if found.f_files else _ENOUGH_FILES
        if free <= config.min_free_bytes or files_left <= _RESERVED_FILES:
            yield problem(f"{told}: uploads are refused (507)", f"make room: {_MAKE_ROOM}")
        elif free < config.min_free_bytes + 2 * config.max_upload_bytes or files_left < _ENOUGH_FILES:
            yield warning(f"{told}: too little for an upload of max_upload_bytes", f"make room: {_MAKE_ROOM}")
        else:
            yield ok(told)


def clock(examined: Examined) -> Findings:
    """Has it been set back? Whatever Pages touched lately is then of the future."""
    present = time.time()
    known = [Path(pages.__file__)]
    if examined.paths.data.is_dir():
        known += [Path(entry) for entry in os.scandir(examined.paths.data) if not entry.is_symlink()]
    ahead = max((path.stat().st_mtime - present, str(path)) for path in known)
    if ahead[0] > _AHEAD_SECONDS:
        todo = "set the clock (timedatectl status tells whether it is kept by NTP)"
        yield warning(f"{ahead[1]} was touched {int(ahead[0])} seconds in the future", todo)
    else:
        yield ok(f"it is {examined.now.isoformat(timespec='seconds')}")


def restore(examined: Examined) -> Findings:
    """Was one begun and not finished?"""
    marker = examined.paths.restoring
    if marker.exists():
        yield problem(f"a restore was cut short ({marker})", "run the same `pages restore` again: it goes on")
    else:
        yield ok("none was cut short")


def descriptors(_: Examined) -> Findings:
    """How many files may be open? Each connection takes one. A service's own limit is its unit's (LimitNOFILE)."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 < most < _DESCRIPTORS:
        todo = "raise it to 65536: LimitNOFILE in the unit, ulimit -Hn in a shell, --ulimit for a container"
        yield warning(f"a process may have {most} open here", todo)
    else:
        yield ok("a process may have enough open" if most > 0 else "a process may have any number open")


def _name_of(uid: int) -> str:
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
