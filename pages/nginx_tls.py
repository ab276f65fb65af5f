"""TLS for every site in one nginx server: a file for each name, found at the handshake, and the way in for the CA."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tls:
    """``certificates`` is an absolute folder: ``names/DOMAIN.pem`` holds certificate and key of a name, and in
    ``challenges/`` an ACME client proves that a name is ours. ``plain`` is nginx's address or port for http."""

    certificates: Path
    plain: str


def server_lines(listen: str, tls: Tls | None) -> str:
    """How the server of all sites listens."""
    if tls is None:
        return f"""\
    listen {listen} default_server;
    # TLS: make this file with --certificates (docs/tls.md)."""
    return f"""\
    listen {listen} ssl http2 default_server;
    # Looked up at each handshake, by the workers: a new name needs no reload, and a name without a file no handshake.
    ssl_certificate     $pages_certificate;
    ssl_certificate_key $pages_certificate;
    ssl_protocols       TLSv1.2 TLSv1.3;
    # A browser that comes again is spared half of the handshake.
    ssl_session_cache   shared:pages_tls:10m;
    ssl_session_timeout 1d;"""


def blocks(tls: Tls | None) -> str:
    """What stands beside that server."""
    if tls is None:
        return ""
    folder = tls.certificates
    return f"""
# The certificate of a name, and its key in the same file, so that one rename replaces both. Wildcards stand in a list,
# which is read at a reload. What is no host name finds a file that there never is.
map $ssl_server_name $pages_certificate {{
    hostnames;
    default "{folder}/names/none";
    include "{folder}/wildcards*.map";
    "~^(?<pages_name>[a-z0-9-]+(?:\\.[a-z0-9-]+)+)$" "{folder}/names/$pages_name.pem";
}}

server {{
    # Nothing but the way to https, and the CA's questions.
    listen {tls.plain} default_server;
    server_name _;
    server_tokens off;
    client_header_timeout 10s;

    # The CA asks by http for a file that only who has the name can have put there (http-01, RFC 8555, 8.3). Never a
    # site's own files: its tenant could get a certificate for the name otherwise.
    location ^~ /.well-known/acme-challenge/ {{
        root "{folder}/challenges";
        default_type text/plain;
        log_not_found off;
    }}

    location / {{
        return 308 https://$host$request_uri;
    }}
}}
"""
