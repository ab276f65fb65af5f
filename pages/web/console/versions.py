"""The versions of a site in the console: look at one, publish it, keep it, let it go."""

from typing import Any

from flask import Blueprint, Response, request

from pages.errors import InvalidField
from pages.history import checkpoint_in
from pages.model import checkpoint_description, now
from pages.web.auth import CONSOLE
from pages.web.checkpoints import PREVIEW_SECONDS, history_of
from pages.web.console.answers import go, show
from pages.web.console.settings import number_of
from pages.web.console.site import page_of, site_of
from pages.web.context import services
from pages.web.preview_links import link_of
from pages.web.terms import checked_seconds

blueprint = Blueprint("console_versions", __name__, url_prefix=f"{CONSOLE}/sites/<username>/<site_id>")


@blueprint.post("/checkpoints", provide_automatic_options=False)
def create(username: str, site_id: str) -> Response:
    """Make a checkpoint of what stands in the site's folder now."""
    site = site_of(username, site_id)
    typed = request.form.get("description", "").strip()
    description = checkpoint_description({"description": typed} if typed else {})
    published = services().publisher.snapshot(site, description, now())
    services().pruner.prune_later(site)
    return go(page_of(site), "checkpoint_created", *published.warnings)


@blueprint.get("/checkpoints/<checkpoint_id>", provide_automatic_options=False)
def show_version(username: str, site_id: str, checkpoint_id: str) -> Response:
    """One version, and all that can be done with it."""
    return version_page(username, site_id, checkpoint_id)


@blueprint.post("/checkpoints/<checkpoint_id>/checkout", provide_automatic_options=False)
def checkout(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Serve this version; with ``confirm_within`` only for so long, unless somebody confirms it."""
    site = site_of(username, site_id)
    lasts = checked_seconds("confirm_within", number_of(request.form.get("confirm_within", "")))
    services().publisher.checkout(site, checkpoint_id, now(), None, lasts)
    return go(page_of(site), "switched_on_trial" if lasts else "switched", id=checkpoint_id)


@blueprint.post("/checkpoints/<checkpoint_id>/pin", provide_automatic_options=False)
def pin(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Keep a version whatever is pruned, or not any more."""
    site, pinned = site_of(username, site_id), request.form.get("pinned")
    if pinned not in ("true", "false"):
        raise InvalidField("pinned", "必须是 true 或 false")
    services().publisher.pin(site, checkpoint_id, pinned=pinned == "true")
    return go(_page_of_version(page_of(site), checkpoint_id), "pinned" if pinned == "true" else "unpinned")


@blueprint.post("/checkpoints/<checkpoint_id>/delete", provide_automatic_options=False)
def delete(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Take a version away."""
    site = site_of(username, site_id)
    services().publisher.delete_checkpoint(site, checkpoint_id, now())
    return go(page_of(site), "checkpoint_deleted", id=checkpoint_id)


@blueprint.post("/checkpoints/<checkpoint_id>/preview", provide_automatic_options=False)
def preview(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Make a link by which anybody can look at a version until tomorrow."""
    site = site_of(username, site_id)
    granted = services().previews.grant(site, checkpoint_id, PREVIEW_SECONDS, now())
    link = link_of(site, granted.token)
    return go(_page_of_version(page_of(site), checkpoint_id), "preview_made", link=link)


@blueprint.post("/previews/revoke", provide_automatic_options=False)
def revoke_previews(username: str, site_id: str) -> Response:
    """Make all links to previews of a site void."""
    site = site_of(username, site_id)
    services().previews.revoke(site)
    return go(page_of(site), "previews_revoked")


def version_page(username: str, site_id: str, checkpoint_id: str, status: int = 200, **told: Any) -> Response:
    """The page of a version; ``told`` are what was typed for a switch to come, and what is wrong with that."""
    site_of(username, site_id)
    site, history = history_of(username, site_id)
    checkpoint = checkpoint_in(history, checkpoint_id)
    alive = [each for each in services().previews.alive(site, now()) if each.checkpoint == checkpoint_id]
    sizes = services().versions.sizes_of(site, history)
    told = {"typed": {}, "field": "", "problem": ""} | told
    return show(
        "version.html", status,
        site=site, history=history, checkpoint=checkpoint, page=page_of(site), preview=alive[0] if alive else None,
        size=sizes[checkpoint_id], **told,
    )  # fmt: skip


def _page_of_version(page: str, checkpoint_id: str) -> str:
    return f"{page}/checkpoints/{checkpoint_id}"
