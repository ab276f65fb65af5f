"""All parts of the console, for the application."""

from flask import Blueprint

from pages.web.console import (
    assets,
    language,
    maintenance,
    plans,
    reference,
    settings,
    sign_in,
    site,
    sites,
    tokens,
    tools,
    versions,
)

# The templates of all; it has no page of its own.
_templates = Blueprint("console", __name__, template_folder="templates")
_PARTS = (
    assets, language, sign_in, sites, site, settings, versions, plans, tools, tokens, maintenance, reference,
)  # fmt: skip
BLUEPRINTS = (_templates, *(part.blueprint for part in _PARTS))
