"""Admin API: why an address is answered as it is, and what another checkpoint would answer."""

from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Blueprint, Response, request
from werkzeug.test import run_wsgi_app

from pages.errors import InvalidField, SiteBroken, SiteNotFound
from pages.hosts import canonical_domain, covers
from pages.model import Site
from pages.resolve import Asked
from pages.trees import checkpoint_of
from pages.web.auth import token_needs
from pages.web.context import services
from pages.web.replies import success
from pages.web.respond import respond
from pages.web.serving import answer
from pages.web.sites import own_site

blueprint = Blueprint("insight", __name__, url_prefix="/_api/sites/<username>/<site_id>")

_MOST = 1000  # Files, and addresses, in one answer.
_MAX_URL = 2048


@blueprint.get("/checkpoints/<checkpoint:checkpoint_id>/diff/<other_id>", provide_automatic_options=False)
@token_needs("read")
def diff(username: str, site_id: str, checkpoint_id: str, other_id: str) -> Response:
    site = own_site(username, site_id)
    found = services().comparer.compare(site, checkpoint_id, other_id)
    data: dict[str, Any] = {"before": checkpoint_id, "after": other_id}
    for name, sizes in (("added", found.added), ("removed", found.removed)):
        data[name] = _listing(({"path": path, "size": size} for path, size in sizes.items()), len(sizes))
    changes = ({"path": path, "before": old, "after": new} for path, (old, new) in found.changed.items())
    data["changed"] = _listing(changes, len(found.changed))
    data["urls"] = _listing(found.urls, len(found.urls))
    return success({**data, "complete": found.is_whole})


@blueprint.get("/explain", provide_automatic_options=False)
@token_needs("read")
def explain(username: str, site_id: str) -> Response:
    url = _checked(request.args.get("url", ""))
    return success(explanation(own_site(username, site_id), url, request.args.get("checkpoint")))


def explanation(site: Site, url: str, checkpoint_id: str | None = None) -> dict[str, Any]:
    """Why an address of a site is answered as it is, now or by a checkpoint; ``InvalidField``."""
    host, path, query = _taken_apart(site, _checked(url))
    environ = _environ(host, path, query)
    asked = Asked(host, path, query)
    tree: str | None = None
    if checkpoint_id is not None:
        tree = services().comparer.version(site, checkpoint_id).tree
    tried: list[dict[str, Any]] = []
    data: dict[str, Any] = {"host": host, "path": path.encode("latin-1").decode("utf-8", "replace"), "query": query}
    served = tree or services().trees.served(site)
    is_shown_here = host == site.domain or site.alias_mode == "serve"
    if served is not None and is_shown_here:
        data |= _decision(site, served, asked, tried)
    if tree and is_shown_here:
        response = respond(environ, services(), site, tree, asked)
    else:
        response = answer(environ, services())
    status, headers = _sent(response, environ)
    data |= {"status": status, "headers": [{"name": name, "value": value} for name, value in headers]}
    by_nginx = tree is None and services().registry.is_public(host) and not data.get("is_older")
    return data | {"candidates": tried, "answered_by": "nginx" if by_nginx else "application"}


def _checked(url: str) -> str:
    if not url or len(url) > _MAX_URL:
        raise InvalidField("url", f"必须是站点内的路径或完整地址，最多 {_MAX_URL} 个字符")
    return url


def _decision(site: Site, tree: str, asked: Asked, tried: list[dict[str, Any]]) -> dict[str, Any]:
    """What the code that serves comes to, step by step."""
    found = services().resolver.resolve(
        site, tree, asked, lambda path, is_there: tried.append({"path": path, "found": is_there})
    )
    rules = services().rule_files.headers(tree)
    path = asked.path_info.encode("latin-1").decode("utf-8", "replace")
    matching = rules.matching(asked.host, path) if rules else []
    rule = found.rule and {
        "file": "_redirects", "line": found.rule.line, "text": found.rule.text,
        "status": found.rule.status, "forced": found.rule.forced,
    }  # fmt: skip
    file = found.file
    return {
        "file": file and file.path,
        "checkpoint": checkpoint_of(Path(file.root if file else tree)),
        "is_older": found.is_older,
        "rule": rule,
        "header_rules": [{"file": "_headers", "line": each.line, "text": each.text} for each in matching],
    }


def _taken_apart(site: Site, url: str) -> tuple[str, str, str]:
    """Host, path (as WSGI has it) and query of an address of the site."""
    try:
        parts = urlsplit(url)
        host = canonical_domain(parts.hostname) if parts.hostname else site.domain
    except ValueError:
        raise InvalidField("url", "不是有效的地址") from None
    if parts.scheme not in ("", "http", "https") or not _leads_to(site, host):
        raise InvalidField("url", "的主机不属于该站点")
    path = unquote_to_bytes(parts.path or "/").decode("latin-1")
    if not path.startswith("/") or path.lstrip("/").startswith("_api"):
        raise InvalidField("url", "必须以 / 开头，且不能是管理接口的路径")
    return host, path, parts.query


def _leads_to(site: Site, host: str) -> bool:
    """Is a host the site's? One that another site has for itself is not, though a wildcard of this one covers it."""
    try:
        owner = services().registry.owner_of(host)
    except SiteNotFound:
        return any(covers(domain, host) for domain in site.domains)
    except SiteBroken:
        return False
    return (owner.username, owner.id) == (site.username, site.id)


def _environ(host: str, path: str, query: str) -> dict[str, Any]:
    """A browser's plain request for a page."""
    return {
        "REQUEST_METHOD": "GET", "HTTP_HOST": host, "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "",
        "SERVER_NAME": host, "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(), "HTTP_ACCEPT": "text/html,*/*",
    }  # fmt: skip


def _sent(response: Any, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]]]:
    """The status and the headers of an answer; its body is not read."""
    body, status, headers = run_wsgi_app(response, environ)
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return int(status.split()[0]), headers.to_wsgi_list()


def _listing(items: Any, total: int) -> dict[str, Any]:
    return {"total": total, "items": list(islice(items, _MOST))}
