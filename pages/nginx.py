"""The configuration of an nginx in front of one installation: ``nginx.conf`` beside this, filled in."""

import re
from collections.abc import Callable
from importlib.resources import files as package_files
from pathlib import Path

from werkzeug.utils import get_content_type

from pages import hashed_names, media_types
from pages.config import Config
from pages.errors import ConfigError
from pages.model import ONE_YEAR
from pages.nginx_tls import Tls, blocks, server_lines
from pages.nginx_words import words
from pages.plain_pages import plain_page
from pages.resolve import PAGE_DEPTH
from pages.rules import HEADERS, REDIRECTS

_MIB = 1024 * 1024
# Of an answer with X-Accel-Redirect nginx keeps these headers, and of the others those that its configuration names.
CARRIED_BY_ITSELF = ("Content-Type", "Cache-Control", "Content-Disposition", "Expires")
CARRIED_BY_NAME = (
    "ETag",
    "Last-Modified",
    "X-Content-Type-Options",
    "Vary",
    "X-Robots-Tag",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Content-Language",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Link",
    "Permissions-Policy",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "Timing-Allow-Origin",
    "X-Frame-Options",
    "X-XSS-Protection",
)
PREVIEW_COOKIE = "pages_preview"
_OURS = "(?-i:/_(?:api|admin)/)"  # Never answered from files.
_ATTEMPTS = 8  # At a request that only reads, on connections that break.


