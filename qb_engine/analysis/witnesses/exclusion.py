"""an EXCLUDE constraint, or a key WITHOUT OVERLAPS"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, parts
from qb_engine.analysis.witnesses.claim import Claim

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

EXCLUSIONS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       k.conname::text,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, u.at::int, false)
               FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS u(op, at) ORDER BY u.at),
       ARRAY(SELECT pg_catalog.quote_ident(o.nspname) || '.' || p.oprname
               FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS u(op, at)
               JOIN pg_catalog.pg_operator p ON p.oid = u.op
               JOIN pg_catalog.pg_namespace o ON o.oid = p.oprnamespace ORDER BY u.at),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid)
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = wanted.part
  JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
 WHERE k.conexclop IS NOT NULL AND k.conparentid = 0
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    found = [k for k in changes.added_constraints if k.kind in "xpu"]
    if not found:
        return
    rows = conn.execute(EXCLUSIONS.encode(), parts((k.table, k.name) for k in found)).fetchall()
    columns = {(k.table, k.name): k.columns for k in found}
    for relation, table, name, keys, operators, condition in rows:
        named = ", ".join(f"{key} AS qb_{n}" for n, key in enumerate(keys))
        where = f" WHERE ({condition})" if condition else ""
        place = "tableoid AS qb_table, ctid AS qb_place"
        one = f"SELECT *, {place}, {named} FROM {table}{where}"
        other = f"SELECT {place}, {named} FROM {table}{where}"
        meets = " AND ".join(f"t.qb_{n} OPERATOR({op}) u.qb_{n}" for n, op in enumerate(operators))
        apart = "(u.qb_table, u.qb_place) <> (t.qb_table, t.qb_place)"
        source = f"FROM ({one}) AS t WHERE EXISTS (SELECT FROM ({other}) AS u"
        source += f" WHERE {apart} AND {meets})"
        says = f"{{are}} in the way of each other by {name}"
        yield Claim("exclusion", relation, table, says, name, columns[relation, name], source)
