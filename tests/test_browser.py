"""A real browser that knows the admin's password looks at a hostile page: it can change nothing and read nothing."""

import base64
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser import profile, running_browser
from helpers import THOROUGH, Server, everything_below, wait_until, zip_of
from nginx import Nginx
from playwright.sync_api import Browser, BrowserContext, Page

PAGE = (Path(__file__).parent / "browser_attack.html").read_text(encoding="utf-8")
WORKER = """
self.onmessage = event => fetch(event.data, { credentials: "include" }).then(answer => answer.text())
  .then(text => event.source.postMessage(text), error => event.source.postMessage(String(error)));
"""
HOSTILE = {"index.html": PAGE, "worker.js": WORKER}
EVIL_ZIP = base64.b64encode(zip_of({"index.html": "defaced"})).decode()

# Browsers send Sec-Fetch-Site to the names of the first kind, as over https, and nothing of it to the second.
SECURE, PLAIN = "admin.corp.localhost", "admin.example.com"
# What a hostile page is to the API: another site, another host of the same site, another port of the same host.
CASES = {
    "another site": ("evil.localhost", SECURE),
    "the same site": ("tenant.corp.localhost", SECURE),
    "another port": (None, SECURE),
    "another site, plain http": ("evil.example", PLAIN),
    "the same site, plain http": ("tenant.example.com", PLAIN),
    "another port, plain http": (None, PLAIN),
}


class QuickNginx(Nginx):
    """nginx with no limit on the rate of API calls: it would answer for Pages."""

    def _write_configuration(self) -> None:
        super()._write_configuration()
        file = self.folder / "pages.conf"
        text, count = re.subn(r"rate=20r/s", "rate=10000r/s", file.read_text(encoding="utf-8"))
        assert count == 1
        file.write_text(text, encoding="utf-8")


@dataclass
class House:
    """A server with a victim and hostile sites, nginx in front of it, and a hostile server on another port."""

    server: Server
    nginx_port: int
    other_port: int
    older: str

    def port(self, way: str) -> int:
        return self.nginx_port if way == "nginx" else self.server.port

    def state(self) -> dict[str, dict[str, str]]:
        folders = ["registry", "domains", "sites", "sites-checkpoints", "trees", "public", "cache"]
        found = {name: everything_below(self.server.data / name) for name in folders}
        return found | {"backups": everything_below(self.server.folder / "backups")}


def furnish(server: Server, host: str, domains: list[str]) -> str:
    """Make the sites; returns the victim's older checkpoint."""
    sites = [("default", "victim", "victim.localhost")] + [("mallory", f"site{n}", d) for n, d in enumerate(domains)]
    for username, site_id, domain in sites:
        body = {"id": site_id, "username": username, "domain": domain}
        assert server.api("POST", "/_api/sites", body, host=host).status == 201
        files = {"index.html": "victim"} if username == "default" else HOSTILE
        assert server.deploy(zip_of(files), site=f"{username}/{site_id}", host=host).status == 200
    older = server.api("GET", "/_api/sites/default/victim/checkpoints", host=host).json()["data"]["current"]
    assert server.deploy(zip_of({"index.html": "victim two"}), site="default/victim", host=host).status == 200
    return str(older)


@pytest.fixture(scope="module")
def other_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A web server that is none of ours, with the hostile page."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, text in HOSTILE.items():
        (folder / name).write_text(text, encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=backend.serve_forever)
    thread.start()
    yield backend.server_port
    backend.shutdown()
    backend.server_close()
    thread.join()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, other_port: int) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    settings = {"PAGES_ADMIN_HOSTS": f"{SECURE},{PLAIN}", "PAGES_TRUSTED_PROXIES": "unix"}
    server = Server(folder, settings).start()
    older = furnish(server, PLAIN, [domain for domain, _ in CASES.values() if domain])
    (folder / "nginx").mkdir()
    nginx = QuickNginx(folder / "nginx", server.environment()).start()
    yield House(server, nginx.port, other_port, older)
    nginx.stop()
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def log_in(context: BrowserContext, host: str, port: int) -> None:
    """The admin looks at the API once: from then on the browser sends the password by itself."""
    page = context.new_page()
    page.goto(f"http://admin:admin@{host}:{port}/_api/sites")
    assert '"success":true' in (page.text_content("body") or "")
    page.goto(f"http://{host}:{port}/_api/health")
    assert '"healthy"' in (page.text_content("body") or "")
    page.close()


def attacked(page: Page, log: Callable[[], str], target: str, older: str) -> list[tuple[str, str]]:
    """Run all of the page's attacks; what it saw of the answers, when the last of its requests has ended."""
    beacons = [log().count(f"?beacon={number} ") for number in (1, 2)]
    seen = page.evaluate("([target, archive]) => attack(target, archive)", [target, {"zip": EVIL_ZIP, "older": older}])
    wait_until(lambda: all(log().count(f"?beacon={n + 1} ") > beacons[n] for n in (0, 1)), "the beacons are answered")
    return [(what, text) for what, text in seen]


