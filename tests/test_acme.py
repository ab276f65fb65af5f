"""Certificates from a real ACME CA: for nginx by certbot and deploy/certificates, for Caddy by itself."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from acme import Pebble
from caddy import HERE, Caddy
from helpers import PROJECT, Server, program, wait_until, zip_of
from nginx import Nginx
from ports import free_port
from tls_visits import TlsVisits

SCRIPT = PROJECT / "deploy" / "certificates"
PAGE = b"<h1>blog</h1>" * 10
TOKEN = "/.well-known/acme-challenge/token"


@dataclass
class Front:
    """A Pages server with nginx in front of it, and a CA."""

    folder: Path
    server: Server
    nginx: Nginx
    pebble: Pebble

    @property
    def visits(self) -> TlsVisits:
        return TlsVisits(self.nginx.port, self.nginx.plain, self.pebble.root)

    def get_certificates(self, *names: str) -> subprocess.CompletedProcess[str]:
        """What a timer runs: the script that is shipped, with real certbot."""
        return subprocess.run([SCRIPT, *names], env=self.environment(), capture_output=True, text=True, timeout=120)

    def certbot(self, *arguments: str) -> None:
        command = [program("certbot"), *arguments, *self._options()]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        nginx = f"{program('nginx')} -p {self.nginx.folder} -c {self.nginx.folder}/nginx.conf"
        return os.environ | {
            "CERTIFICATES": str(self.nginx.certificates),
            "DATA_DIR": str(self.server.data),
            "PAGES_URL": self.server.url,
            "CERTBOT_OPTIONS": " ".join(self._options()),
            "NGINX_GROUP": str(os.getegid()),
            "NGINX_RELOAD": f"{nginx} -e {self.nginx.folder}/error.log -s reload",
            "REQUESTS_CA_BUNDLE": str(self.pebble.trust),
        }

    def _options(self) -> list[str]:
        folders = [f"--{kind}-dir={self.folder}/certbot/{kind}" for kind in ("config", "work", "logs")]
        return [f"--server={self.pebble.directory}", "--agree-tos", "--register-unsafely-without-email", *folders]

    def create(self, site: str, enabled: bool = True) -> str:
        create(self.server, site, enabled)
        return f"{site}.example.com"


def create(server: Server, site: str, enabled: bool = True) -> None:
    body = {"id": site, "domain": f"{site}.example.com", "enabled": enabled}
    assert server.api("POST", "/_api/sites", body).status == 201
    files: dict[str, bytes | str] = {"index.html": PAGE, TOKEN[1:]: "a tenant's"}
    assert server.deploy(zip_of(files), site=f"default/{site}").status == 200


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx and the CA, with a site ``blog.example.com`` that has its certificate."""
    folder = tmp_path_factory.mktemp("acme")
    for name in ("server", "nginx", "pebble", "tls"):
        (folder / name).mkdir()
    program("certbot")
    server = Server(folder / "server", {"PAGES_TRUSTED_PROXIES": "unix"}).start()
    nginx = Nginx(folder / "nginx", server.environment(), certificates=folder / "tls")
    try:
        nginx.start()
        pebble = Pebble(folder / "pebble", nginx.plain, nginx.port)
        try:
            front = Front(folder, server, nginx, pebble.start())
            front.create("blog")
            done = front.get_certificates()
            assert (done.returncode, done.stderr) == (0, "")
            yield front
        finally:
            pebble.stop()
    finally:
        nginx.stop()
        server.stop()


# --- nginx with certbot -------------------------------------------------------------------------


def test_a_site_behind_nginx_has_its_certificate_and_its_page(front: Front) -> None:
    assert front.visits.names("blog.example.com") == ["blog.example.com"]
    assert front.visits.get("blog.example.com").body == PAGE


def test_a_new_site_gets_one_and_nginx_needs_no_reload(front: Front) -> None:
    domain, workers = front.create("later"), workers_of(front.nginx)
    with pytest.raises(ssl.SSLError):
        front.visits.certificate(domain)
    assert front.get_certificates().returncode == 0
    assert front.visits.get(domain).body == PAGE
    assert workers_of(front.nginx) == workers


def workers_of(nginx: Nginx) -> str:
    assert nginx.process is not None
    return Path(f"/proc/{nginx.process.pid}/task/{nginx.process.pid}/children").read_text()


@pytest.mark.parametrize("name", ["unknown.example.com", "localhost", "none"])
def test_a_name_that_is_no_sites_gets_none(front: Front, name: str) -> None:
    assert front.get_certificates(name).returncode == 0
    assert not (front.folder / "tls/names" / f"{name}.pem").exists()
    with pytest.raises(ssl.SSLError):
        front.visits.certificate(name)


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [("blog.example.com", True), ("../names/blog.example.com", False), ("x/../blog.example.com", False), ("..", False)],
)
def test_no_visitor_can_name_a_file(front: Front, name: str, is_shown: bool) -> None:
    command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{front.nginx.port}", "-servername", name]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20)
    assert ("BEGIN CERTIFICATE" in done.stdout) is is_shown, done.stdout


