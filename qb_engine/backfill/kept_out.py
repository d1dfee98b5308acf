"""rows that the batches went over and did not write, because a trigger of the table kept them out

A BEFORE trigger that returns NULL leaves its row as it is, and the server counts nothing: no error,
no row. Who asks afterwards can tell such a row by its version, which is older than the first batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill.limits import reading
from qb_engine.backfill.walk import parts, statements

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Connection = psycopg.Connection[Any]

LOOK_MS = 30_000  # one look at every row; where that is not enough, nothing is said
SHOWN = 5  # keys that are named

# BEFORE UPDATE triggers for each row, ours aside: bits 1, 2 and 16.
TRIGGERS = (
    "SELECT DISTINCT tgname::text FROM "
    + parts.BELOW
    + """ AS below JOIN pg_catalog.pg_trigger ON tgrelid = below.oid
WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 19 = 19 AND tgname !~ 'qb_in_sync_'
ORDER BY 1
"""
)

# The transaction of the first batch that counts: not one before an edited declaration was accepted.
FIRST = """
SELECT b.xmin::text FROM qb.batch AS b
JOIN qb.segment AS s ON s.backfill = b.backfill AND s.number = b.segment
WHERE b.backfill = %(id)s AND s.pass >= 0 AND b.at > coalesce(
    (SELECT edited_at FROM qb.backfill WHERE id = b.backfill), '-infinity')
ORDER BY b.at LIMIT 1
"""

# Rows of the main walk that were passed and not written, those that `on_error` skipped aside.
PASSED = """
SELECT sum(rows_seen - rows_done - quarantined)::bigint - (SELECT count(*) FROM qb.quarantine
    WHERE backfill = %(id)s AND state = 'skipped')
FROM qb.segment WHERE backfill = %(id)s AND pass = 0
"""


def triggers(conn: Connection, spec: Spec) -> tuple[str, ...]:
    """The triggers of the user's that may change what is written to a row, or leave it out."""
    found = conn.execute(TRIGGERS, {"schema": spec.schema, "table": spec.table})
    return tuple(name for (name,) in found)


def told(conn: Connection, spec: Spec) -> str:
    """How many rows were left as they were, with the triggers that may be why; or empty."""
    if spec.kind not in ("set", "transform") or not (names := triggers(conn, spec)):
        return ""
    may = f"the trigger{'s' * (len(names) > 1)} {', '.join(names)} may have kept"
    if not spec.where:
        count = conn.execute(PASSED, {"id": spec.id}).fetchall()[0][0] if spec.kind == "set" else 0
        return f"{_rows(count)} passed and not written: {may} {_them(count)}" if count else ""
    first = conn.execute(FIRST, {"id": spec.id}).fetchone()
    if first is None:
        return ""
    try:
        with reading(conn, LOOK_MS):
            count, keys = conn.execute(_never_written(spec, first[0])).fetchall()[0]
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return ""
    except psycopg.errors.DataError:  # on a row that the application wrote since
        return ""
    if not count:
        return ""
    return (
        f"{_rows(count)} never written and still fulfil{'s' * (count == 1)} `where`"
        f" ({', '.join(keys)}{', ...' * (count > len(keys))}): {may} {_them(count)}"
    )


def _rows(count: int) -> str:
    return "1 row was" if count == 1 else f"{count:,} rows were"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _never_written(spec: Spec, first: str) -> sql.Composed:
    """The rows that still need it in a version from before the first batch."""
    query = sql.SQL(
        "SELECT count(*), (array_agg(key))[1:{shown}] FROM (SELECT array_to_string({key}, ', ')"
        " AS key FROM {table} WHERE {where} AND age(xmin) > age({first}::xid)"
    ).format(
        shown=sql.Literal(SHOWN),
        key=statements.key_text(spec),
        table=statements.named(spec),
        where=statements.expression(spec.where),
        first=sql.Literal(first),
    )
    if spec.kind == "set":
        query += sql.SQL(" AND ") + statements.changes(spec)
    return query + sql.SQL(") AS left_out")
