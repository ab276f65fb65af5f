"""Pages with nothing made durable: what the promise that nothing acknowledged is lost costs, by comparison."""

import os
from typing import Any

from pages import files


def _nothing(_what: Any) -> None:
    return None


for _name in ("fsync", "fdatasync"):
    setattr(os, _name, _nothing)
files.sync_file_system = _nothing

from wsgi import app  # noqa: E402, F401
