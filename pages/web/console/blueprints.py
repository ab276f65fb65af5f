"""All parts of the console, for the application."""

from flask import Blueprint

from pages.web.console import (
    assets,
    language,
    maintenance,
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
BLUEPRINTS = (
    _templates,
    *(
        part.blueprint
        for part in (assets, language, sign_in, sites, site, settings, versions, tools, tokens, maintenance, reference)
    ),
)
