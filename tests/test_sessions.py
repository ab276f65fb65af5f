"""Sign-ins of the console: who holds one, for how long, and what lies on the disk of it."""

import hashlib
from pathlib import Path

import pytest

from pages.sessions import IDLE_SECONDS, MAX_SECONDS, MOST, Sessions

NOW = 1_800_000_000.0
PASSWORDS = {"admin": "secret words", "alice": "wonder"}


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions")


@pytest.fixture
def value(sessions: Sessions) -> str:
    return sessions.start("admin", PASSWORDS["admin"], NOW)


def test_who_holds_the_value_is_the_user(sessions: Sessions, value: str) -> None:
    other = sessions.start("alice", PASSWORDS["alice"], NOW)
    assert sessions.user_of(value, PASSWORDS.get, NOW + 1) == "admin"
    assert sessions.user_of(other, PASSWORDS.get, NOW + 1) == "alice"


def test_nothing_on_the_disk_lets_anybody_in(sessions: Sessions, value: str, tmp_path: Path) -> None:
    [file] = (tmp_path / "sessions").iterdir()
    assert file.name == hashlib.sha256(value.encode()).hexdigest()
    assert file.stat().st_mode & 0o777 == 0o600
    assert value not in file.read_text()
    assert "secret" not in file.read_text()
    assert sessions.user_of(file.name, PASSWORDS.get, NOW) is None
    plain = hashlib.sha256(b"admin\0secret words").hexdigest()
    assert plain not in file.read_text()


def test_every_sign_in_has_a_value_of_its_own(sessions: Sessions) -> None:
    assert len({sessions.start("admin", "x", NOW) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("after", "user"),
    [(0, "admin"), (IDLE_SECONDS - 1, "admin"), (IDLE_SECONDS, None), (MAX_SECONDS, None), (-30, "admin"), (-90, None)],
)
def test_it_ends_when_nobody_comes_and_when_the_clock_goes_back(
    sessions: Sessions, value: str, after: float, user: str | None
) -> None:
    assert sessions.user_of(value, PASSWORDS.get, NOW + after) == user


def test_who_is_busy_all_day_signs_in_again_in_the_evening(sessions: Sessions, value: str) -> None:
    for hour in range(12):
        assert sessions.user_of(value, PASSWORDS.get, NOW + hour * 3600) == "admin"
    assert sessions.user_of(value, PASSWORDS.get, NOW + MAX_SECONDS) is None


def test_to_be_seen_again_at_once_costs_no_write(sessions: Sessions, value: str, tmp_path: Path) -> None:
    [file] = (tmp_path / "sessions").iterdir()
    sessions.user_of(value, PASSWORDS.get, NOW + 59)
    assert file.stat().st_mtime == NOW
    sessions.user_of(value, PASSWORDS.get, NOW + 60)
    assert file.stat().st_mtime == NOW + 60


@pytest.mark.parametrize("passwords", [{"admin": "another"}, {"alice": "secret words"}, {}])
def test_another_password_ends_it_for_good(sessions: Sessions, value: str, passwords: dict[str, str]) -> None:
    assert sessions.user_of(value, passwords.get, NOW) is None
    assert sessions.user_of(value, PASSWORDS.get, NOW) is None


def test_it_ends_when_its_user_says_so(sessions: Sessions, value: str, tmp_path: Path) -> None:
    sessions.end(value)
    assert sessions.user_of(value, PASSWORDS.get, NOW) is None
    assert list((tmp_path / "sessions").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"user": 1}', b"[]", b"x" * 5000])
def test_a_damaged_file_is_no_session(sessions: Sessions, value: str, tmp_path: Path, content: bytes) -> None:
    [file] = (tmp_path / "sessions").iterdir()
    file.write_bytes(content)
    assert sessions.user_of(value, PASSWORDS.get, NOW) is None


@pytest.mark.parametrize("odd", ["", "x", "../../registry/default/blog.json", "\0" * 43, "é" * 43, "A" * 43, "A" * 44])
def test_what_was_never_given_out_is_nobodys(sessions: Sessions, value: str, odd: str) -> None:
    assert sessions.user_of(odd, PASSWORDS.get, NOW) is None
    sessions.end(odd)
    assert sessions.user_of(value, PASSWORDS.get, NOW) == "admin"


def test_what_is_over_is_swept_away_by_the_next_sign_in(sessions: Sessions, value: str, tmp_path: Path) -> None:
    later = sessions.start("alice", PASSWORDS["alice"], NOW + IDLE_SECONDS)
    assert len(list((tmp_path / "sessions").iterdir())) == 1
    assert sessions.user_of(later, PASSWORDS.get, NOW + IDLE_SECONDS) == "alice"


def test_so_many_of_one_user_and_the_one_that_was_used_longest_ago_ends(sessions: Sessions, tmp_path: Path) -> None:
    values = [sessions.start("alice", PASSWORDS["alice"], NOW + number) for number in range(MOST)]
    admins = sessions.start("admin", PASSWORDS["admin"], NOW + MOST)
    assert sessions.user_of(values[0], PASSWORDS.get, NOW + MOST + 60) == "alice"
    (tmp_path / "sessions" / ("0" * 64)).write_bytes(b"{")  # Cut short by a crash.
    newest = sessions.start("alice", PASSWORDS["alice"], NOW + MOST + 61)
    held = [sessions.user_of(value, PASSWORDS.get, NOW + MOST + 62) for value in (*values[:3], newest, admins)]
    assert held == ["alice", None, "alice", "alice", "admin"]
