"""A site's history: the ids and times of checkpoints, metadata.json, and what damage to it does."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from helpers import everything_below
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pages import history
from pages.errors import CheckpointNotFound, HistoryBroken
from pages.history import Histories
from pages.model import Checkpoint, History, Manifest, Site, timestamp
from pages.paths import Paths
from pages.work import Workshop

ZONES = [
    "UTC0",
    "CST-8",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "NST3:30NDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
]
SITE = Site("blog", "default", "blog.localhost", "index.html", True, "2025-01-01T00:00:00.000000+00:00", "")
DIGEST = "0123456789abcdef" * 4
EMPTY = History("blog", "default", None, (), SITE.created_at)
# The days around both of a European year's changes, and around none.
MOMENTS = st.one_of(
    *(
        st.datetimes(day - timedelta(hours=6), day + timedelta(hours=6))
        for day in (datetime(2025, 3, 30, 1), datetime(2025, 10, 26, 1), datetime(2025, 12, 31, 23))
    )
).map(lambda moment: moment.replace(tzinfo=UTC))


@contextmanager
def in_zone(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def made_at(second: datetime, digest: str = DIGEST) -> Checkpoint:
    checkpoint_id = history.new_checkpoint_id(second, digest)
    return Checkpoint(checkpoint_id, timestamp(second, "seconds"), 1, "a.zip", "deploy", "部署: a.zip")


def history_of(*seconds: datetime) -> History:
    """A history with checkpoints of these times, given oldest first."""
    told = EMPTY
    for second in seconds:
        told = history.with_checkpoint(told, made_at(second))
    return told


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def histories(paths: Paths) -> Histories:
    return Histories(paths)


@pytest.fixture
def write(paths: Paths, histories: Histories) -> Callable[[History], None]:
    """Write a history as a commit does."""

    def write_history(told: History) -> None:
        with Workshop(paths.work).work() as work:
            histories.write(work, told)

    return write_history


# --- The second of a new checkpoint ---------------------------------------------------------

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


def test_the_first_checkpoint_gets_the_present_second() -> None:
    assert history.next_time(EMPTY, NOON + timedelta(microseconds=999_999)) == NOON


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([0], 5, 5),
        ([0], 1, 1),
        ([0], 0, 1),
        ([0], 0.9, 1),
        ([0, 1], 0, 2),
        ([0, 1, 2], 1, 3),
        ([10], 0, 11),
        ([0, 1000], 500, 1001),
        ([-86_400], -86_401, -86_399),
    ],
)
def test_a_second_that_is_taken_or_past_gives_the_next_free_one(before: list[int], now: float, expected: int) -> None:
    told = history_of(*(NOON + timedelta(seconds=second) for second in before))
    assert history.next_time(told, NOON + timedelta(seconds=now)) == NOON + timedelta(seconds=expected)


@settings(max_examples=300, deadline=None)
@given(zone=st.sampled_from(ZONES), moments=st.lists(MOMENTS, min_size=1, max_size=8))
@example(zone=ZONES[2], moments=[datetime(2025, 10, 26, 0, 59, tzinfo=UTC), datetime(2025, 10, 26, 1, 0, tzinfo=UTC)])
def test_checkpoints_sort_by_age_whatever_the_clock_shows(zone: str, moments: list[datetime]) -> None:
    with in_zone(zone):
        told = EMPTY
        for moment in moments:
            second = history.next_time(told, moment)
            assert second.microsecond == 0
            assert second >= moment.replace(microsecond=0)
            told = history.with_checkpoint(told, made_at(second))
        ids = [checkpoint.id for checkpoint in told.checkpoints][::-1]
        times = [datetime.fromisoformat(checkpoint.created_at) for checkpoint in told.checkpoints][::-1]
    assert ids == sorted(set(ids))
    assert times == sorted(set(times))


STEPS = st.tuples(MOMENTS, st.sampled_from(["deploy", "deploy", "checkout", "delete"]), st.integers(0, 9))


@settings(max_examples=300, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(zone=st.sampled_from(ZONES), steps=st.lists(STEPS, max_size=12))
@example(
    zone="UTC0", steps=[(NOON, step, 0) for step in ("deploy", "deploy", "checkout", "delete", "checkout", "deploy")]
)
def test_a_new_checkpoint_is_younger_than_all_that_ever_were(zone: str, steps: list[tuple[datetime, str, int]]) -> None:
    """Also than those deleted since, as an instant: file times are made of it."""
    with in_zone(zone):
        told, newest = EMPTY, datetime.min.replace(tzinfo=UTC)
        for moment, step, choice in [(NOON - timedelta(days=400), "deploy", 0), *steps]:
            others = [checkpoint.id for checkpoint in told.checkpoints if checkpoint.id != told.current]
            if step == "deploy":
                second = history.next_time(told, moment)
                assert second > newest
                newest = second
                told = history.with_checkpoint(told, made_at(second))
            elif others and step == "checkout":
                told = history.with_current(told, others[choice % len(others)], moment)
            elif others:
                told = history.without_checkpoint(told, others[choice % len(others)], moment)
            assert told.current in {checkpoint.id for checkpoint in told.checkpoints}


@settings(max_examples=200, deadline=None)
@given(zone=st.sampled_from(ZONES), moment=MOMENTS)
def test_a_clock_that_is_right_is_believed(zone: str, moment: datetime) -> None:
    with in_zone(zone):
        told = history_of(moment.replace(microsecond=0) - timedelta(days=2))
        assert history.next_time(told, moment) == moment.replace(microsecond=0)


def test_the_id_is_local_time_and_the_digest_s_first_digits() -> None:
    with in_zone("CST-8"):
        time = datetime(2025, 1, 6, 8, 0, 0, tzinfo=UTC)
        assert history.new_checkpoint_id(time, DIGEST) == "20250106-160000-01234567"


# --- The digest -----------------------------------------------------------------------------

FILES = {"index.html": (1, "aa" * 32, 5), "a/b": (2, "bb" * 32, 6)}


def test_the_digest_depends_on_no_order_and_no_time() -> None:
    later = {path: (size, sha256, 9) for path, (size, sha256, _) in reversed(FILES.items())}
    assert history.content_digest(("a", "b"), FILES) == history.content_digest(("b", "a"), later)


@pytest.mark.parametrize(
    "files",
    [
        {"index.html": FILES["index.html"]},
        {**FILES, "index.html": (1, "cc" * 32, 5)},
        {**FILES, "c": (0, "aa" * 32, 5)},
        {"index.htm": FILES["index.html"], "a/b": FILES["a/b"]},
        {"index.html": FILES["a/b"], "a/b": FILES["index.html"]},
    ],
)
def test_the_digest_depends_on_every_path_and_content(files: dict[str, tuple[int, str, int]]) -> None:
    assert history.content_digest((), files) != history.content_digest((), FILES)


# --- Changes --------------------------------------------------------------------------------


def test_a_new_checkpoint_is_current_and_first() -> None:
    told = history_of(NOON, NOON + timedelta(hours=1))
    assert told.current == told.checkpoints[0].id == history.new_checkpoint_id(NOON + timedelta(hours=1), DIGEST)
    assert told.updated_at == told.checkpoints[0].created_at


def test_a_checkout_changes_current_and_updated_at_alone() -> None:
    told = history_of(NOON, NOON + timedelta(hours=1))
    after = history.with_current(told, told.checkpoints[1].id, NOON + timedelta(days=1))
    assert after == msgspec.structs.replace(
        told, current=told.checkpoints[1].id, updated_at=timestamp(NOON + timedelta(days=1), "seconds")
    )


def test_a_deletion_takes_one_checkpoint() -> None:
    told = history_of(NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    after = history.without_checkpoint(told, told.checkpoints[1].id, NOON + timedelta(days=1))
    assert after.checkpoints == (told.checkpoints[0], told.checkpoints[2])
    assert after.current == told.current


# --- metadata.json --------------------------------------------------------------------------


def test_what_is_written_is_read(histories: Histories, write: Callable[[History], None]) -> None:
    told = history_of(NOON, NOON + timedelta(hours=1))
    write(told)
    assert histories.read(SITE) == told


def test_a_site_without_metadata_has_an_empty_history(histories: Histories) -> None:
    told = histories.read(SITE)
    assert (told.current, told.checkpoints) == (None, ())


def test_missing_metadata_beside_archives_is_damage_and_not_an_empty_history(
    histories: Histories, paths: Paths
) -> None:
    archive = paths.archive("default", "blog", "20250106-160000-01234567")
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"precious")
    with pytest.raises(HistoryBroken):
        histories.read(SITE)


WHOLE = msgspec.json.format(msgspec.json.encode(history_of(NOON, NOON + timedelta(hours=1))), indent=2)


def damaged(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(WHOLE), **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * len(WHOLE),
        b"null",
        b"[]",
        b"{}",
        b"not json",
        WHOLE + WHOLE,
        b"\xff" + WHOLE,
        damaged(checkpoints=None),
        damaged(checkpoints={}),
        damaged(checkpoints=[{}]),
        damaged(checkpoints=["20250106-160000-01234567"]),
        damaged(current=5),
        damaged(updated_at="yesterday"),
        damaged(updated_at=None),
        damaged(site_id=None),
        WHOLE.replace(b'"created_at": "2025', b'"created_at": "soon 2025'),
        WHOLE.replace(b'"file_size": 1', b'"file_size": "1"'),
    ],
)
def test_damaged_metadata_is_never_taken_for_a_history(histories: Histories, paths: Paths, data: bytes) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(HistoryBroken):
        histories.read(SITE)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(WHOLE) - 1))
def test_metadata_cut_short_anywhere_is_damage(histories: Histories, paths: Paths, cut: int) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(WHOLE[:cut])
    with pytest.raises(HistoryBroken):
        histories.read(SITE)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_wrong_byte_in_metadata_is_a_history_or_damage_and_nothing_else(
    histories: Histories, paths: Paths, at: int, byte: int
) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    with suppress(HistoryBroken):
        histories.read(SITE)


@pytest.mark.parametrize("time_part", ["20250601-130060", "20250601.130000"])
def test_a_damaged_id_is_damage_or_can_be_gone_on_with(histories: Histories, paths: Paths, time_part: str) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True)
    path.write_bytes(WHOLE.replace(b"20250601-130000", time_part.encode()))
    try:
        told = histories.read(SITE)
    except HistoryBroken:
        return
    history.next_time(told, NOON - timedelta(days=1))


def test_a_time_without_its_offset_is_damage_or_can_be_gone_on_with(histories: Histories, paths: Paths) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True)
    path.write_bytes(WHOLE.replace(b"+00:00", b""))
    try:
        told = histories.read(SITE)
    except HistoryBroken:
        return
    history.with_current(told, told.checkpoints[1].id, NOON)
    history.next_time(told, NOON)


def test_another_site_s_metadata_is_damage(histories: Histories, paths: Paths) -> None:
    path = paths.metadata("default", "blog")
    path.parent.mkdir(parents=True)
    path.write_bytes(damaged(site_id="other"))
    with pytest.raises(HistoryBroken):
        histories.read(SITE)


def test_one_checkpoint_is_found_by_its_id(histories: Histories, write: Callable[[History], None]) -> None:
    told = history_of(NOON, NOON + timedelta(hours=1))
    write(told)
    assert histories.get(SITE, told.checkpoints[1].id) == told.checkpoints[1]


@pytest.mark.parametrize("checkpoint_id", ["", "20250106-160000-01234567", "../blog", "index"])
def test_an_unknown_checkpoint_is_not_found(
    histories: Histories, write: Callable[[History], None], checkpoint_id: str
) -> None:
    write(history_of(NOON))
    with pytest.raises(CheckpointNotFound):
        histories.get(SITE, checkpoint_id)


# --- Archives and manifests -----------------------------------------------------------------


def store(histories: Histories, paths: Paths, checkpoint_id: str) -> None:
    with Workshop(paths.work).work() as work:
        archive = work.new_path()
        archive.write_bytes(b"archive")
        histories.store(work, SITE, checkpoint_id, archive, Manifest(DIGEST, (), FILES))


def test_what_was_stored_is_there(histories: Histories, paths: Paths) -> None:
    told = history_of(NOON)
    store(histories, paths, told.checkpoints[0].id)
    assert histories.archive(SITE, told.checkpoints[0].id).read_bytes() == b"archive"
    assert histories.manifest(SITE, told.checkpoints[0].id) == Manifest(DIGEST, (), FILES)
    assert histories.archive_ids(SITE) == [told.checkpoints[0].id]


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]", b'{"digest": "", "folders": [], "files": {"a": [1]}}'])
def test_a_damaged_manifest_is_as_good_as_none(histories: Histories, paths: Paths, damage: bytes) -> None:
    told = history_of(NOON)
    store(histories, paths, told.checkpoints[0].id)
    paths.manifest("default", "blog", told.checkpoints[0].id).write_bytes(damage)
    assert histories.manifest(SITE, told.checkpoints[0].id) is None


def test_a_missing_manifest_is_none(histories: Histories) -> None:
    assert histories.manifest(SITE, "20250106-160000-01234567") is None
    assert histories.manifest(SITE, None) is None


def test_a_discarded_checkpoint_is_gone_and_what_is_beside_it_stays(histories: Histories, paths: Paths) -> None:
    told = history_of(NOON)
    store(histories, paths, told.checkpoints[0].id)
    (paths.archives("default", "blog") / "notes.txt").write_bytes(b"mine")
    before = everything_below(paths.history("default", "blog"))
    store(histories, paths, "20990106-160000-01234567")
    with Workshop(paths.work).work() as work:
        histories.discard(work, SITE, "20990106-160000-01234567")
    assert everything_below(paths.history("default", "blog")) == before
