"""Random requests, most of them no HTTP any more, on every front: no error of ours, no secret, the same site chosen."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from helpers import THOROUGH, Server
from http_attacks import PRIVATE, SITES, Answer, Attack, ask, faults, random_attack, request, start
from nginx import Nginx

# Each is sent to three fronts.
ATTACKS = 70_000 if THOROUGH else 500
SEED = os.environ.get("PAGES_TEST_SEED", "http")


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Nginx, Nginx]]:
    server, nginx, by_pages = start(tmp_path_factory.mktemp("fuzzed"))
    yield server, nginx, by_pages
    nginx.stop()
    by_pages.stop()
    server.stop()


def test_no_random_request_gets_an_error_a_secret_or_a_site_that_is_not_its_own(
    fronts: tuple[Server, Nginx, Nginx],
) -> None:
    server = fronts[0]

    def one(number: int) -> tuple[Attack, list[Answer]]:
        attack = random_attack(Random(f"{SEED}:{number}"))
        return attack, [ask(front.port, attack.sent, seconds=0.5) for front in fronts]

    chosen = 0
    with ThreadPoolExecutor(8) as several:
        for attack, answers in several.map(one, range(ATTACKS)):
            assert list(faults(attack, *answers)) == [], attack.sent
            chosen += bool(answers[1].marks and answers[2].marks)
    assert chosen > ATTACKS / 10
    for site, domain in SITES.items():
        for front in fronts:
            assert ask(front.port, request(b"/", domain.encode())).marks == ({site} if site != "ann/off" else set())
    for log in (server.log, fronts[1].log, fronts[2].log):
        assert PRIVATE.decode() not in log
        assert "Traceback" not in log
