"""a unique index that is built, for a constraint or on its own"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, wanted
from qb_engine.analysis.witnesses.claim import Claim

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

# the unique indexes of these names, their keys and conditions as expressions over the table's rows
INDEXES = f"""
SELECT tn.nspname || '.' || t.relname,
       pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname),
       coalesce(k.conname, c.relname)::text,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, g.n, false)
               FROM pg_catalog.generate_series(1, i.indnkeyatts) AS g(n) ORDER BY g.n),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid), i.indnullsnotdistinct
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  LEFT JOIN pg_catalog.pg_constraint k
    ON k.conrelid = t.oid AND k.conindid = c.oid AND k.contype IN ('p', 'u')
 WHERE i.indisunique AND NOT i.indisexclusion AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint x
                    WHERE x.conrelid = t.oid AND x.conindid = c.oid AND x.conexclop IS NOT NULL)
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    added = {index.name: index for index in changes.added_indexes if index.unique}
    if not added:
        return
    for relation, table, name, keys, condition, nulls in conn.execute(
        INDEXES.encode(), wanted(added)
    ).fetchall():
        columns = next(
            (i.columns for i in added.values() if i.table == relation and i.name.endswith(name)),
            (),
        )
        says = f"{{share}} the values of ({', '.join(keys)}) with other rows, of which {name} "
        says += "allows one"
        source = _source(table, keys, condition, nulls)
        yield Claim("unique", relation, table, says, name, tuple(filter(None, columns)), source)


def _source(table: str, keys: list[str], condition: str | None, nulls: bool) -> str:
    """The rows whose key other rows have, too; NULLs are equal only where `nulls` says so."""
    given = [f"({condition})"] if condition else []
    if nulls:
        by = ", ".join(keys)
        counted = f"SELECT *, pg_catalog.count(*) OVER (PARTITION BY {by}) AS qb_same"
        return f"FROM ({counted} FROM {table}{_where(given)}) AS t WHERE t.qb_same > 1"
    places = ", ".join(str(n) for n in range(1, len(keys) + 1))
    shared = f"SELECT {', '.join(keys)} FROM {table}{_where(given)}"
    shared += f" GROUP BY {places} HAVING pg_catalog.count(*) > 1"
    member = f"({', '.join(keys)}) IN ({shared})"
    return f"FROM {table}{_where([*given, member])}"


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
