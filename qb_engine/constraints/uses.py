"""asking PostgreSQL which tables and columns a statement uses"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg

from qb_engine.database.connect import lost, server_error

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement


class Use(NamedTuple):
    """A table, or a column of it."""

    schema: str
    table: str
    column: str | None = None


# A function with its body as statements depends on every column that they read or write.
FUNCTION = "CREATE FUNCTION pg_temp.qb_uses() RETURNS void BEGIN ATOMIC\n{}\n; END"
DEPENDENCIES = """
SELECT DISTINCT n.nspname::text, c.relname::text, a.attname::text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a
       ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.objid = 'pg_temp.qb_uses()'::pg_catalog.regprocedure
ORDER BY 1, 2, 3
"""


def uses(conn: Connection, statement: Statement) -> tuple[Use, ...] | None:
    """The tables and columns that an INSERT, UPDATE, DELETE, MERGE or SELECT uses.

    `conn` is to a database where a function may be made, and is left as it was: a scratch, not a
    target. None when PostgreSQL cannot tell, as for statements that no function body takes.
    """
    if not statement.is_dml:
        return None
    try:
        with conn.transaction(force_rollback=True):
            # one statement, as the parser has found, so nothing can follow it in the body
            conn.execute(FUNCTION.format(statement.sql).encode())
            rows = conn.execute(DEPENDENCIES).fetchall()
    except psycopg.Error as error:
        if lost(error):
            raise server_error("asking which columns a statement uses", error) from error
        return None
    return tuple(Use(*row) for row in rows)
