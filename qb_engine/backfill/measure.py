"""how far a backfill is: one query, one value"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from qb_engine.backfill.payloads import ENDED

HALF_LIFE_S = 10.0  # of the rate: what was done this long ago counts half

QUERY = """
SELECT b.state, b.wanted, b.schema_name, b.table_name, b.rows_total, b.total_exact, b.error, b.note,
    b.task_queue, b.workflow_id, b.checksum, b.started_at, b.finished_at, b.where_sql <> '',
    coalesce(s.segments, '{}'), coalesce(w.weighted, 0), coalesce(w.batches, 0),
    coalesce(w.ms, 0), w.since, w.span
FROM qb.backfill AS b
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[number::text, pass::text, array_to_string(lo, ', '),
        array_to_string(hi, ', '), array_to_string(cursor, ', '), epoch::text, status,
        rows_done::text, rows_seen::text, rows_again::text, batches::text, worker, note]
        ORDER BY number) AS segments
    FROM qb.segment WHERE backfill = b.id
) AS s ON true
LEFT JOIN LATERAL (
    SELECT sum(rows * power(0.5::float8,
            extract(epoch FROM clock_timestamp() - at)::float8 / %(half)s::float8)) AS weighted,
        count(*) AS batches, sum(ms) AS ms,
        extract(epoch FROM clock_timestamp() - (min(at) - min(ms) * interval '1 ms'))::float8
            AS since,
        extract(epoch FROM max(at) - (min(at) - min(ms) * interval '1 ms'))::float8 AS span
    FROM qb.batch WHERE backfill = b.id
) AS w ON true
WHERE b.id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class SegmentProgress:
    """One key range: keys as text, an open end as None."""

    number: int
    sweep: int
    lo: str | None
    hi: str | None
    cursor: str | None
    epoch: int
    status: str
    rows_done: int
    rows_seen: int
    rows_again: int
    batches: int
    worker: str
    note: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A backfill at one moment. `rate` is in rows per second, `eta` in seconds or None."""

    id: str
    state: str
    rows_done: int
    rows_total: int
    rate: float
    eta: float | None
    table: str
    exact: bool = False
    wanted: str = "run"
    batches: int = 0
    segments: tuple[SegmentProgress, ...] = ()
    error: str = ""
    note: str = ""
    task_queue: str = ""
    workflow: str = ""
    checksum: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def fraction(self) -> float:
        """The share that is done, 0 to 1."""
        if self.state == "completed":
            return 1.0
        return min(1.0, self.rows_done / self.rows_total) if self.rows_total else 0.0


def progress(conn: psycopg.Connection[Any], backfill: str) -> Progress | None:
    """How far a backfill is, from the ledger alone; None when it was never started."""
    found = conn.execute(QUERY, {"id": backfill, "half": HALF_LIFE_S}).fetchone()
    if found is None:
        return None
    (
        state, wanted, schema, table, total, exact, error, note, queue, workflow, checksum,
        started, finished, _where, rows, weighted, batches, _ms, since, span,
    ) = found  # fmt: skip
    segments = tuple(_segment(row) for row in rows)
    done = sum(segment.rows_done for segment in segments)
    ended = state in ENDED
    rate = done / span if ended and span else rate_of(float(weighted), since or 0.0)
    if state == "completed":
        total, exact = done, True
    total = max(total or 0, done)  # an estimate is not held against what was counted
    return Progress(
        backfill, state, done, total, rate, eta(state, total - done, rate), f"{schema}.{table}",
        exact, wanted, batches, segments, error, note, queue, workflow, checksum, started, finished,
    )  # fmt: skip


def rate_of(weighted: float, since: float) -> float:
    """Rows per second, exponentially weighted (half-life 10 s).

    `weighted` is the sum of rows, each halved for every half-life of its age; `since` the seconds
    since the first one began. A steady rate gives itself, from the first second on.
    """
    if since <= 0 or weighted <= 0:
        return 0.0
    decay = math.log(2) / HALF_LIFE_S
    return weighted * decay / (1.0 - math.exp(-decay * since))


def eta(state: str, left: int, rate: float) -> float | None:
    """Seconds until the rows that are left are done; None when nothing moves or nobody knows."""
    if state not in ("running", "verifying") or rate < 0.5:
        return None
    return round(left / rate, 1)


def _segment(row: list[str | None]) -> SegmentProgress:
    number, sweep, lo, hi, cursor, epoch, status, done, seen, again, batches, worker, note = row
    return SegmentProgress(
        int(number or 0), int(sweep or 0), lo, hi, cursor, int(epoch or 0), status or "",
        int(done or 0), int(seen or 0), int(again or 0), int(batches or 0), worker or "",
        note or "",
    )  # fmt: skip
