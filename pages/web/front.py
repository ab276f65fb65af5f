"""What nginx may still remember (``nginx_file_cache``): no change is answered while an old file may be served."""

import time

from flask import Response, request

from pages.web.auth import is_visitor
from pages.web.context import config

_READING = ("GET", "HEAD", "OPTIONS")
# nginx looks at the clock once for a batch of requests.
_MARGIN_SECONDS = 0.05


def let_nginx_forget(response: Response) -> Response:
    """Hold back the answer to a change until the second is over: nginx looks anew at each file in each second."""
    changed = request.method not in _READING and response.status_code < 300 and not is_visitor()
    if changed and config().nginx_file_cache:
        time.sleep(1 - time.time() % 1 + _MARGIN_SECONDS)
    return response
