"""Admin API: verify and repair."""

from typing import Any

from flask import Blueprint, Response

from pages.errors import BadRequest, InvalidField
from pages.model import is_name, now
from pages.web.auth import admin_only, token_needs
from pages.web.context import services
from pages.web.replies import success
from pages.web.requests import json_object

blueprint = Blueprint("verify", __name__, url_prefix="/_api")


@blueprint.post("/verify", provide_automatic_options=False)
@admin_only
@token_needs("admin")
def verify() -> Response:
    body = json_object(optional=True)
    report = services().verifier.run(now(), only=_site(body), repair=_repair(body))
    return success({"problems": report.problems(chinese=True), "checked": report.checked}, "检查完成")


def _repair(body: dict[str, Any]) -> bool:
    for name in body:
        if name not in ("repair", "site"):
            raise BadRequest(f"未知字段 {name[:100]}")
    if not isinstance(repair := body.get("repair", False), bool):
        raise InvalidField("repair", "必须是 true 或 false")
    return repair


def _site(body: dict[str, Any]) -> tuple[str, str] | None:
    if "site" not in body:
        return None
    site = body["site"]
    username, _, site_id = site.partition("/") if isinstance(site, str) else ("", "", "")
    if not (is_name(username) and is_name(site_id)):
        raise InvalidField("site", "必须是 username/id 的形式")
    return username, site_id
