"""Who gets the webhook's events, and how they are signed: Standard Webhooks, with its symmetric key (v1)."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # Bytes of a key, as the specification has it.


def is_receiver(url: str) -> bool:
    """May events be sent to this address? By https, or to this very machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not (host and is_plain) or "@" in parts.netloc or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_secret(text: str) -> bool:
    """Is this a key as ``signature`` takes it?"""
    try:
        return text.startswith(_PREFIX) and _SHORTEST <= len(_key(text)) <= _LONGEST
    except (binascii.Error, ValueError):
        return False


def signature(secret: str, event_id: str, sent_at: int, body: bytes) -> str:
    """The header ``webhook-signature`` of one attempt; ``sent_at`` is in seconds since 1970."""
    signed = b"%s.%d.%s" % (event_id.encode(), sent_at, body)
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
