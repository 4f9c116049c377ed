"""Times are RFC 3339, UTC, with milliseconds and Z."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import Time, format_time, read_time, write_time

MILLISECONDS = st.integers(0, 4_102_444_800_000)  # up to the year 2100


def test_the_epoch() -> None:
    assert format_time(0) == "1970-01-01T00:00:00.000Z"


def test_milliseconds_are_always_there_and_the_rest_is_cut_off() -> None:
    assert write_time(datetime(2026, 1, 31, 12, tzinfo=UTC)) == "2026-01-31T12:00:00.000Z"
    assert write_time(datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)) == "2026-01-31T12:00:00.999Z"


@given(MILLISECONDS)
def test_what_was_written_is_read_and_fits_its_type(milliseconds: int) -> None:
    text = format_time(milliseconds)
    assert read_time(text).timestamp() * 1_000 == pytest.approx(milliseconds)
    assert msgspec.convert(text, Time) == text
    assert write_time(read_time(text)) == text


@given(MILLISECONDS, MILLISECONDS)
def test_the_order_of_texts_is_that_of_moments(a: int, b: int) -> None:
    assert (format_time(a) < format_time(b)) == (a < b)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000+00:00",
        "2026-01-31 12:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "2026-01-31T24:00:00.000Z",
        "2026-01-31T12:00:60.000Z",
        "2026-01-31T12:00:00.000Z\n",
    ],
)
def test_another_form_is_no_time(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Time)


def test_a_day_that_no_calendar_has_is_no_time() -> None:
    with pytest.raises(ValueError, match="day"):
        read_time("2026-02-30T00:00:00.000Z")
