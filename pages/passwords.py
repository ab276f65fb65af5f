"""Passwords as configured: plain text or a werkzeug hash, compared in constant time."""

import hmac
import re
from collections.abc import Iterable

from werkzeug.security import check_password_hash

_HASH_METHODS = ("scrypt:", "pbkdf2:")
_HASH = re.compile(r"[^$]+\$[^$]+\$(?:[0-9a-f]{2}){16,}")
_PLAIN = ""


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


def matches_at_equal_cost(own: str | None, given: str, everybodys: Iterable[str]) -> bool:
    """Is ``given`` the password ``own`` (None: nobody's)? Being wrong costs the same, whoever's it is.

    ``everybodys`` are all passwords there are: some plain, some hashed in this way or that. Each way is gone once.
    """
    is_right = False
    for method in sorted({_method(stored) for stored in everybodys}):
        is_own = own is not None and _method(own) == method
        stored = own if own is not None and is_own else _decoy(method)
        is_right |= matches(stored, given) and is_own
    return is_right


def _method(stored: str) -> str:
    return stored.partition("$")[0] if is_hash(stored) else _PLAIN


def _decoy(method: str) -> str:
    """A password of this kind that is nobody's."""
    return f"{method}$decoydecoydecoyd${'0' * 128}" if method else "decoy"
