"""Admin API, calls 1 to 5: the sites."""

from flask import Blueprint, Response, request

from pages import model
from pages.errors import Forbidden
from pages.hosts import covers
from pages.model import now
from pages.site_fields import DEFAULT_USERNAME, changed_site_fields, new_site_fields
from pages.web.context import config, services, user
from pages.web.replies import success
from pages.web.requests import json_object
from pages.web.terms import only_if

blueprint = Blueprint("sites", __name__, url_prefix="/_api/sites")


def require_own(username: str) -> None:
    """A tenant acts only for itself: ``Forbidden``, whether or not the site exists."""
    if not user().may_act_for(username):
        raise Forbidden()


def own_site(username: str, site_id: str) -> model.Site:
    """The site that a call is about: ``Forbidden`` for a tenant's that is not its own, else as ``Registry.get``."""
    require_own(username)
    return services().registry.get(username, site_id)


def is_reserved(domain: str) -> bool:
    """Not for tenants: a page on an admin host has the same origin as the Admin API; and the hosts of previews."""
    if user().is_admin:
        return False
    below = config().preview_domain
    is_preview = bool(below) and (domain == below or domain.endswith(f".{below}") or covers(domain, f"x.{below}"))
    return is_preview or any(covers(domain, host) for host in config().admin_hosts)


@blueprint.get("", provide_automatic_options=False)
def list_sites() -> Response:
    limit = model.page_number("limit", request.args["limit"]) if "limit" in request.args else None
    offset = model.page_number("offset", request.args.get("offset", "0"))
    username = request.args.get("username", None if user().is_admin else user().name)
    if username is not None:
        require_own(username)
    names = services().registry.names(username)
    page = names[offset:] if limit is None else names[offset : offset + limit]
    # A record that cannot be read is counted and not shown: reload says which it is.
    sites = services().registry.sites(page)
    return success({"sites": sites, "total": len(names)})


@blueprint.post("", provide_automatic_options=False)
def create_site() -> Response:
    default_username = DEFAULT_USERNAME if user().is_admin else user().name
    fields = new_site_fields(json_object(), default_username)
    require_own(fields["username"])
    site = services().publisher.create(fields, now(), is_reserved)
    response = success(site, "站点创建成功", 201)
    response.headers["Location"] = f"/_api/sites/{site.username}/{site.id}"
    return response


@blueprint.get("/<username>/<site_id>", provide_automatic_options=False)
def show_site(username: str, site_id: str) -> Response:
    return success(own_site(username, site_id))


@blueprint.put("/<username>/<site_id>", provide_automatic_options=False)
def update_site(username: str, site_id: str) -> Response:
    changes = changed_site_fields(json_object())
    require_own(username)
    site = services().publisher.update(username, site_id, changes, now(), is_reserved)
    return success(site, "站点更新成功")


@blueprint.delete("/<username>/<site_id>", provide_automatic_options=False)
def delete_site(username: str, site_id: str) -> Response:
    require_own(username)
    services().publisher.delete(username, site_id, only_if())
    return success(message="站点删除成功")
