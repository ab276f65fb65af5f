"""Looking closer in the console: what is different between two versions, why an address is answered so, what may go."""

from flask import Blueprint, Response, request

from pages.errors import InvalidField, PagesError
from pages.model import Site, now
from pages.site_fields import limits_for_pruning
from pages.web.auth import CONSOLE
from pages.web.checkpoints import history_of
from pages.web.console.answers import go, show
from pages.web.console.language import said
from pages.web.console.settings import limit_of
from pages.web.console.site import page_of, site_of
from pages.web.console.sites import field_of, said_of
from pages.web.context import services
from pages.web.insight import explanation

blueprint = Blueprint("console_tools", __name__, url_prefix=f"{CONSOLE}/sites/<username>/<site_id>")

_MOST = 500  # Files, and addresses, on one page.
_LIMITS = ("count", "days", "bytes")


@blueprint.get("/diff", provide_automatic_options=False)
def diff(username: str, site_id: str) -> Response:
    """Two versions side by side; by default what is live and the newest, or where that is live, the one before."""
    site_of(username, site_id)
    site, history = history_of(username, site_id)
    ids = [checkpoint.id for checkpoint in history.checkpoints]
    newest, next_newest = (*ids, "", "")[:2]
    after = request.args.get("after") or newest
    before = request.args.get("before") or (next_newest if history.current in (None, after) else history.current)
    found = services().comparer.compare(site, before, after) if before and after else None
    return show(
        "diff.html",
        site=site, history=history, page=page_of(site), before=before, after=after, found=found, most=_MOST,
    )  # fmt: skip


@blueprint.get("/explain", provide_automatic_options=False)
def explain(username: str, site_id: str) -> Response:
    """Why an address of the site is answered as it is."""
    site = site_of(username, site_id)
    url = request.args.get("url", "").strip()
    try:
        told = explanation(site, url) if url else None
    except InvalidField as error:
        return show(
            "explain.html", error.status, site=site, page=page_of(site), url=url, told=None, problem=said(error)
        )
    return show("explain.html", site=site, page=page_of(site), url=url, told=told, problem="")


@blueprint.get("/prune", provide_automatic_options=False)
def ask_to_prune(username: str, site_id: str) -> Response:
    """What would go by the limits in the address, or by those in force; nothing goes."""
    return _pruning(site_of(username, site_id), request.args)


@blueprint.post("/prune", provide_automatic_options=False)
def prune(username: str, site_id: str) -> Response:
    """Let go what the same limits do not keep."""
    site = site_of(username, site_id)
    limits = services().pruner.limits_of(site, limits_for_pruning(_limits(request.form)))
    pruned = services().pruner.prune(site, limits, now())
    return go(page_of(site), "pruned", n=len(pruned.checkpoints))


def _pruning(site: Site, given: "dict[str, str]") -> Response:
    problem, field, pruned, status = "", "", None, 200
    limits = services().pruner.limits_of(site)
    try:
        limits = services().pruner.limits_of(site, limits_for_pruning(_limits(given)))
        pruned = services().pruner.prune(site, limits, now(), dry_run=True)
    except PagesError as error:
        problem, field, status = said_of(error), field_of(error), error.status
    typed = {name: given.get(name, "") for name in _LIMITS}
    return show(
        "prune.html", status,
        site=site, page=page_of(site), limits=limits, pruned=pruned, typed=typed, problem=problem, field=field,
    )  # fmt: skip


def _limits(given: "dict[str, str]") -> dict[str, int | str | None]:
    return {name: limit_of(name, given[name]) for name in _LIMITS if given.get(name, "").strip()}
