"""Who is signed in to the web console: a file for each sign-in, named by the digest of what only the browser holds.

Nobody can sign in with what such a file says: the browser's value is not in it, and the fingerprint of the password is
keyed with that value. When somebody was last there is the file's time.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from pages import files

# However busy a session is, it ends after the first; and where nobody comes, after the second.
MAX_SECONDS, IDLE_SECONDS = 12 * 3600, 2 * 3600
MOST = 100  # Of one user: each is a file, and counts for no quota.
# How exactly it is known when somebody was last there: it costs a write to the folder's disk.
_SEEN_SECONDS = 60
_SKEW_SECONDS = 60  # A clock that was set back by more ends the sessions from before.
_MOST_BYTES = 4096
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")

# Takes a user's name; the password as it is stored, None for a name that is nobody's any more.
PasswordOf = Callable[[str], str | None]


class Session(msgspec.Struct, frozen=True):
    """A sign-in; ``created`` is in seconds since the epoch."""

    user: str
    created: float
    fingerprint: str


_sessions = msgspec.json.Decoder(Session)


class Sessions:
    """The sign-ins of one installation, in a folder of their own. Times are seconds since the epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, user: str, stored_password: str, now: float) -> str:
        """Let a user in whose password was right; the value that the browser has to show from now on."""
        self.sweep(now)
        self._make_room(user)
        value = secrets.token_urlsafe(32)
        session = Session(user, now, _fingerprint(value, user, stored_password))
        path = self._path(value)
        with suppress(FileExistsError):
            path.parent.mkdir(0o700, parents=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(session))
        os.utime(path, (now, now))
        return value

    def user_of(self, untrusted_value: str, password_of: PasswordOf, now: float) -> str | None:
        """Who shows this value; None when nobody was given it, it has ended, or the password is another by now."""
        if not _VALUE.fullmatch(untrusted_value):
            return None
        path = self._path(untrusted_value)
        try:
            seen, session = path.stat().st_mtime, _read(path)
        except (OSError, msgspec.MsgspecError):
            return None
        stored = password_of(session.user)
        is_known = stored is not None and hmac.compare_digest(
            _fingerprint(untrusted_value, session.user, stored), session.fingerprint
        )
        if not is_known or _is_over(session.created, seen, now):
            self.end(untrusted_value)
            return None
        if now - seen >= _SEEN_SECONDS:
            with suppress(OSError):  # A disk that takes no writes: the session ends a little early.
                os.utime(path, (now, now))
        return session.user

    def end(self, untrusted_value: str) -> None:
        """Forget a session, if there is one."""
        with suppress(OSError):
            self._path(untrusted_value).unlink(missing_ok=True)

    def sweep(self, now: float) -> None:
        """Delete the files of sessions that are over by their age or for want of use."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as found:
            for entry in found:
                with suppress(OSError):
                    # Whoever is busy all day: told by what the file says, at the next request.
                    if _is_over(entry.stat().st_mtime, entry.stat().st_mtime, now):
                        os.unlink(entry.path)

    def _make_room(self, user: str) -> None:
        """End those of a user that nobody came with for longest, when there are as many as may be."""
        own = []
        for path in self._folder.glob("*"):
            with suppress(OSError, msgspec.MsgspecError):
                if _read(path).user == user:
                    own.append((path.stat().st_mtime, path))
        for _, path in sorted(own)[: max(0, len(own) - MOST + 1)]:
            path.unlink(missing_ok=True)

    def _path(self, value: str) -> Path:
        return self._folder / hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> Session:
    return _sessions.decode(files.read(path, _MOST_BYTES))


def _is_over(created: float, seen: float, now: float) -> bool:
    ages = now - created, now - seen
    return min(ages) < -_SKEW_SECONDS or ages[0] >= MAX_SECONDS or ages[1] >= IDLE_SECONDS


def _fingerprint(value: str, user: str, stored_password: str) -> str:
    told = f"{user}\0{stored_password}".encode("utf-8", "surrogateescape")
    return hmac.new(value.encode(), told, hashlib.sha256).hexdigest()
