"""Admin API, calls 9 to 13: the checkpoints of a site."""

from typing import Any

import msgspec
from flask import Blueprint, Response
from werkzeug.routing import BaseConverter

from pages import model
from pages.errors import InvalidField, SiteNotFound
from pages.history import checkpoint_in
from pages.model import now
from pages.site_fields import limits_for_pruning
from pages.web.auth import token_needs
from pages.web.context import services
from pages.web.preview_links import link_of, page_on
from pages.web.replies import success, with_warnings
from pages.web.requests import json_object
from pages.web.sites import own_site
from pages.web.terms import checked_seconds, flag, only_if, seconds, time_to_come

PREVIEW_SECONDS = 86400  # Until tomorrow, unless asked otherwise.

blueprint = Blueprint("checkpoints", __name__, url_prefix="/_api/sites/<username>/<site_id>/checkpoints")


class CheckpointPart(BaseConverter):
    """What may be a checkpoint's id in a path: not the name of a call on all of them."""

    regex = r"(?!prune\Z)[^/]+"
    part_isolating = True


@blueprint.get("", provide_automatic_options=False)
@token_needs("read")
def list_checkpoints(username: str, site_id: str) -> Response:
    site, history = history_of(username, site_id)
    sizes = services().versions.sizes_of(site, history)
    listed = [_listed(checkpoint, history, sizes[checkpoint.id]) for checkpoint in history.checkpoints]
    data: dict[str, Any] = {"current": history.current, "checkpoints": listed, "total": len(listed)}
    for name in ("confirmation", "plan"):
        if (waiting := getattr(history, name)) is not None:
            data[name] = waiting
    return success(data)


@blueprint.post("", provide_automatic_options=False)
@token_needs("admin")
def create_checkpoint(username: str, site_id: str) -> Response:
    description = model.checkpoint_description(json_object(optional=True))
    site = own_site(username, site_id)
    published = services().publisher.snapshot(site, description, now())
    services().pruner.prune_later(site)
    data = msgspec.structs.asdict(published.checkpoint)
    return success(with_warnings(data, published.warnings), "检查点已创建", 201)


@blueprint.get("/<checkpoint:checkpoint_id>", provide_automatic_options=False)
@token_needs("read")
def show_checkpoint(username: str, site_id: str, checkpoint_id: str) -> Response:
    return success(checkpoint_in(history_of(username, site_id)[1], checkpoint_id))


@blueprint.put("/<checkpoint:checkpoint_id>", provide_automatic_options=False)
@token_needs("admin")
def pin_checkpoint(username: str, site_id: str, checkpoint_id: str) -> Response:
    body = json_object()
    model.refuse_unknown(body, ("pinned",))
    if not isinstance(body.get("pinned"), bool):
        raise InvalidField("pinned", "必须是 true 或 false")
    services().publisher.pin(own_site(username, site_id), checkpoint_id, pinned=body["pinned"])
    return success({"checkpoint_id": checkpoint_id, "pinned": body["pinned"]}, "检查点更新成功")


@blueprint.delete("/<checkpoint:checkpoint_id>", provide_automatic_options=False)
@token_needs("admin")
def delete_checkpoint(username: str, site_id: str, checkpoint_id: str) -> Response:
    services().publisher.delete_checkpoint(own_site(username, site_id), checkpoint_id, now(), only_if())
    return success(message="检查点已删除")


@blueprint.post("/<checkpoint:checkpoint_id>/checkout", provide_automatic_options=False)
@token_needs("admin")
def checkout(username: str, site_id: str, checkpoint_id: str) -> Response:
    confirm_within, at = seconds("confirm_within"), time_to_come("at")
    site = own_site(username, site_id)
    data: dict[str, Any] = {"username": username, "id": site_id, "checkpoint_id": checkpoint_id}
    if at is not None:
        plan = services().plans.plan(site, checkpoint_id, at, confirm_within=confirm_within, only_if=only_if())
        return success({**data, "at": plan.at, "confirm_within": plan.confirm_within}, "已计划切换", 202)
    after = services().publisher.checkout(site, checkpoint_id, now(), only_if(), confirm_within)
    if after.confirmation is not None:
        data |= {"confirm_until": after.confirmation.until, "back_to": after.confirmation.back_to}
    return success(data, "站点已切换到检查点")


@blueprint.post("/<checkpoint:checkpoint_id>/confirm", provide_automatic_options=False)
@token_needs("admin")
def confirm(username: str, site_id: str, checkpoint_id: str) -> Response:
    services().plans.confirm(own_site(username, site_id), checkpoint_id)
    return success({"username": username, "id": site_id, "checkpoint_id": checkpoint_id}, "切换已确认")


@blueprint.post("/<checkpoint:checkpoint_id>/preview", provide_automatic_options=False)
@token_needs("admin")
def preview(username: str, site_id: str, checkpoint_id: str) -> Response:
    body = json_object(optional=True)
    model.refuse_unknown(body, ("expires_in",))
    lasts = checked_seconds("expires_in", body.get("expires_in", PREVIEW_SECONDS))
    site = own_site(username, site_id)
    granted = services().previews.grant(site, checkpoint_id, lasts, now())
    data = {"checkpoint_id": checkpoint_id, "url": link_of(site, granted.token), "expires_at": granted.until}
    if granted.host is not None:
        data["host_url"] = page_on(granted.host, "/")
    return success(data, "预览链接已创建", 201)


@blueprint.post("/prune", provide_automatic_options=False)
@token_needs("admin")
def prune(username: str, site_id: str) -> Response:
    body = json_object(optional=True)
    model.refuse_unknown(body, ("dry_run", "count", "days", "bytes"))
    dry_run = body.pop("dry_run", flag("dry_run", False))
    if not isinstance(dry_run, bool):
        raise InvalidField("dry_run", "必须是 true 或 false")
    own = limits_for_pruning(body)
    site = own_site(username, site_id)
    limits = services().pruner.limits_of(site, own)
    pruned = services().pruner.prune(site, limits, now(), dry_run=dry_run)
    data = {"dry_run": dry_run, "limits": limits, "checkpoints": pruned.checkpoints, "bytes": pruned.bytes}
    return success(data, "试运行完成，未删除任何检查点" if dry_run else "检查点清理完成")


def _listed(checkpoint: model.Checkpoint, history: model.History, size: int) -> dict[str, Any]:
    return {**msgspec.structs.asdict(checkpoint), "size_on_disk": size, "pinned": checkpoint.id in history.pinned}


def history_of(username: str, site_id: str) -> tuple[model.Site, model.History]:
    """A site and its checkpoints: as ``own_site``, and ``HistoryBroken``."""
    site = own_site(username, site_id)
    history = services().histories.read(site)
    # Without a lock: a site that was deleted meanwhile would seem to be there, with no checkpoints.
    if services().registry.get(username, site_id).created_at != site.created_at:
        raise SiteNotFound()
    return site, history
