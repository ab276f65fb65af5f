"""Sizes in the console: as people read them, and as they type them into a form."""

import re
import unicodedata
from decimal import Decimal

from pages.errors import InvalidField

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TYPED_UNITS = {
    **{name: 1000**power for power, name in enumerate(("kB", "MB", "GB", "TB"), 1)},
    **{name: 1024**power for power, name in enumerate(_UNITS[1:], 1)},
}
_TYPED = re.compile(
    r"(?P<bytes>[0-9]{1,18})\s*b?|(?P<many>[0-9]{1,16}(?:\.[0-9]{1,6})?)\s*(?P<unit>[kmgt])(?P<step>i?b?)",
    re.IGNORECASE,
)


def size(count: int) -> str:
    """So many bytes, as people say it."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.{0 if amount >= 100 else 1}f} {_UNITS[unit]}"


def typed_size(count: int) -> str:
    """The same as it stands in a form: short, and exactly that many when it is read again."""
    whole = [
        f"{Decimal(count) / unit:f} {name}"
        for name, unit in _TYPED_UNITS.items()
        if count >= unit and count * 10 % unit == 0
    ]
    return min(whole or [str(count)], key=len)


def bytes_of(field: str, typed: str) -> int:
    """The bytes that a typed size means, as ``500 MB``, ``1.5 GiB`` or ``1048576``; ``InvalidField``.

    A bare letter is what ``df -h`` means by it: ``2G`` are 2 GiB.
    """
    text = unicodedata.normalize("NFKC", typed).strip()  # A Chinese keyboard may well give wide digits.
    found = _TYPED.fullmatch(text)
    if found is None:
        raise InvalidField(field, "必须是大小，例如 500 MB、2 GiB，或不带单位的字节数")
    if found["bytes"]:
        return int(found["bytes"])
    step = 1000 if found["step"].lower() == "b" else 1024
    return int(Decimal(found["many"]) * step ** ("kmgt".index(found["unit"].lower()) + 1))
