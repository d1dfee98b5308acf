"""who holds the lock that a snapshot waited for"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import rows

from qb_engine.errors import ServerError

# Definitions are printed under ACCESS SHARE, which only ACCESS EXCLUSIVE keeps waiting.
HOLDERS = """
SELECT n.nspname::text || '.' || c.relname::text, a.pid, a.application_name, a.usename::text,
       a.state, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::float8,
       pg_catalog.left(pg_catalog.regexp_replace(a.query, E'\\\\s+', ' ', 'g'), 80)
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
  AND l.pid <> pg_catalog.pg_backend_pid() AND c.relkind NOT IN ('i', 'I', 't')
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
ORDER BY a.xact_start, 1
LIMIT 3
"""


def locked(conn: psycopg.Connection[Any], waited_s: float) -> ServerError:
    """An error that names who holds locks that keep the schema from being read."""
    who, pid = holders(conn)
    return ServerError(
        "the schema cannot be read: a table is locked",
        where=f"database {conn.info.dbname}",
        why=who
        or f"an ACCESS EXCLUSIVE lock was held for more than {waited_s:.0f} s; "
        "its holder has ended since",
        todo="wait for that transaction, or end it"
        + (f" with SELECT pg_terminate_backend({pid})" if pid else "")
        + ", then try again",
        code="schema-busy",
    )


def holders(conn: psycopg.Connection[Any]) -> tuple[str, int | None]:
    """Who holds ACCESS EXCLUSIVE locks, a line for each, and the process of the oldest."""
    with psycopg.Cursor(conn, row_factory=rows.tuple_row) as cursor:
        found = cursor.execute(HOLDERS, prepare=False).fetchall()
    lines = [
        f"{table} is locked ACCESS EXCLUSIVE by pid {pid} ({user}, {application or 'unnamed'}), "
        f"{state} for {seconds or 0:.0f} s: {query}"
        for table, pid, application, user, state, seconds, query in found
    ]
    return "\n".join(lines), found[0][1] if found else None
