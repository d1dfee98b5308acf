"""the rows of tables as one number per column, to see what a way back did not bring back"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

COLUMNS = """
SELECT n.nspname::text, c.relname::text,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'qb')
   AND (c.relkind <> 'm' OR c.relispopulated)
 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Content:
    """A table's rows: how many, and for each column how many values and a hash of all of them."""

    rows: int
    columns: Mapping[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Loss:
    """What is not as it was: rows of a table, or the values of one column of it."""

    table: str
    column: str
    what: str


def contents(conn: Connection) -> dict[str, Content]:
    """The rows of every table, whatever their order."""
    found = {}
    for schema, table, columns in conn.execute(COLUMNS).fetchall():
        hashes = [
            sql.SQL("count({c}), coalesce(sum(hashtextextended({c}::text, 0)::numeric), 0)").format(
                c=sql.Identifier(column)
            )
            for column in columns
        ]
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join([sql.SQL("count(*)"), *hashes]), sql.Identifier(schema, table)
        )
        row = conn.execute(query).fetchone()
        assert row is not None
        pairs = list(zip(row[1::2], row[2::2]))
        found[f"{schema}.{table}"] = Content(
            int(row[0]), {c: (int(n), str(h)) for c, (n, h) in zip(columns, pairs)}
        )
    return found


def losses(before: Mapping[str, Content], after: Mapping[str, Content]) -> Iterable[Loss]:
    """What the rows afterwards lack, or have otherwise; pure."""
    for table, was in before.items():
        now = after.get(table)
        if now is None:
            yield Loss(table, "", f"all {was.rows:,} rows")
            continue
        if now.rows != was.rows:
            word = "fewer" if now.rows < was.rows else "more"
            yield Loss(table, "", f"{abs(now.rows - was.rows):,} rows {word}")
        for column, (count, digest) in was.columns.items():
            if column not in now.columns:
                yield Loss(table, column, f"{count:,} values")
            elif now.columns[column] != (count, digest):
                left = now.columns[column][0]
                text = f"{count - left:,} of {count:,} values" if left < count else "other values"
                yield Loss(table, column, text)
