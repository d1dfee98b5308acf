"""pausing, resuming, cancelling and tuning in the ledger: for commands, and for the workflow"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import psycopg

from qb_engine.backfill import records
from qb_engine.backfill.driving.payloads import ENDED
from qb_engine.backfill.limits import limit
from qb_engine.backfill.throttle import tuning
from qb_engine.errors import InputError, RefusedError

SETTLE_MS = 5_000  # how long a pause waits for the batches in flight

UPDATE = "the update `tune` of the workflow"
TUNED = ("max_rate", "parallel", "target_ms", "batch_size", "window")

Connection = psycopg.Connection[Any]


def obey(conn: Connection, backfill: str, wanted: str, changes: Mapping[str, Any]) -> str:
    """Write an order down; return the state that follows. Raise RefusedError when it cannot be."""
    row = records.read(conn, backfill)
    if row is None or (row.state in ENDED and wanted != "cancel"):
        raise RefusedError(
            f"the backfill of {backfill} is {row.state if row else 'gone'}",
            why="only one that has not ended can be told what to do",
            todo="go on with it: qb backfill start",
            code="backfill-state",
        )
    if wanted == "pause":
        halt(conn, backfill, "pause")
    elif wanted == "cancel" and row.state not in ENDED:
        halt(conn, backfill, "cancel")
    elif wanted == "resume":
        resume(conn, row)
    elif wanted == "tune":
        tuning.tune(conn, backfill, _read(changes))
    now = records.read(conn, backfill)
    return now.state if now else "cancelled"


def _read(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as somebody wrote them, by the names of `qb backfill tune`'s options."""
    unknown = [name for name in changes if name not in TUNED]
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is nothing that can be tuned",
            where=UPDATE,
            why=f"known are {', '.join(TUNED)}",
            todo="mend the name",
            code="bad-option",
        )
    return tuning.changes(**changes, where=UPDATE)


def halt(conn: Connection, backfill: str, wanted: Literal["pause", "cancel"]) -> bool:
    """Have no further batch begin, and wait a little for those in flight; whether they ended."""
    records.want(conn, backfill, wanted)
    return settled(conn, backfill, "paused" if wanted == "pause" else "cancelled")


def resume(conn: Connection, row: records.Row) -> None:
    """Have the batches go on."""
    with conn.transaction():
        records.want(conn, row.spec.id, "run")
        if row.state == "paused":
            records.move(conn, row.spec.id, "running" if row.frozen else "pending")


def settled(conn: Connection, backfill: str, state: records.State) -> bool:
    """Wait for the batches in flight, then write the state down; False when they take too long."""
    try:
        with conn.transaction():
            limit(conn, SETTLE_MS)
            conn.execute(
                "SELECT FROM qb.segment WHERE backfill = %s ORDER BY number FOR UPDATE", [backfill]
            )
            now = records.read(conn, backfill, lock=True)
            ends_failed = state == "cancelled" and now is not None and now.state == "failed"
            if now and (now.state not in ENDED or ends_failed):  # one that failed meanwhile stays
                records.move(conn, backfill, state)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
