"""the past, for readers: decisions about the state, and what was seen while a run went on"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

DECISIONS = """
SELECT at, who, what, coalesce(migration, ''), run, reason, detail FROM qb.event
 WHERE %(migration)s::text IS NULL OR migration = %(migration)s
 ORDER BY id DESC
"""

SAMPLES = """
SELECT at, step, held, blocked, longest, wal_bytes FROM qb.sample WHERE run = %s ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about the state: repaired, accepted, adopted."""

    at: datetime
    who: str
    what: str
    migration: str
    run: int | None
    reason: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a run: what it held, and how many sessions it kept waiting, for how long (s).

    `at` counts seconds from the run's first statement.
    """

    at: float
    step: int
    held: dict[str, str]
    blocked: int
    longest: float
    wal_bytes: int | None


def decisions(conn: Connection, migration: str | None = None) -> tuple[Decision, ...]:
    """All decisions, or those about one migration, the newest first."""
    rows: list[tuple[Any, ...]] = conn.execute(DECISIONS, {"migration": migration}).fetchall()
    return tuple(Decision(*row) for row in rows)


def samples(conn: Connection, run: int) -> tuple[Seen, ...]:
    """What was seen of a run, in order; empty when it was too short to be looked at."""
    rows: list[tuple[Any, ...]] = conn.execute(SAMPLES, [run]).fetchall()
    return tuple(Seen(*row) for row in rows)