def nginx_config(config: Config, listen: str, tls: Tls | None = None) -> str:
    """All of the configuration, for nginx's ``http`` block. ``listen`` is nginx's address or port.

    Raises ``ConfigError`` for a folder whose path nginx has no way to write, and for what is no address.
    """
    _check_path("data_dir", config.data_dir)
    _check_address("--listen", listen)
    if tls:
        _check_path("--certificates", tls.certificates)
        _check_address("--listen-plain", tls.plain)
    text = (package_files("pages") / "nginx.conf").read_text(encoding="utf-8")
    upstream = f"server unix:{config.socket}" if config.socket else f"server {config.address}"
    for name, value in {
        "UPSTREAM": upstream,
        "READS": "\n    ".join([f"{upstream} max_fails=0;"] * _ATTEMPTS),
        "LISTEN": server_lines(listen, tls),
        "TLS": blocks(tls),
        "FILE_CACHE": "\n".join(_file_cache(config)),
        "TYPES": "\n".join(_types()),
        "TEXT": rf"^(?!{_OURS})(?-i:/\.well-known)?(?:/[^/.][^/]*)+\.(?:{_endings(media_types.is_compressible)})$",
        "SMALL": _endings(lambda kind: kind.startswith(("image/", "font/")) and not media_types.is_compressible(kind)),
        "PREVIEW_COOKIE": PREVIEW_COOKIE,
        "HASHED_SECONDS": str(ONE_YEAR),
        "HASHED": hashed_names.PATTERN,
        "RULES": f"{REDIRECTS}|{HEADERS}",
        "NOT_FOUND_LOCATIONS": "\n".join(_not_found_locations()),
        "MISSES": "\n".join(_misses()),
        "STATIC": "\n".join(_twins(config)),
        "TREES": _trees(config),
        "CARRIED": "\n".join(_carried()),
        "JSON_NAMES": "|".join(map(re.escape, media_types.by_name())),
        "BODY": f"{-(-config.max_upload_bytes // _MIB) + 1}m",
        "LANGUAGE": config.language,
        "OTHER_LANGUAGE": "zh" if config.language == "en" else "en",
        "WORDS": words(config),
        "BACKUP": str(int(config.backup_timeout) + 60),
        "NOT_FOUND": plain_page(404, "Not Found"),
        "CONSOLE": str(max(600, int(config.backup_timeout) + 60)),
        "TOO_LARGE": plain_page(413, "Content Too Large"),
        "TOO_MANY": plain_page(429, "Too Many Requests"),
        "UNAVAILABLE": plain_page(503, "Service Unavailable"),
        "DATA": str(config.data_dir),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def _check_path(name: str, path: Path) -> None:
    if re.search(r"[\"'$\\\s;{}]", str(path)):
        raise ConfigError(f"{name}: {path} holds a character that nginx cannot have in a path.")


def _check_address(name: str, address: str) -> None:
    if not re.fullmatch(r"[0-9A-Za-z.:\[\]*_-]+", address):
        raise ConfigError(f"{name} must be a port or an address and a port, not {address!r}.")


def _types() -> list[str]:
    endings: dict[str, list[str]] = {}
    for ending, kind in media_types.by_ending().items():
        endings.setdefault(get_content_type(kind, "utf-8"), []).append(ending)
    return [f'        "{kind}" {" ".join(found)};' for kind, found in endings.items()]


def _endings(wanted: Callable[[str], bool]) -> str:
    return "|".join(ending for ending, kind in media_types.by_ending().items() if wanted(kind))


def _file_cache(config: Config) -> list[str]:
    if not config.nginx_file_cache:
        return ["    # Every file is looked up anew: see nginx_file_cache in config.toml.", "    open_file_cache off;"]
    return [
        "    # Looked up once in each second of the clock; Pages answers a change when the second is over.",
        "    open_file_cache max=400 inactive=10s;",
        "    open_file_cache_valid 1s;",
        "    open_file_cache_min_uses 1;",
        "    open_file_cache_errors on;",
    ]


def _misses() -> list[str]:
    """How many folders a path has, and the first so many of them."""
    depths = range(PAGE_DEPTH, 0, -1)  # The deepest first, as the first pattern that matches counts.
    return [
        'map $uri $pages_not_found {\n    default "@not_found_0";',
        *(f'    "~^(?:/[^/.][^/]*+){{{depth}}}/" "@not_found_{depth}";' for depth in depths),
        "}",
        *(
            f'map $uri $pages_folder_{depth} {{\n    "~^(?<pages_first_{depth}>(?:/[^/]++){{{depth}}})/"'
            f" $pages_first_{depth};\n}}"
            for depth in depths
        ),
    ]


def _not_found_locations() -> list[str]:
    """The answers to misses: from one of the folders from the root down, the nearest one first."""
    return [_not_found_location(depth) for depth in range(PAGE_DEPTH + 1)]


def _not_found_location(depth: int) -> str:
    upwards = " ".join(f"$pages_folder_{number}/404.html" for number in range(depth, 0, -1))
    return f"""    location @not_found_{depth} {{
        try_files {upwards} /404.html =404;
        error_page 403 404 = @no_page;
        error_page 405 = @application;
        sendfile off;
        etag off;
        add_header Last-Modified "" always;
        add_header Cache-Control no-cache always;
        add_header X-Content-Type-Options nosniff always;
    }}
"""


def _carried() -> list[str]:
    return [f"        add_header {name} $upstream_http_{name.lower().replace('-', '_')};" for name in CARRIED_BY_NAME]


def _trees(config: Config) -> str:
    tokens = "|".join(config.precompress)
    if not tokens:
        return 'default "$pages_host";'
    # "/.none" is a folder that there never is. Where links are followed it must be no site's own folder.
    default = "$pages_host/../.none" if "br" in config.precompress else "$pages_host"
    return "\n    ".join(
        (
            f'default "{default}";',
            rf'"~*^\|.*\b(?:{tokens})" "$pages_host/../.encodings";',
            rf'"~*^[^|].*\|.*\b(?:{tokens})" "$pages_host/../.none";',
        )
    )


def _twins(config: Config) -> list[str]:
    """The modules that send the twins; brotli's is a package of its own (libnginx-mod-http-brotli-static)."""
    lines = []
    if "br" in config.precompress:
        lines += [
            "# Debian's brotli_static finds nothing otherwise. Pages made all that is there.",
            "disable_symlinks off;",
        ]
        lines += ["brotli_static on;"]
    if "gzip" in config.precompress:
        lines += ["gzip_static on;"]
    return [f"        {line}" for line in lines]
