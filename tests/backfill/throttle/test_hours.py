"""the hours in which a backfill may run, by the clock on the wall"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.backfill.throttle.signals.window import Window, read, state

NIGHT = "22:00-06:00"
MONDAY = datetime(2024, 3, 18)


def at(text: str, written: str) -> tuple[bool, str]:
    opened, until = state(read(written)[0], datetime.fromisoformat(text))
    return opened, until.isoformat(" ", "minutes")


@pytest.mark.parametrize(
    ("written", "now", "expected"),
    [
        (NIGHT, "2024-03-18 21:59", (False, "2024-03-18 22:00")),
        (NIGHT, "2024-03-18 22:00", (True, "2024-03-19 06:00")),
        (NIGHT, "2024-03-19 05:59", (True, "2024-03-19 06:00")),
        (NIGHT, "2024-03-19 06:00", (False, "2024-03-19 22:00")),
        ("9:00-17:00", "2024-03-18 12:00", (True, "2024-03-18 17:00")),
        ("mon-fri 22:00-06:00", "2024-03-23 03:00", (True, "2024-03-23 06:00")),  # friday's night
        ("mon-fri 22:00-06:00", "2024-03-23 23:00", (False, "2024-03-25 22:00")),
        ("mon-fri 22:00-06:00", "2024-03-18 03:00", (False, "2024-03-18 22:00")),  # sunday's: none
        ("sat-sun 00:00-24:00", "2024-03-23 12:00", (True, "2024-03-25 00:00")),
        ("fri-mon 01:00-02:00", "2024-03-19 01:30", (False, "2024-03-22 01:00")),
        ("sun 23:00-01:00", "2024-03-18 00:30", (True, "2024-03-18 01:00")),
        ("01:00-02:00, 12:00-13:00", "2024-03-18 03:00", (False, "2024-03-18 12:00")),
        ("22:00-24:00, 00:00-06:00", "2024-03-18 23:00", (True, "2024-03-19 06:00")),
    ],
)
def test_a_window_is_open_in_its_hours(written: str, now: str, expected: tuple[bool, str]) -> None:
    assert at(now, written) == expected


@given(
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    now=st.datetimes(datetime(2024, 1, 1), datetime(2025, 1, 1)),
)
def test_what_a_window_says_next_is_when_it_changes(start: int, length: int, now: datetime) -> None:
    end = (start + length) % 1440
    spans, _ = read(f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    opened, until = state(spans, now)
    assert opened == ((now.hour * 60 + now.minute - start) % 1440 < length)
    assert now < until <= now + timedelta(days=1)
    assert state(spans, until)[0] is not opened
    assert state(spans, until - timedelta(microseconds=1))[0] is opened


def test_hours_that_the_change_to_summer_time_leaves_out_are_not_waited_in() -> None:
    """The clock goes from 02:00 to 03:00: whoever looks sees the one or the other."""
    assert at("2024-03-31 01:59", "02:00-03:00")[0] is False
    assert at("2024-03-31 03:00", "02:00-03:00") == (False, "2024-04-01 02:00")


def test_a_time_zone_may_follow() -> None:
    spans, zone = read("mon-fri 22:00-06:00 Europe/Berlin")
    assert zone == "Europe/Berlin"
    assert spans == read("mon-fri 22:00-06:00")[0]
    assert read("22:00-06:00 UTC")[1] == "UTC"
    assert read("22:00-06:00")[1] == ""


@pytest.mark.parametrize(
    "written",
    ["22-06", "25:00-06:00", "22:00-06:61", "xyz 22:00-06:00", "22:00-22:00", " , ",
     "22:00-06:00 Nowhere/City", "mon-xyz 22:00-06:00", "24:30-06:00"],
)  # fmt: skip
def test_what_is_no_window_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Window(hours=written)


def test_a_closed_window_says_when_it_opens() -> None:
    reading = Window(hours=NIGHT).judge({"local": "2024-03-18 12:00:00", "zone": "Europe/Berlin"})
    assert reading.says == "stop"
    assert reading.release == "it opens: mon 2024-03-18 22:00 Europe/Berlin"
    opened = Window(hours=NIGHT).judge({"local": "2024-03-18 23:00:00.123", "zone": "UTC"})
    assert opened.says == "go"
