"""The web console in a real browser, as a new user meets it: by mouse, by keyboard, on a phone, without JavaScript."""

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import running_browser
from helpers import THOROUGH, Server, wait_until, zip_of
from playwright.sync_api import Browser, Page, expect

PASSWORD = "correct horse"
# What a hostile page would do to a console that its visitor is signed in to.
HOSTILE = """<!doctype html><title>hostile</title>
<form id="f" method="post" action="TARGET/_admin/maintenance/backup"><input name="confirmed" value="yes"></form>
<a id="a" href="TARGET/_admin/maintenance">link</a>
<iframe src="TARGET/_admin/sites"></iframe>
<img src="TARGET/_admin/sign-out">
"""
LONG = "a-very-long-name-that-a-phone-has-no-room-for-in-one-line-0123456"[:64]


@dataclass
class House:
    """A server in production."""

    server: Server

    @property
    def console(self) -> str:
        return f"http://localhost:{self.server.port}/_admin"

    def site(self, host: str) -> str:
        return f"http://{host}:{self.server.port}/"

    def backups(self) -> int:
        return len(list((self.server.folder / "backups").glob("backup-*")))


@dataclass
class Visit:
    """A page of the console in a browser, and what the browser complained of."""

    house: House
    page: Page
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.house.console}{path}")

    def open_all(self) -> None:
        """Show what a page keeps folded."""
        self.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")

    def sign_in(self) -> None:
        self.go("")
        self.page.get_by_label(re.compile("User name|用户名")).fill("admin")
        self.page.get_by_label(re.compile("Password|密码")).fill(PASSWORD)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", level=1, name=re.compile("Sites|站点"))).to_be_visible()

    def create(self, name: str) -> None:
        self.go("/new-site")
        self.page.get_by_label("Site ID").fill(name)
        self.page.get_by_label("Domain").fill(f"{name[:60]}.localhost")
        self.page.get_by_role("button", name="Create").click()
        expect(self.page.locator(".flash")).to_contain_text("is there")

    def publish_two(self, name: str) -> None:
        """A new site with a ``version 0`` and a ``version 1``, which is live."""
        self.create(name)
        for number in range(2):
            self.upload({"index.html": f"version {number}"})
            expect(self.page.locator(".history li")).to_have_count(number + 1)
        self.page.reload()

    def upload(self, files: dict[str, bytes | str], name: str = "site.zip") -> None:
        archive = {"name": name, "mimeType": "application/zip", "buffer": zip_of(files)}
        self.page.get_by_label("Archive", exact=True).set_input_files(archive)  # type: ignore[arg-type]
        self.page.get_by_role("button", name="Publish", exact=True).click()

    def said(self, text: str) -> None:
        expect(self.page.locator(".flash")).to_contain_text(text)

    def shows(self, host: str, text: str) -> None:
        assert text in self.house.server.request("GET", "/", host=host).body.decode()

    def tab_to(self, selector: str) -> None:
        """Press Tab until this has the focus, as who has no mouse."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab never comes to {selector}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {"PAGES_ENVIRONMENT": "production", "PAGES_ADMIN_PASS": PASSWORD, "PAGES_ADMIN_HOSTS": "localhost"}
    server = Server(tmp_path_factory.mktemp("console"), settings).start()
    yield House(server)
    server.stop()


@contextmanager
def visiting(house: House, browser: Browser, language: str = "en-GB", **options: Any) -> Iterator[Visit]:
    """A browser of somebody's own; fails where anything broke the policy or threw."""
    context = browser.new_context(locale=language, reduced_motion="reduce", **options)
    context.set_default_timeout(15_000)
    visit = Visit(house, context.new_page())
    context.on("console", lambda m: visit.complaints.append(m.text) if m.type in ("error", "warning") else None)
    context.on("weberror", lambda e: visit.complaints.append(str(e.error)))
    context.expose_binding("tellViolation", lambda _source, what: visit.complaints.append(what))
    context.add_init_script(
        "addEventListener('securitypolicyviolation', e => tellViolation(`${e.effectiveDirective} ${e.blockedURI}`))"
    )
    try:
        yield visit
    finally:
        context.close()
    # That a refusal is one is told by the test.
    assert [text for text in visit.complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def visit(house: House, browser: Browser) -> Iterator[Visit]:
    with visiting(house, browser) as visit:
        visit.sign_in()
        yield visit


# --- Publishing -------------------------------------------------------------------------------


def test_a_site_lives_its_life(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.create("life")
    # A folder as it is on a disk: deep, with a long name, and with what no site is to have.
    folder = tmp_path / "my site"
    deep = folder / "资料" / ("深" * 40)
    deep.mkdir(parents=True)
    (deep / "page.html").write_text("deep")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / "index.html").write_text("<h1>first</h1>")
    for number in range(120):
        (folder / f"file-{number}.txt").write_text(str(number))
    page.locator("[data-folder]").set_input_files(folder)
    page.get_by_role("button", name="Publish", exact=True).click()
    visit.said("The new version is live")
    visit.shows("life.localhost", "first")
    tree = visit.house.server.data / "sites" / "default" / "life"
    assert (tree / "资料" / ("深" * 40) / "page.html").read_text() == "deep"
    assert (tree / "file-119.txt").read_text() == "119"
    assert not (tree / ".git").exists()
    # Again, as an archive; then back with one click and a question.
    visit.upload({"index.html": "<h1>second</h1>", "new.html": "new"})
    expect(page.locator(".history li")).to_have_count(2)
    visit.shows("life.localhost", "second")
    expect(page.locator(".history li[aria-current]")).to_contain_text("Deployed site.zip")
    page.get_by_role("button", name="Make live").click()
    expect(page.get_by_role("dialog")).to_contain_text("Visitors of life.localhost")
    page.get_by_role("dialog").get_by_role("button", name="Make live").click()
    # Not by the message: that of the deploy before says "is live" as well.
    expect(page.locator(".history li[aria-current]")).to_contain_text("Deployed my site")
    visit.shows("life.localhost", "first")
    # What is different, and a look at the other one.
    page.get_by_role("link", name="Compare 2").click()
    expect(page.locator("section", has_text="Added")).to_contain_text("new.html")
    visit.go("/sites/default/life")
    page.get_by_role("link", name="Deployed site.zip").click()
    page.get_by_role("button", name="Make a preview link").click()
    link = page.locator(".flash a").get_attribute("href")
    page.goto(str(link))
    expect(page.locator("h1")).to_have_text("second")
    visit.shows("life.localhost", "first")


def test_a_dropped_folder_is_published(visit: Visit, tmp_path: Path) -> None:
    visit.create("dropped")
    folder = tmp_path / "dist"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("dropped here")
    (folder / "docs" / "a.html").write_text("a")
    drop(visit.page, folder)
    visit.said("The new version is live")
    visit.shows("dropped.localhost", "dropped here")
    assert (visit.house.server.data / "sites/default/dropped/docs/a.html").read_text() == "a"
    expect(visit.page.locator(".history")).to_contain_text("dist.tar.gz")


def drop(page: Page, path: Path) -> None:
    """Let something from the disk fall onto the page, as a desktop does."""
    session = page.context.new_cdp_session(page)
    box = page.locator(".drop").bounding_box()
    assert box
    at = {"x": box["x"] + 30, "y": box["y"] + 30}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def test_a_refused_archive_is_told_and_can_be_replaced(visit: Visit) -> None:
    visit.create("refused")
    problem = visit.page.locator("[data-problem]")
    visit.page.get_by_role("button", name="Publish", exact=True).click()
    expect(problem).to_have_text("Choose an archive or a folder first")
    visit.upload({"../escape.html": "x"})
    expect(problem).to_contain_text("zip")
    visit.upload({"index.html": "good"})
    visit.said("The new version is live")


def test_a_slow_upload_shows_how_far_it_is_and_can_be_cancelled(visit: Visit) -> None:
    visit.create("slow")
    session = visit.page.context.new_cdp_session(visit.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)
    noise = io.BytesIO()
    with zipfile.ZipFile(noise, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("index.html", bytes(3_000_000))
    chosen = {"name": "big.zip", "mimeType": "application/zip", "buffer": noise.getvalue()}
    visit.page.get_by_label("Archive", exact=True).set_input_files(chosen)  # type: ignore[arg-type]
    visit.page.get_by_role("button", name="Publish", exact=True).click()
    bar = visit.page.locator("progress")
    wait_until(lambda: 0 < float(bar.get_attribute("value") or 0) < 100, "it is on its way")
    expect(visit.page.locator("[data-status]")).to_contain_text("Uploading big.zip")
    visit.page.locator("[data-cancel]").click()
    expect(visit.page.locator("[data-problem]")).to_have_text("The upload was cancelled")
    expect(visit.page.get_by_role("button", name="Publish", exact=True)).to_be_enabled()


# --- The keyboard -----------------------------------------------------------------------------


def test_who_has_no_mouse_can_switch_and_delete(visit: Visit) -> None:
    page = visit.page
    visit.publish_two("keys")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    visit.tab_to("form[data-ask] button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('form[data-ask] button')")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    visit.said("is live")
    visit.shows("keys.localhost", "version 0")
    visit.tab_to("a.danger")
    page.keyboard.press("Enter")
    page.wait_for_url("**/delete")
    visit.tab_to("[name=typed]")
    page.keyboard.type("key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
    page.keyboard.type("keys")  # The field has the focus again.
    page.keyboard.press("Enter")
    visit.said("default/keys is deleted")
    assert visit.house.server.request("GET", "/", host="keys.localhost").status == 404


def test_a_switch_is_planned_by_keyboard_and_cancelled(visit: Visit) -> None:
    page = visit.page
    visit.publish_two("planned")
    visit.tab_to(".later summary")
    page.keyboard.press("Enter")
    at = page.get_by_label("At this time")
    expect(at).to_be_visible()
    page.keyboard.press("Tab")
    expect(at).to_be_focused()
    at.fill("2020-01-01T00:00")
    page.keyboard.press("Enter")
    assert at.evaluate("field => field.validity.rangeUnderflow")  # The browser says it by itself.
    at.fill(str(at.get_attribute("max")))
    page.get_by_label("Confirm it within").fill("30")
    page.keyboard.press("Enter")
    visit.said("Planned: ")
    expect(page.locator(".banner")).to_contain_text("confirmed within 30 minutes")
    page.get_by_role("button", name="Cancel the plan").click()
    visit.said("The plan is cancelled")
    expect(page.locator(".banner")).to_have_count(0)
    visit.shows("planned.localhost", "version 1")


# --- Maintenance ------------------------------------------------------------------------------


def test_maintenance_is_asked_for_twice(visit: Visit) -> None:
    page, before = visit.page, visit.house.backups()
    visit.go("/maintenance")
    page.get_by_role("button", name="Back up…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert visit.house.backups() == before
    page.get_by_role("button", name="Back up…").click()
    page.get_by_role("dialog").get_by_role("button", name="Back up").click()
    visit.said("Backed up: backup-")
    assert visit.house.backups() == before + 1
    expect(page.locator("table")).to_contain_text("backup-")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download backup-").first.click()
    kept = visit.house.server.folder / "backups" / download.value.suggested_filename
    assert Path(download.value.path()).read_bytes() == kept.read_bytes()
    page.get_by_role("button", name="Clear the cache…").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear it").click()
    visit.said("The cache is cleared")


def test_a_restart_counts_down_and_tells_when_the_service_is_back(visit: Visit) -> None:
    page = visit.page
    visit.go("/maintenance")
    page.get_by_role("button", name="Restart…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Restart")).to_be_disabled()
    dialog.get_by_label("Type RESTART to confirm").fill("RESTART")
    dialog.get_by_role("button", name="Restart").click()
    expect(page.locator("[data-count]")).to_have_text("2")
    expect(page.get_by_role("status")).to_have_text("The service is back.", timeout=30_000)
    visit.go("/maintenance")  # Still signed in.
    expect(page.get_by_role("heading", level=1)).to_have_text("Maintenance")


def test_a_question_right_after_one_that_was_closed_is_still_answered(visit: Visit) -> None:
    page = visit.page
    visit.go("/maintenance")
    # One task of the browser's: the first dialog's close event comes when the second is open.
    page.evaluate("""() => {
        const [clear] = document.querySelectorAll("a[data-question]");
        clear.click();
        document.querySelector("#ask [value=no]").click();
        clear.click();
    }""")
    page.get_by_role("dialog").get_by_role("button", name="Clear it").click()
    visit.said("The cache is cleared")


def test_enter_after_the_typed_word_does_what_was_asked(visit: Visit) -> None:
    page = visit.page
    visit.go("/maintenance")
    page.get_by_role("button", name="Restart…").press("Enter")
    page.keyboard.type("restart")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Type RESTART to confirm").fill("RESTART")
    page.keyboard.press("Enter")
    expect(page.locator("[data-count]")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("The service is back.", timeout=30_000)


# --- Without JavaScript -----------------------------------------------------------------------


def test_without_javascript_it_works_as_well(house: House, browser: Browser) -> None:
    with visiting(house, browser, java_script_enabled=False) as visit:
        page = visit.page
        visit.sign_in()
        visit.create("plain")
        for number in range(2):
            visit.upload({"index.html": f"plain {number}"})
            expect(page.locator(".history li")).to_have_count(number + 1)
        page.get_by_role("button", name="Make live").click()
        visit.said("is live")
        visit.shows("plain.localhost", "plain 0")
        before = house.backups()
        visit.go("/maintenance")
        page.get_by_role("link", name="Back up…").click()
        assert house.backups() == before
        page.get_by_role("button", name="Back up").click()
        visit.said("Backed up")
        visit.go("/maintenance/restart")
        page.get_by_label("Type RESTART to confirm").fill("restart")
        page.get_by_role("button", name="Restart").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
        page.get_by_role("button", name="Sign out").click()
        visit.go("/maintenance")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


# --- For everybody ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def furnished(house: House, browser: Browser) -> list[str]:
    """The addresses of all pages, of a site with a history and names that are no markup."""
    with visiting(house, browser) as visit:
        visit.sign_in()
        visit.create(LONG)
        for number in range(2):
            visit.upload({"index.html": str(number), f"{'x' * 200}<b>.txt": "long"}, f"{'<i>long&' * 25}.zip")
            expect(visit.page.locator(".history li")).to_have_count(number + 1)
        version = visit.page.locator(".history li:last-child a").first.get_attribute("href")
    site = f"/sites/default/{LONG}"
    own = [f"{site}{rest}" for rest in ("", "/settings", "/diff", "/explain?url=/none", "/prune?count=1", "/delete")]
    others = [
        "/sites",
        "/sites?q=nothing+there",
        "/new-site",
        "/tokens",
        "/maintenance",
        "/maintenance/restart",
        "/reference",
    ]
    return [*own, str(version).removeprefix("/_admin"), *others, "/nothing"]


_LOOKS = [("zh-CN", "light"), ("en-GB", "dark"), *([("zh-CN", "dark"), ("en-GB", "light")] if THOROUGH else [])]


@pytest.mark.parametrize(("language", "scheme"), _LOOKS)
def test_every_page_is_accessible(
    house: House, browser: Browser, furnished: list[str], language: str, scheme: str
) -> None:
    with visiting(house, browser, language, color_scheme=scheme) as visit:
        visit.go("/sign-in")
        found = serious(visit.page)
        visit.sign_in()
        for path in furnished:
            visit.go(path)
            visit.open_all()
            found += serious(visit.page)
            assert visit.page.locator("html").get_attribute("lang") == {"zh-CN": "zh-CN", "en-GB": "en"}[language]
        visit.go("/maintenance")
        visit.page.get_by_role("button", name="…").nth(2).click()
        found += serious(visit.page)
    assert found == [], "\n".join(found)


def serious(page: Page) -> list[str]:
    """What axe-core finds on a page that keeps somebody from using it."""
    results = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [
        f"{page.url} {each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in results["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_no_page_is_wider_than_a_phone(house: House, browser: Browser, furnished: list[str]) -> None:
    with visiting(house, browser, "zh-CN", viewport={"width": 360, "height": 740}) as visit:
        visit.sign_in()
        wide: list[str] = []
        small: list[str] = []
        for path in furnished:
            visit.go(path)
            visit.open_all()
            if visit.page.evaluate("document.documentElement.scrollWidth") > 360:
                wide.append(path)
            small += visit.page.evaluate(TOO_SMALL)
    assert (wide, small) == ([], [])


# Targets of less than 24 pixels each way (WCAG 2.2, 2.5.8), but for links within sentences and those of the browser.
TOO_SMALL = """() => [...document.querySelectorAll("button, a.button, nav a, input, select, summary")]
    .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.matches("[type=hidden], .skip"))
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => box.width && (box.height < 24 || box.width < 24) && !e.closest("label"))
    .map(([e, box]) => `${location.pathname} ${e.outerHTML.slice(0, 100)} ${box.width}x${box.height}`)"""


def test_the_language_is_the_browsers_until_somebody_chooses(house: House, browser: Browser) -> None:
    with visiting(house, browser, "zh-CN") as visit:
        visit.sign_in()
        expect(visit.page.get_by_role("heading", level=1)).to_have_text("站点")
        visit.page.get_by_role("link", name="English").click()
        expect(visit.page.get_by_role("heading", level=1)).to_have_text("Sites")
        visit.go("/maintenance")
        expect(visit.page.get_by_role("heading", level=1)).to_have_text("Maintenance")


# --- Other pages ------------------------------------------------------------------------------


def test_a_hostile_page_can_do_nothing_with_its_visitors_session(visit: Visit) -> None:
    page, house = visit.page, visit.house
    visit.create("hostile")
    target = f"http://localhost:{house.server.port}"
    visit.upload({"index.html": HOSTILE.replace("TARGET", target)})
    visit.said("is live")
    before = house.backups()
    page.goto(house.site("hostile.localhost"))
    page.wait_for_load_state("networkidle")
    assert page.frames[1].evaluate("document.body.innerText.includes('Sites')") is False
    page.evaluate("document.getElementById('f').submit()")
    expect(page.locator("body")).to_contain_text("Cross-site request refused")
    assert house.backups() == before
    # A link is no attack: it leads to the page, signed in.
    page.goto(house.site("hostile.localhost"))
    page.locator("#a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Maintenance")
    visit.complaints.clear()  # The frame was refused, as it should be.
