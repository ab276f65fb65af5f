"""Tokens as they are stored: by a clock of the test's, with what may be on the disk, and by many threads at once."""

import json
import os
import re
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pages import files
from pages.errors import TokenNotFound, TooManyTokens
from pages.paths import Paths
from pages.tokens import MAX_TOKENS, NewToken, Token, Tokens
from pages.work import Workshop

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def tokens(paths: Paths) -> Tokens:
    return another(paths)


def another(paths: Paths) -> Tokens:
    """The tokens as another process sees them."""
    return Tokens(paths, Workshop(paths.work))


def new(name: str = "ci", owner: str = "alice", until: datetime = NOW + DAY) -> NewToken:
    return NewToken(name, owner, "alice", "blog", ("deploy",), until)


def times(token: Token) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(token.created_at), datetime.fromisoformat(token.expires_at)


# --- Made, found, over ----------------------------------------------------------------------


def test_a_token_is_found_by_what_its_holder_was_given_by_every_process(tokens: Tokens, paths: Paths) -> None:
    token, text = tokens.create(new(), NOW)
    assert another(paths).find(text, NOW) == token
    assert times(token) == (NOW, NOW + DAY)
    assert (token.owner, token.username, token.site, token.actions) == ("alice", "alice", "blog", ("deploy",))


def test_its_text_is_an_id_and_256_random_bits(tokens: Tokens) -> None:
    token, text = tokens.create(new(), NOW)
    assert re.fullmatch(f"pages_{token.id}_[0-9a-f]{{64}}", text)
    assert text[-64:] != tokens.create(new(), NOW)[1][-64:]


def test_the_disk_holds_no_secret_and_nobody_else_may_look(tokens: Tokens, paths: Paths) -> None:
    before = os.umask(0o022)
    try:
        token, text = tokens.create(new(), NOW)
    finally:
        os.umask(before)
    record = paths.token(token.id)
    assert text[-64:] not in record.read_text()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.tokens.stat().st_mode) == 0o700
    assert list(paths.work.iterdir()) == []


def test_it_ends_when_it_was_said_to(tokens: Tokens) -> None:
    token, text = tokens.create(new(), NOW)
    assert tokens.find(text, NOW + DAY - timedelta(microseconds=1)) == token
    assert tokens.find(text, NOW + DAY) is None
    with pytest.raises(TokenNotFound):
        tokens.get(token.id, NOW + DAY)


def test_those_that_are_over_are_swept_away(tokens: Tokens, paths: Paths) -> None:
    over, lasting = tokens.create(new(), NOW)[0], tokens.create(new(until=NOW + 2 * DAY), NOW)[0]
    assert tokens.alive(NOW + DAY) == [lasting]
    assert not paths.token(over.id).exists()
    assert paths.token(lasting.id).exists()


def test_the_newest_stand_first_and_each_owner_has_its_own(tokens: Tokens) -> None:
    made = [tokens.create(new(str(n), owner), NOW + timedelta(hours=n))[0] for n, owner in enumerate(["a", "b", "a"])]
    assert tokens.alive(NOW + timedelta(hours=3)) == made[::-1]
    assert tokens.alive(NOW + timedelta(hours=3), "a") == [made[2], made[0]]


def test_an_owner_has_no_more_than_so_many(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.tokens.MAX_TOKENS", 2)
    for _ in range(2):
        tokens.create(new(), NOW)
    with pytest.raises(TooManyTokens):
        tokens.create(new(), NOW)
    tokens.create(new(owner="bob"), NOW)
    tokens.create(new(), NOW + DAY)  # Those before are over.
    assert MAX_TOKENS == 100


# --- Revoked --------------------------------------------------------------------------------


def test_a_revoked_one_is_found_by_no_process_any_more(tokens: Tokens, paths: Paths) -> None:
    other = another(paths)
    token, text = tokens.create(new(), NOW)
    assert other.find(text, NOW) == token
    tokens.revoke(token.id)
    assert other.find(text, NOW) is None
    assert list(paths.tokens.iterdir()) == []
    with pytest.raises(TokenNotFound):
        tokens.revoke(token.id)


def test_to_note_the_use_of_a_revoked_one_leaves_nothing(tokens: Tokens, paths: Paths) -> None:
    token, _ = tokens.create(new(), NOW)
    tokens.revoke(token.id)
    tokens.note_use(token, NOW)
    assert list(paths.tokens.iterdir()) == []


@pytest.mark.parametrize("name", ["", "x", "0" * 15, "0" * 17, "../registry/a", "A" * 16, "0" * 16 + "\n", "0" * 16])
def test_what_is_no_id_is_not_found(tokens: Tokens, paths: Paths, name: str) -> None:
    tokens.create(new(), NOW)
    (paths.data / "registry").mkdir()
    (paths.data / "registry/a.json").write_text("{}")
    for look in (tokens.revoke, lambda token_id: tokens.get(token_id, NOW)):
        with pytest.raises(TokenNotFound):
            look(name)
    assert (paths.data / "registry/a.json").exists()


def test_eight_threads_use_and_revoke_and_none_is_let_in_after_its_revocation(paths: Paths) -> None:
    tokens = another(paths)
    made = [tokens.create(new(str(n)), NOW) for n in range(40)]
    revoked: set[str] = set()
    start = threading.Barrier(8)

    def use(shift: int) -> list[bool]:
        mine, let_in = another(paths), []
        start.wait()
        for n in range(len(made) * 5):
            token, text = made[(n * 7 + shift) % len(made)]
            was_revoked = token.id in revoked
            found = mine.find(text, NOW)
            if found:
                mine.note_use(found, NOW + timedelta(minutes=n))
            assert not (found and was_revoked)
            let_in.append(found is not None)
        return let_in

    def revoke(shift: int) -> list[bool]:
        mine = another(paths)
        start.wait()
        for token, _ in made[shift::2]:
            mine.revoke(token.id)
            revoked.add(token.id)
        return []

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(use, n) for n in range(6)] + [threads.submit(revoke, n) for n in range(2)]
        let_in = [result for future in running for result in future.result()]
    assert not all(let_in)
    assert list(paths.tokens.iterdir()) == []


