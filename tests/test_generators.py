"""Sites of common generators, uploaded unchanged: every link leads where the generator meant it to.

The sites are stand-ins with the names and links of real ones (tests/generators); ``scripts/check-real-sites``
asks the same of the real ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from generators import GENERATORS, listing
from generators.visits import Visitor
from helpers import Server, zip_of
from nginx import Nginx

from pages.hashed_names import is_hashed


@dataclass
class Fronts:
    """Pages with all sites on it, and nginx in front of it."""

    server: Server
    nginx: Nginx

    def visitor(self, generator: str, way: str) -> Visitor:
        site = listing(generator)
        contents = {name: content.encode() for name, content in site.stand_in().items()}
        port = self.nginx.port if way == "nginx" else self.server.port
        host = f"{generator}.localhost"
        return Visitor(site, contents, lambda path: self.server.request("GET", path, host=host, port=port))


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    server = Server(tmp_path_factory.mktemp("server"), {"PAGES_TRUSTED_PROXIES": "unix"}).start()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.environment())
    try:
        nginx.start()
        for generator in GENERATORS:
            body = {"id": generator, "domain": f"{generator}.localhost"}
            assert server.api("POST", "/_api/sites", body).status == 201
            reply = server.deploy(zip_of(dict(listing(generator).stand_in())), site=f"default/{generator}")
            assert reply.status == 200, reply.body
            assert "warnings" not in reply.json()["data"]
        yield Fronts(server, nginx)
    finally:
        nginx.stop()
        server.stop()


@pytest.fixture(params=["gunicorn", "nginx"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=GENERATORS)
def visitor(request: pytest.FixtureRequest, fronts: Fronts, way: str) -> Visitor:
    return fronts.visitor(request.param, way)


def test_every_link_leads_to_its_file(visitor: Visitor) -> None:
    assert list(visitor.wrong_links()) == []


def test_all_that_a_browser_fetches_is_there(visitor: Visitor) -> None:
    assert list(visitor.wrong_fetches()) == []


def test_every_file_is_there_under_its_own_name(visitor: Visitor) -> None:
    assert list(visitor.wrong_files()) == []


def test_a_miss_is_answered_with_the_generators_page(visitor: Visitor) -> None:
    assert list(visitor.wrong_misses()) == []


def test_what_is_named_after_its_content_is_kept_and_nothing_else(visitor: Visitor) -> None:
    assert list(visitor.wrong_caching()) == []


@pytest.mark.parametrize("generator", GENERATORS)
def test_no_name_is_taken_for_hashed_that_the_generator_may_use_again(generator: str) -> None:
    site = listing(generator)
    recognised = {name for name in site.files if is_hashed(f"/{name}")}
    assert recognised <= set(site.hashed)
    assert len(recognised) >= 0.8 * len(site.hashed)
