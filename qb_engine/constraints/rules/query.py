"""a query that must return no row, or one value"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.adapt import PyFormat, Transformer

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.reading import Reader, only_reads
from qb_engine.constraints.rules.rule import Described, Observed, Verdict
from qb_engine.sql import Statement


@dataclass(frozen=True, slots=True)
class NoRow(Described):
    """A query that returns what should not be."""

    query: Statement

    def describe(self) -> str:
        return self.query.first_line

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        found = read.first(self.query.sql)
        return Verdict(
            not found.rows,
            found.count,
            "no row",
            "mend the migration, or the rows that are shown, or the rule",
            found.lines,
        )


@dataclass(frozen=True, slots=True)
class Equals(Described):
    """A query that returns one value, and the value that it must be.

    PostgreSQL compares them, as the type of the query's column does: NULL equals NULL.
    """

    query: Statement
    value: Any

    def describe(self) -> str:
        return self.query.first_line

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        expected = "NULL" if self.value is None else str(self.value)
        fix = "mend the data, or the value that is expected"
        found = read.first(self.query.sql, 1)
        if len(found.rows) != 1 or found.more or len(found.columns) != 1:
            count = f"{found.count} of {len(found.columns)} columns"
            return Verdict(False, count, expected, "write a query of one row and one column")
        same = sql.SQL("SELECT q.v IS NOT DISTINCT FROM {} FROM (\n{}\n) AS q (v)").format(
            _literal(self.value),
            sql.SQL(self.query.sql),
        )
        ((ok,),) = read(same)
        value = found.rows[0][0]
        return Verdict(ok, "NULL" if value is None else str(value), expected, fix)


def _literal(value: Any) -> sql.Composable:
    """A value that takes the type of what it is compared with, where that is not plain."""
    if isinstance(value, dict):
        return sql.Literal(json.dumps(value))
    if isinstance(value, list | tuple):
        dumper = Transformer().get_dumper(list(value), PyFormat.TEXT)
        return sql.Literal(bytes(dumper.dump(list(value)) or b"{}").decode())
    return sql.Literal(value)


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> NoRow | Equals:
    query = only_reads(form.text(value, "the query"), form.source)
    return Equals(query, beside["equals"]) if "equals" in beside else NoRow(query)


KIND = Kind("sql", _read, {"sql": "SELECT count(*) FROM plans", "equals": 3}, ("equals",))