def test_a_disabled_site_gets_none_until_it_is_enabled(front: Front) -> None:
    domain = front.create("closed", enabled=False)
    assert front.get_certificates().returncode == 0
    with pytest.raises(ssl.SSLError):
        front.visits.certificate(domain)
    assert front.server.api("PUT", "/_api/sites/default/closed", {"enabled": True}).status == 200
    assert front.get_certificates().returncode == 0
    assert front.visits.names(domain) == [domain]


def test_a_renewal_is_served_without_a_reload(front: Front) -> None:
    before, workers = front.visits.certificate("blog.example.com")["serialNumber"], workers_of(front.nginx)
    front.certbot("renew", "--force-renewal", "--cert-name", "blog.example.com", "--no-random-sleep-on-renew")
    assert front.visits.certificate("blog.example.com")["serialNumber"] != before
    assert workers_of(front.nginx) == workers


def test_a_wildcard_by_dns_serves_every_site_below_it(front: Front) -> None:
    hooks = ["--manual", "--manual-auth-hook", front.pebble.set_txt, "--deploy-hook", str(SCRIPT)]
    front.certbot("certonly", "--preferred-challenges", "dns", *hooks, "-d", "*.sub.example.com")
    body = {"id": "deep", "domain": "deep.sub.example.com", "aliases": ["*.sub.example.com", "*.other.example.com"]}
    assert front.server.api("POST", "/_api/sites", body).status == 201
    assert front.server.deploy(zip_of({"index.html": PAGE}), site="default/deep").status == 200
    assert front.get_certificates().returncode == 0
    assert not (front.folder / "tls/names/deep.sub.example.com.pem").exists()
    served_after_reload(front, "deep.sub.example.com")
    assert front.visits.names("deep.sub.example.com") == ["*.sub.example.com"]


def served_after_reload(front: Front, domain: str) -> None:
    def is_served() -> bool:
        try:
            return front.visits.get(domain).body == PAGE
        except ssl.SSLError:
            return False

    wait_until(is_served, "nginx has read the list of wildcards")


def test_a_name_that_does_not_lead_here_is_not_asked_for_again_at_once(front: Front) -> None:
    domain = front.create("elsewhere")
    front.pebble.point(domain, "127.0.0.99")
    try:
        first, second = front.get_certificates(), front.get_certificates()
        assert (first.returncode, second.returncode) == (1, 0)
        assert f"No certificate for {domain}" in first.stderr
        front.pebble.point(domain, "127.0.0.1")
        assert front.get_certificates().returncode == 0
        assert not (front.folder / f"tls/names/{domain}.pem").exists()
    finally:
        assert front.server.api("DELETE", "/_api/sites/default/elsewhere").status == 200


def test_plain_http_is_sent_to_https_but_for_the_cas_questions(front: Front) -> None:
    reply = front.visits.plain("/docs/?a=b", "blog.example.com")
    assert (reply.status, reply.headers["Location"]) == (308, "https://blog.example.com/docs/?a=b")
    reply = front.visits.plain(TOKEN, "blog.example.com")
    assert reply.status == 404
    assert b"tenant" not in reply.body


def test_nobody_but_nginxs_workers_may_read_a_key(front: Front) -> None:
    for file in (front.folder / "tls/names").iterdir():
        assert file.stat().st_mode & 0o777 == 0o640, file


# --- Caddy --------------------------------------------------------------------------------------


def test_caddy_gets_a_certificate_from_the_ca_at_the_first_visit(tmp_path: Path) -> None:
    for name in ("server", "caddy", "pebble"):
        (tmp_path / name).mkdir()
    server = Server(tmp_path / "server", {"PAGES_TRUSTED_PROXIES": "127.0.0.1"})
    http, https = free_port(), free_port()
    pebble = Pebble(tmp_path / "pebble", http, https)
    options = f"{HERE}\nacme_ca {pebble.directory}\nacme_ca_root {pebble.trust}"
    caddy = Caddy(tmp_path / "caddy", 0, CADDY_OPTIONS=options, CADDY_EMAIL="us@example.com")
    caddy.http, caddy.https = http, https
    try:
        server.start()
        caddy.backend = server.port
        pebble.start()
        caddy.start()
        create(server, "blog")
        visits = TlsVisits(https, http, pebble.root)
        assert visits.names("blog.example.com") == ["blog.example.com"]
        assert visits.get("blog.example.com").body == PAGE
        with pytest.raises(ssl.SSLError):
            visits.certificate("unknown.example.com")
        assert caddy.names_on_disk() == {"blog.example.com"}
    finally:
        caddy.stop()
        pebble.stop()
        server.stop()
