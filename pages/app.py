"""The application: settings in, a WSGI callable out. Reads like a table of contents."""

import logging
from typing import Any

from flask import Flask

from pages.config import Config
from pages.errors import DataUnusable
from pages.services import build_services
from pages.web import (
    auth,
    checkpoints,
    deploys,
    door,
    errors,
    front,
    insight,
    journal,
    maintenance,
    metrics,
    plans,
    requests,
    serving,
    sites,
    status,
    tls,
    tokens,
    verify,
)
from pages.web.console import gate as console_gate
from pages.web.console import looks
from pages.web.console.answers import error_page
from pages.web.console.blueprints import BLUEPRINTS
from pages.web.proxies import TrustedProxies
from pages.work import Afterwards, in_background

log = logging.getLogger(__name__)


def create_app(config: Config, afterwards: Afterwards | None = None) -> Flask:
    """The WSGI application for one installation; recovers the data folder first.

    ``afterwards`` runs what no answer waits for; by default a thread of the application's own.
    """
    # No static folder: "/static/" belongs to the sites.
    app = Flask("pages", static_folder=None, template_folder=None)
    app.request_class = requests.PagesRequest
    app.config["MAX_CONTENT_LENGTH"] = requests.MAX_JSON_BYTES
    app.url_map.merge_slashes = False
    app.url_map.converters["checkpoint"] = checkpoints.CheckpointPart
    app.url_map.converters["site_path"] = serving.SitePath

    if config.admin_pass == "admin" and config.host not in ("127.0.0.1", "::1", "localhost"):  # noqa: S105
        log.warning("The password is 'admin' and %s can be reached by others: set admin_pass", config.host)
    app.extensions["pages"] = build_services(config, afterwards or in_background())
    try:
        app.extensions["pages"].recover()
    except DataUnusable as error:
        # The master has found it usable at the start: a worker that comes later serves what is there.
        if not app.extensions["pages"].paths.registry.is_dir():
            raise
        log.error("%s What is there is served.", error)

    app.before_request(auth.guard)
    app.before_request(console_gate.guard)
    app.after_request(door.name_request)
    app.after_request(journal.note_change)
    app.after_request(metrics.note_deploy)
    app.after_request(front.let_nginx_forget)
    app.after_request(requests.drain)
    app.after_request(console_gate.protect)
    errors.register(app, error_page)
    looks.register(app)
    parts = (sites, deploys, checkpoints, plans, insight, tokens, status, metrics, tls, verify, maintenance, serving)
    for part in parts:
        app.register_blueprint(part.blueprint)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)

    services = app.extensions["pages"]
    wsgi_app: Any = door.Door(serving.VisitorsFirst(app.wsgi_app, services), services.counts)
    if config.trusted_proxies:
        wsgi_app = TrustedProxies(wsgi_app, config.trusted_proxies)
    app.wsgi_app = wsgi_app  # type: ignore[method-assign]
    return app
