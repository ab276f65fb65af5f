"""One site in the console: what there is of it, a new version of it, and its end."""

import msgspec
from flask import Blueprint, Response, request

from pages.errors import Forbidden, SiteBroken, SiteNotFound
from pages.model import Site, now
from pages.web import deploys
from pages.web.auth import CONSOLE
from pages.web.checkpoints import history_of
from pages.web.console.answers import go, show, tell, wants_json
from pages.web.console.gate import bound_by_address
from pages.web.console.language import language
from pages.web.console.sites import state_of
from pages.web.console.texts import text
from pages.web.console.visit import HOME
from pages.web.context import config, services
from pages.web.sites import own_site, require_own

blueprint = Blueprint("console_site", __name__, url_prefix=f"{CONSOLE}/sites/<username>/<site_id>")


def site_of(username: str, site_id: str) -> Site:
    """A site of this user's. Another's is not told from one that is not there: ``SiteNotFound``."""
    try:
        return own_site(username, site_id)
    except Forbidden:
        raise SiteNotFound() from None


def page_of(site: Site) -> str:
    """The address of a site's page."""
    return f"{HOME}/{site.username}/{site.id}"


@blueprint.get("", provide_automatic_options=False)
def show_site(username: str, site_id: str) -> Response:
    """Facts, upload and history."""
    site_of(username, site_id)
    site, history = history_of(username, site_id)
    previews = services().previews.alive(site, now())
    return show(
        "site.html",
        site=site, history=history, state=state_of(site, history.current), page=page_of(site),
        sizes=services().versions.sizes_of(site, history), previews={each.checkpoint for each in previews},
        max_upload=config().max_upload_bytes,
    )  # fmt: skip


@blueprint.post("/deploy", provide_automatic_options=False)
@bound_by_address
def deploy(username: str, site_id: str) -> Response:
    """Publish an archive: by the API's own view, with its limits and its words."""
    site = site_of(username, site_id)
    answer = deploys.deploy(username, site_id)
    data = msgspec.json.decode(answer.get_data()).get("data", {})
    done = "stored" if data.get("activated") is False else "deployed"
    warnings = data.get("warnings", [])
    return tell(answer, done, *warnings) if wants_json() else go(page_of(site), done, *warnings)


@blueprint.get("/delete", provide_automatic_options=False)
def ask_to_delete(username: str, site_id: str) -> Response:
    """What would go, and the question."""
    return _deletion(username, site_id)


@blueprint.post("/delete", provide_automatic_options=False)
def delete(username: str, site_id: str) -> Response:
    """Take a site away whose id was typed, so that nobody does it in passing."""
    if request.form.get("typed") != site_id:
        return _deletion(username, site_id, 400, text("typed_wrong", language(), wanted=site_id))
    try:
        site_of(username, site_id)
    except SiteBroken:
        require_own(username)
    services().publisher.delete(username, site_id)
    return go(HOME, "site_deleted", name=f"{username}/{site_id}")


def _deletion(username: str, site_id: str, status: int = 200, problem: str = "") -> Response:
    try:
        site: Site | None = site_of(username, site_id)
    except SiteBroken:
        site = None
    return show("delete_site.html", status, username=username, site_id=site_id, site=site, problem=problem)
