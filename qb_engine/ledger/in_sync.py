"""the trigger that writes what is new while a backfill runs: known here, and taken away here

Its function lives in schema qb, so a snapshot of the schema and a shadow leave it out. What makes
it is `qb_engine.backfill.sync`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

FUNCTION = "in_sync_"  # + a digest: in schema qb
TRIGGER = "qb_in_sync_"  # + the same digest

KNOWN = """
SELECT in_sync, schema_name, table_name,
    pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', schema_name, table_name)) IS NOT NULL
FROM qb.backfill WHERE id = %s AND in_sync <> ''
"""


def standing(conn: Connection, backfill: str) -> str:
    """The name of a backfill's trigger; empty when it has none."""
    row = conn.execute("SELECT pg_catalog.to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return ""
    found = conn.execute(KNOWN, [backfill]).fetchone()
    return str(found[0]) if found else ""


def drop(conn: Connection, backfill: str) -> str:
    """Take away the trigger of a backfill, in the transaction that is open or one of its own.

    Return its name, or nothing when there was none. It needs the table for a moment, alone: have a
    lock_timeout set.
    """
    if not standing(conn, backfill):
        return ""
    with conn.transaction():
        found = conn.execute(KNOWN + " FOR UPDATE", [backfill]).fetchone()
        if found is None:
            return ""
        name, schema, table, there = found
        if there:
            conn.execute(
                sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                    sql.Identifier(name), sql.Identifier(schema, table)
                )
            )
        function = FUNCTION + name[name.index(TRIGGER) + len(TRIGGER) :]
        conn.execute(sql.SQL("DROP FUNCTION IF EXISTS {}()").format(sql.Identifier("qb", function)))
        conn.execute("UPDATE qb.backfill SET in_sync = '' WHERE id = %s", [backfill])
    return str(name)
