"""Many more calls of schemathesis than ``make test`` makes: each round with a seed of its own, against one server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_fuzzing import fuzz
from helpers import THOROUGH, Server, basic

# What a round sends at most to each operation in each phase, and how many requests all rounds make.
EXAMPLES = 1000
LEAST = 50_000


@pytest.mark.skipif(not THOROUGH, reason="make faults: minutes")
def test_no_call_of_fifty_thousand_gets_an_answer_that_is_not_described(server: Server, tmp_path: Path) -> None:
    def round_of(number: int) -> int:
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        return fuzz(server, folder, "--max-examples", str(EXAMPLES), "--seed", str(number), tenant=f"fuzz{number}")

    sent, number = 0, 0
    with ThreadPoolExecutor(2) as two:
        while sent < LEAST:
            sent += sum(two.map(round_of, range(number, number + 2)))
            number += 2
    assert "Traceback" not in server.log
    assert server.request("GET", "/_api/health", headers=basic()).json()["data"]["status"] == "healthy"
