"""SET NOT NULL, a primary key's columns, a new column that must have a value and has no default"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, parts
from qb_engine.analysis.witnesses.claim import Claim

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

# The columns of these names that must not be NULL, of tables that are not partitions of another
# one; not those whose constraint is still to be validated (PostgreSQL 18), nor those whose type
# brings a default.
COLUMNS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       a.attname::text, pg_catalog.quote_ident(a.attname), t.typdefault IS NOT NULL
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = wanted.part
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attnotnull AND a.attnum > 0 AND NOT c.relispartition AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
                      AND k.conkey = ARRAY[a.attnum])
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    wanted = {(c.table, c.name): False for c in changes.set_not_null}
    wanted |= {
        (k.table, name): False for k in changes.validated if k.kind == "n" for name in k.columns
    }
    wanted |= {
        (c.table, c.name): True
        for c in changes.added_columns
        if c.not_null and c.default is None and not c.identity and not c.generated
    }
    if not wanted:
        return
    rows = conn.execute(COLUMNS.encode(), parts(wanted)).fetchall()
    for relation, table, name, column, has_default in rows:
        if not wanted[relation, name]:
            where = f"WHERE {column} IS NULL"
            says = f"{{have}} NULL in {name}"
            yield Claim("not null", relation, table, says, "", (name,), f"FROM {table} {where}")
        elif not has_default:
            says = f"would have NULL in the new column {name}, which must not be NULL"
            yield Claim("new column", relation, table, says, "", (name,), f"FROM {table}")
