"""Admin API, calls 9 to 13: the checkpoints of a site."""

import msgspec
from flask import Blueprint, Response

from pages import model
from pages.errors import SiteNotFound
from pages.history import checkpoint_in
from pages.model import now
from pages.web.context import services
from pages.web.replies import success, with_warnings
from pages.web.requests import json_object
from pages.web.sites import require_own

blueprint = Blueprint("checkpoints", __name__, url_prefix="/_api/sites/<username>/<site_id>/checkpoints")


@blueprint.get("", provide_automatic_options=False)
def list_checkpoints(username: str, site_id: str) -> Response:
    history = _history(username, site_id)
    checkpoints = history.checkpoints
    return success({"current": history.current, "checkpoints": checkpoints, "total": len(checkpoints)})


@blueprint.post("", provide_automatic_options=False)
def create_checkpoint(username: str, site_id: str) -> Response:
    description = model.checkpoint_description(json_object(optional=True))
    site = _site(username, site_id)
    published = services().publisher.snapshot(site, description, now())
    data = msgspec.structs.asdict(published.checkpoint)
    return success(with_warnings(data, published.warnings), "检查点已创建", 201)


@blueprint.get("/<checkpoint_id>", provide_automatic_options=False)
def show_checkpoint(username: str, site_id: str, checkpoint_id: str) -> Response:
    return success(checkpoint_in(_history(username, site_id), checkpoint_id))


@blueprint.delete("/<checkpoint_id>", provide_automatic_options=False)
def delete_checkpoint(username: str, site_id: str, checkpoint_id: str) -> Response:
    services().publisher.delete_checkpoint(_site(username, site_id), checkpoint_id, now())
    return success(message="检查点已删除")


@blueprint.post("/<checkpoint_id>/checkout", provide_automatic_options=False)
def checkout(username: str, site_id: str, checkpoint_id: str) -> Response:
    services().publisher.checkout(_site(username, site_id), checkpoint_id, now())
    data = {"username": username, "id": site_id, "checkpoint_id": checkpoint_id}
    return success(data, "站点已切换到检查点")


def _history(username: str, site_id: str) -> model.History:
    site = _site(username, site_id)
    history = services().histories.read(site)
    # Without a lock: a site that was deleted meanwhile would seem to be there, with no checkpoints.
    if services().registry.get(username, site_id).created_at != site.created_at:
        raise SiteNotFound()
    return history


def _site(username: str, site_id: str) -> model.Site:
    require_own(username)
    return services().registry.get(username, site_id)
