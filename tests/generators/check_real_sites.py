"""What tests/test_generators.py asks of stand-ins, of the sites that ``scripts/build-real-sites`` built.

Not among the tests that pytest finds by itself: ``scripts/check-real-sites`` builds, and runs this.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import profile, running_browser
from helpers import Server
from nginx import Nginx
from playwright.sync_api import Browser, Response

from generators import GENERATORS
from generators.look import listing_of, walk
from generators.visits import Visitor
from pages.hashed_names import is_hashed

SITES = Path(os.environ["PAGES_REAL_SITES"])
BUILT = [generator for generator in GENERATORS if (SITES / generator).exists()]


@dataclass
class Fronts:
    """Pages with the real sites on it, and nginx in front of it."""

    server: Server
    nginx: Nginx

    def port(self, way: str) -> int:
        return self.nginx.port if way == "nginx" else self.server.port

    def visitor(self, generator: str, way: str) -> Visitor:
        root = SITES / generator / "first"
        site = listing_of(generator, root)
        contents = {name: (root / name).read_bytes() for name in site.files}
        host = f"{generator}.localhost"
        return Visitor(site, contents, lambda path: self.server.request("GET", path, host=host, port=self.port(way)))


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    archives = tmp_path_factory.mktemp("archives")
    server = Server(tmp_path_factory.mktemp("server"), {"PAGES_TRUSTED_PROXIES": "unix"}).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    try:
        nginx.start()
        for generator in BUILT:
            body = {"id": generator, "domain": f"{generator}.localhost"}
            assert server.api("POST", "/_api/sites", body).status == 201
            archive = shutil.make_archive(str(archives / generator), "zip", SITES / generator / "first")
            reply = server.deploy(Path(archive).read_bytes(), site=f"default/{generator}")
            assert reply.status == 200, reply.body
            assert "warnings" not in reply.json()["data"]
        yield Fronts(server, nginx)
    finally:
        nginx.stop()
        server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(params=["gunicorn", "nginx"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("generator", BUILT)
@pytest.mark.parametrize("wrong", ["links", "files", "misses", "caching"])
def test_a_visitor_finds_nothing_wrong(fronts: Fronts, generator: str, way: str, wrong: str) -> None:
    assert list(getattr(fronts.visitor(generator, way), f"wrong_{wrong}")()) == []


@pytest.mark.parametrize("generator", BUILT)
def test_a_browser_finds_nothing_wrong(fronts: Fronts, browser: Browser, generator: str, way: str) -> None:
    wrong: list[str] = []

    def look(response: Response) -> None:
        if response.status >= 400:
            wrong.append(f"{response.status} {response.url}")

    with profile(browser) as person:
        person.on("response", look)
        person.on("weberror", lambda error: wrong.append(str(error.error)))
        walk(person, f"http://{generator}.localhost:{fronts.port(way)}")
    assert wrong == []


@pytest.mark.parametrize("generator", BUILT)
def test_what_changes_in_another_build_is_not_taken_for_hashed(generator: str) -> None:
    first, changed = ({file: (root / file).read_bytes() for file in names(root)} for root in builds(generator))
    again = {name for name in first.keys() & changed.keys() if first[name] != changed[name]}
    assert again != set()
    assert {name for name in again if is_hashed(f"/{name}")} == set()


@pytest.mark.parametrize("generator", BUILT)
def test_most_of_what_is_hashed_is_recognised(generator: str) -> None:
    site = listing_of(generator, SITES / generator / "first")
    recognised = {name for name in site.files if is_hashed(f"/{name}")}
    assert recognised <= set(site.hashed)
    assert len(recognised) >= 0.7 * len(site.hashed)


def builds(generator: str) -> list[Path]:
    return [SITES / generator / build for build in ("first", "changed")]


def names(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
