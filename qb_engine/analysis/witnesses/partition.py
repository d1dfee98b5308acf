"""a table that becomes a partition, and the DEFAULT partition whose rows belong to a new one"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qb_engine.analysis.named import WANTED, wanted
from qb_engine.analysis.witnesses.claim import Claim
from qb_engine.sql import literal

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

# these partitions with the condition of their rows, their parent, and its DEFAULT partition
PARTITIONS = f"""
SELECT wanted.name, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       pg_catalog.pg_get_partition_constraintdef(c.oid), h.inhparent::bigint,
       pn.nspname || '.' || p.relname,
       pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname),
       dn.nspname || '.' || d.relname,
       pg_catalog.quote_ident(dn.nspname) || '.' || pg_catalog.quote_ident(d.relname)
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid
  JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
  JOIN pg_catalog.pg_partitioned_table t ON t.partrelid = p.oid
  LEFT JOIN pg_catalog.pg_class d ON d.oid = t.partdefid AND d.oid <> c.oid
  LEFT JOIN pg_catalog.pg_namespace dn ON dn.oid = d.relnamespace
 WHERE c.relispartition
"""


def read(conn: Connection, changes: Changes, statement: Statement) -> Iterator[Claim]:
    attached = {change.before for change in changes.attached}
    names = [*attached, *changes.created]
    if not names:
        return
    for row in conn.execute(PARTITIONS.encode(), wanted(names)).fetchall():
        relation, table, condition, oid, parent, of, default, default_table = row
        if condition is None:  # the only partition of its parent takes every row
            continue
        # a hash partition's condition names its parent by a number of this server's
        condition = condition.replace(f"'{oid}'::oid", f"{literal(of)}::pg_catalog.regclass")
        if relation in attached:
            says = f"{{do}} not belong to {relation} as a partition of {parent}: {condition}"
            source = f"FROM {table} WHERE NOT ({condition})"
            yield Claim("partition", relation, table, says, source=source, needs=(parent,))
        if default is not None:
            says = f"{{belong}} to {relation}, the new partition of {parent}: {condition}"
            source = f"FROM {default_table} WHERE {condition}"
            yield Claim("default partition", default, default_table, says, source=source)
