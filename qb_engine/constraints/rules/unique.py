"""columns whose values are there once"""

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


@dataclass(frozen=True, slots=True)
class Unique(Described):
    """No two rows have the same values; NULLs differ from each other unless said otherwise."""

    columns: Columns
    nulls_distinct: bool = True

    def describe(self) -> str:
        return f"{self.columns} unique" + ("" if self.nulls_distinct else ", NULL too")

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        whole = sql.SQL(" WHERE ") + self.columns.each("{} IS DISTINCT FROM NULL", " AND ")
        query = sql.SQL(
            "SELECT {}, count(*) AS rows FROM {}{} GROUP BY {} HAVING count(*) > 1"
        ).format(
            self.columns.listed,
            self.columns.table.identifier,
            whole if self.nulls_distinct else sql.SQL(""),
            self.columns.listed,
        )
        found = read.first(query)
        count = found.count.replace("rows", "values").replace("1 row", "1 value")
        observed = f"{count} more than once" if found.rows else "no value twice"
        fix = "keep one row of each, or make the values differ"
        return Verdict(not found.rows, observed, "no value twice", fix, found.lines)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> Unique:
    named = columns(value, form, "nulls_distinct")
    distinct = value.get("nulls_distinct", True) if isinstance(value, Mapping) else True
    if not isinstance(distinct, bool):
        raise form.expected("nulls_distinct", "True or False", distinct)
    return Unique(named, distinct)


KIND = Kind("unique", _read, {"unique": {"table": "users", "columns": ["tenant", "email"]}})
