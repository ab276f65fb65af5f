"""nginx's configuration as it stands on disk: every file that is included, and who nginx's workers are."""

import glob
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PLACES = ":/usr/local/sbin:/usr/sbin:/sbin"
_INCLUDE = re.compile(r'(?:^|(?<=[{;]))[ \t]*include[ \t]+(?:"([^"]+)"|\'([^\']+)\'|([^;\s]+))[ \t]*;', re.MULTILINE)
_USER = re.compile(r"^\s*user\s+([^\s;]+)", re.MULTILINE)


@dataclass(frozen=True)
class Account:
    """The user as whom nginx reads files."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, path: Path, wanted: int) -> bool:
        """Does the mode of ``path`` let it (4 read, 2 write, 1 enter)? With an access list: taken for yes."""
        status = path.stat()
        if self.uid == 0 or "system.posix_acl_access" in os.listxattr(path):
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return not wanted & ~(status.st_mode >> shift)


def program() -> str | None:
    """nginx on this machine."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + _PLACES)


def built_in(nginx: str) -> dict[str, str]:
    """With what it was built: ``conf-path``, ``user``, …"""
    # It opens nothing and changes nothing, unlike -t and -T, which make logs and folders.
    said = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    return dict(re.findall(r"--([a-z-]+)=(\S+)", said))


def read(main: Path) -> dict[Path, str]:
    """The text of a configuration file and of all that it includes. ``OSError``."""
    found: dict[Path, str] = {}
    waiting = [main]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = path.read_text(encoding="utf-8", errors="replace")
            # Included paths are relative to the folder of the main file.
            patterns = ["".join(match) for match in _INCLUDE.findall(_without_comments(found[path]))]
            waiting += [Path(name) for pattern in patterns for name in glob.glob(str(main.parent / pattern))]
    return found


def account(main: str, default: str | None) -> Account | None:
    """Who reads for nginx, by its main file; None when that user is not known here."""
    named = _USER.search(_without_comments(main))
    try:
        found = pwd.getpwnam(named[1] if named else default or "nobody")
    except KeyError:
        return None
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    return Account(found.pw_name, found.pw_uid, frozenset(groups))


def _without_comments(text: str) -> str:
    return re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
