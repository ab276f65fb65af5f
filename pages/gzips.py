"""One gzip compressor for all that is compressed here: isal's where there is one, else zlib's."""

import zlib
from typing import Any

try:
    from isal import isal_zlib
except ImportError:  # No wheel for this machine.
    isal_zlib = None  # type: ignore[assignment]

_ZLIB_LEVEL = 6


def new_gzip(isal_level: int) -> Any:
    """A new compressor, with zlib's ``compress`` and ``flush``, that makes one gzip member.

    ``isal_level``: 1 takes a quarter of zlib's time at its usual level for an archive about a quarter larger, 3 a
    third of it for 7 % more bytes.
    """
    if isal_zlib is None:
        return zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return isal_zlib.compressobj(isal_level, isal_zlib.DEFLATED, zlib.MAX_WBITS | 16)
