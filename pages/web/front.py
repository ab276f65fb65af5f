"""What nginx may still remember (``nginx_file_cache``): no change is answered while an old file may be served."""

import time

from flask import Response

from pages.web.auth import is_change
from pages.web.context import config

# nginx looks at the clock once for a batch of requests.
_MARGIN_SECONDS = 0.05


def let_nginx_forget(response: Response) -> Response:
    """Hold back the answer to a change until the second is over: nginx looks anew at each file in each second."""
    if config().nginx_file_cache and response.status_code < 400 and is_change():
        time.sleep(1 - time.time() % 1 + _MARGIN_SECONDS)
    return response
