"""May a proxy get a certificate for a name? Asked by Caddy at the first handshake for it (deploy/Caddyfile)."""

from contextlib import suppress

from flask import Blueprint, Response, request

from pages.errors import SiteBroken, SiteNotFound
from pages.hosts import canonical_domain, is_ipv4
from pages.model import now
from pages.services import Services
from pages.web.auth import admin_only, open_to_neighbours, token_needs
from pages.web.context import services
from pages.web.replies import failure, success

blueprint = Blueprint("tls", __name__, url_prefix="/_api/tls")


@blueprint.get("/allowed", provide_automatic_options=False)
@admin_only
@open_to_neighbours
@token_needs("admin")
def allowed() -> Response:
    """200 or 404: Caddy looks at nothing but the status."""
    if "domain" not in request.args:
        return failure("参数 domain 缺失", 404)
    try:
        domain = canonical_domain(request.args["domain"])
    except ValueError as error:
        return failure(f"参数 domain {error}", 404)
    if not may_have_certificate(services(), domain):
        return failure("该域名不可签发证书", 404)
    return success({"domain": domain})


def may_have_certificate(services: Services, domain: str) -> bool:
    """Is this canonical domain one that Pages answers for by name: an enabled site's, or the Admin API's?

    A site whose record cannot be read has none: who may have a certificate is told for sure, or not at all. Nor has a
    name that only a wildcard covers: a stranger who asks for a thousand of them would use up what the CA allows the
    operator. A site on a wildcard needs the wildcard's own certificate (docs/tls.md).
    """
    if not _is_public_kind(domain):
        return False
    if domain in services.config.admin_hosts:
        return True
    with suppress(SiteNotFound, SiteBroken):
        if services.previews.is_host(domain):
            return services.previews.by_host(domain, now())[0].enabled
        return services.registry.holder_of(domain).enabled
    return False


def _is_public_kind(domain: str) -> bool:
    """No public CA issues for ``localhost`` or another name without a dot, nor a usual certificate for an address.

    Asking one would only use up the account's rate limit for failed orders.
    """
    return "." in domain and not is_ipv4(domain)
