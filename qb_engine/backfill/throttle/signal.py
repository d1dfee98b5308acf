"""what a signal is: a look at the server (or the clock) that says go, slow or stop, and why"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import psycopg
from psycopg import sql

from qb_engine.project import seconds

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Says = Literal["go", "slow", "stop"]
Found = Mapping[str, Any]
"""A row that a signal asked for: its columns as JSON values."""

SIZES = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a signal says now. `release` tells what would let the backfill go on.

    `unseen` says what it could not see, and why: it then says go for that part.
    """

    says: Says = "go"
    reason: str = ""
    release: str = ""
    value: float | None = None
    unseen: str = ""


GO = Reading()


@dataclass(frozen=True)
class Signal:
    """One signal: a frozen dataclass whose fields are its options, with their defaults.

    Its docstring is its documentation. `asking` gives a query for one row, and `judge`, a pure
    function, says what that means; all queries that are due travel in one round trip.
    """

    name: ClassVar[str]
    default: ClassVar[bool] = True
    """True when it is looked at unless the user leaves it out."""

    every_s: ClassVar[float] = 2.0
    """Seconds for which a reading holds."""

    between: ClassVar[bool] = True
    """False when it is not read between batches: see its documentation."""

    unread: ClassVar[Says] = "go"
    """What is done when it cannot be read."""

    def asking(self, spec: Spec) -> sql.Composable | None:
        """A query of at most one row; None when it is asked on its own, by `ask`."""
        return None

    def ask(self, conn: psycopg.Connection[Any], spec: Spec) -> Found | None:
        """Read it alone: outside a transaction, on the lane's connection."""
        query = self.asking(spec)
        if query is None:
            return None
        found = conn.execute(ONE.format(ms=sql.Literal(str(READ_MS)), query=query))
        found.nextset()
        row = found.fetchone()
        return row[0] if row else None

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        """What a row means. `before` is the one read last; `held` that it says stop until now."""
        raise TypeError(f"{type(self).__name__} is not read between batches")


READ_MS = 2_000  # a look at the server's own views that takes longer is given up
ONE = sql.SQL(
    "SELECT set_config('statement_timeout', {ms}, true); SELECT to_jsonb(q) FROM ({query}) AS q"
)


def against(
    value: float,
    slow: float | None,
    stop: float | None,
    *,
    held: bool,
    what: str,
    shown: Callable[[float], str],
) -> Reading:
    """A value against two bounds. What says stop goes on saying so until it is below `slow` too."""
    reason = f"{what} is {shown(value)}"
    bound = stop if not held or slow is None or stop is None else min(slow, stop)
    if bound is not None and stop is not None and value >= bound:
        reason += f" (stop at {shown(stop)})"
        return Reading("stop", reason, f"it is below {shown(bound if held else stop)}", value)
    if slow is not None and value >= slow:
        reason += f" (slow at {shown(slow)})"
        return Reading("slow", reason, f"it is below {shown(slow)}", value)
    return Reading(value=value)


# -- options: a field with a default, how its value is read, and what it is --------------------


def option(default: Any, read: Callable[[Any], Any], about: str) -> Any:
    """A field of a signal. `read` takes what a user wrote (text, too) or raises ValueError."""
    return field(default=default, metadata={"read": read, "about": about})


def number(value: Any) -> float:
    """A number of at least 0."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError("a number is expected") from None
    if isinstance(value, bool) or not isfinite(found) or found < 0:
        raise ValueError("a number of at least 0 is expected")
    return found


def duration(value: Any) -> float:
    """Seconds, from a number or a text such as 500ms, 5s, 2min."""
    from qb_engine.errors import InputError

    try:
        return number(seconds(value) if isinstance(value, str) else value)
    except InputError:
        raise ValueError("a length of time is expected, such as 500ms, 5s or 2min") from None


def size(value: Any) -> int:
    """Bytes, from a number or a text such as 500MB."""
    text = str(value).strip().lower()
    figures = text.rstrip("abcdefghijklmnopqrstuvwxyz").strip()
    unit = SIZES.get(text[len(figures) :].strip()) if not isinstance(value, bool) else None
    try:
        return int(number(figures) * (unit or 0)) if unit else int(number(None))
    except ValueError:
        raise ValueError("a size is expected, such as 64MB or 10GB") from None


def names(value: Any) -> tuple[str, ...]:
    """Names, from a list or a text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(each, str) for each in parts):
        raise ValueError("names are expected, such as a,b")
    return tuple(each.strip() for each in parts if each.strip())


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return value.strip()


def says(value: Any) -> Says:
    if value not in ("go", "slow", "stop"):
        raise ValueError("go, slow or stop is expected")
    return value  # type: ignore[no-any-return]


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same, or None (as text: off)."""

    def reads(value: Any) -> Any:
        return None if value in (None, "", "off", "none") else read(value)

    return reads
