"""a FOREIGN KEY that is added or validated"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, parts
from qb_engine.analysis.witnesses.claim import Claim

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

# foreign keys with what they compare, by the operators that the server compares with; not those
# over periods
KEYS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       k.conname::text, rn.nspname || '.' || r.relname,
       pg_catalog.quote_ident(rn.nspname) || '.' || pg_catalog.quote_ident(r.relname),
       k.confmatchtype = 'f',
       ARRAY(SELECT ARRAY[a.attname::text, pg_catalog.quote_ident(a.attname),
                          pg_catalog.quote_ident(f.attname),
                          pg_catalog.quote_ident(o.nspname) || '.' || p.oprname]
               FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey),
                               pg_catalog.unnest(k.conpfeqop))
                 WITH ORDINALITY AS u(own, other, op, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.own
               JOIN pg_catalog.pg_attribute f ON f.attrelid = r.oid AND f.attnum = u.other
               JOIN pg_catalog.pg_operator p ON p.oid = u.op
               JOIN pg_catalog.pg_namespace o ON o.oid = p.oprnamespace
              ORDER BY u.at)
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = wanted.part
  JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
  JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
 WHERE k.contype = 'f' AND k.convalidated AND k.conparentid = 0
   AND pg_catalog.pg_get_constraintdef(k.oid) !~ 'PERIOD'
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    found = [k for k in (*changes.added_constraints, *changes.validated) if k.kind == "f"]
    if not found:
        return
    rows = conn.execute(KEYS.encode(), parts((k.table, k.name) for k in found)).fetchall()
    for relation, table, name, parent, referenced, full, pairs in rows:
        same = " AND ".join(f"p.{f} OPERATOR({op}) f.{a}" for _, a, f, op in pairs)
        given = [f"f.{a} IS NOT NULL" for _, a, _, _ in pairs]
        lacks = f"NOT EXISTS (SELECT FROM {referenced} AS p WHERE {same})"
        where = f"{' AND '.join(given)} AND {lacks}"
        if full and len(pairs) > 1:
            where = f"({' OR '.join(given)}) AND (NOT ({' AND '.join(given)}) OR {lacks})"
        own = ", ".join(each for each, _, _, _ in pairs)
        says = f"{{have}} values of {own} that are not in {parent}"
        yield Claim(
            "foreign key", relation, table, says, name,
            tuple(each for each, _, _, _ in pairs), f"FROM {table} AS f WHERE {where}",
            needs=(parent,),
        )  # fmt: skip
