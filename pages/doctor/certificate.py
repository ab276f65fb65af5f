"""When a certificate ends: the one thing that is read of it, so no library is needed for the rest (X.509, RFC 5280)."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION_TAG = 0xA0
_UTC_TIME = 0x17
_LONG_FORM = 0x80


class _Part(NamedTuple):
    """One value of DER: its tag, its content, and what comes after it."""

    tag: int
    content: bytes
    rest: bytes


def end_of(path: Path) -> datetime | None:
    """When the first certificate in a PEM file ends; None when there is none that can be read. ``OSError``."""
    text = path.read_text(encoding="ascii", errors="replace")
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
    except (ValueError, IndexError):
        return None


def _not_after(certificate: bytes) -> datetime:
    """Certificate { tbsCertificate { [version] serial signature issuer validity { notBefore notAfter } … } … }"""
    part = _first(_first(_first(certificate).content).content)
    for _ in range(4 if part.tag == _VERSION_TAG else 3):
        part = _first(part.rest)
    time = _first(_first(part.content).rest)
    # A year of two digits is of 1950 to 2049, where Python's begins in 1969: no certificate is that old.
    form = "%y%m%d%H%M%SZ" if time.tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(time.content.decode("ascii"), form).replace(tzinfo=UTC)


def _first(data: bytes) -> _Part:
    start, length = 2, data[1]
    if length >= _LONG_FORM:
        start = 2 + length - _LONG_FORM
        length = int.from_bytes(data[2:start], "big")
    return _Part(data[0], data[start : start + length], data[start + length :])
