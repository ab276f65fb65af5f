"""The SHA-256 of each file of a folder; those that did not change since the last time are not read again."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pages.client.credentials import folder_for, write_privately
from pages.client.folder import Folder, Identity

# A file that changes again within its clock's tick looks as it did before: what is that young is not remembered.
_RACY_NS = 2_000_000_000


def digests_of(folder: Folder, environ: Mapping[str, str], hashed: Callable[[int], None]) -> dict[str, str]:
    """Each file's digest in hex, by path. ``hashed`` is told how many bytes are done.

    Raises ``Failed`` for a file that changes meanwhile.
    """
    known = _read(folder.path, environ)
    started = time.time_ns()
    found = {}
    for file in folder.files:
        digest = known.get(file.identity)
        if digest is None:
            content = hashlib.sha256()
            for chunk in file.chunks():
                content.update(chunk)
                hashed(len(chunk))
            digest = content.hexdigest()
        else:
            hashed(file.size)
        found[file.path] = digest
    settled = {file.identity: found[file.path] for file in folder.files if _is_settled(file.identity, started)}
    _write(folder.path, environ, settled)
    return found


def _is_settled(identity: Identity, now_ns: int) -> bool:
    return now_ns - max(identity[3:]) > _RACY_NS


def _cache_of(folder: Path, environ: Mapping[str, str]) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return folder_for("XDG_CACHE_HOME", ".cache", environ) / f"{name}.json"


def _read(folder: Path, environ: Mapping[str, str]) -> dict[Identity, str]:
    """What is remembered; nothing, when it cannot be read: it is only faster with it."""
    try:
        content = _cache_of(folder, environ).read_bytes()
        return {(a, b, c, d, e): digest for a, b, c, d, e, digest in json.loads(content)}
    except (OSError, ValueError, TypeError):
        return {}


def _write(folder: Path, environ: Mapping[str, str], digests: Mapping[Identity, str]) -> None:
    try:
        path = _cache_of(folder, environ)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_privately(path, json.dumps([[*identity, digest] for identity, digest in digests.items()]))
    except OSError:
        pass  # It is read again the next time.
