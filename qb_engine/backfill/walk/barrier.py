"""waiting for older writers: a row that an open transaction wrote cannot be seen until it ends

Nothing is locked and nobody is held up: those who write when the wait begins are remembered, and
the wait ends when each of their transactions has ended. Those that begin later run after the
migration, and write the new form themselves or are found by the sweep.

Why the highest key that is fixed afterwards leaves no row behind that was in flight: whoever has
inserted a row holds RowExclusiveLock until its transaction ends, on the table that was named and on
the partition that took the row, a prepared transaction as well. So whoever wrote before the first
look is seen in it. A transaction gives its locks back after its rows can be seen. So once it is
missed in a later look, a statement that begins then sees what it wrote: the highest key and the
ranges, which are read after the wait, count its rows, and every batch sees them. This holds without
a sweep. What is left are rows of transactions that wrote for the first time after that look: of
keys above the highest, and, as keys need not come in order, below it as well. With `where` a sweep
finds them, with keep_in_sync a trigger fills them; with neither nothing does (Spec.unseen says so).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from qb_engine.backfill.walk.parts import BELOW

POLL_S = 0.1

# Transactions that write to the table, a partition of it or an heir; -1/xid is a prepared one.
WRITERS = (
    """
SELECT virtualtransaction, min(pid)
FROM pg_locks
WHERE locktype = 'relation' AND granted AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid IS DISTINCT FROM pg_backend_pid()
    AND relation IN (SELECT oid FROM """
    + BELOW
    + """ AS below)
GROUP BY virtualtransaction
"""
)


def writers(conn: psycopg.Connection[Any], schema: str, table: str) -> dict[str, int | None]:
    """The transactions that write to a table now, and their process ids."""
    return dict(conn.execute(WRITERS, {"schema": schema, "table": table}).fetchall())


def wait(
    conn: psycopg.Connection[Any],
    schema: str,
    table: str,
    *,
    tell: Callable[[str], None],
    go_on: Callable[[], bool],
) -> bool:
    """Wait until those who write to the table now have ended; False when `go_on` says to stop."""
    before = writers(conn, schema, table)
    told = False
    while before:
        if not go_on():
            return False
        still = writers(conn, schema, table)
        before = {name: pid for name, pid in before.items() if name in still}
        if before and not told:
            pids = ", ".join(str(pid or "prepared") for pid in before.values())
            tell(f"waiting for transactions that write to {schema}.{table}: process {pids}")
            told = True
        if before:
            time.sleep(POLL_S)
    if told:
        tell("")
    return True
