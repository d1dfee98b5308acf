"""the bucket of `max_rate`: in the ledger, so that it holds for all lanes of all workers together

`due` is when the rows written so far are paid for. A batch adds its rows' share of time, and its
lane waits until then. What was left unused is kept for a moment only, so that a slow stretch is not
followed by a flood.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

KEPT_S = 1.0  # of time that was not used: a batch's own time must not be paid twice
LEAST_SHARE = 0.01  # of the keys written: a stretch in which none are says little of the next
BATCH_S = 0.25  # of the rate is what one batch may write, shared among the lanes

# The charge need not reach the disk: a crash gives back at most a batch.
CHARGE = sql.SQL(
    "SELECT set_config('synchronous_commit', 'off', true);"
    " INSERT INTO qb.rate AS r (backfill, due)"
    " VALUES ({backfill}, clock_timestamp() + {cost} * interval '1 s')"
    " ON CONFLICT (backfill) DO UPDATE SET due ="
    " greatest(r.due, clock_timestamp() - {kept} * interval '1 s') + {cost} * interval '1 s'"
    " RETURNING extract(epoch FROM due - clock_timestamp())::float8"
)
LEFT = "SELECT extract(epoch FROM due - clock_timestamp())::float8 FROM qb.rate WHERE backfill = %s"


def charge(conn: psycopg.Connection[Any], backfill: str, rows: int, rate: float) -> float:
    """Pay for rows that were written; the seconds until they are paid for."""
    cursor = conn.execute(
        CHARGE.format(
            backfill=sql.Literal(backfill),
            cost=sql.Literal(rows / rate),
            kept=sql.Literal(KEPT_S),
        )
    )
    cursor.nextset()
    due: float = cursor.fetchall()[0][0]
    return due


def left(conn: psycopg.Connection[Any], backfill: str) -> float:
    """The seconds until everything is paid for; 0 when it was emptied."""
    row = conn.execute(LEFT, [backfill]).fetchone()
    return max(0.0, row[0]) if row else 0.0


def empty(conn: psycopg.Connection[Any], backfill: str) -> None:
    """Forget what is not paid for: the rate has changed."""
    conn.execute("DELETE FROM qb.rate WHERE backfill = %s", [backfill])


def keys(rate: float, lanes: int, share: float) -> int:
    """The most keys of a batch: few enough that a lane does not wait long after it."""
    rows = rate * BATCH_S / max(1, lanes)
    return max(1, int(rows / max(share, LEAST_SHARE)))
