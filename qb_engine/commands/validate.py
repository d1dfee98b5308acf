"""`qb validate`: is the schema what the migrations say it should be, and do its rules hold?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._rules import rules_as_dicts, rules_table
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner import Validation
    from qb_engine.runner.validate_data import DataValidation


@dataclass(frozen=True)
class ValidateReport(Report):
    """The differences between the expected schema and the one that is there, and broken rules."""

    name: ClassVar[str] = "validate"
    target: str
    validation: Validation
    data: DataValidation | None = None

    @property
    def ok(self) -> bool:
        broken = self.data is not None and self.data.broken
        return not (self.validation.differences or self.validation.failure or broken)

    def headline(self) -> str:
        return self._schema() + (f"; {self._data(self.data)}" if self.data else "")

    def _data(self, data: DataValidation) -> str:
        asked = sum(outcome.verdict is not None for outcome in data.outcomes)
        if not asked:
            return "no rule speaks of its data"
        rules = f"{asked} rule{'s' * (asked > 1)}"
        return f"{len(data.broken)} of {rules} not met" if data.broken else f"{rules} met"

    def _schema(self) -> str:
        v = self.validation
        one = len(v.applied) == 1
        count = "one applied migration says" if one else f"{len(v.applied)} applied migrations say"
        if v.failure:
            return f"the applied migrations cannot be replayed: {v.failure.splitlines()[0]}"
        if v.differences:
            return f"{self.target} differs from its migrations: {len(v.differences)} found"
        return f"the schema of {self.target} is what {count}"

    def tables(self) -> Sequence[Table]:
        found = []
        if self.validation.differences:
            columns = (Column("change"), Column("kind"), Column("what"))
            rows = tuple((d.change, d.id.kind, d.sentence()) for d in self.validation.differences)
            found.append(Table("differences", columns, rows))
        if self.data is not None:
            found.append(rules_table(self.data.outcomes))
        return found

    def notes(self) -> Sequence[str]:
        v = self.validation
        found = v.failure.splitlines()[1:]
        found += [f"the scratch database lacks: {text}" for text in v.missing]
        found += [f"{d.sentence()} (no failure: only SELECT * sees it)" for d in v.order]
        found.append("owners and privileges are not compared")
        found += self.data.left_out if self.data else ()
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "applied": list(self.validation.applied),
            "differences": [
                {"change": d.change, "kind": d.id.kind, "what": d.sentence()}
                for d in self.validation.differences
            ],
            "column_order": [d.sentence() for d in self.validation.order],
            "failure": self.validation.failure,
            "missing": list(self.validation.missing),
            "rules": rules_as_dicts(self.data.outcomes) if self.data else None,
        }


@qb_command("validate", short_help="Is the schema what the migrations say? Do their rules hold?")
@click.option("--scratch", metavar="URL", help="A server to replay on, instead of the embedded.")
@click.option("--data", is_flag=True, help="Ask the migrations' rules on the data, too.")
def command(session: Session, scratch: str | None, data: bool) -> Report:
    """Replay the applied migrations on a scratch database and compare its schema with the target's.

    The replay starts from what stood in the target before its first migration. With --data, what
    the applied migrations expect of the data (`expect`) is asked again, in read-only transactions
    under the timeouts of qb.toml. Columns in another order are said, and are no failure: no
    migration could put them right, short of making the table anew. Changes nothing.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.runner import validate
    from qb_engine.runner.validate_data import validate_data

    migrations = session.migrations()
    place = place_of(session, migrations, scratch=scratch)
    found = validate(place)
    return ValidateReport(session.target.name, found, validate_data(place) if data else None)
