"""what stands around the rows that a backfill writes: triggers, indexes, policies, subscribers"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

Connection = psycopg.Connection[Any]

# A partitioned table has no bytes of its own.
TABLE = """
SELECT coalesce((SELECT sum(pg_catalog.pg_table_size(t.relid))
        FROM pg_catalog.pg_partition_tree(c.oid) AS t WHERE t.isleaf),
        pg_catalog.pg_table_size(c.oid))::bigint,
    coalesce((SELECT sum(m.reltuples) FROM pg_catalog.pg_partition_tree(c.oid) AS t
        JOIN pg_catalog.pg_class AS m ON m.oid = t.relid WHERE t.isleaf AND m.reltuples > 0),
        c.reltuples)::float8,
    coalesce((SELECT option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions)
        WHERE option_name = 'fillfactor'), 100),
    c.relrowsecurity, pg_catalog.row_security_active(c.oid), c.relreplident::text
FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(%(table)s)
"""

# Triggers that fire on an update: bit 16, and `UPDATE OF` where it names what is written. Bit 1
# says for each row. Foreign keys and the like are the server's own.
TRIGGERS = """
SELECT t.tgname::text, t.tgtype & 1 = 1, t.tgtype & 2 = 2
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace AND n.nspname <> 'qb'
WHERE t.tgrelid = pg_catalog.to_regclass(%(table)s) AND NOT t.tgisinternal
    AND t.tgenabled NOT IN ('D', 'R') AND t.tgtype & %(event)s <> 0
    AND (%(written)s::text[] = '{}' OR t.tgattr = '' OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[])
            AND a.attname::text = ANY (%(written)s)))
ORDER BY t.tgname
"""

# Indexes that hold what is written, in a column, an expression or a predicate.
INDEXES = """
SELECT DISTINCT i.indexrelid::regclass::text
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::regclass
    AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    AND d.refobjid = i.indrelid AND d.refobjsubid > 0
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam AND m.amname <> 'brin'
WHERE i.indrelid = pg_catalog.to_regclass(%(table)s) AND a.attname::text = ANY (%(written)s)
ORDER BY 1
"""

PUBLICATIONS = """
SELECT DISTINCT p.pubname::text FROM pg_catalog.pg_publication_tables AS t
JOIN pg_catalog.pg_publication AS p ON p.pubname = t.pubname
WHERE t.schemaname = %(schema)s AND t.tablename = %(name)s
    AND CASE %(event)s WHEN 16 THEN p.pubupdate WHEN 8 THEN p.pubdelete ELSE p.pubinsert END
ORDER BY 1
"""

SLOTS = """
SELECT slot_name::text || CASE WHEN active THEN '' ELSE ' (nobody reads it)' END
FROM pg_catalog.pg_replication_slots
WHERE slot_type = 'logical' AND database = pg_catalog.current_database() ORDER BY 1
"""

REPLICAS = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication"

IDENTITY = {"d": "the primary key", "n": "nothing", "f": "the whole row", "i": "an index"}
UPDATE, DELETE, INSERT = 16, 8, 4
VERBS = {"update": UPDATE, "delete": DELETE, "insert": INSERT}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of the user's that fires; `calls` is how often, as far as known."""

    name: str
    each_row: bool
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a write of these rows sets off. `bytes` is the table without its indexes."""

    bytes: int
    rows_known: float
    fillfactor: int
    triggers: tuple[Trigger, ...]
    indexes: tuple[str, ...]  # that hold what is written
    policies: bool  # row level security is on
    hidden: bool  # and hides rows from this role
    publications: tuple[str, ...]
    slots: tuple[str, ...]
    replicas: int
    identity: str

    @property
    def row_bytes(self) -> float:
        return self.bytes / self.rows_known if self.rows_known > 0 else 100.0


def surroundings(conn: Connection, spec: Spec, verb: str = "update") -> Surroundings:
    """Look around, in the catalog alone."""
    given = {
        "table": sql.Identifier(spec.schema, spec.table).as_string(conn),
        "schema": spec.schema,
        "name": spec.table,
        "written": [column.name for column in spec.set],
        "event": VERBS[verb],
    }
    size, rows, fill, policies, hidden, identity = conn.execute(TABLE, given).fetchall()[0]
    return Surroundings(
        size,
        rows,
        fill,
        tuple(Trigger(name, row) for name, row, _ in conn.execute(TRIGGERS, given).fetchall()),
        _names(conn, INDEXES, given) if verb == "update" else (),
        policies,
        hidden,
        _names(conn, PUBLICATIONS, given),
        _names(conn, SLOTS, given),
        conn.execute(REPLICAS).fetchall()[0][0],
        IDENTITY[identity],
    )


def _names(conn: Connection, query: str, given: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for (name,) in conn.execute(query.encode(), given).fetchall())
