"""the columns of a table as a DataFrame has them: which types are read as what

| PostgreSQL | in the DataFrame | dtype |
|---|---|---|
| smallint, integer, bigint | int, or pd.NA | int64 when NOT NULL, else Int64 |
| boolean | bool, or pd.NA | bool when NOT NULL, else boolean |
| real, double precision | float, NaN for NULL | float64 |
| timestamp with time zone | UTC, NaT for NULL | datetime64[us, UTC] |
| timestamp | NaT for NULL | datetime64[us] |
| numeric | decimal.Decimal, or None | object |
| date, time, uuid, bytea | date, time, UUID, bytes, or None | object |
| json, jsonb | what json.loads makes of it, or None | object |
| text, varchar, char | str, or None | object |
| arrays of these (timestamps and json excepted) | list, or None | object |
| everything else: enum, interval, inet, range, composite ... | str as the server writes it, or None | object |

An infinite timestamp or date, and one past the year 9999 as a date, has no value in Python: such a
row fails, unless `columns` leaves the column out. What is missing (None, NaN, NaT, pd.NA) is
written as NULL, and so is a NaN that a number has.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

# A column, and the type below its domain: the name where it is the server's own, of an array that
# of its elements; the types as SQL writes them, with and without a length.
COLUMNS = """
WITH RECURSIVE below AS (
    SELECT attnum, atttypid AS type FROM pg_attribute
    WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT attnum, typbasetype FROM below JOIN pg_type ON oid = type WHERE typtype = 'd')
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1),
    CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END,
    CASE WHEN e.typnamespace = 'pg_catalog'::regnamespace THEN e.typname ELSE '' END,
    t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A',
    a.attgenerated <> '' OR a.attidentity = 'a', a.attnotnull
FROM pg_attribute AS a
JOIN below USING (attnum)
JOIN pg_type AS t ON t.oid = below.type AND t.typtype <> 'd'
LEFT JOIN pg_type AS e ON e.oid = t.typelem
WHERE a.attrelid = %(table)s::regclass
ORDER BY a.attnum
"""

TEXTS = {"text", "varchar", "bpchar", "name"}
PLAIN = {
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "date", "time", "uuid", "bytea",
    "timestamp", "timestamptz",
}  # fmt: skip
READ_BY_SERVER = ("numeric", "json", "array", "other")  # sent as a text
IN_ARRAYS = TEXTS | PLAIN - {"timestamp", "timestamptz"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its form: a type's name in PLAIN, `text`, `json`, `array`, or `other`.

    `type` is its type as SQL, `bare` without a length, `fixed` True when it cannot be set,
    `filled` when it is NOT NULL.
    """

    name: str
    type: str
    bare: str
    form: str
    element: str = ""
    fixed: bool = False
    filled: bool = False

    @property
    def read(self) -> sql.Composable:
        """The expression that reads it."""
        name = sql.Identifier(self.name)
        if self.form == "other":
            return sql.SQL("{}::text").format(name)
        if self.form == "array" and self.element not in IN_ARRAYS:
            return sql.SQL("{}::text[]").format(name)
        return name

    @property
    def carried(self) -> str:
        """The type by which its values travel back: its own, or text where the server reads it."""
        return "text" if self.form in ("text", *READ_BY_SERVER) else self.form

    def written(self, value: sql.Composable) -> sql.Composable:
        """What is set, from a value that travelled: a length is checked, never cut to."""
        if self.form in READ_BY_SERVER:
            return sql.SQL("CAST({} AS {})").format(value, sql.SQL(self.bare))
        return value


def columns(conn: psycopg.Connection[Any], spec: Spec) -> dict[str, Column]:
    """The columns of the table by their names, as they are now; with the place of a row, ctid."""
    name = sql.Identifier(spec.schema, spec.table).as_string(None)
    found = {"ctid": Column("ctid", "tid", "tid", "other", fixed=True)}
    for column, kind, bare, base, element, array, *more in conn.execute(COLUMNS, {"table": name}):
        found[column] = Column(column, kind, bare, _form(base, array), element or "", *more)
    return found


def _form(base: str, array: bool) -> str:
    if array:
        return "array"
    if base in TEXTS:
        return "text"
    if base in ("json", "jsonb"):
        return "json"
    return base if base in PLAIN else "other"
