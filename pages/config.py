"""Every setting: defaults, overridden by config.toml, overridden by the environment; then frozen."""

import ipaddress
import logging
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import toml

from pages import passwords, webhook_keys
from pages.errors import ConfigError
from pages.hosts import canonical_domain
from pages.model import is_name
from pages.paths import FOLDERS

log = logging.getLogger(__name__)

# Variables of this family that are not settings: where the file is, what gunicorn.conf.py tells the
# workers about their master, and what the command line asks for which site.
_OTHER_VARIABLES = {"PAGES_CONFIG", "PAGES_MASTER_PID", "PAGES_URL", "PAGES_TOKEN", "PAGES_SITE"}


_QUOTAS = ("quota_sites", "quota_bytes", "quota_checkpoints")
_MAX_SOCKET_PATH = 100  # The kernel's limit is 107 bytes.
_DATA, _BACKUPS = Path("data"), Path("backups")


def _setting(section: str, default: Any, env: str | None = None) -> Any:
    """A field of ``Config``: the table of config.toml it stands in and its default."""
    metadata = {"section": section, "env": env}
    if isinstance(default, list):
        return field(default_factory=lambda: tuple(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """All settings, checked. What each means stands in config.toml, above its default.

    Sizes are bytes, times are seconds, paths are absolute.
    """

    host: str = _setting("server", "127.0.0.1")
    port: int = _setting("server", 1323)
    environment: str = _setting("server", "development")
    admin_user: str = _setting("server", "admin")
    admin_pass: str = _setting("server", "admin")
    admin_hosts: tuple[str, ...] = _setting("server", [])
    preview_domain: str = _setting("server", "")
    trusted_proxies: tuple[str, ...] = _setting("server", [])
    tls_ask_from: tuple[str, ...] = _setting("server", [])
    x_accel_redirect: bool = _setting("server", False)
    nginx_file_cache: bool = _setting("server", False)
    language: str = _setting("server", "zh")
    workers: int = _setting("server", 2)
    threads: int = _setting("server", 8)
    log_format: str = _setting("server", "text")
    webhook_url: str = _setting("server", "")
    webhook_secret: str = _setting("server", "")
    data_dir: Path = _setting("storage", _DATA)
    warm_checkpoints: int = _setting("storage", 3)
    asset_grace: float = _setting("storage", 604800.0)
    keep_checkpoints: int = _setting("storage", 0)
    keep_days: int = _setting("storage", 0)
    keep_bytes: int = _setting("storage", 0)
    precompress: tuple[str, ...] = _setting("storage", ["gzip"])
    max_upload_bytes: int = _setting("limits", 512 * 1024 * 1024)
    max_unpacked_bytes: int = _setting("limits", 2 * 1024 * 1024 * 1024)
    max_files: int = _setting("limits", 100_000)
    lock_timeout: float = _setting("limits", 30.0)
    max_failed_logins: int = _setting("limits", 20)
    failed_login_window: float = _setting("limits", 60.0)
    min_free_bytes: int = _setting("limits", 64 * 1024 * 1024)
    min_upload_rate: int = _setting("limits", 1024)
    quota_sites: int = _setting("limits", 0)
    quota_bytes: int = _setting("limits", 0)
    quota_checkpoints: int = _setting("limits", 0)
    database_url: str = _setting("backup", "", env="DATABASE_URL")
    backup_dir: Path = _setting("backup", _BACKUPS)
    backup_keep: int = _setting("backup", 10)
    backup_timeout: float = _setting("backup", 3600.0)
    pg_dump_path: str = _setting("backup", "")
    users: Mapping[str, str] = field(default_factory=dict)
    user_quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def socket(self) -> Path | None:
        """The unix socket that gunicorn listens on beside host and port; None when its path would be too long."""
        path = self.data_dir / f"pages-{self.port}.sock"
        return path if len(str(path).encode()) <= _MAX_SOCKET_PATH else None

    @property
    def address(self) -> str:
        """Host and port at which this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    def may_serve(self, username: str, host: str) -> bool:
        """May a site of this user be served on this host? An admin host is no tenant's, whenever that got the name."""
        return host not in self.admin_hosts or username not in self.users


_SETTINGS = {f.name: f for f in fields(Config) if "section" in f.metadata}
_SECTIONS = {f.metadata["section"] for f in _SETTINGS.values()}


def env_name(key: str) -> str:
    """The environment variable that overrides the setting ``key``."""
    return _SETTINGS[key].metadata["env"] or f"PAGES_{key.upper()}"


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """The settings in force. ``environ`` stands in for ``os.environ``.

    Reads the file that ``PAGES_CONFIG`` names, else ``config.toml`` in the working folder if there
    is one. Raises ``ConfigError`` with one sentence that names the key.
    """
    environ = os.environ if environ is None else environ
    if sys.getfilesystemencoding() != "utf-8":
        raise ConfigError("Python would write file names in another encoding than UTF-8: set PYTHONUTF8=1.")
    named = environ.get("PAGES_CONFIG")
    path = Path(named or "config.toml").absolute()
    if named and not path.is_file():
        raise ConfigError(f"PAGES_CONFIG names {path}, which is not a file.")
    values, users, quotas = _from_file(path) if path.is_file() else ({}, {}, {})
    values.update(_from_environment(environ))
    for key in ("data_dir", "backup_dir"):
        values[key] = Path(os.path.normpath(path.parent / values.get(key, _SETTINGS[key].default)))
    values["admin_hosts"] = tuple(_canonical_host("admin_hosts", host) for host in values.get("admin_hosts", ()))
    if values.get("preview_domain"):
        values["preview_domain"] = _canonical_host("preview_domain", values["preview_domain"])
    config = Config(**values, users=users, user_quotas=quotas)
    _check(config)
    return config


_pinned: Config | None = None


def as_json(config: Config) -> bytes:
    """The settings as ``pin`` takes them. They hold passwords: for a pipe, not for a file or a screen."""
    values = {f.name: getattr(config, f.name) for f in fields(Config)}
    return msgspec.json.encode({**values, "socket": config.socket}, enc_hook=str)


def pin(settings: bytes) -> None:
    """Fix what ``config_in_force`` answers in this process."""
    global _pinned
    known = {f.name: f.type for f in fields(Config)}
    # Code that was upgraded since may know other settings: then those have their defaults.
    values = {key: value for key, value in msgspec.json.decode(settings).items() if key in known}
    _pinned = Config(**{key: msgspec.convert(value, known[key], dec_hook=_as_path) for key, value in values.items()})


def _as_path(kind: type, value: str) -> Any:
    return kind(value)


def config_in_force() -> Config:
    """The settings that gunicorn's master checked at its start or last reload; else those on disk.

    A worker that replaces a lost one must not come up with a file that is being edited.
    """
    return _pinned or load_config()


def _from_file(path: Path) -> tuple[dict[str, Any], dict[str, str], dict[str, dict[str, int]]]:
    try:
        # "utf-8-sig": Windows' editors put a byte order mark first.
        text = path.read_text(encoding="utf-8-sig")
        strict = tomllib.loads(text)
        document = toml.loads(text)
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    # The document is the toml package's; it guesses where a bracket is missing, and not always right.
    if document != strict:
        raise ConfigError(f"{path} is not valid TOML: two readers read it differently; write it plainly.")
    tables = document.pop("users", {})
    quotas = _user_quotas(tables)
    users = _users(tables)
    values: dict[str, Any] = {}
    for section, table in document.items():
        if section not in _SECTIONS:
            where = "key" if not isinstance(table, dict) else "section"
            raise ConfigError(
                f"{path.name}: unknown {where} {section!r}; known sections: {', '.join(sorted(_SECTIONS))}, users.NAME."
            )
        if not isinstance(table, dict):
            raise ConfigError(f"{path.name}: {section!r} must be a section, written [{section}].")
        for key, value in table.items():
            if key not in _SETTINGS or _SETTINGS[key].metadata["section"] != section:
                raise ConfigError(f"{path.name}: unknown key {key!r} in [{section}].")
            values[key] = _typed(key, value, f"{path.name}: {key}")
    return values, users, quotas


def _user_quotas(tables: Any) -> dict[str, dict[str, int]]:
    """The quotas of ``[users.NAME]`` tables, taken out of them."""
    quotas = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            own = {key: table.pop(key) for key in _QUOTAS if key in table}
            for key, value in own.items():
                _check_quota(f"users.{name}: {key}", _typed(key, value, f"users.{name}: {key}"))
            quotas[name] = own
    return {name: own for name, own in quotas.items() if own}


def _check_quota(key: str, value: int) -> None:
    if value < 0:
        raise ConfigError(f"{key} must not be negative; 0 is no limit.")


def _users(tables: Any) -> dict[str, str]:
    if not isinstance(tables, dict):
        raise ConfigError("users must be tables, written [users.NAME].")
    users = {}
    for name, table in tables.items():
        if not is_name(name):
            raise ConfigError(
                f"users.{name}: a tenant's name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit."
            )
        if not isinstance(table, dict) or "pass" not in table:
            raise ConfigError(f"users.{name} must be a table [users.{name}] with the key pass.")
        for key in table.keys() - {"pass"}:
            raise ConfigError(f"users.{name}: unknown key {key!r}; known keys: pass, {', '.join(_QUOTAS)}.")
        if not isinstance(table["pass"], str) or not table["pass"]:
            raise ConfigError(f"users.{name}: pass must be a string that is not empty.")
        users[name] = table["pass"]
    return users


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for key in _SETTINGS:
        name = env_name(key)
        if name in environ:
            values[key] = _typed(key, _parsed(key, environ[name]), name)
    known = {env_name(key) for key in _SETTINGS} | _OTHER_VARIABLES
    for name in sorted(set(environ) - known):
        if name.startswith("PAGES_"):
            # Not refused: Kubernetes sets such names by itself for a service called "pages".
            log.warning("The environment variable %s is no setting and is ignored.", name)
    return values


def _parsed(key: str, text: str) -> Any:
    """An environment variable's text as the type the setting has; unchanged if it does not fit."""
    kind = _SETTINGS[key].type
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    try:
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except ValueError:
        return text
    if kind == tuple[str, ...]:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _typed(key: str, value: Any, name: str) -> Any:
    kind = _SETTINGS[key].type
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{name} must not hold a NUL character.")
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{name} must be a list of strings.")
    if kind is Path:
        raise ConfigError(f"{name} must be a path.")
    kinds: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    if type(value) is not kind:
        raise ConfigError(f"{name} must be {kinds[kind]}.")
    return value


def _check(config: Config) -> None:
    """Refuse values that have the right type and cannot work."""
    _require(1 <= config.port <= 65535, "port", "must be from 1 to 65535")
    _require(_is_address(config.host), "host", "must be an IP address or a host name, without a port")
    _require(
        config.environment in ("development", "production"), "environment", 'must be "development" or "production"'
    )
    _require(config.language in ("zh", "en"), "language", 'must be "zh" or "en"')
    _require(
        config.admin_user and ":" not in config.admin_user,
        "admin_user",
        "must not be empty or hold a colon (HTTP Basic has no room for one)",
    )
    _require(config.admin_user not in config.users, "admin_user", "must not also stand under [users]")
    _require(config.admin_pass, "admin_pass", "must not be empty")
    for key in ("workers", "threads", "max_upload_bytes", "max_unpacked_bytes", "max_files", "backup_keep"):
        _require(getattr(config, key) >= 1, key, "must be at least 1")
    for key in _QUOTAS:
        _check_quota(f"{key} (or {env_name(key)})", getattr(config, key))
    for key in ("min_free_bytes", "min_upload_rate", "asset_grace", "keep_checkpoints", "keep_days", "keep_bytes"):
        _require(getattr(config, key) >= 0, key, "must not be negative; 0 turns it off")
    _require(config.warm_checkpoints >= 0, "warm_checkpoints", "must not be negative")
    _require(0 <= config.lock_timeout <= 3600, "lock_timeout", "must be from 0 to 3600 seconds")
    _require(0 <= config.max_failed_logins <= 1000, "max_failed_logins", "must be from 0 to 1000")
    _require(1 <= config.failed_login_window <= 86400, "failed_login_window", "must be from 1 to 86400 seconds")
    _require(0 < config.backup_timeout <= 86400 * 7, "backup_timeout", "must be from 1 second to 7 days")
    _require(config.log_format in ("text", "json"), "log_format", 'must be "text" or "json"')
    _check_webhook(config)
    for name in config.precompress:
        _require(name in ("gzip", "br"), "precompress", f'holds {name!r}, which is neither "gzip" nor "br"')
    if "br" in config.precompress:
        _require(find_spec("brotli"), "precompress", 'names "br", which needs a package: pip install brotli')
    for proxy in config.trusted_proxies:
        is_proxy = proxy == "unix" or _is_network(proxy)
        _require(is_proxy, "trusted_proxies", f"holds {proxy!r}, which is no address or network")
    for asker in config.tls_ask_from:
        _require(_is_network(asker), "tls_ask_from", f"holds {asker!r}, which is no address or network")
    if config.backup_dir.is_relative_to(config.data_dir):
        inside = config.backup_dir.relative_to(config.data_dir).parts
        _require(
            inside and inside[0] not in FOLDERS,
            "backup_dir",
            "must not be in a folder that Pages serves, clears or manages itself",
        )
    for key, stored in (("admin_pass", config.admin_pass), *((f"users.{n}", p) for n, p in config.users.items())):
        if not passwords.is_usable(stored):
            raise ConfigError(f"{key} holds a password hash that is damaged; make one with `pages hash-password`.")
    if config.is_production and passwords.matches(config.admin_pass, "admin"):
        raise ConfigError(
            "admin_pass is still 'admin', which production refuses: set admin_pass in "
            "config.toml or PAGES_ADMIN_PASS in the environment."
        )


def _check_webhook(config: Config) -> None:
    """Neither is told of: the address may be as secret as the other."""
    if not (config.webhook_url or config.webhook_secret):
        return
    _require(
        webhook_keys.is_receiver(config.webhook_url),
        "webhook_url",
        "must be an https address, or an http one of this machine (127.0.0.1, [::1], localhost), without a user and a "
        "fragment",
    )
    _require(
        webhook_keys.is_secret(config.webhook_secret),
        "webhook_secret",
        'must be "whsec_" and the base64 of 24 to 64 random bytes: echo whsec_$(openssl rand -base64 32)',
    )


def _require(condition: object, key: str, sentence: str) -> None:
    if not condition:
        raise ConfigError(f"{key} (or {env_name(key)}) {sentence}.")


def _canonical_host(key: str, host: str) -> str:
    try:
        return canonical_domain(host)
    except ValueError:
        raise ConfigError(f"{key} (or {env_name(key)}) holds {host!r}, which is no host name.") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            canonical_domain(host)
        except ValueError:
            return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