def tells_something(text: str) -> bool:
    """Is this what the API answers?"""
    return any(part in text for part in ("success", "victim.localhost", "default", "权限", "认证", "拒绝", "站点"))


# make faults plays them all.
_PLAYED = [
    (case, way) for case in CASES for way in ("direct", "nginx") if THOROUGH or way == "direct" or "plain" in case
]


@pytest.mark.parametrize(("case", "way"), _PLAYED)
def test_a_hostile_page_changes_nothing_and_reads_nothing(house: House, browser: Browser, way: str, case: str) -> None:
    domain, api = CASES[case]
    target = f"http://{api}:{house.port(way)}"
    page_url = f"http://{domain}:{house.port(way)}/" if domain else f"http://{api}:{house.other_port}/"
    before, start = house.state(), len(house.server.log)
    with profile(browser) as context:
        log_in(context, api, house.port(way))
        page = context.new_page()
        page.goto(page_url)
        seen = attacked(page, lambda: house.server.log, target, house.older)
        page.goto(f"{target}/_api/health")  # The password is still there.
        assert '"healthy"' in (page.text_content("body") or "")
    assert house.state() == before
    assert len(seen) > 25
    assert [(what, text) for what, text in seen if tells_something(text)] == []
    changes = re.findall(r'who="([^"]*)".*?result="(\d+)', house.server.log[start:])
    assert {status for _, status in changes} <= {"401", "403", "404"}
    if case != "another site" and case != "another site, plain http":
        # It was the rule that refused, not a lack of credentials. (They are kept apart by site.)
        assert ("admin", "403") in changes


@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_on_a_tenants_own_domain_there_is_no_api_to_reach(house: House, browser: Browser, way: str) -> None:
    before = house.state()
    with profile(browser) as context:
        log_in(context, PLAIN, house.port(way))
        page = context.new_page()
        answers: list[tuple[str, int, str]] = []
        page.on("response", lambda r: answers.append((r.url, r.status, r.headers.get("www-authenticate", ""))))
        origin = f"http://tenant.corp.localhost:{house.port(way)}"
        page.goto(f"{origin}/")
        seen = attacked(page, lambda: house.server.log, origin, house.older)
    asked = [answer for answer in answers if "/_api/" in answer[0] or "/api/admin" in answer[0]]
    assert len(asked) > 15
    # nginx and Pages say 405 to a path of the site's.
    assert {status for _, status, _ in asked} <= {404, 405}
    assert {challenge for _, _, challenge in asked} == {""}
    assert [(what, text) for what, text in seen if tells_something(text)] == []
    assert house.state() == before


def test_without_admin_hosts_a_page_on_the_apis_own_host_can_do_what_its_visitor_can(
    make_server: Callable[..., Server], browser: Browser
) -> None:
    """What docs/operations.md warns of; and the proof that the attacks of this module are real ones."""
    server = make_server()
    older = furnish(server, "", ["shop.localhost"])
    with profile(browser) as context:
        log_in(context, "shop.localhost", server.port)
        page = context.new_page()
        page.goto(f"http://shop.localhost:{server.port}/")
        seen = attacked(page, lambda: server.log, f"http://shop.localhost:{server.port}", older)
    read = {what.split(" http")[0] for what, text in seen if tells_something(text)}
    assert {"fetch cors GET", "xhr GET", "service worker", "fetch cors DELETE"} <= read
    assert server.api("GET", "/_api/sites/default/victim").status == 404
    assert server.api("GET", "/_api/sites/default/planted").status == 200
    assert list((server.folder / "backups").iterdir()) != []
    assert re.search(r'deploy" result="200', server.log)
    assert re.search(r'checkout" result="200', server.log)


def test_a_page_that_tries_wrong_passwords_does_not_lock_out_its_visitor(house: House, browser: Browser) -> None:
    with profile(browser) as context:
        log_in(context, SECURE, house.server.port)
        page = context.new_page()
        page.goto(f"http://evil.localhost:{house.server.port}/")
        statuses: list[int] = []
        for number in range(12):
            with context.expect_page() as opened, context.expect_event("response") as _:
                page.evaluate(
                    "url => { window.open(url) }",
                    f"http://admin:wrong{number}@{SECURE}:{house.server.port}/_api/health?guess={number}",
                )
            opened.value.wait_for_load_state()
            wait_until(lambda n=number: f"?guess={n} " in house.server.log, "it is answered")
            statuses.append(len(re.findall(rf"\?guess={number} HTTP/1.1\" 4(?:01|29)", house.server.log)))
            opened.value.close()
        assert all(statuses)
        assert house.server.api("GET", "/_api/health", host=SECURE).status == 200


@pytest.mark.parametrize("path", ["/_api/sites", "/_api/healthz", "/_api/nothing", "/_api/sites/default/nothing"])
def test_every_answer_forbids_to_embed_it_and_to_take_it_for_something_else(house: House, path: str) -> None:
    for reply in (house.server.api("GET", path, host=PLAIN), house.server.request("GET", path, host=PLAIN)):
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
