"""Switches to come in the console: plan one, forget it, keep what was switched to on trial."""

from datetime import datetime

from flask import Blueprint, Response, request

from pages.errors import InvalidField
from pages.web.auth import CONSOLE
from pages.web.console.answers import go
from pages.web.console.looks import clock
from pages.web.console.settings import number_of
from pages.web.console.site import page_of, site_of
from pages.web.console.sites import field_of, said_of
from pages.web.console.versions import version_page
from pages.web.context import services
from pages.web.terms import MAX_SECONDS, checked_time

blueprint = Blueprint("console_plans", __name__, url_prefix=f"{CONSOLE}/sites/<username>/<site_id>")


@blueprint.post("/checkpoints/<checkpoint_id>/plan", provide_automatic_options=False)
def plan(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Serve this version from a time on; with ``minutes`` only for so long, unless somebody confirms it then."""
    site = site_of(username, site_id)
    try:
        at, lasts = _time("at"), _minutes("minutes")
    except InvalidField as error:
        told = {"typed": request.form, "field": field_of(error), "problem": said_of(error)}
        return version_page(username, site_id, checkpoint_id, error.status, **told)
    made = services().plans.plan(site, checkpoint_id, at, confirm_within=lasts, only_if=None)
    return go(page_of(site), "plan_made", id=checkpoint_id, time=clock(made.at))


@blueprint.post("/plan/cancel", provide_automatic_options=False)
def cancel_plan(username: str, site_id: str) -> Response:
    """Forget a switch to come."""
    site = site_of(username, site_id)
    services().plans.cancel(site)
    return go(page_of(site), "plan_cancelled")


@blueprint.post("/checkpoints/<checkpoint_id>/confirm", provide_automatic_options=False)
def confirm(username: str, site_id: str, checkpoint_id: str) -> Response:
    """Keep what was switched to on trial."""
    site = site_of(username, site_id)
    services().plans.confirm(site, checkpoint_id)
    return go(page_of(site), "confirmed")


def _time(name: str) -> datetime:
    """A time to come that was typed, by the server's clock."""
    try:
        time = datetime.fromisoformat(request.form.get(name, "").strip()).astimezone()
    except (ValueError, OverflowError):
        raise InvalidField(name, "必须是一年之内的将来时间") from None
    return checked_time(name, time)


def _minutes(name: str) -> int:
    """Minutes that were typed, in seconds; 0 for none."""
    typed, most = number_of(request.form.get(name, "").strip()), MAX_SECONDS // 60
    if typed is None:
        return 0
    if not isinstance(typed, int) or not 1 <= typed <= most:
        raise InvalidField(name, f"必须是 1 到 {most} 的整数（分钟）")
    return typed * 60
