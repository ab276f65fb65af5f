"""Passwords as configured: plain text or a werkzeug hash, compared in constant time."""

import hmac
import re

from werkzeug.security import check_password_hash

_HASH_METHODS = ("scrypt:", "pbkdf2:")
_HASH = re.compile(r"[^$]+\$[^$]+\$(?:[0-9a-f]{2}){16,}")


def is_hash(stored: str) -> bool:
    """Is ``stored`` a werkzeug password hash (``scrypt:…$salt$digest``) rather than plain text?"""
    return stored.startswith(_HASH_METHODS) and "$" in stored


def is_usable(stored: str) -> bool:
    """Could anybody log in with this? Not with a damaged hash, or text that is no Unicode."""
    if is_hash(stored) and not _HASH.fullmatch(stored):
        return False
    try:
        matches(stored, "")
    except ValueError:  # Also UnicodeEncodeError.
        return False
    return True


def matches(stored: str, given: str) -> bool:
    """Is ``given`` the password? A hash costs about 75 ms on purpose; compares bytes."""
    if is_hash(stored):
        return check_password_hash(stored, given)
    return hmac.compare_digest(stored.encode(), given.encode())
