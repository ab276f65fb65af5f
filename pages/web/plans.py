"""Admin API: what is to come of a site, and who may look at what: plans and previews."""

from flask import Blueprint, Response

from pages.model import now
from pages.web.auth import token_needs
from pages.web.context import services
from pages.web.replies import success
from pages.web.sites import own_site

blueprint = Blueprint("plans", __name__, url_prefix="/_api/sites/<username>/<site_id>")


@blueprint.delete("/plan", provide_automatic_options=False)
@token_needs("admin")
def cancel_plan(username: str, site_id: str) -> Response:
    services().plans.cancel(own_site(username, site_id))
    return success(message="已取消计划中的切换")


@blueprint.get("/previews", provide_automatic_options=False)
@token_needs("read")
def list_previews(username: str, site_id: str) -> Response:
    previews = services().previews.alive(own_site(username, site_id), now())
    return success({"previews": previews, "total": len(previews)})


@blueprint.delete("/previews", provide_automatic_options=False)
@token_needs("admin")
def revoke_previews(username: str, site_id: str) -> Response:
    services().previews.revoke(own_site(username, site_id))
    return success(message="全部预览已撤销")
