"""statistics that follow from what a column is filled with: a constant, another column, nothing"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.shadow.twin import statistics
from qb_engine.sql.tree import only, pb

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

COLUMN = """
SELECT c.oid, a.attnum, n.nspname::text, c.relname::text, a.attname::text, a.attlen,
       a.attnum > t.columns
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
FORGET = "DELETE FROM qb.twin_column WHERE oid = %s AND attnum = %s"
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
# The same for all rows, and for those of a parent's children together.
WRITE = """
INSERT INTO qb.twin_column (schema, name, kind, attname, attnum, inherited, null_frac, avg_width,
                            n_distinct, most_common_vals, most_common_freqs, correlation, oid)
SELECT n.nspname, c.relname, c.relkind, a.attname, a.attnum, v.inherited, %(nulls)s,
       CASE WHEN a.attlen > 0 THEN a.attlen ELSE %(width)s END, %(distinct)s,
       ARRAY[%(value)s::text]::text, CASE WHEN %(value)s::text IS NOT NULL THEN '{1}'::real[] END,
       %(correlation)s, c.oid
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = %(attnum)s,
       (VALUES (true), (false)) AS v (inherited)
 WHERE c.oid = %(oid)s
   AND CASE WHEN v.inherited THEN c.relkind = 'p' OR c.relhassubclass ELSE c.relkind <> 'p' END
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A column of a table (as SQL) that an UPDATE fills, and what with.

    `text` is the constant's value, or the name of the other column.
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
    oid, attnum, schema, table, column, length, new = row
    name = f"{schema}.{table}.{column}"
    if not new:
        return f"{name}: planned with the statistics of its old values"
    conn.execute(CLEAR, [schema, table, column])
    conn.execute(FORGET, [oid, attnum])
    conn.execute(SETTLED, [oid, attnum])
    if given.kind == "constant":
        same(conn, oid, attnum, given.text)
        if not statistics.give(conn, [oid]):
            return f"{name}: statistics as of one value in every row, as it is filled"
    if given.kind == "column":
        facts = {"oid": oid, "attnum": attnum, "column": column, "length": length}
        if conn.execute(COPY, {**facts, "source": given.text}).rowcount:
            if statistics.give(conn, [oid]):
                return f"{name}: statistics of {given.text} as far as its type takes them"
            return f"{name}: statistics of {given.text}, which it is filled from"
    return f"{name}: no statistics: what it is filled with is computed"


def same(conn: Connection, oid: int, attnum: int, value: str) -> None:
    """Note that a column has this value in every row."""
    facts = {"nulls": 0.0, "width": len(value.encode()) + 1, "distinct": 1.0, "value": value}
    conn.execute(WRITE, {**facts, "correlation": 1.0, "oid": oid, "attnum": attnum})


def empty(conn: Connection, oid: int, attnum: int) -> None:
    """Note that a column is NULL in every row."""
    facts = {"nulls": 1.0, "width": 0, "distinct": 0.0, "value": None, "correlation": None}
    conn.execute(WRITE, {**facts, "oid": oid, "attnum": attnum})


def numbered(conn: Connection, oid: int, attnum: int) -> None:
    """Note that a column has a number of its own in each row, in the rows' order."""
    facts = {"nulls": 0.0, "width": 8, "distinct": -1.0, "value": None, "correlation": 1.0}
    conn.execute(WRITE, {**facts, "oid": oid, "attnum": attnum})


def constant(node: Any) -> str | None:
    """The value of a constant as text, casts left out; None for NULL and what is none."""
    value = only(node)
    while isinstance(value, pb.TypeCast):
        value = only(value.arg)
    if not isinstance(value, pb.A_Const) or value.isnull:
        return None
    kind = value.WhichOneof("val")
    if kind == "sval":
        return str(value.sval.sval)
    if kind == "fval":
        return str(value.fval.fval)
    if kind == "boolval":
        return "true" if value.boolval.boolval else "false"
    return str(value.ival.ival) if kind == "ival" else None
