"""what a backfill took in all: read once, when it has ended or somebody asks for the whole"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

POINTS = 200  # as many as a chart can show

# The WAL of a batch is the whole server's, that of batches beside it too: of each counts the share
# of its time in which no earlier one ran.
TOTALS = """
WITH spans AS (
    SELECT rows, seen, attempts, waited_ms, ms, lag_s, worker, wal_bytes, at,
        max(at) OVER (ORDER BY at - ms * interval '1 ms', segment, number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM qb.batch WHERE backfill = %s
), shared AS (
    SELECT rows, seen, attempts, waited_ms, ms, lag_s, worker,
        wal_bytes * CASE WHEN before IS NULL OR ms <= 0 THEN 1 ELSE least(1.0, greatest(0.0,
            extract(epoch FROM at - before)::float8 * 1000 / ms)) END AS wal
    FROM spans
)
SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(seen), 0)::bigint,
    coalesce(sum(wal), 0)::bigint, coalesce(sum(attempts - 1), 0)::bigint,
    (coalesce(sum(waited_ms), 0) / 1000)::float8, percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
    max(ms), max(lag_s), count(DISTINCT worker) FILTER (WHERE worker <> '')
FROM shared
"""

# Per signal once for every lane that it held: lanes that stood still together count together, so
# the time is that of the clock where the spans of one signal touch.
HELD = """
WITH spans AS (
    SELECT signal, reason, since, coalesce(until, clock_timestamp()) AS until,
        max(coalesce(until, clock_timestamp())) OVER (PARTITION BY signal ORDER BY since, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM qb.hold WHERE backfill = %s AND says <> 'unread'
), fresh AS (
    SELECT signal, reason, since, extract(epoch FROM
        greatest(until - greatest(since, coalesce(before, since)), interval '0'))::float8 AS s
    FROM spans
)
SELECT signal, count(*), sum(s)::float8, (array_agg(reason ORDER BY since DESC))[1]
FROM fresh GROUP BY signal ORDER BY 3 DESC
"""

# Rows written until then, by equal stretches of time: as many rows of the answer as a chart needs.
CURVE = """
WITH ends AS (
    SELECT min(at - ms * interval '1 ms') AS first, max(at) AS last
    FROM qb.batch WHERE backfill = %(id)s
), sliced AS (
    SELECT width_bucket(extract(epoch FROM at - first)::float8, 0,
            extract(epoch FROM last - first)::float8 + 0.001, %(points)s) AS slice,
        max(extract(epoch FROM at - first))::float8 AS x, sum(rows) AS rows
    FROM qb.batch, ends WHERE backfill = %(id)s GROUP BY 1
)
SELECT x, (sum(rows) OVER (ORDER BY slice))::float8 FROM sliced ORDER BY slice
"""

BATCHES = """
SELECT at, segment, number, array_to_string(lo, ', '), array_to_string(hi, ', '), rows, seen,
    ms, size, attempts, waited_ms, held_by, wal_bytes, lag_s, worker
FROM qb.batch WHERE backfill = %s ORDER BY at DESC, segment DESC, number DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class HeldBy:
    """How often and how long one signal held a backfill up, in seconds, and what it said last."""

    signal: str
    times: int
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Totals:
    """All batches taken together. `wal_bytes` is what the whole server wrote while they ran."""

    batches: int
    rows: int
    keys: int
    wal_bytes: int
    retries: int
    waited_s: float
    median_ms: float | None
    longest_ms: float | None
    lag_s: float | None
    workers: int
    held: tuple[HeldBy, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One committed batch, as the ledger has it; keys as text."""

    at: datetime
    segment: int
    number: int
    lo: str | None
    hi: str | None
    rows: int
    seen: int
    ms: float
    size: int | None
    attempts: int
    waited_ms: float
    held_by: str
    wal_bytes: int | None
    lag_s: float | None
    worker: str


def totals(conn: psycopg.Connection[Any], backfill: str) -> Totals:
    """What was written, waited for and tried again."""
    row = conn.execute(TOTALS, [backfill]).fetchall()[0]
    held = tuple(HeldBy(*each) for each in conn.execute(HELD, [backfill]))
    return replace(Totals(*row), held=held)


def curve(conn: psycopg.Connection[Any], backfill: str) -> tuple[tuple[float, float], ...]:
    """Rows over seconds; at most some two hundred points."""
    points = conn.execute(CURVE, {"id": backfill, "points": POINTS}).fetchall()
    return ((0.0, 0.0), *((round(x, 3), y) for x, y in points)) if points else ()


def batches(
    conn: psycopg.Connection[Any], backfill: str, last: int | None = None
) -> Sequence[BatchRow]:
    """The batches, the newest first: all of them, or the last few."""
    return [BatchRow(*row) for row in conn.execute(BATCHES, [backfill, last])]
