"""Metrics for Prometheus, in its own formats and in no envelope; and how deploys ended, which it is told."""

import time

from flask import Blueprint, Response, g, request
from prometheus_client.exposition import choose_encoder

from pages.measures import DEPLOY_BYTES, DEPLOY_SECONDS, DEPLOYS
from pages.web.auth import admin_only, token_needs
from pages.web.context import services
from pages.web.door import BEGAN
from pages.web.replies import message_of

blueprint = Blueprint("metrics", __name__, url_prefix="/_api")


@blueprint.get("/metrics", provide_automatic_options=False)
@admin_only
@token_needs("read")
def show_metrics() -> Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(services().metrics), content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def note_deploy(response: Response) -> Response:
    """Count a deploy that was let in, and tell of one that did not come to be; not of one that was only tried."""
    if "deploying_to" not in g:
        return response
    counts = services().counts
    if response.status_code < 400:  # The console goes on to a page.
        counts.add(DEPLOYS, "live" if g.get("is_live", True) else "stored")
        counts.observe(DEPLOY_SECONDS, time.perf_counter() - request.environ[BEGAN])
        counts.observe(DEPLOY_BYTES, request.content_length or 0)
        return response
    counts.add(DEPLOYS, "refused" if response.status_code < 500 else "failed")
    username, site_id = g.deploying_to
    services().events.deploy_failed(username, site_id, response.status_code, message_of(response))
    return response
