"""a backfill may be for the night only"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo

from psycopg import sql

from qb_engine.backfill.throttle.signal import (
    GO,
    Found,
    Reading,
    Says,
    Signal,
    option,
    text,
)

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALL_DAYS = frozenset(range(7))
MINUTES = 24 * 60
EXAMPLE = "22:00-06:00, mon-fri 22:00-06:00 Europe/Berlin, or sat-sun 00:00-24:00"

_SPAN = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)")
_ZONE = re.compile(r"\s([A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)$")


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of some days (0 is Monday), in minutes; an `end` before `start` is the next day's."""

    days: frozenset[int]
    start: int
    end: int

    def on(self, day: datetime) -> tuple[datetime, datetime] | None:
        """Its beginning and end when it begins on a day, given as its midnight."""
        if day.weekday() not in self.days:
            return None
        end = self.end if self.end > self.start else self.end + MINUTES
        return day + timedelta(minutes=self.start), day + timedelta(minutes=end)


@lru_cache(maxsize=64)
def read(written: str) -> tuple[tuple[Span, ...], str]:
    """The spans of a window, and its time zone (empty: the server's). Raise ValueError."""
    found = _ZONE.search(written)
    zone = found[1] if found and found[1].lower()[:3] not in DAYS else ""
    if zone:
        written = written[: -len(zone)]
        try:
            ZoneInfo(zone)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"there is no time zone {zone}") from None
    spans = tuple(_span(part.strip()) for part in written.split(",") if part.strip())
    if not spans:
        raise ValueError(f"hours are expected, such as {EXAMPLE}")
    return spans, zone


def state(spans: Sequence[Span], now: datetime) -> tuple[bool, datetime]:
    """Whether a window is open at a local time, and when that next changes."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found = sorted(
        hours
        for day in range(-1, 9)
        for span in spans
        if (hours := span.on(midnight + timedelta(days=day)))
    )
    until = now
    for begins, ends in found:  # one that begins before the last one has ended goes on from it
        if begins <= until < ends:
            until = ends
    if until > now:
        return True, until
    return False, min(begins for begins, _ in found if begins > now)


def _span(part: str) -> Span:
    found = _SPAN.fullmatch(part.lower())
    if not found:
        raise ValueError(f"{part!r} is not a window; write it as {EXAMPLE}")
    first, last, *clock = found.groups()
    start, end = (_minutes(*clock[at : at + 2]) for at in (0, 2))
    if start == end:
        raise ValueError(f"{part!r} begins as it ends; the whole day is 00:00-24:00")
    return Span(_days(first, last), start, end)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return ALL_DAYS
    for name in (first, last or first):
        if name not in DAYS:
            raise ValueError(f"{name!r} is not a day; they are {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _minutes(hours: str, minutes: str) -> int:
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > MINUTES:
        raise ValueError(f"{hours}:{minutes} is not a time of day")
    return found


@dataclass(frozen=True)
class Window(Signal):
    """The hours in which a backfill may run, by the server's clock: `window` of the declaration.

    "22:00-06:00" goes across midnight; "mon-fri 22:00-06:00" begins on these days; several are
    separated by commas; a time zone may follow (left out: the session's, which is the server's).
    Hours are those of a clock on the wall: one that the change to summer time leaves out is not
    open that day, one that comes twice is open twice.
    """

    name: ClassVar[str] = "window"
    unread: ClassVar[Says] = "stop"  # a window that is not known to be open is closed

    hours: str = option("", text, f"when it may run: {EXAMPLE}; empty: always")

    def __post_init__(self) -> None:
        if self.hours:
            read(self.hours)

    def asking(self, spec: Spec) -> sql.Composable | None:
        if not self.hours:
            return None
        zone = read(self.hours)[1]
        named = sql.Literal(zone) if zone else sql.SQL("current_setting('TimeZone')")
        return sql.SQL(
            "SELECT (clock_timestamp() AT TIME ZONE {zone})::text AS local, {zone} AS zone"
        ).format(zone=named)

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        if not self.hours:
            return GO
        opened, until = state(read(self.hours)[0], datetime.fromisoformat(now["local"]))
        if opened:
            return GO
        opens = f"{DAYS[until.weekday()]} {until:%Y-%m-%d %H:%M} {now['zone']}"
        return Reading("stop", f"the window {self.hours} is closed", f"it opens: {opens}")


SIGNAL = Window
