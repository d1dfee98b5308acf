"""a query that has to run, whatever it returns"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.reading import Reader, only_reads
from qb_engine.constraints.rules.rule import Described, Observed, Verdict
from qb_engine.sql import Statement


@dataclass(frozen=True, slots=True)
class Works(Described):
    """A query that fails when something is not there: a verify script of another tool, say."""

    query: Statement

    def describe(self) -> str:
        return f"works: {self.query.first_line}"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        return Verdict(True, read.first(self.query.sql).count, "an answer")


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> Works:
    return Works(only_reads(form.text(value, "the query"), form.source))


KIND = Kind("works", _read, {"works": "SELECT id, name FROM users WHERE false"})
