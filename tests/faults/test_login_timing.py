"""The time of a refused login tells nothing: not whether the name exists, not how its password is stored.

Prints what it measures: ``PAGES_TEST_THOROUGH=1 pytest -s tests/faults/test_login_timing.py``.
"""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from helpers import THOROUGH
from werkzeug.security import generate_password_hash

from pages.app import create_app
from pages.config import load_config
from pages.web import logins

pytestmark = pytest.mark.skipif(not THOROUGH, reason="measures: make faults")

ROUNDS = 100_000
HASHED_ROUNDS = 500


def application(folder: Path, admin_pass: str, **users: str) -> Flask:
    tables = "".join(f'[users.{name}]\npass = "{password}"\n' for name, password in users.items())
    (folder / "config.toml").write_text(f'[server]\nadmin_pass = "{admin_pass}"\n{tables}')
    return create_app(load_config({"PAGES_CONFIG": str(folder / "config.toml"), "PAGES_MAX_FAILED_LOGINS": "0"}))


def times(app: Flask, names: list[str], rounds: int) -> dict[str, list[float]]:
    """Microseconds of processor time of refused logins, the names in another order each round."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    check: Callable[[str, str], object] = logins.basic.verify_password_callback
    chance = random.Random(0)
    with app.test_request_context("/_api/health"):
        for number in range(rounds):
            for name in chance.sample(names, len(names)):
                start = time.thread_time_ns()
                assert check(name, f"wrong{number:06}") is None
                taken[name].append((time.thread_time_ns() - start) / 1000)
    return taken


def mean(taken: list[float]) -> float:
    """Without the slowest twentieth: there other processes had the processor and its caches."""
    return statistics.fmean(sorted(taken)[: len(taken) * 19 // 20])


def test_with_plain_passwords_the_means_differ_by_less_than_a_microsecond(tmp_path: Path) -> None:
    app = application(tmp_path, "secret", alice="wonder", bobby="a much longer password than the others have")
    means = {name: mean(taken) for name, taken in times(app, ["admin", "alice", "bobby", "nobod"], ROUNDS).items()}
    print(f"\nplain, mean of {ROUNDS} in us:", {name: round(value, 3) for name, value in means.items()})
    assert max(means.values()) - min(means.values()) < 1.0


@pytest.mark.parametrize("admin_is_hashed", [True, False])
def test_with_plain_and_hashed_passwords_mixed_the_means_differ_by_less_than_three_hundredths(
    tmp_path: Path, admin_is_hashed: bool
) -> None:
    hashed = generate_password_hash("wonder", method="scrypt:1024:8:1")
    other_way = generate_password_hash("builder", method="pbkdf2:sha256:3000")
    app = application(tmp_path, hashed if admin_is_hashed else "secret", alice=hashed, bobby=other_way, carol="plain")
    taken = times(app, ["admin", "alice", "bobby", "carol", "nobod"], HASHED_ROUNDS)
    means = {name: mean(values) for name, values in taken.items()}
    print(f"\nmixed, mean of {HASHED_ROUNDS} in us:", {name: round(value, 1) for name, value in means.items()})
    assert max(means.values()) < min(means.values()) * 1.03
