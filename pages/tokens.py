"""Tokens: credentials that may do less than their owner, until a day; a file for each, without its secret."""

import hashlib
import hmac
import logging
import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from pages import files
from pages.errors import TokenNotFound, TooManyTokens
from pages.model import is_name, timestamp
from pages.paths import Paths
from pages.work import Workshop

log = logging.getLogger(__name__)

Action = Literal["deploy", "read", "admin"]
ACTIONS: tuple[Action, ...] = ("deploy", "read", "admin")
MAX_TOKENS = 100  # Of one owner.

_TEXT = re.compile(r"pages_([0-9a-f]{16})_([0-9a-f]{64})")
_ID = re.compile(r"[0-9a-f]{16}")
_SECRET_BYTES = 32
_MINUTE = timedelta(minutes=1)


class Token(msgspec.Struct, frozen=True):
    """What is told of a token: whose it is, and what it may do for which sites until when.

    ``username`` None: for every tenant's; ``site`` None: for all of them. Never more than its owner may do itself.
    """

    id: str
    name: str
    owner: str
    username: str | None
    site: str | None
    actions: tuple[Action, ...]
    created_at: str
    expires_at: str
    last_used_at: str | None = None

    def __post_init__(self) -> None:
        if not all(name is None or is_name(name) for name in (self.username, self.site)):
            raise ValueError("a name that is none")
        if self.site is not None and self.username is None:
            raise ValueError("a site without a username")
        if not all(datetime.fromisoformat(time).tzinfo for time in (self.created_at, self.expires_at)):
            raise ValueError("a time without an offset")

    def may(self, action: Action) -> bool:
        """Does it have this action? ``admin`` is all of them."""
        return action in self.actions or "admin" in self.actions

    def has_ended(self, now: datetime) -> bool:
        return datetime.fromisoformat(self.expires_at) <= now


class NewToken(msgspec.Struct, frozen=True):
    """A token to be made."""

    name: str
    owner: str
    username: str | None
    site: str | None
    actions: tuple[Action, ...]
    until: datetime


class _Record(msgspec.Struct, frozen=True):
    """As it is stored. When it was last used is the file's time, 1970 for never: noting that must cost nothing."""

    sha256: str
    token: Token


# msgspec looks at a type when it first reads one; two threads that do so at once crash the process (0.22).
msgspec.json.Decoder(_Record)


class Tokens:
    """The tokens of one installation. Each is read when it is used: a revoked one is refused at the next request."""

    def __init__(self, paths: Paths, workshop: Workshop) -> None:
        self._paths = paths
        self._workshop = workshop

    def create(self, new: NewToken, now: datetime) -> tuple[Token, str]:
        """Store a new token: (what is told of it, what its holder sends, which is kept nowhere). ``TooManyTokens``."""
        if len(self.alive(now, new.owner)) >= MAX_TOKENS:
            raise TooManyTokens(MAX_TOKENS)
        token_id, secret = secrets.token_hex(8), secrets.token_hex(_SECRET_BYTES)
        times = timestamp(now), timestamp(new.until)
        token = Token(token_id, new.name, new.owner, new.username, new.site, new.actions, *times)
        files.make_folders(self._paths.tokens, 0o700)
        with self._workshop.work() as work:
            record = work.prepare(_encoded(_Record(_digest(secret), token)), 0o600)
            os.utime(record, ns=(0, 0))
            work.move(record, self._paths.token(token_id))
        return token, f"pages_{token_id}_{secret}"

    def find(self, untrusted_text: str, now: datetime) -> Token | None:
        """The token that a client sent; None for what is none, and for one that is over, revoked or unknown."""
        parts = _TEXT.fullmatch(untrusted_text)
        if parts is None:
            return None
        try:
            record = self._read(parts[1])
        except TokenNotFound:
            return None
        is_right = hmac.compare_digest(record.sha256.encode(), _digest(parts[2]).encode())
        return record.token if is_right and not record.token.has_ended(now) else None

    def note_use(self, token: Token, now: datetime) -> None:
        """Remember that it was used, to the minute; a crash may forget it."""
        last = token.last_used_at
        if last is None or not timedelta(0) <= now - datetime.fromisoformat(last) < _MINUTE:
            ns = max(1, int(now.timestamp() * 1e9))
            with suppress(OSError):  # Revoked meanwhile, or the disk takes no writes.
                os.utime(self._paths.token(token.id), ns=(ns, ns))

    def get(self, untrusted_id: str, now: datetime) -> Token:
        """The token with this id: ``TokenNotFound``, also when it is over."""
        token = self._read(untrusted_id).token
        if token.has_ended(now):
            raise TokenNotFound()
        return token

    def alive(self, now: datetime, owner: str | None = None) -> list[Token]:
        """All tokens, or those of one owner, the newest first. Sweeps away those that are over."""
        found = []
        for token in self._all():
            if token.has_ended(now):
                with suppress(OSError):
                    self._paths.token(token.id).unlink()
            elif owner in (None, token.owner):
                found.append(token)
        return sorted(found, key=lambda token: (datetime.fromisoformat(token.created_at), token.id), reverse=True)

    def revoke(self, untrusted_id: str) -> None:
        """Make a token void from the next request on, also one whose record cannot be read: ``TokenNotFound``."""
        try:
            self._paths.token(_checked(untrusted_id)).unlink()
        except (FileNotFoundError, NotADirectoryError):
            raise TokenNotFound() from None
        files.fsync_folder(self._paths.tokens)

    def _all(self) -> list[Token]:
        try:
            names = os.listdir(self._paths.tokens)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for name in names:
            with suppress(TokenNotFound):
                found.append(self._read(name.removesuffix(".json")).token)
        return found

    def _read(self, untrusted_id: str) -> _Record:
        path = self._paths.token(_checked(untrusted_id))
        try:
            record = msgspec.json.decode(files.read(path), type=_Record)
            used = _time(path.stat().st_mtime_ns)
        except (FileNotFoundError, NotADirectoryError):
            raise TokenNotFound() from None
        except ValueError as error:  # msgspec's are some.
            log.error("The token %s cannot be read, and is not accepted: %s", path, error)
            raise TokenNotFound() from None
        if record.token.id != path.stem:  # Somebody's copy.
            raise TokenNotFound()
        return _Record(record.sha256, msgspec.structs.replace(record.token, last_used_at=used))


def _checked(untrusted_id: str) -> str:
    if not _ID.fullmatch(untrusted_id):
        raise TokenNotFound()
    return untrusted_id


def _digest(secret: str) -> str:
    # No slow hash: nobody guesses 256 random bits, however fast.
    return hashlib.sha256(secret.encode()).hexdigest()


def _time(ns: int) -> str | None:
    if ns <= 0:
        return None
    with suppress(ValueError, OverflowError, OSError):
        return timestamp(datetime.fromtimestamp(ns // 10**9, UTC), "seconds")
    return None


def _encoded(record: _Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
