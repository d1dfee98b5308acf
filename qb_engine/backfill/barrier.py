"""waiting for older writers: a row that an open transaction wrote cannot be seen until it ends

Nothing is locked and nobody is held up: those who write when the wait begins are remembered, and
the wait ends when each of their transactions has ended. Those that begin later run after the
migration, and write the new form themselves or are found by the sweep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

POLL_S = 0.1

# Transactions that write to the table or a partition of it; -1/xid is a prepared one.
WRITERS = """
SELECT virtualtransaction, min(pid)
FROM pg_locks
WHERE locktype = 'relation' AND granted AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid IS DISTINCT FROM pg_backend_pid()
    AND relation IN (
        SELECT to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
        UNION ALL
        SELECT relid
        FROM pg_partition_tree(to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))))
GROUP BY virtualtransaction
"""


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
