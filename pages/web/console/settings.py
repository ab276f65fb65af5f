"""The settings of a site in the console: one form with every field of the API's call."""

import hashlib
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from pages.errors import PagesError, SettingsChanged
from pages.model import Site, now
from pages.site_fields import changed_site_fields
from pages.web.auth import CONSOLE
from pages.web.console.answers import go, show
from pages.web.console.language import said
from pages.web.console.site import page_of, site_of
from pages.web.console.sites import field_of
from pages.web.console.sizes import bytes_of, typed_size
from pages.web.context import services
from pages.web.sites import is_reserved

blueprint = Blueprint("console_settings", __name__, url_prefix=f"{CONSOLE}/sites/<username>/<site_id>/settings")

_TEXTS = ("domain", "index", "not_found", "alias_mode", "trailing_slash")
_FLAGS = ("enabled", "locked", "clean_urls", "spa")
_GROUPS = {"cache": ("html", "assets", "hashed"), "retention": ("count", "days", "bytes")}


@blueprint.get("", provide_automatic_options=False)
def show_settings(username: str, site_id: str) -> Response:
    """The form as the site is now."""
    site = site_of(username, site_id)
    return _form(site, _shown(site), version_of(site))


@blueprint.post("", provide_automatic_options=False)
def change_settings(username: str, site_id: str) -> Response:
    """Save what the form says; what cannot be is shown again, with the reason at its field."""
    site, made_from = site_of(username, site_id), request.form.get("version", "")
    try:
        changes = changed_site_fields(_asked())
        services().publisher.update(
            username, site_id, changes, now(), is_reserved, lambda before: version_of(before) == made_from
        )
    except SettingsChanged as error:
        return _overtaken(site_of(username, site_id), error)
    except PagesError as error:
        if error.status >= 500:
            raise
        return _form(site, _typed(), made_from, error.status, problem=said(error), field=field_of(error))
    return go(page_of(site), "settings_saved")


def version_of(site: Site) -> str:
    """What a form brings back, to tell whether the settings that it was made from are still the site's.

    Not the time of the last change: by hand a record is changed without.
    """
    return hashlib.sha256(msgspec.json.encode(_shown(site))).hexdigest()


def _overtaken(site: Site, error: PagesError) -> Response:
    """The form as it was typed, and what is saved now; sent again it is meant."""
    typed = _typed()
    saved = {name: value for name, value in _shown(site).items() if _plain(value) != _plain(typed[name])}
    return _form(site, typed, version_of(site), error.status, problem=said(error), saved=saved)


def _plain(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _form(site: Site, values: dict[str, Any], version: str, status: int = 200, **told: Any) -> Response:
    told = {"problem": "", "field": "", "saved": {}} | told
    return show("settings.html", status, site=site, page=page_of(site), values=values, version=version, **told)


def _shown(site: Site) -> dict[str, Any]:
    """A site's settings as the form's fields have them."""
    shown: dict[str, Any] = {name: getattr(site, name) for name in (*_TEXTS, *_FLAGS)}
    shown["aliases"] = "\n".join(site.aliases)
    for group, members in _GROUPS.items():
        for member in members:
            value = getattr(getattr(site, group), member)
            shown[f"{group}.{member}"] = "" if value is None else _written(member, value)
    return shown


def _written(member: str, value: int) -> str:
    return typed_size(value) if member == "bytes" else str(value)


def _typed() -> dict[str, Any]:
    """What was typed, to be shown again."""
    typed: dict[str, Any] = {name: request.form.get(name, "") for name in _shown_names()}
    return typed | {name: name in request.form for name in _FLAGS}


def _shown_names() -> list[str]:
    return [*_TEXTS, "aliases", *(f"{group}.{member}" for group, members in _GROUPS.items() for member in members)]


def _asked() -> dict[str, Any]:
    """The same as the body of the API's call."""
    form = request.form
    body: dict[str, Any] = {name: form[name].strip() for name in _TEXTS if name in form}
    body |= {name: name in form for name in _FLAGS}
    body["aliases"] = form.get("aliases", "").split()
    for group, members in _GROUPS.items():
        numbers = {member: limit_of(f"{group}.{member}", form.get(f"{group}.{member}", "")) for member in members}
        # An empty field of the cache says the same as 0.
        body[group] = {m: (n if n is not None or group == "retention" else 0) for m, n in numbers.items()}
    return body


def number_of(typed: str) -> int | str | None:
    """A number that was typed; other text as it is, for the check to refuse by the field's name."""
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 18 else typed or None


def limit_of(field: str, typed: str) -> int | str | None:
    """The same for a field that may be one of a size, by its name; ``InvalidField`` for a size that is none."""
    text = typed.strip()
    return bytes_of(field, text) if text and field.endswith("bytes") else number_of(text)
