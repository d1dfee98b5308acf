"""stamps in the milliseconds that TypeORM orders by, there and back"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.errors import InputError
from qb_engine.migrations.stamps import from_ms, moment, new, to_ms

DAYS = st.datetimes(datetime(2001, 9, 10), datetime(2286, 11, 19)).map("{:%Y%m%d}".format)
CLOCKS = st.integers(0, 999_999).map("{:06}".format)


@pytest.mark.parametrize(
    ("stamp", "ms"),
    [
        ("20240315103000", 1710498600000),
        ("20240315000000", 1710460800000),
        ("20240315", 1710460800001),
        ("1710460800123", 1710460800123),
    ],
)
def test_a_time_is_its_milliseconds(stamp: str, ms: int) -> None:
    assert to_ms(stamp) == ms
    assert moment(from_ms(ms)) == moment(stamp)


@given(DAYS, CLOCKS)
def test_every_stamp_of_14_digits_comes_back(day: str, clock: str) -> None:
    """Also what is no time, such as the second 60 that counting on gives."""
    assert from_ms(to_ms(day + clock)) == day + clock


@given(DAYS, st.integers(1, 899))
def test_every_day_comes_back(day: str, n: int) -> None:
    assert from_ms(to_ms(day, n)) == day


@given(DAYS, st.integers(0, 99), st.sets(CLOCKS, min_size=50))
def test_no_two_stamps_have_the_same_milliseconds(day: str, n: int, clocks: set[str]) -> None:
    found = {to_ms(day + clock) for clock in clocks} | {to_ms(day, n + 1)}
    assert len(found) == len(clocks) + 1


def test_counting_on_past_a_minute_stays_in_order() -> None:
    """As stamps are made when many are made at once."""
    now = datetime(2024, 3, 15, 10, 30, 50, tzinfo=UTC)
    made = [new(None, now)]
    while len(made) < 60:
        made.append(new(made[-1], now))
    assert made[20] == "20240315103070"  # no time
    found = [to_ms(each) for each in made]
    assert found == sorted(set(found))
    assert found[-1] < to_ms("20240315103200")


@pytest.mark.parametrize("stamp", ["20241315000000", "20240230", "19991231235959", "00000000"])
def test_what_names_no_day_or_has_fewer_digits_is_refused(stamp: str) -> None:
    with pytest.raises(InputError) as caught:
        to_ms(stamp)
    assert caught.value.todo
