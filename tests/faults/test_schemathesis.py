"""Many more calls of schemathesis than ``make test`` makes: in rounds, each with a seed and a server of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from api_fuzzing import fuzz
from helpers import THOROUGH, Server, basic

# How many requests all rounds make; and at most to each operation in each phase of a round, which is a tenth of it.
LEAST = 50_000
EXAMPLES = 300


@pytest.mark.skipif(not THOROUGH, reason="make faults: many minutes")
def test_no_call_of_fifty_thousand_gets_an_answer_that_is_not_described(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    def round_of(number: int) -> int:
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        server = make_server(f"server{number}")
        sent = fuzz(server, folder, "--max-examples", str(EXAMPLES), "--seed", str(number))
        assert server.request("GET", "/_api/health", headers=basic()).json()["data"]["status"] == "healthy"
        server.stop()
        assert "Traceback" not in server.log
        return sent

    numbers, sent = count(1), 0
    with ThreadPoolExecutor(2) as two:
        while sent < LEAST:
            sent += sum(two.map(round_of, [next(numbers), next(numbers)]))
