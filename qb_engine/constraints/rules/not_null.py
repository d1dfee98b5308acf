"""columns that hold no NULL"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.names import Columns, columns
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Described, Observed, Verdict

# The primary key's columns of a table, so that a row can be told from another.
KEY = """
SELECT a.attname::text
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = pg_catalog.to_regclass(%s) AND i.indisprimary
 ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum)
"""


@dataclass(frozen=True, slots=True)
class NotNull(Described):
    """No row has a NULL in one of the columns."""

    columns: Columns

    def describe(self) -> str:
        return f"no NULL in {self.columns}"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        key = [name for (name,) in read(KEY, [str(self.columns.table)])]
        shown = [*key, *(name for name in self.columns.names if name not in key)]
        # what SET NOT NULL asks: a composite value of NULLs is no NULL
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(map(sql.Identifier, shown)),
            self.columns.table.identifier,
            self.columns.each("{} IS NOT DISTINCT FROM NULL", " OR "),
        )
        found = read.first(query)
        fix = f"UPDATE {self.columns.table} where it is NULL, in the migration or a backfill"
        return Verdict(not found.rows, found.count, "no row", fix, found.lines)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> NotNull:
    return NotNull(columns(value, form))


KIND = Kind("not_null", _read, {"not_null": "users.email"})
