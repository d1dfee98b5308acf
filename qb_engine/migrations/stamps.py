"""file names to identities: timestamps of 8, 13 and 14 digits, and their common order"""

from __future__ import annotations

import re
from datetime import UTC, datetime

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
