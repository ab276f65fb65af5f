"""Eight processes that want the same thing at the same moment: exactly one gets it."""

import os
from collections import Counter
from collections.abc import Iterator

import idna
import pytest
from helpers import THOROUGH, Server, basic
from writers import Call, Writers

EIGHT = 8
SITES = "/_api/sites"
TAKEN, EXISTS = "域名已被占用", "站点已存在"


def rounds(quick: int, thorough: int) -> range:
    return range(thorough if THOROUGH else quick)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), {"PAGES_WORKERS": "4"}).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def writers(server: Server) -> Iterator[Writers]:
    with Writers(server.port, basic()["Authorization"], EIGHT) as writers:
        yield writers


@pytest.fixture(autouse=True)
def _nothing_is_left(server: Server) -> Iterator[None]:
    yield
    assert os.listdir(server.data / "registry") == ["default"]
    for folder in ("domains", "public"):
        assert os.listdir(server.data / folder) == ["localhost"]
    for folder in ("sites", "sites-checkpoints", "trees"):
        assert os.listdir(server.data / folder / "default") == ["default"]
    assert os.listdir(server.data / "work") == []


def create(site_id: str, domain: str, username: str = "user1") -> Call:
    return Call("POST", SITES, {"id": site_id, "domain": domain, "username": username})


def delete(server: Server, username: str, site_id: str) -> None:
    assert server.api("DELETE", f"{SITES}/{username}/{site_id}").status == 200


def test_of_eight_creators_of_one_id_exactly_one_succeeds(server: Server, writers: Writers) -> None:
    for number in rounds(40, 1000):
        replies = writers.at_once([create("same", f"d{number}-{n}.test") for n in range(EIGHT)])
        assert Counter(status for status, _ in replies) == {201: 1, 409: EIGHT - 1}
        assert {body["message"] for status, body in replies if status == 409} == {EXISTS}
        (made,) = [body["data"] for status, body in replies if status == 201]
        assert server.api("GET", f"{SITES}/user1/same").json()["data"] == made
        assert sorted(os.listdir(server.data / "domains")) == sorted([made["domain"], "localhost"])
        delete(server, "user1", "same")


SPELLINGS = {
    "in other cases": ["shop{}.test", "Shop{}.Test", "SHOP{}.TEST", "shop{}.TEST."],
    "in other alphabets": ["bücher{}.test", "BÜCHER{}.test", "bu\u0308cher{}.Test", "bücher{}\u3002test"],
    "in Chinese": ["例子{}.测试", "例子{}。测试", "例子{}.测试.", "例子{}\uff0e测试"],
}


@pytest.mark.parametrize("spellings", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_of_eight_creators_of_one_domain_exactly_one_succeeds(
    server: Server, writers: Writers, spellings: list[str]
) -> None:
    for number in rounds(20, 350):
        domains = [spelling.format(number) for spelling in spellings * 2]
        stored = idna.encode(domains[0], uts46=True).decode()
        domains[4:6] = [stored, stored.upper()]
        replies = writers.at_once([create(f"s{n}", domain, f"user{n}") for n, domain in enumerate(domains)])
        assert Counter(status for status, _ in replies) == {201: 1, 409: EIGHT - 1}, (domains, replies)
        assert {body["message"] for status, body in replies if status == 409} == {TAKEN}
        (made,) = [body["data"] for status, body in replies if status == 201]
        assert made["domain"] == stored
        assert os.readlink(server.data / "domains" / stored) == f"../registry/{made['username']}/{made['id']}.json"
        assert sorted(os.listdir(server.data / "domains")) == sorted([stored, "localhost"])
        delete(server, made["username"], made["id"])


def test_of_four_creators_and_four_updaters_of_one_domain_exactly_one_succeeds(
    server: Server, writers: Writers
) -> None:
    for n in range(4):
        assert server.api("POST", SITES, create(f"old{n}", f"old{n}.test").body).status == 201
    for number in rounds(20, 500):
        wanted = f"wanted{number}.test"
        creating = [create(f"new{n}", wanted) for n in range(4)]
        updating = [Call("PUT", f"{SITES}/user1/old{n}", {"domain": wanted.upper()}) for n in range(4)]
        replies = writers.at_once([call for pair in zip(creating, updating, strict=True) for call in pair])
        successes = [body["data"] for status, body in replies if status in (200, 201)]
        assert len(successes) == 1, replies
        assert [(status, body["message"]) for status, body in replies if status not in (200, 201)] == [(409, TAKEN)] * 7
        (owner,) = successes
        listed = server.api("GET", f"{SITES}?username=user1").json()["data"]["sites"]
        assert [site["id"] for site in listed if site["domain"] == wanted] == [owner["id"]]
        assert len({site["domain"] for site in listed}) == len(listed)
        if owner["id"].startswith("new"):
            delete(server, "user1", owner["id"])
        else:
            back = {"domain": f"{owner['id']}.test"}
            assert server.api("PUT", f"{SITES}/user1/{owner['id']}", back).status == 200
    for n in range(4):
        delete(server, "user1", f"old{n}")


def test_sites_that_swap_domains_never_share_one(server: Server, writers: Writers) -> None:
    for n in range(EIGHT):
        assert server.api("POST", SITES, create(f"s{n}", f"d{n}.test").body).status == 201
    for number in rounds(20, 350):
        # Each takes the one of the next: which are free depends on the order, that nobody shares one does not.
        calls = [Call("PUT", f"{SITES}/user1/s{n}", {"domain": f"d{(n + number) % 10}.test"}) for n in range(EIGHT)]
        replies = writers.at_once(calls)
        assert {status for status, _ in replies} <= {200, 409}
        listed = server.api("GET", f"{SITES}?username=user1").json()["data"]["sites"]
        domains = {site["id"]: site["domain"] for site in listed}
        assert len(set(domains.values())) == EIGHT
        for (status, _), n in zip(replies, range(EIGHT), strict=True):
            assert status == 409 or domains[f"s{n}"] == f"d{(n + number) % 10}.test"
        assert sorted(os.listdir(server.data / "domains")) == sorted([*domains.values(), "localhost"])
        assert sorted(os.listdir(server.data / "public")) == sorted([*domains.values(), "localhost"])
    for n in range(EIGHT):
        delete(server, "user1", f"s{n}")


def test_of_eight_deleters_exactly_one_succeeds(server: Server, writers: Writers) -> None:
    for number in rounds(20, 200):
        assert server.api("POST", SITES, create("blog", f"d{number}.test").body).status == 201
        replies = writers.at_once([Call("DELETE", f"{SITES}/user1/blog")] * EIGHT)
        assert Counter(status for status, _ in replies) == {200: 1, 404: EIGHT - 1}
