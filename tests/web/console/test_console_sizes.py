"""Sizes are typed and shown as people say them, and none is changed by being shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.errors import InvalidField
from pages.web.console.sizes import bytes_of, size, typed_size


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ("0", 0), ("1048576", 1048576), (" 12 b ", 12), ("500 MB", 500_000_000), ("500MB", 500_000_000),
        ("500 mb", 500_000_000), ("2 GB", 2_000_000_000), ("2 GiB", 2 << 30), ("2gib", 2 << 30), ("2G", 2 << 30),
        ("2 Gi", 2 << 30), ("1.5 kB", 1500), ("0.1 KiB", 102), ("3 TB", 3_000_000_000_000), ("1 TiB", 1 << 40),
        ("５００　ＭＢ", 500_000_000), ("500\u00a0MB", 500_000_000),
    ],
)  # fmt: skip
def test_a_size_is_read_as_it_is_meant(typed: str, count: int) -> None:
    assert bytes_of("bytes", typed) == count


@pytest.mark.parametrize(
    "typed",
    ["", "x", "MB", "-1", "-1 MB", "+1", "1.5", "1.5 B", "1e9", "1,000 MB", ".5 GB", "5. GB", "2 PB", "2 GBs", "2 G B",
     "1 2 GB", "0x10", "٣ GB", "9" * 19, "inf GB", "nan"],
)  # fmt: skip
def test_what_is_no_size_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(InvalidField, match="500 MB") as caught:
        bytes_of("retention.bytes", typed)
    assert caught.value.field == "retention.bytes"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"), (999, "999"), (1000, "1 kB"), (1024, "1 KiB"), (500_000_000, "500 MB"), (500 << 20, "500 MiB"),
        (1_500_000_000, "1.5 GB"), (3 << 29, "1.5 GiB"), (1 << 40, "1 TiB"), (123_456_789, "123456789"),
        (2**53 - 1, "9007199254740991"),
    ],
)  # fmt: skip
def test_a_form_shows_a_size_short(count: int, shown: str) -> None:
    assert typed_size(count) == shown


@given(st.one_of(st.integers(0, 2**53 - 1), st.integers(0, 9000).map(lambda n: n << 40)))
def test_a_size_that_a_form_shows_is_read_back_to_the_byte(count: int) -> None:
    assert bytes_of("bytes", typed_size(count)) == count


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (500 << 20, "500 MiB"), (1 << 60, "1048576 TiB")],
)
def test_a_size_is_told_as_people_say_it(count: int, shown: str) -> None:
    assert size(count) == shown
