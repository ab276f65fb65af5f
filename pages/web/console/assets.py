"""What the console's pages load: each file under an address that names its content, so a browser keeps it for good."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from pages.model import ONE_YEAR
from pages.web.auth import CONSOLE, open_to_all

blueprint = Blueprint("console_assets", __name__, url_prefix=f"{CONSOLE}/static")

_FOLDER = Path(__file__).with_name("static")
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
_DIGITS = 16


@dataclass(frozen=True)
class _Asset:
    """A file as it is sent: its bytes, the same compressed, its type, and its digest."""

    content: bytes
    compressed: bytes
    kind: str
    digest: str


def _read(path: Path) -> _Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    return _Asset(content, gzip.compress(content, mtime=0), _KINDS[path.suffix], digest)


_assets = {str(path.relative_to(_FOLDER)): _read(path) for path in sorted(_FOLDER.rglob("*")) if path.suffix in _KINDS}


def address_of(name: str) -> str:
    """The address of a file of the console's."""
    return f"{CONSOLE}/static/{_assets[name].digest}/{name}"


@blueprint.get("/<digest>/<path:name>", provide_automatic_options=False)
@open_to_all
def send(digest: str, name: str) -> Response:
    """A file, for whoever asks: there is nothing in it that is not in the package."""
    asset = _assets.get(name)
    if asset is None or digest != asset.digest:
        raise NotFound()
    is_packed = request.accept_encodings["gzip"] > 0
    response = Response(asset.compressed if is_packed else asset.content, content_type=asset.kind)
    response.headers["Cache-Control"] = f"public, max-age={ONE_YEAR}, immutable"
    response.headers["Vary"] = "Accept-Encoding"
    if is_packed:
        response.headers["Content-Encoding"] = "gzip"
    return response
