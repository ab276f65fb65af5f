"""Through real Caddy with the Caddyfile that is shipped: certificates for our sites and for no other name."""

import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from caddy import CADDYFILE, Caddy
from helpers import Reply, Server, basic, zip_of
from tls_visits import TlsVisits

from pages.config import Config

ADMIN = "panel.example.com"
PAGE = b"<h1>blog</h1>" * 10
OUTSIDE = "127.0.0.2"  # Where a visitor comes from, in Caddy's eyes.
BOUNDARY = "----boundary"


@dataclass
class Front:
    """A Pages server whose API is on one host only, and Caddy in front of it."""

    server: Server
    caddy: Caddy

    @property
    def visits(self) -> TlsVisits:
        return self.caddy.visits

    def create(self, site: str, enabled: bool = True) -> str:
        """A new site, deployed; returns its domain."""
        domain = f"{site}.example.com"
        body = {"id": site, "domain": domain, "enabled": enabled}
        assert self.server.api("POST", "/_api/sites", body, host=ADMIN).status == 201
        files: dict[str, bytes | str] = {"index.html": PAGE}
        assert self.server.deploy(zip_of(files), site=f"default/{site}", host=ADMIN).status == 200
        return domain

    def api(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """A call of the API from outside, by https; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self.caddy.visits.request(method, path, data, host=ADMIN, headers=sent, source=OUTSIDE)

    def upload(self, archive: bytes, in_chunks: bool) -> Reply:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="site.zip"\r\n\r\n'
        body = head.encode() + archive + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = basic() | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
        path = "/_api/sites/default/blog/deploy"
        return self.caddy.visits.request("POST", path, chunks if in_chunks else body, host=ADMIN, headers=headers)


def started(folder: Path) -> Front:
    """An upload may have 1 MB, as Pages sees it, and 2 MB, as Caddy does."""
    (folder / "server").mkdir()
    (folder / "caddy").mkdir()
    settings = {
        "PAGES_ADMIN_HOSTS": ADMIN,
        "PAGES_TRUSTED_PROXIES": "127.0.0.1",
        "PAGES_MAX_UPLOAD_BYTES": "1000000",
    }
    server = Server(folder / "server", settings)
    try:
        server.start()
        return Front(server, Caddy(folder / "caddy", server.port, CADDY_MAX_BODY="2MB").start())
    except BaseException:
        server.stop()
        raise


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Caddy in front of a site on ``blog.example.com``."""
    front = started(tmp_path_factory.mktemp("front"))
    try:
        front.create("blog")
        yield front
    finally:
        front.caddy.stop()
        front.server.stop()


# --- Who gets a certificate ---------------------------------------------------------------------


def test_a_site_gets_a_certificate_for_its_name_and_shows_its_page(front: Front) -> None:
    assert front.visits.names("blog.example.com") == ["blog.example.com"]
    reply = front.visits.get("blog.example.com")
    assert (reply.status, reply.body) == (200, PAGE)


def test_the_api_gets_one_for_the_host_that_it_is_on(front: Front) -> None:
    assert front.visits.names(ADMIN) == [ADMIN]
    assert front.api("GET", "/_api/health", **basic()).json()["data"]["status"] == "healthy"


def test_a_site_that_is_made_while_caddy_runs_needs_no_reload(front: Front) -> None:
    with pytest.raises(ssl.SSLError):
        front.visits.certificate("later.example.com")
    assert front.create("later") == "later.example.com"
    assert front.visits.get("later.example.com").body == PAGE


@pytest.mark.parametrize(
    "domain", ["unknown.example.com", "www.blog.example.com", "example.com", "127.0.0.1", "localhost"]
)
def test_a_name_that_is_no_sites_gets_no_handshake_and_no_certificate(front: Front, domain: str) -> None:
    with pytest.raises(ssl.SSLError):
        front.visits.certificate(domain)
    assert domain not in front.caddy.names_on_disk()


def test_a_visitor_who_names_no_host_gets_none_either(front: Front) -> None:
    before = front.caddy.names_on_disk()
    with pytest.raises(ssl.SSLError):
        front.visits.connect("")
    assert front.caddy.names_on_disk() == before


def test_a_disabled_site_gets_none_until_it_is_enabled(front: Front) -> None:
    domain = front.create("closed", enabled=False)
    with pytest.raises(ssl.SSLError):
        front.visits.certificate(domain)
    assert domain not in front.caddy.names_on_disk()
    assert front.server.api("PUT", "/_api/sites/default/closed", {"enabled": True}, host=ADMIN).status == 200
    assert front.visits.names(domain) == [domain]


def test_while_pages_is_down_no_name_gets_a_certificate_and_those_that_have_one_keep_it(tmp_path: Path) -> None:
    front = started(tmp_path)
    try:
        seen, unseen = front.create("seen"), front.create("unseen")
        assert front.visits.names(seen) == [seen]
        front.server.stop()
        with pytest.raises(ssl.SSLError):
            front.visits.certificate(unseen)
        assert unseen not in front.caddy.names_on_disk()
        assert front.visits.names(seen) == [seen]
        assert front.visits.get(seen).status == 502
        front.server.start()
        assert front.visits.get(unseen).body == PAGE
    finally:
        front.caddy.stop()
        front.server.stop()


# --- What reaches Pages -------------------------------------------------------------------------


def test_plain_http_is_sent_to_https(front: Front) -> None:
    reply = front.visits.plain("/docs/?a=b", "blog.example.com")
    assert (reply.status, reply.headers["Location"]) == (308, "https://blog.example.com/docs/?a=b")


@pytest.mark.parametrize("claimed", [{}, {"X_Forwarded_For": "203.0.113.9"}, {"Connection": "X-Forwarded-For"}])
def test_pages_sees_the_visitors_address_whatever_a_visitor_claims(front: Front, claimed: dict[str, str]) -> None:
    before = len(front.server.log)
    body = {"id": f"by{len(front.server.log)}", "domain": f"by{before}.example.com"}
    assert front.api("POST", "/_api/sites", body, **basic(), **claimed).status == 201
    log = front.server.log[before:]
    assert f"from={OUTSIDE}" in log
    assert "203.0.113.9" not in log


@pytest.mark.parametrize("claimed", [{}, {"X_Request_ID": "0123456789abcdef"}, {"Connection": "X-Request-ID"}])
def test_caddy_names_a_request_whatever_a_client_would_have_it_called(front: Front, claimed: dict[str, str]) -> None:
    named = front.api("GET", "/_api/sites", **basic(), **claimed).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", named)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_an_upload_goes_through_caddy(front: Front, in_chunks: bool) -> None:
    assert front.upload(zip_of({"index.html": PAGE, "a.bin": bytes(100_000)}), in_chunks).status == 200


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("size", [1_500_000, 5_000_000])
def test_an_upload_over_the_limit_is_told_so(front: Front, size: int, in_chunks: bool) -> None:
    reply = front.upload(bytes(size), in_chunks)
    assert reply.status == 413
    assert "max_upload_bytes" in reply.json()["message"]


def test_caddys_limit_is_that_of_pages_and_a_mebibyte_for_the_form() -> None:
    mebibytes = Config().max_upload_bytes // (1 << 20) + 1
    assert f"max_size {{$CADDY_MAX_BODY:{mebibytes}MiB}}" in CADDYFILE.read_text(encoding="utf-8")


# --- Who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Connection": "X-Forwarded-For"}, {"Host": "127.0.0.1"}])
def test_nobody_asks_through_caddy_which_domains_there_are(front: Front, headers: dict[str, str]) -> None:
    reply = front.api("GET", "/_api/tls/allowed?domain=blog.example.com", **headers)
    assert reply.status == (404 if "Host" in headers else 401)
    assert b"blog.example.com" not in reply.body


def test_the_admin_may(front: Front) -> None:
    reply = front.api("GET", "/_api/tls/allowed?domain=blog.example.com", **basic())
    assert (reply.status, reply.json()["data"]) == (200, {"domain": "blog.example.com"})


def test_caddys_own_api_is_off(front: Front) -> None:
    assert "admin endpoint disabled" in front.caddy.log
