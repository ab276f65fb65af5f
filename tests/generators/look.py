"""Take the facts of real sites: ``python tests/generators/look.py FOLDER`` after ``scripts/build-real-sites FOLDER``.

Writes ``GENERATOR.json`` beside this. A real browser walks through each site, and is answered from its files.
"""

import json
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from browser import profile, running_browser
from playwright.sync_api import BrowserContext, Page, Route

from generators import FOLDER, GENERATORS, NOT_FOUND, Listing, links_of
from pages.media_types import media_type

SITE = "http://site.localhost"
# By each generator's own documents; two builds of scripts/build-real-sites agree.
HASHED = {
    "docusaurus": r"assets/(?!.*\.txt$)",
    "vitepress": "assets/",
    "next": "_next/static/",
    "astro": "_astro/",
    "hugo": r"main\.|style\.min\.|.*_hu_",
}


def main(folder: Path) -> None:
    """Write the facts of all five sites in ``folder``."""
    with running_browser() as browser:
        for generator in GENERATORS:
            root = folder / generator / "first"
            with profile(browser) as person:
                found = look(person, generator, root)
            text = json.dumps(vars(found), ensure_ascii=False, indent=1)
            (FOLDER / f"{generator}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{generator}: {len(found.files)} files, {len(found.fetched)} paths fetched")


def listing_of(generator: str, root: Path) -> Listing:
    """All that can be said of a built site without a browser."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    links = {name: links_of((root / name).read_text("utf-8")) for name in names if name.endswith(".html")}
    hashed = [name for name in names if re.match(HASHED[generator], name)]
    return Listing(generator, {name: (root / name).stat().st_size for name in names}, links, [], hashed)


def look(person: BrowserContext, generator: str, root: Path) -> Listing:
    """The same, and what a browser fetches on the way through the site."""
    found = listing_of(generator, root)
    asked: set[str] = set()

    def answer(route: Route) -> None:
        parts = urlsplit(route.request.url)
        asked.add(parts.path)
        name = found.file_at(parts.path)
        kind = media_type(name or NOT_FOUND)
        route.fulfill(status=200 if name else 404, path=root / (name or NOT_FOUND), content_type=kind)

    person.route("**/*", answer)
    walk(person, SITE)
    missing = sorted(path for path in asked if not found.file_at(path))
    assert missing == [], f"{generator} itself has not what its pages fetch: {missing}"
    found.fetched.extend(sorted(asked))
    return found


def walk(person: BrowserContext, site: str) -> None:
    """Visit every page that the first one leads to: by clicks, which scripts may answer, and anew by its address."""
    page = first_page(person, site)
    if button := page.query_selector("button:has-text('more')"):
        button.click()
        page.get_by_text("loaded later").wait_for()
    addresses = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
    for address in sorted({address.partition("#")[0] for address in addresses if address.startswith(site)}):
        page = first_page(person, site)
        page.evaluate("address => [...document.querySelectorAll('a')].find(a => a.href === address)?.click()", address)
        page.wait_for_url(lambda url, wanted=address: url.partition("#")[0].rstrip("/") == wanted.rstrip("/"))
        page.wait_for_load_state("networkidle")
        person.new_page().goto(address, wait_until="networkidle")


def first_page(person: BrowserContext, site: str) -> Page:
    page = person.new_page()
    page.goto(f"{site}/", wait_until="networkidle")
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
