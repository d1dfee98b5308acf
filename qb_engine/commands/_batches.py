"""a backfill's batch as a statement that can be planned: its keys are taken from the statistics"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.sql import Source, Statement, read

if TYPE_CHECKING:
    from qb_engine.analysis.explain import Batches
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

# Two keys that follow on each other, out of the middle of the table, as text.
BOUNDS = """
SELECT (bounds)[at], (bounds)[at + 1], cardinality(bounds) - 1
  FROM (SELECT s.histogram_bounds::text::text[] FROM pg_catalog.pg_stats s
         WHERE s.schemaname = %(schema)s AND s.tablename = %(table)s AND s.attname = %(column)s
         ORDER BY s.inherited DESC LIMIT 1) h (bounds),
       LATERAL (SELECT greatest(cardinality(bounds) / 2, 1)) m (at)
 WHERE cardinality(bounds) > 1
"""
ROWS = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)"
INTEGERS = ("smallint", "integer", "bigint")


def batches_of(migration: LoadedMigration) -> Batches | None:
    """Composes one batch of a migration's backfill; None where it has none."""
    if migration.backfill is None:
        return None

    def compose(conn: Connection) -> tuple[Statement, ...]:
        from qb_engine.backfill import kinds
        from qb_engine.backfill.spec import describe
        from qb_engine.sql import qualified

        spec = describe(conn, migration)
        lo: list[str] = []
        hi: list[str] = []
        for place, column in enumerate(spec.key):
            named = {"schema": spec.schema, "table": spec.table, "column": column.name}
            row = conn.execute(BOUNDS, named).fetchone()
            if row is None:  # made without values, or never analysed
                return ()
            first, second, buckets = row
            if place == 0 and column.type in INTEGERS:
                count = conn.execute(ROWS, [qualified(spec.schema, spec.table)]).fetchone()
                share = spec.batch_size * buckets / max(float(count[0]) if count else 1.0, 1.0)
                second = str(int(first) + max(1, int((int(second) - int(first)) * min(share, 1))))
            lo.append(first)
            hi.append(second)
        text = kinds.of(spec).plan(spec, lo, hi).as_string(conn)
        return read(text, Source(str(migration.path / "backfill.py")))

    return compose
