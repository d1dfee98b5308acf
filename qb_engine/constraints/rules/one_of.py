"""a column that holds none but some values"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.names import Columns, column
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict

# Whether a column's type is an enum (a domain over one, too).
ENUM = """
WITH RECURSIVE t AS (
  SELECT y.oid, y.typtype, y.typbasetype FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
   WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attname = %s AND NOT a.attisdropped
  UNION ALL
  SELECT y.oid, y.typtype, y.typbasetype FROM t
    JOIN pg_catalog.pg_type y ON y.oid = t.typbasetype)
SELECT coalesce(pg_catalog.bool_or(typtype = 'e'), false) FROM t
"""


@dataclass(frozen=True, slots=True)
class OneOf(Described):
    """Every value of a column is one of some; NULL passes, as it does in a CHECK."""

    column: Columns
    values: tuple[Any, ...]

    def describe(self) -> str:
        return f"{self.column} in {self._listed}"

    @property
    def _listed(self) -> str:
        return "(" + ", ".join("NULL" if v is None else str(v) for v in self.values) + ")"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        name = self.column.names[0]
        ((enum,),) = read(ENUM, [str(self.column.table), name])
        # an enum's value that this transaction has added cannot be named as such before its end
        value = sql.SQL("{}::text" if enum else "{}").format(sql.Identifier(name))
        query = sql.SQL(
            "SELECT {}, count(*) AS rows FROM {} WHERE {} NOT IN ({}) GROUP BY 1 ORDER BY 2 DESC, 1"
        ).format(
            value,
            self.column.table.identifier,
            value,
            sql.SQL(", ").join(sql.Literal(v) for v in self.values if v is not None),
        )
        found = read.first(query)
        count = found.count.replace("rows", "other values").replace("1 row", "1 other value")
        observed = count if found.rows else "no other value"
        fix = "map these values to known ones, or add them to the rule"
        return Verdict(not found.rows, observed, "no other value", fix, found.lines)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> OneOf:
    form.keys(value, ("column", "values"), needed=("column", "values"))
    values = value["values"]
    if not isinstance(values, list | tuple | set | frozenset) or set(values) <= {None}:
        raise form.expected("values", "a list of at least one value", values)
    return OneOf(column(value["column"], form), tuple(values))


KIND = Kind("in", _read, {"in": {"column": "orders.state", "values": ["open", "paid"]}})
