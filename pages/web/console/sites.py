"""The console's list of sites, and the form that makes one."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from pages import model
from pages.errors import DomainTaken, HistoryBroken, InvalidField, PagesError, SiteExists
from pages.model import Checkpoint, Site, now
from pages.site_fields import DEFAULT_USERNAME, new_site_fields
from pages.web.auth import CONSOLE
from pages.web.console.answers import go, show
from pages.web.console.language import said
from pages.web.console.visit import HOME
from pages.web.context import services, user
from pages.web.sites import is_reserved, require_own

blueprint = Blueprint("console_sites", __name__, url_prefix=CONSOLE)

_ON_A_PAGE = 20
_MAX_SEARCH = 253


@dataclass(frozen=True)
class Row:
    """A site in the list; ``site`` is None where its record cannot be read."""

    name: tuple[str, str]
    site: Site | None
    current: Checkpoint | None
    versions: int
    state: str


@blueprint.get("", provide_automatic_options=False)
@blueprint.get("/", provide_automatic_options=False)
def home() -> Response:
    """The first page."""
    return go(HOME)


@blueprint.get("/sites", provide_automatic_options=False)
def list_sites() -> Response:
    """One page of the sites that this user may see, or of those that a search finds."""
    own = user().tenant
    wanted = request.args.get("q", "").strip()[:_MAX_SEARCH]
    names = services().registry.search(wanted, own) if wanted else services().registry.names(own)
    last = max(1, -(-len(names) // _ON_A_PAGE))
    number = min(max(1, _page_number()), last)
    rows = [_row(name) for name in names[(number - 1) * _ON_A_PAGE : number * _ON_A_PAGE]]
    quotas = services().quotas
    return show(
        "sites.html",
        rows=rows, total=len(names), wanted=wanted, number=number, last=last,
        usage=quotas.usage(own) if own else None, limits=quotas.limits(own) if own else None,
    )  # fmt: skip


@blueprint.get("/new-site", provide_automatic_options=False)
def ask_for_site() -> Response:
    """An empty form."""
    username = user().tenant or DEFAULT_USERNAME
    return show("new_site.html", values={"username": username, "id": "", "domain": ""}, problem="", field="")


@blueprint.post("/new-site", provide_automatic_options=False)
def create_site() -> Response:
    """Make a site, and go there to upload its first version."""
    values = {name: request.form.get(name, "").strip() for name in ("username", "id", "domain")}
    try:
        fields = new_site_fields(values, DEFAULT_USERNAME)
        require_own(fields["username"])
        site = services().publisher.create(fields, now(), is_reserved)
    except PagesError as error:
        if error.status >= 500:
            raise
        return show("new_site.html", error.status, values=values, problem=said_of(error), field=field_of(error))
    return go(f"{HOME}/{site.username}/{site.id}", "site_created", name=site.id)


def field_of(error: PagesError) -> str:
    """The field of a form that an error is about; "" when it is about none."""
    if isinstance(error, InvalidField):
        return error.field
    return {SiteExists: "id", DomainTaken: "domain"}.get(type(error), "")


def said_of(error: PagesError) -> str:
    """What an error says beside its field, where the field's own name in the API would only puzzle."""
    sentence = said(error.reason if isinstance(error, InvalidField) else error)
    return sentence[:1].upper() + sentence[1:]


def state_of(site: Site, current: str | None) -> str:
    """What is most worth to know about a site, in one word."""
    if not site.enabled:
        return "disabled"
    if site.locked:
        return "locked"
    return "live" if current else "empty"


def _row(name: tuple[str, str]) -> Row:
    found = services().registry.sites([name])
    if not found:
        return Row(name, None, None, 0, "broken")
    try:
        known = services().histories.read(found[0])
    except HistoryBroken:
        return Row(name, found[0], None, 0, "broken")
    current = next((checkpoint for checkpoint in known.checkpoints if checkpoint.id == known.current), None)
    return Row(name, found[0], current, len(known.checkpoints), state_of(found[0], known.current))


def _page_number() -> int:
    try:
        return model.page_number("page", request.args.get("page", "1"))
    except InvalidField:
        return 1
