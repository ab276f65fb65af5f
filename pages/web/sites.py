"""Admin API, calls 1 to 5: the sites."""

from flask import Blueprint, Response, request

from pages import model
from pages.errors import Forbidden
from pages.hosts import covers
from pages.model import now
from pages.site_fields import DEFAULT_USERNAME, changed_site_fields, new_site_fields
from pages.web.auth import token_needs
from pages.web.context import config, services, user
from pages.web.neighbours import is_address
from pages.web.replies import success
from pages.web.requests import json_object
from pages.web.terms import only_if

blueprint = Blueprint("sites", __name__, url_prefix="/_api/sites")


def require_own(username: str, site_id: str | None = None) -> None:
    """A tenant acts only for itself, a token for its sites: ``Forbidden``, whether or not the site exists."""
    if not user().may_act_for(username, site_id):
        raise Forbidden()


def own_site(username: str, site_id: str) -> model.Site:
    """The site that a call is about: ``Forbidden`` as ``require_own``, else as ``Registry.get``."""
    require_own(username, site_id)
    return services().registry.get(username, site_id)


def own_names(username: str | None) -> list[tuple[str, str]]:
    """(username, id) of all sites, or of one tenant's; with a token for one site, of that alone."""
    names = services().registry.names(username)
    return [name for name in names if user().may_act_for(*name)] if user().site is not None else names


def is_reserved(domain: str) -> bool:
    """Not for tenants: a page on an admin host has the same origin as the Admin API; and the hosts of previews.

    Addresses are where the console is without admin hosts, which may be taken out again.
    """
    if user().is_admin:
        return False
    if is_address(domain):
        return True
    below = config().preview_domain
    is_preview = bool(below) and (domain == below or domain.endswith(f".{below}") or covers(domain, f"x.{below}"))
    return is_preview or any(covers(domain, host) for host in config().admin_hosts)


@blueprint.get("", provide_automatic_options=False)
@token_needs("read")
def list_sites() -> Response:
    limit = model.page_number("limit", request.args["limit"]) if "limit" in request.args else None
    offset = model.page_number("offset", request.args.get("offset", "0"))
    username = request.args.get("username", user().tenant)
    if user().tenant not in (None, username):
        raise Forbidden()
    names = own_names(username)
    page = names[offset:] if limit is None else names[offset : offset + limit]
    # A record that cannot be read is counted and not shown: reload says which it is.
    sites = services().registry.sites(page)
    return success({"sites": sites, "total": len(names)})


@blueprint.post("", provide_automatic_options=False)
@token_needs("admin")
def create_site() -> Response:
    fields = new_site_fields(json_object(), user().tenant or DEFAULT_USERNAME)
    require_own(fields["username"])
    site = services().publisher.create(fields, now(), is_reserved)
    response = success(site, "站点创建成功", 201)
    response.headers["Location"] = f"/_api/sites/{site.username}/{site.id}"
    return response


@blueprint.get("/<username>/<site_id>", provide_automatic_options=False)
@token_needs("read")
def show_site(username: str, site_id: str) -> Response:
    return success(own_site(username, site_id))


@blueprint.put("/<username>/<site_id>", provide_automatic_options=False)
@token_needs("admin")
def update_site(username: str, site_id: str) -> Response:
    changes = changed_site_fields(json_object())
    require_own(username, site_id)
    site = services().publisher.update(username, site_id, changes, now(), is_reserved)
    return success(site, "站点更新成功")


@blueprint.delete("/<username>/<site_id>", provide_automatic_options=False)
@token_needs("admin")
def delete_site(username: str, site_id: str) -> Response:
    require_own(username, site_id)
    services().publisher.delete(username, site_id, only_if())
    return success(message="站点删除成功")
