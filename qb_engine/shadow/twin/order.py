"""indexes in the order in which the target made them: between equal costs, the planner takes it

A dump makes them in the order of their names. Of a table where that matters, those that nothing
depends on are made anew; the tables are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.sql import qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# Per table its free indexes, in the target's order, where the order here is another one.
OTHERWISE = """
SELECT array_agg(n.nspname::text ORDER BY t.place), array_agg(c.relname::text ORDER BY t.place),
       array_agg(pg_catalog.pg_get_indexdef(c.oid) ORDER BY t.place)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN qb.twin_relation t ON t.schema = n.nspname AND t.name = c.relname
 WHERE NOT i.indisreplident
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid)
 GROUP BY i.indrelid
HAVING array_agg(c.oid ORDER BY t.place) <> array_agg(c.oid ORDER BY c.oid)
"""


def restore(base: Connection) -> None:
    """Make indexes anew where their order is not the target's."""
    for schemas, names, definitions in base.execute(OTHERWISE).fetchall():
        for schema, name in zip(schemas, names):
            base.execute(f"DROP INDEX {qualified(schema, name)}".encode())
        for definition in definitions:
            base.execute(definition.encode())
