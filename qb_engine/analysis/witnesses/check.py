"""a CHECK that is added or validated"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, parts
from qb_engine.analysis.witnesses.claim import Claim

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

CHECKS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       k.conname::text, pg_catalog.pg_get_expr(k.conbin, k.conrelid), k.connoinherit,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey) ORDER BY a.attnum)
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = wanted.part
 WHERE k.contype = 'c' AND k.convalidated AND k.coninhcount = 0
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    found = [k for k in (*changes.added_constraints, *changes.validated) if k.kind == "c"]
    if not found:
        return
    rows = conn.execute(CHECKS.encode(), parts((k.table, k.name) for k in found)).fetchall()
    for relation, table, name, condition, only, columns in rows:
        source = f"FROM {'ONLY ' if only else ''}{table} WHERE NOT ({condition})"
        says = f"{{break}} {name}: CHECK ({condition})"
        yield Claim("check", relation, table, says, name, tuple(columns), source)
