"""Site and Checkpoint, as they are stored and shown; times and numbers that requests give."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from pages.errors import BadRequest, InvalidField

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_DESCRIPTION = 1000
MAX_DEPLOY_DESCRIPTION = 500
ONE_YEAR = 31_536_000  # In seconds.
NOT_FOUND = "404.html"
# Sums of times outside are no times any more. A machine without a battery starts in 1970, west of Greenwich in 1969.
_FIRST_YEAR, _LAST_YEAR = 1969, 9000


class Cache(msgspec.Struct, frozen=True):
    """For how many seconds a visitor's copy is fresh; 0: it is asked for again each time, which costs a 304.

    ``hashed`` is for names that hold a hash of the content: another content has another name.
    """

    html: int = 0
    assets: int = 0
    hashed: int = ONE_YEAR


class Retention(msgspec.Struct, frozen=True):
    """Which checkpoints are kept: the newest ``count``, and those younger than ``days``, in at most ``bytes``.

    0 is no limit, None what the configuration says.
    """

    count: int | None = None
    days: int | None = None
    bytes: int | None = None


class Site(msgspec.Struct, frozen=True):
    """One site: the seven fields of the seed, then its settings; times are ISO 8601 with an offset.

    ``aliases`` are more domains, ``*.example.com`` among them. ``trailing_slash`` is "auto" (a folder has one, a page
    none), "always" or "never"; ``alias_mode`` "redirect" or "serve".
    """

    id: str
    username: str
    domain: str
    index: str
    enabled: bool
    created_at: str
    updated_at: str
    aliases: tuple[str, ...] = ()
    alias_mode: str = "redirect"
    clean_urls: bool = False
    trailing_slash: str = "auto"
    spa: bool = False
    not_found: str = NOT_FOUND
    cache: Cache = Cache()
    retention: Retention = Retention()
    locked: bool = False

    @property
    def domains(self) -> tuple[str, ...]:
        """All that it is found by, the canonical one first."""
        return (self.domain, *self.aliases)


class Checkpoint(msgspec.Struct, frozen=True):
    """One version of a site; ``file_size`` is the stored archive's, in bytes."""

    id: str
    created_at: str
    file_size: int
    file_name: str
    source: str
    description: str


class Preview(msgspec.Struct, frozen=True):
    """A checkpoint that may be looked at until a time."""

    checkpoint: str
    until: str


class Upload(msgspec.Struct, frozen=True):
    """What an ``Idempotency-Key`` stands for."""

    key: str
    checkpoint: str


class Confirmation(msgspec.Struct, frozen=True):
    """A checkout that is undone at a time, unless it is confirmed before."""

    checkpoint: str
    back_to: str
    until: str


class Plan(msgspec.Struct, frozen=True):
    """A checkout at a time to come; ``confirm_within`` seconds (0: it needs no confirmation)."""

    checkpoint: str
    at: str
    confirm_within: int = 0


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """A site's ``metadata.json``: its checkpoints, newest first, and which one is served.

    The fields of the seed come first; of the others only those are written that say something.
    """

    site_id: str
    username: str
    current: str | None
    checkpoints: tuple[Checkpoint, ...]
    updated_at: str
    pinned: tuple[str, ...] = ()
    preview_key: str = ""
    previews: tuple[Preview, ...] = ()
    uploads: tuple[Upload, ...] = ()
    confirmation: Confirmation | None = None
    plan: Plan | None = None


class Manifest(msgspec.Struct, frozen=True):
    """What a checkpoint holds: each file's (size in bytes, SHA-256 in hex, mtime in nanoseconds).

    ``digest`` is the SHA-256 of the site's content; the checkpoint's id ends with its first 8 digits.
    """

    digest: str
    folders: tuple[str, ...]
    files: dict[str, tuple[int, str, int]]


# msgspec looks at a type when it first reads one; two threads that do so at once crash the process (0.22).
for _kind in (Site, History, Manifest):
    msgspec.json.Decoder(_kind)


def now() -> datetime:
    """The present in local time, with its offset."""
    return datetime.now().astimezone()


def timestamp(time: datetime, timespec: str = "microseconds") -> str:
    """ISO 8601 in local time with its offset."""
    return time.astimezone().isoformat(timespec=timespec)


def is_reasonable(time: datetime) -> bool:
    """Can this time be reckoned with?"""
    return _FIRST_YEAR <= time.year <= _LAST_YEAR


def is_name(text: str) -> bool:
    """May this be a site's id or a username? (Contract 3: 1 to 64 of A-Z a-z 0-9 . _ -)"""
    return _NAME.fullmatch(text) is not None


def checkpoint_description(body: Mapping[str, Any]) -> str | None:
    """The optional description of a manual checkpoint."""
    refuse_unknown(body, ("description",))
    if "description" not in body:
        return None
    text = string("description", body["description"])
    if len(text) > MAX_DESCRIPTION:
        raise InvalidField("description", f"不能超过 {MAX_DESCRIPTION} 个字符")
    return text


def deploy_description(text: str) -> str:
    """The optional description of a deploy."""
    if not 1 <= len(text) <= MAX_DEPLOY_DESCRIPTION:
        raise InvalidField("description", f"必须是 1 到 {MAX_DEPLOY_DESCRIPTION} 个字符")
    return text


def page_number(name: str, text: str) -> int:
    """A ``limit`` or ``offset`` of a list."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidField(name, "必须是非负整数")
    return int(text)


def with_offset(text: str) -> str:
    """An ISO 8601 time as it is; one written without an offset is local time."""
    time = datetime.fromisoformat(text)
    if not is_reasonable(time):
        raise ValueError(f"时间不合理: {text}")
    return timestamp(time) if time.tzinfo is None else text


def refuse_unknown(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """``BadRequest`` for the first field that is none of ``known``."""
    for name in body:
        if name not in known:
            raise BadRequest(f"未知字段 {name[:100]}")


def named_once(pairs: list[tuple[str, Any]]) -> None:
    """For ``json.loads``: ``ValueError`` where an object has a name twice.

    Of two values for one name, who looked at the request before us may have seen the other.
    """
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")


def string(name: str, value: Any) -> str:
    """The value of a field that must be a string; ``InvalidField``."""
    if not isinstance(value, str):
        raise InvalidField(name, "必须是字符串")
    return value
