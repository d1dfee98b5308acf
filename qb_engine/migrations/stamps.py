"""file names to identities: timestamps of 8, 13 and 14 digits, and their common order"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from qb_engine.errors import InputError

_NAME = re.compile(r"(\d{14}|\d{13}|\d{8})[_-](.+)")


def split(stem: str) -> tuple[str, str] | None:
    """`20240315103000_add_email` as stamp and name; None when there is no timestamp."""
    found = _NAME.fullmatch(stem)
    return (found[1], found[2]) if found else None


def moment(stamp: str) -> str:
    """A stamp as 14 digits, so that all three widths sort by time (13 digits are epoch ms)."""
    if len(stamp) == 13:
        return datetime.fromtimestamp(int(stamp) / 1000, UTC).strftime("%Y%m%d%H%M%S")
    return stamp.ljust(14, "0")


def new(after: str | None = None, now: datetime | None = None) -> str:
    """A stamp of 14 digits for now (UTC), later than `after`."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d%H%M%S")
    if after and stamp <= moment(after):
        return str(int(moment(after)) + 1)
    return stamp


# -- TypeORM's stamps: milliseconds since 1970, 13 digits ------------------------------------------

FIRST_MS, LAST_MS = 10**12, 10**13 - 1  # those of 13 digits: 2001-09-09 to 2286-11-20
_STEP = 10  # ms between stamps that are no time and follow one another; parts fit in between
_BAND = 900  # from here a second's milliseconds hold what is far from any time


def to_ms(stamp: str, n: int = 1) -> int:
    """A stamp of 8, 13 or 14 digits as milliseconds; no two stamps have the same.

    One that is a time is that time, UTC. A day of 8 digits is its midnight and `n` milliseconds.
    Of 14 digits that are no time (counting on from 10:30:59 gives 10:30:60) those that follow a
    time soon lie between it and the next one. Raise InputError for what names no day, and for
    milliseconds that have not 13 digits.
    """
    if len(stamp) == 13:
        found = int(stamp)
    elif len(stamp) == 8:
        found = _day(stamp) + n
    else:
        day, clock = _day(stamp[:8]), int(stamp[8:])
        floor = _floor(clock)
        after = (clock - floor) * _STEP
        if after < _BAND:
            found = day + _seconds(floor) * 1000 + after
        else:  # 12 to a second: a day has room for every clock of six digits
            found = day + clock // 12 * 1000 + _BAND + clock % 12
    if not FIRST_MS <= found <= LAST_MS:
        raise _no_stamp(stamp, "milliseconds since 1970 have 13 digits from 2001-09-09 on")
    return found


def from_ms(ms: int) -> str:
    """The stamp that `to_ms` made milliseconds of; any others are cut to their second."""
    seconds, rest = divmod(ms, 1000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")
    if not rest:
        return stamp
    day, clock = stamp[:8], int(stamp[8:])
    if rest >= _BAND:
        far = _seconds(clock) * 12 + rest - _BAND
        named = rest < _BAND + 12 and far < 10**6 and (far - _floor(far)) * _STEP >= _BAND
        return f"{day}{far:06}" if named else stamp
    if not clock:
        return day
    after = clock + rest // _STEP
    return f"{day}{after:06}" if rest % _STEP == 0 and _floor(after) == clock else stamp


def _day(digits: str) -> int:
    try:
        midnight = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise _no_stamp(digits, "it names no day") from None
    return int(midnight.timestamp()) * 1000


def _floor(clock: int) -> int:
    """The latest time of a day, as six digits, that is not after six digits."""
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    if hours > 23:
        return 235959
    if minutes > 59:
        return hours * 10_000 + 5959
    return hours * 10_000 + minutes * 100 + min(seconds, 59)


def _seconds(clock: int) -> int:
    return clock // 10_000 * 3600 + clock // 100 % 100 * 60 + clock % 100


def _no_stamp(stamp: str, why: str) -> InputError:
    return InputError(
        f"{stamp} cannot be a stamp of TypeORM",
        where=stamp,
        why=why,
        todo="give the migration a stamp that is a time, such as " + new(),
        code="no-timestamp",
    )
