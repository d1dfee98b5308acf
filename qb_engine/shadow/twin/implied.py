"""statistics that an UPDATE implies for columns that are new: of a constant, of another column"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psycopg

from qb_engine.shadow.twin import statistics

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

COLUMN = """
SELECT c.oid, a.attnum, n.nspname::text, c.relname::text, a.attname::text, a.attlen,
       pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnum > t.columns
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = %s
  JOIN qb.twin_relation t ON t.oid = c.oid
 WHERE c.oid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
CLEAR = """
SELECT pg_catalog.pg_clear_attribute_stats(%s, %s, %s, inherited)
  FROM (VALUES (true), (false)) AS v (inherited)
"""
SETTLED = "INSERT INTO qb.twin_implied VALUES (%s, %s) ON CONFLICT DO NOTHING"
COPY = """
INSERT INTO qb.twin_column
SELECT schema, name, kind, %(column)s, %(attnum)s, inherited, null_frac,
       CASE WHEN %(length)s > 0 THEN %(length)s ELSE avg_width END, n_distinct, most_common_vals,
       most_common_freqs, histogram_bounds, correlation, most_common_elems,
       most_common_elem_freqs, elem_count_histogram, range_length_histogram, range_empty_frac,
       range_bounds_histogram, k.oid
  FROM qb.twin_column k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.oid
       AND a.attnum = k.attnum
 WHERE k.oid = %(oid)s AND a.attname = %(source)s AND NOT a.attisdropped
"""
GIVE = """
SELECT pg_catalog.pg_restore_attribute_stats(
       'schemaname', %s::text, 'relname', %s::text, 'attname', %s::text,
       'inherited', relkind = 'p', 'null_frac', 0::real, 'avg_width', %s::integer,
       'n_distinct', 1::real, 'most_common_vals', %s::text, 'most_common_freqs', '{1}'::real[],
       'correlation', 1::real)
  FROM pg_catalog.pg_class WHERE oid = %s
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A column of a table (as SQL) that an UPDATE fills, and what with.

    `text` is the constant as SQL, the name of the other column, or nothing.
    """

    table: str
    column: str
    kind: Literal["constant", "column", "computed"]
    text: str = ""


def imply(conn: Connection, given: Assignment) -> str:
    """Give a column the statistics that an assignment to every row implies; say which."""
    row = conn.execute(COLUMN, [given.column, given.table]).fetchone()
    if row is None:
        return ""
    oid, attnum, schema, table, column, length, kind, new = row
    name = f"{schema}.{table}.{column}"
    if not new:
        return f"{name}: planned with the statistics of its old values"
    conn.execute(CLEAR, [schema, table, column])
    conn.execute(SETTLED, [oid, attnum])
    if given.kind == "constant":
        try:
            value = conn.execute(f"SELECT ARRAY[({given.text})::{kind}]::text".encode()).fetchone()
        except psycopg.Error:
            value = None
        if value:
            width = length if length > 0 else max(1, len(value[0].encode()) - 1)
            conn.execute(GIVE, [schema, table, column, width, value[0], oid])
            return f"{name}: statistics as of one value in every row, as it is filled"
    if given.kind == "column":
        facts = {"oid": oid, "attnum": attnum, "column": column, "length": length}
        if conn.execute(COPY, {**facts, "source": given.text}).rowcount:
            if statistics.give(conn, [oid]):
                return f"{name}: statistics of {given.text} as far as its type takes them"
            return f"{name}: statistics of {given.text}, which it is filled from"
    return f"{name}: no statistics: what it is filled with is computed"