# --- Wrong ones -----------------------------------------------------------------------------


def changed(text: str, at: int) -> str:
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda text: changed(text, -1), lambda text: changed(text, -64), lambda text: changed(text, 6), str.upper,
        lambda text: text[:-64], lambda text: text[:-1], lambda text: text + "0", lambda text: " " + text,
        lambda text: text + "\n", lambda text: text.removeprefix("pages_"), lambda text: text.replace("pages", "x"),
        lambda text: f"pages_{'0' * 16}_{text[-64:]}", lambda text: "", lambda text: "pages__", lambda text: text[6:22],
    ],
)  # fmt: skip
def test_a_wrong_one_is_none(tokens: Tokens, wrong: Callable[[str], str]) -> None:
    _, text = tokens.create(new(), NOW)
    assert tokens.find(wrong(text), NOW) is None


@pytest.mark.parametrize("text", ["", "x" * 9000, "pages_x_y", "pages_../../x_" + "0" * 64, "é", "\udcff", "\0"])
def test_what_does_not_look_like_one_costs_no_look_at_the_disk(
    tokens: Tokens, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "read", lambda _path: pytest.fail("looked"))
    assert tokens.find(text, NOW) is None


def test_looking_one_up_lists_no_folder(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token, text = tokens.create(new(), NOW)
    monkeypatch.setattr(os, "listdir", lambda _path: pytest.fail("listed"))
    assert tokens.find(text, NOW) == token


# --- What may be on the disk ----------------------------------------------------------------


def rewrite(paths: Paths, token: Token, **fields: Any) -> None:
    record = json.loads(paths.token(token.id).read_text())
    record["token"] |= fields
    paths.token(token.id).write_text(json.dumps(record))


@pytest.mark.parametrize(
    "fields",
    [
        {"username": None}, {"username": "../x"}, {"site": "a/b"}, {"actions": ["everything"]}, {"actions": "admin"},
        {"expires_at": "2027-01-01T00:00:00"}, {"expires_at": "never"}, {"created_at": "2026-01-01"}, {"owner": 7},
    ],
)  # fmt: skip
def test_a_record_that_says_what_cannot_be_is_not_accepted(tokens: Tokens, paths: Paths, fields: Any) -> None:
    token, text = tokens.create(new(), NOW)
    rewrite(paths, token, **fields)
    assert tokens.find(text, NOW) is None
    assert tokens.alive(NOW) == []
    tokens.revoke(token.id)
    assert not paths.token(token.id).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"sha256": ""}'])
def test_a_damaged_record_is_told_to_the_log_and_harms_no_other(
    tokens: Tokens, paths: Paths, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    whole, (token, text) = tokens.create(new(), NOW)[0], tokens.create(new(), NOW)
    paths.token(token.id).write_bytes(content)
    assert tokens.find(text, NOW) is None
    assert token.id in caplog.text
    assert tokens.alive(NOW) == [whole]


def test_a_copy_under_another_id_is_none(tokens: Tokens, paths: Paths) -> None:
    token, text = tokens.create(new(), NOW)
    os.link(paths.token(token.id), paths.token("0" * 16))
    (paths.tokens / "notes.txt").touch()
    assert tokens.find(text.replace(token.id, "0" * 16), NOW) is None
    assert tokens.alive(NOW) == [token]


# --- Last use -------------------------------------------------------------------------------


def used(tokens: Tokens, token: Token, now: datetime) -> datetime | None:
    """Use it, and tell when it was used last."""
    tokens.note_use(tokens.get(token.id, now), now)
    return last_use(tokens, token)


def last_use(tokens: Tokens, token: Token) -> datetime | None:
    last = tokens.get(token.id, NOW).last_used_at
    return datetime.fromisoformat(last) if last else None


def test_it_is_told_when_it_was_last_used_to_the_minute(tokens: Tokens) -> None:
    token, _ = tokens.create(new(), NOW)
    assert last_use(tokens, token) is None
    second = timedelta(seconds=1)
    assert used(tokens, token, NOW) == NOW
    assert used(tokens, token, NOW + 59 * second) == NOW
    assert used(tokens, token, NOW + 60 * second) == NOW + 60 * second
    assert used(tokens, token, NOW - second) == NOW - second  # The clock was put back.


def test_noting_a_use_writes_nothing_that_has_to_reach_the_disk(
    tokens: Tokens, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = tokens.create(new(), NOW)
    before = paths.token(token.id).read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _descriptor: pytest.fail("synced"))
    assert used(tokens, token, NOW) == NOW
    assert paths.token(token.id).read_bytes() == before


def test_a_disk_that_takes_no_writes_keeps_no_token_out(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token, text = tokens.create(new(), NOW)

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    tokens.note_use(token, NOW)
    assert tokens.find(text, NOW) == token
