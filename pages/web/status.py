"""Admin API, calls 6 and 7: reload and health; ``healthz`` for load balancers, and the document for programs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Blueprint, Response

from pages.model import now, timestamp
from pages.web.auth import admin_only, open_to_all, token_needs
from pages.web.context import services, user
from pages.web.replies import failure, success, told
from pages.web.sites import own_names

blueprint = Blueprint("status", __name__, url_prefix="/_api")

# The whole API, as programs read it (OpenAPI 3.1): written by hand, and held to what the application does by tests.
DOCUMENT = Path(__file__).with_name("openapi.json").read_bytes()


@blueprint.post("/reload", provide_automatic_options=False)
@admin_only
@token_needs("admin")
def reload() -> Response:
    problems = [replace(problem, reason=told(problem.reason)) for problem in services().reload()]
    count = services().registry.enabled_count()
    data = {"sites_count": count, "reloaded_at": timestamp(now()), "problems": problems}
    return success(data, f"重载成功，当前 {count} 个站点已生效")


@blueprint.get("/health", provide_automatic_options=False)
@token_needs("read")
def health() -> Response:
    reason = services().why_unhealthy()
    if reason:
        return failure(reason, 503, {"status": "unhealthy", "timestamp": timestamp(now())})
    tenant = user().tenant
    count = sum(site.enabled for site in services().registry.sites(own_names(tenant)))
    data: dict[str, Any] = {"status": "healthy", "sites_count": count, "timestamp": timestamp(now())}
    if tenant is not None and user().site is None:  # What all its sites take is more than one site's token may know.
        quotas = services().quotas
        data |= {"usage": quotas.usage(tenant), "quota": quotas.limits(tenant)}
    return success(data)


@blueprint.get("/healthz", provide_automatic_options=False)
@open_to_all
def healthz() -> Response:
    if services().why_unhealthy():
        return failure("服务不可用", 503, {"status": "unhealthy"})
    return success({"status": "healthy"})


@blueprint.get("/openapi.json", provide_automatic_options=False)
@token_needs("any")
def describe() -> Response:
    """The document itself, in no envelope."""
    response = Response(DOCUMENT, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
