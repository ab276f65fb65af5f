"""WhiteNoise over one folder; what it does not have is a 404 of a few bytes."""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from whitenoise import WhiteNoise


def _not_found(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"Not found"]


app = WhiteNoise(_not_found, root=os.environ["BENCH_ROOT"])
