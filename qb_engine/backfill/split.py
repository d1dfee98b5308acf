"""where the key ranges of a backfill begin and end"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from qb_engine.backfill import statements
from qb_engine.backfill.records import Range
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.statements import Key

RANGES_PER_LANE = 4  # a lane that is done early takes a range that is still open
EXACT_ROWS = 5_000_000  # up to this many keys are counted through: some seconds
SMALL = 4  # batches; a table of fewer is one range

# The rows of a table and its partitions as the planner knows them; null when never analyzed.
ESTIMATE = """
SELECT sum(reltuples) FILTER (WHERE reltuples >= 0)::bigint,
    bool_or(reltuples < 0 AND relkind = 'r'),
    sum(pg_relation_size(oid))::bigint
FROM pg_class
WHERE relkind = 'r' AND oid IN (
    SELECT to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
    UNION ALL
    SELECT relid
    FROM pg_partition_tree(to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text)))
)
"""

# The planner's sample of the key's first column: equally many rows lie between its values.
HISTOGRAM = """
SELECT histogram_bounds::text::text[] FROM pg_stats
WHERE schemaname = %s AND tablename = %s AND attname = %s
"""

BYTES_PER_ROW = 100  # a guess for a table that was never analyzed


def estimate(conn: psycopg.Connection[Any], spec: Spec) -> int:
    """How many rows the table has, as far as the catalog knows."""
    row = conn.execute(ESTIMATE, {"schema": spec.schema, "table": spec.table}).fetchone()
    known, unknown, size = row or (None, True, 0)
    return int((size or 0) // BYTES_PER_ROW if unknown else known or 0)


def how_many(rows: int, batch_size: int, parallel: int) -> int:
    """Into how many ranges a table is split."""
    if parallel == 1 or rows <= batch_size * SMALL:
        return 1
    return max(1, min(parallel * RANGES_PER_LANE, rows // batch_size))


def ranges(conn: psycopg.Connection[Any], spec: Spec, rows: int) -> list[Range]:
    """The key ranges of a table, from its first row to the one that is the last one now.

    From the planner's histogram, which costs nothing; counted off in the index of a table without
    one, when it is not large; else one range. None for an empty table.
    """
    found = conn.execute(statements.highest(spec)).fetchone()
    if found is None:
        return []
    upper: Key = found[0]
    ends: list[Key] = [*_inner(conn, spec, rows, found[0]), upper]
    return [Range(lo, hi) for lo, hi in zip([None, *ends[:-1]], ends)]


def _inner(
    conn: psycopg.Connection[Any], spec: Spec, rows: int, upper: Sequence[str]
) -> list[Sequence[str]]:
    wanted = how_many(rows, spec.batch_size, spec.parallel)
    if wanted == 1:
        return []
    inner = _sampled(conn, spec, upper, wanted)
    if not inner and rows <= EXACT_ROWS:
        inner = _counted(conn, spec, upper, wanted)
    return inner


def _counted(
    conn: psycopg.Connection[Any], spec: Spec, upper: Sequence[str], wanted: int
) -> list[Sequence[str]]:
    """Every nth key, from an index-only scan; the server compares and orders."""
    query = sql.SQL(
        "WITH keys AS MATERIALIZED"
        " (SELECT {names}, row_number() OVER (ORDER BY {names}) AS qb_place FROM {table}"
        " WHERE {range}),"
        " share AS (SELECT greatest(1, ceil(max(qb_place) / {wanted}::numeric)::bigint) AS size"
        " FROM keys)"
        " SELECT {key} FROM keys, share"
        " WHERE mod(qb_place, size) = 0 AND qb_place < (SELECT max(qb_place) FROM keys)"
        " ORDER BY qb_place"
    ).format(
        names=statements.key_order(spec),
        table=statements.table(spec),
        range=statements.within(spec, None, upper),
        wanted=sql.Literal(wanted),
        key=statements.key_text(spec),
    )
    return [row[0] for row in conn.execute(query)]


def _sampled(
    conn: psycopg.Connection[Any], spec: Spec, upper: Sequence[str], wanted: int
) -> list[Sequence[str]]:
    """Real keys next to the values of the histogram: two milliseconds on a table of any size."""
    first = spec.key[0]
    row = conn.execute(HISTOGRAM, [spec.schema, spec.table, first.name]).fetchone()
    values = picked(row[0] or [] if row else [], wanted)
    found: list[Sequence[str]] = []
    for value in values:
        query = sql.SQL("SELECT {} FROM {} WHERE {} >= {}::{} AND {} ORDER BY {} LIMIT 1").format(
            statements.key_text(spec),
            statements.table(spec),
            sql.Identifier(first.name),
            sql.Literal(value),
            sql.SQL(first.type),
            statements.within(spec, None, upper),
            statements.key_order(spec),
        )
        key = conn.execute(query).fetchone()
        if key and key[0] not in ([*found, list(upper)]):
            found.append(key[0])
    return found


def picked(values: Sequence[str], wanted: int) -> list[str]:
    """`wanted - 1` values of a histogram that cut it into parts of about the same size."""
    if len(values) < 3:
        return []
    places = {round(i * (len(values) - 1) / wanted) for i in range(1, wanted)}
    return [values[place] for place in sorted(places) if 0 < place < len(values) - 1]
