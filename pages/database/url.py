"""A DATABASE_URL: its parameters as libpq takes them, and texts that must not repeat it.

What only SQLAlchemy, Prisma and other drivers understand is left out or translated.
"""

import re

import psycopg2
from psycopg2 import extensions

from pages.errors import OperationFailed

# What libpq knows and a URL may say; the rest of a query string is for some ORM. Left out on purpose:
# client_encoding, since a backup is always UTF-8 or the server's own.
LIBPQ = """
    application_name channel_binding connect_timeout dbname fallback_application_name gssdelegation
    gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval
    krbsrvname load_balance_hosts options passfile password port require_auth requirepeer service
    ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir
    sslkey sslmode sslnegotiation sslrootcert sslsni target_session_attrs tcp_user_timeout user
"""
KEYWORDS = frozenset(LIBPQ.split())
# Other drivers' words, and a bare "ssl"; libpq's "require" does not verify either.
SSL_MODES = {"": "require", "true": "require", "1": "require", "no-verify": "require"}
ERROR_CHARACTERS = 500

NOT_A_URL = (
    "DATABASE_URL is not a usable PostgreSQL URL: check its scheme, host and port, and percent-encode "
    "special characters in the user and the password"
)


def parse_url(url: str) -> dict[str, str]:
    """A DATABASE_URL as libpq's parameters, without what only SQLAlchemy, Prisma and the like understand.

    Raises OperationFailed, which repeats no part of the URL, when it cannot be parsed.
    """
    try:
        parameters: dict[str, str] = extensions.parse_dsn(_normalised(url.strip()))
    except (psycopg2.Error, ValueError):
        raise OperationFailed(NOT_A_URL) from None
    # libpq finds a wrong port only when it connects, and then prints it: it may be half a password.
    if not all(map(_is_port, parameters.get("port", "").split(","))):
        raise OperationFailed(NOT_A_URL)
    return parameters


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{0,5}", text) is not None and int(text or 1) in range(1, 65536)


def _normalised(url: str) -> str:
    match = re.fullmatch(r"(?is)postgres(?:ql)?(?:\+\w+)?://([^@/]*@)?([^?]*)(?:\?(.*))?", url)
    # Another @ means that one in the password is not encoded; libpq would take the rest for the host.
    if not match or "@" in match[2]:
        raise ValueError
    kept = [part for pair in (match[3] or "").split("&") if (part := _libpq_pair(pair))]
    return f"postgresql://{match[1] or ''}{match[2]}?{'&'.join(kept)}"


def _libpq_pair(pair: str) -> str:
    """A ``key=value`` of the query as libpq takes it; empty when it is not for libpq."""
    key, equals, value = pair.partition("=")
    if "@" in key or "/" in key or key == "sslpassword":
        # sslpassword has no environment variable: pg_dump could only be given it in plain sight.
        raise ValueError
    if key == "ssl":
        if value.lower() in ("false", "0"):
            return ""
        key, equals = "sslmode", "="
    if key == "sslmode":
        value = SSL_MODES.get(value.lower(), value)
    return f"{key}{equals}{value}" if key in KEYWORDS else ""


def redacted(text: str, url: str) -> str:
    """The text on one line, at most 500 characters, without the URL or its password in any spelling."""
    text = text.replace(url.strip(), "***")
    if password := parse_url(url).get("password"):
        text = re.sub("".join(map(_spellings, password)), "***", text, flags=re.IGNORECASE)
    text = re.sub(r"(?i)postgres(?:ql)?(?:\+\w+)?://\S*", "***", text)
    return " ".join(text.split())[:ERROR_CHARACTERS]


def _spellings(character: str) -> str:
    """A pattern for a character as it is, after a backslash, or percent-encoded."""
    encoded = "".join(f"%{byte:02x}" for byte in character.encode())
    return rf"(?:\\?{re.escape(character)}|{encoded})"
