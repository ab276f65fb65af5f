"""What a request or a record may say of a site, field by field: past here every value is valid (contract 3)."""

import codecs
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pages.errors import InvalidField
from pages.hosts import canonical_alias, canonical_domain
from pages.model import Cache, Retention, Site, is_name, refuse_unknown, string, with_offset

DEFAULT_USERNAME = "default"
_READ_ONLY = ("id", "username", "created_at", "updated_at")
_MAX_ALIASES = 100
_MAX_SECONDS = 10 * 366 * 86400
_MAX_DAYS = 36_525  # A hundred years.
_MAX_NUMBER = 2**53 - 1  # What every reader of JSON can tell apart.

Check = Callable[[str, Any], Any]


def site_from_record(record: bytes, username: str, site_id: str) -> Site:
    """A site as its record says; ``ValueError`` with the reason when the record is broken."""
    try:
        fields = msgspec.json.decode(record.removeprefix(codecs.BOM_UTF8))
        if not isinstance(fields, dict):
            raise ValueError("不是 JSON 对象")
        site = msgspec.convert({"index": "index.html", "enabled": True, **fields}, Site)
        if (site.username, site.id) != (username, site_id):
            raise ValueError(f"username 和 id 必须与文件位置一致: {username}/{site_id}")
        checked = {name: check(name, fields[name]) for name, check in _SETTINGS.items() if name in fields}
        _refuse_twice(checked["domain"], checked.get("aliases", ()))
        times = {"created_at": with_offset(site.created_at), "updated_at": with_offset(site.updated_at)}
        return msgspec.structs.replace(site, **checked, **times)
    except (msgspec.MsgspecError, InvalidField, RecursionError) as error:
        raise ValueError(str(error)) from error


def new_site_fields(body: Mapping[str, Any], default_username: str) -> dict[str, Any]:
    """The fields of a create request, checked; ``InvalidField`` names the first bad one."""
    fields = {"username": default_username, "index": "index.html", "enabled": True, **body}
    refuse_unknown(fields, tuple(_CHECKS))
    for required in ("id", "domain"):
        if required not in fields:
            raise InvalidField(required, "缺失")
    checked = {name: check(name, fields[name]) for name, check in _CHECKS.items() if name in fields}
    _refuse_twice(checked["domain"], checked.get("aliases", ()))
    return checked


def changed_site_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an update request, checked; read-only ones are accepted back and ignored."""
    refuse_unknown(body, (*_SETTINGS, *_READ_ONLY))
    return {name: _SETTINGS[name](name, value) for name, value in body.items() if name not in _READ_ONLY}


def fitting(site: Site, changes: dict[str, Any]) -> dict[str, Any]:
    """The same changes so that they fit what stays: an alias that becomes the domain is no alias any more.

    ``InvalidField`` for the domain as an alias.
    """
    domain = changes.get("domain", site.domain)
    if "aliases" in changes:
        _refuse_twice(domain, changes["aliases"])
    elif domain in site.aliases:
        return {**changes, "aliases": tuple(alias for alias in site.aliases if alias != domain)}
    return changes


def _refuse_twice(domain: str, aliases: tuple[str, ...]) -> None:
    if domain in aliases:
        raise InvalidField("aliases", f"不能包含主域名 {domain}")


def _name(field: str, value: Any) -> str:
    if not is_name(string(field, value)):
        raise InvalidField(field, "必须是 1 到 64 个字符，仅限 A-Z a-z 0-9 . _ -，并以字母或数字开头")
    return str(value)


def _domain(field: str, value: Any) -> str:
    try:
        return canonical_domain(string(field, value))
    except ValueError as error:
        raise InvalidField(field, str(error)) from error


def _aliases(field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MAX_ALIASES:
        raise InvalidField(field, f"必须是域名数组，最多 {_MAX_ALIASES} 个")
    found = []
    for item in value:
        try:
            found.append(canonical_alias(string(field, item)))
        except ValueError as error:
            raise InvalidField(field, f"{item[:253]}: {error}") from error
    if len(set(found)) < len(found):
        raise InvalidField(field, "包含重复的域名")
    return tuple(found)


def _file_name(field: str, value: Any) -> str:
    name = string(field, value)
    if "/" in name or not _is_visible_part(name):
        raise InvalidField(field, "必须是单独的文件名，不含路径，不以点开头")
    return name


def _page(field: str, value: Any) -> str:
    path = string(field, value)
    if not all(map(_is_visible_part, path.split("/"))) or len(path.encode()) > 1024:
        raise InvalidField(field, "必须是站点内的文件名或路径，不以斜杠或点开头")
    return path


def _is_visible_part(name: str) -> bool:
    printable = name.isprintable() and "\\" not in name
    return printable and not name.startswith(".") and 1 <= len(name.encode()) <= 255


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidField(field, "必须是 true 或 false")
    return value


def _one_of(*allowed: str) -> Check:
    def check(field: str, value: Any) -> str:
        if value not in allowed:
            raise InvalidField(field, f"必须是 {'、'.join(allowed)} 之一")
        return str(value)

    return check


def _number(field: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidField(field, f"必须是 0 到 {most} 的整数")
    return value


def _cache(field: str, value: Any) -> Cache:
    return Cache(**{key: _number(f"{field}.{key}", n, _MAX_SECONDS) for key, n in _members(field, value, Cache)})


def _retention(field: str, value: Any) -> Retention:
    return Retention(**{key: _limit(f"{field}.{key}", key, n) for key, n in _members(field, value, Retention)})


def limits_for_pruning(body: Mapping[str, Any]) -> Retention:
    """The limits that a request to prune brings itself; ``InvalidField``."""
    return Retention(**{key: _limit(key, key, n) for key, n in body.items()})


def _limit(field: str, key: str, value: Any) -> int | None:
    return None if value is None else _number(field, value, _MAX_DAYS if key == "days" else _MAX_NUMBER)


def _members(field: str, value: Any, kind: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    known = kind.__struct_fields__
    if not isinstance(value, dict) or any(key not in known for key in value):
        raise InvalidField(field, f"必须是对象，可含 {'、'.join(known)}")
    return list(value.items())


_SETTINGS: dict[str, Check] = {
    "domain": _domain,
    "index": _file_name,
    "enabled": _flag,
    "aliases": _aliases,
    "alias_mode": _one_of("redirect", "serve"),
    "clean_urls": _flag,
    "trailing_slash": _one_of("auto", "always", "never"),
    "spa": _flag,
    "not_found": _page,
    "cache": _cache,
    "retention": _retention,
    "locked": _flag,
}
_CHECKS: dict[str, Check] = {"id": _name, "username": _name, **_SETTINGS}
