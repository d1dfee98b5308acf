"""values that are there in another table"""

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
class References(Described):
    """Every row points to a row that is there; one with a NULL points nowhere, and passes."""

    columns: Columns
    to: Columns

    def describe(self) -> str:
        return f"{self.columns} references {self.to}"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        pairs = sql.SQL(" AND ").join(
            sql.SQL("there.{} = here.{}").format(sql.Identifier(there), sql.Identifier(here))
            for here, there in zip(self.columns.names, self.to.names)
        )
        query = sql.SQL(
            "SELECT {}, count(*) AS rows FROM {} AS here WHERE {}"
            " AND NOT EXISTS (SELECT FROM {} AS there WHERE {}) GROUP BY {} ORDER BY {}"
        ).format(
            self.columns.listed,
            self.columns.table.identifier,
            self.columns.each("here.{} IS DISTINCT FROM NULL", " AND "),
            self.to.table.identifier,
            pairs,
            self.columns.listed,
            self.columns.listed,
        )
        found = read.first(query)
        count = found.count.replace("rows", "values").replace("1 row", "1 value")
        observed = f"{count} without a row there" if found.rows else "all are there"
        fix = f"add the rows to {self.to.table}, or mend those of {self.columns.table}"
        return Verdict(not found.rows, observed, "all are there", fix, found.lines)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> References:
    form.keys(value, ("column", "table", "columns", "to"), needed=("to",))
    own = {key: each for key, each in value.items() if key != "to"}
    if "column" in own:
        form.keys(own, ("column",))
    here = columns(own.get("column", own), form)
    there = columns(value["to"], form)
    if len(here.names) != len(there.names):
        raise form.wrong(
            f"{here} cannot reference {there}", "both sides have the same number of columns"
        )
    return References(here, there)


KIND = Kind("references", _read, {"references": {"column": "orders.user_id", "to": "users.id"}})
