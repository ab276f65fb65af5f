"""Site and Checkpoint, and what a request may say of them: past a constructor every value is valid."""

import codecs
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from pages.errors import BadRequest, InvalidField
from pages.hosts import canonical_domain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_READ_ONLY = ("id", "username", "created_at", "updated_at")
DEFAULT_USERNAME = "default"
MAX_DESCRIPTION = 1000
# Sums of times outside are no times any more. A machine without a battery starts in 1970, west of Greenwich in 1969.
_FIRST_YEAR, _LAST_YEAR = 1969, 9000


class Site(msgspec.Struct, frozen=True):
    """One site, in the order of fields that the seed shows; times are ISO 8601 with an offset."""

    id: str
    username: str
    domain: str
    index: str
    enabled: bool
    created_at: str
    updated_at: str


class Checkpoint(msgspec.Struct, frozen=True):
    """One version of a site; ``file_size`` is the stored archive's, in bytes."""

    id: str
    created_at: str
    file_size: int
    file_name: str
    source: str
    description: str


class History(msgspec.Struct, frozen=True):
    """A site's ``metadata.json``: its checkpoints, newest first, and which one is served."""

    site_id: str
    username: str
    current: str | None
    checkpoints: tuple[Checkpoint, ...]
    updated_at: str


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


def site_from_record(record: bytes, username: str, site_id: str) -> Site:
    """A site as its record says; ``ValueError`` with the reason when the record is broken."""
    try:
        fields = msgspec.json.decode(record.removeprefix(codecs.BOM_UTF8))
        if not isinstance(fields, dict):
            raise ValueError("不是 JSON 对象")
        site = msgspec.convert({"index": "index.html", "enabled": True, **fields}, Site)
        if (site.username, site.id) != (username, site_id):
            raise ValueError(f"username 和 id 必须与文件位置一致: {username}/{site_id}")
        return msgspec.structs.replace(
            site,
            domain=_domain(site.domain),
            index=_index(site.index),
            created_at=with_offset(site.created_at),
            updated_at=with_offset(site.updated_at),
        )
    except (msgspec.MsgspecError, InvalidField, RecursionError) as error:
        raise ValueError(str(error)) from error


def new_site_fields(body: Mapping[str, Any], default_username: str) -> dict[str, Any]:
    """The fields of a create request, checked; ``InvalidField`` names the first bad one."""
    fields = {"username": default_username, "index": "index.html", "enabled": True, **body}
    _refuse_unknown(fields, ("id", "domain", "username", "index", "enabled"))
    for required in ("id", "domain"):
        if required not in fields:
            raise InvalidField(required, "缺失")
    return {name: _CHECKS[name](fields[name]) for name in ("id", "username", "domain", "index", "enabled")}


def changed_site_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an update request, checked; read-only ones are accepted back and ignored."""
    _refuse_unknown(body, ("domain", "index", "enabled", *_READ_ONLY))
    return {name: _CHECKS[name](value) for name, value in body.items() if name not in _READ_ONLY}


def checkpoint_description(body: Mapping[str, Any]) -> str | None:
    """The optional description of a manual checkpoint."""
    _refuse_unknown(body, ("description",))
    if "description" not in body:
        return None
    text = _string("description", body["description"])
    if len(text) > MAX_DESCRIPTION:
        raise InvalidField("description", f"不能超过 {MAX_DESCRIPTION} 个字符")
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


def _refuse_unknown(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in body:
        if name not in known:
            raise BadRequest(f"未知字段 {name[:100]}")


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidField(name, "必须是字符串")
    return value


def _name(field: str) -> Any:
    def check(value: Any) -> str:
        if not is_name(_string(field, value)):
            raise InvalidField(field, "必须是 1 到 64 个字符，仅限 A-Z a-z 0-9 . _ -，并以字母或数字开头")
        return str(value)

    return check


def _domain(value: Any) -> str:
    try:
        return canonical_domain(_string("domain", value))
    except ValueError as error:
        raise InvalidField("domain", str(error)) from error


def _index(value: Any) -> str:
    name = _string("index", value)
    printable = name.isprintable() and "/" not in name and "\\" not in name
    if not printable or name.startswith(".") or not 1 <= len(name.encode()) <= 255:
        raise InvalidField("index", "必须是单独的文件名，不含路径，不以点开头")
    return name


def _enabled(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidField("enabled", "必须是 true 或 false")
    return value


_CHECKS = {
    "id": _name("id"),
    "username": _name("username"),
    "domain": _domain,
    "index": _index,
    "enabled": _enabled,
}
