"""``pages deploy``: a folder or an archive in, a live site out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from pages.client.api import LASTING, Api, Refused, Reply
from pages.client.exits import USAGE, Failed
from pages.client.folder import look_into, why_not
from pages.client.options import Session, asks_a_server, site_option
from pages.client.output import Steps
from pages.client.sending import Sender, Terms, no_such_site
from pages.client.text import many, size

_ENDINGS = (".zip", ".tar.gz", ".tgz")
_SHOWN = 20  # Paths of one kind; --json has more.


@click.command()
@click.argument("what", metavar="[DIR|ARCHIVE]", default=".", type=click.Path(exists=True, path_type=Path))
@site_option
@click.option("--message", "-m", help="What this version is, for the list of checkpoints.")
@click.option("--dry-run", is_flag=True, help="Have it judged and compared; nothing is stored.")
@click.option("--no-activate", is_flag=True, help="Store it as a checkpoint and leave live what is.")
@click.option("--root", metavar="FOLDER", help="Publish this folder of the archive.")
@click.option("--if-match", metavar="CHECKPOINT", help="Only while this checkpoint is the current one.")
@click.option("--create", is_flag=True, help="Create the site if it is not there; with --domain.")
@click.option("--domain", help="The domain of a site to create.")
@click.option("--full", is_flag=True, help="Send all files, also those that the server has.")
@click.option("--yes", "-y", is_flag=True, help="Publish a folder that does not look like a site, too.")
@asks_a_server
def deploy(
    session: Session, what: Path, site: str | None, message: str | None, dry_run: bool, no_activate: bool,
    root: str | None, if_match: str | None, create: bool, domain: str | None, full: bool, yes: bool,
) -> None:  # fmt: skip
    """Publish a folder or an archive.

    DIR (this folder, unless given) is packed while it is sent, without what .pagesignore names; only files that the
    server does not have are. ARCHIVE is a .zip, .tar.gz or .tgz. The old version is served until the new one is
    complete.
    """
    if create != (domain is not None):
        raise Failed("--create and --domain belong together", USAGE)
    if what.is_dir() and root is not None:
        raise Failed("--root is for archives: of folders, name the one to publish", USAGE)
    place = what if what.is_dir() else Path()
    terms = Terms(
        session.site(site, place),
        {**({"dry_run": "true"} if dry_run else {}), **({"activate": "false"} if no_activate else {})},
        {**({"root": root} if root else {}), **({"description": message} if message else {})},
        if_match or "",
    )
    with session.api(place) as api, session.output.progress() as steps:
        if create:
            _create(api, terms.site, str(domain), steps)
        reply = _sent(api, terms, what, steps, full=full, yes=yes)
        address = _address(api, terms.site) if "checkpoint" in reply.data and not session.output.as_json else ""
    if dry_run:
        session.output.answer(reply.data, _rehearsed(reply.data))
    else:
        session.output.done(reply.data, _told(reply.data, address))


def _sent(api: Api, terms: Terms, what: Path, steps: Steps, *, full: bool, yes: bool) -> Reply:
    sender = Sender(api, terms, steps)
    try:
        if not what.is_dir():
            _check_ending(what)
            return sender.archive(what)
        folder = look_into(what)
        if not yes and (reason := why_not(folder)):
            raise Failed(f"{reason} (--yes publishes it all the same)", USAGE)
        return sender.folder(folder) if full else sender.changes(folder)
    except Refused as error:
        raise no_such_site(error, terms.site) if error.status == 404 else error from None


def _create(api: Api, site: str, domain: str, steps: Steps) -> None:
    """Create the site if it is not there. Who may not look leaves the refusal to the deploy."""
    try:
        api.call("GET", f"/_api/sites/{site}", pauses=LASTING)
    except Refused as error:
        if error.status == 403:
            return
        if error.status != 404:
            raise
        username, _, site_id = site.partition("/")
        api.call("POST", "/_api/sites", body={"username": username, "id": site_id, "domain": domain})
        steps.note(f"Created {site} on {domain}.")


def _check_ending(archive: Path) -> None:
    if not archive.name.lower().endswith(_ENDINGS):
        raise Failed(f"{archive} is neither a folder nor a {', '.join(_ENDINGS)}", USAGE)


def _told(data: dict[str, Any], address: str) -> str:
    checkpoint = data["checkpoint"]["id"]
    site = f"{data['username']}/{data['id']}"
    if data.get("activated") is False:
        return f"Stored as checkpoint {checkpoint} of {site}; what is live has not changed."
    return f"Live: {site} at checkpoint {checkpoint}" + (f", {address}" if address else "")


def _rehearsed(data: dict[str, Any]) -> Iterator[str]:
    yield f"It would publish {many(data['files'], 'file')}, {size(data['bytes'])}. Nothing has changed."
    for sign, name in (("+", "added"), ("-", "removed"), ("~", "changed")):
        paths = data[name]["paths"]
        yield from (f"{sign} {path}" for path in paths[:_SHOWN])
        if data[name]["total"] > _SHOWN:
            yield f"{sign} … {data[name]['total'] - min(len(paths), _SHOWN):,} more {name}"


def _address(api: Api, site: str) -> str:
    """Where the site is, as far as can be told: its domain by the scheme and port that the API is asked by."""
    try:
        domain = api.call("GET", f"/_api/sites/{site}", pauses=()).data["domain"]
    except Failed:
        return ""  # A token for deploys may not look.
    parts = urlsplit(api.url)
    return f"{parts.scheme}://{domain}" + (f":{parts.port}" if parts.port else "") + "/"
