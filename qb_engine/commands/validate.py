"""`qb validate`: is the schema what the migrations say it should be?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner import Validation


@dataclass(frozen=True)
class ValidateReport(Report):
    """The differences between the expected schema and the one that is there."""

    name: ClassVar[str] = "validate"
    target: str
    validation: Validation

    @property
    def ok(self) -> bool:
        return not self.validation.differences and not self.validation.failure

    def headline(self) -> str:
        v = self.validation
        one = len(v.applied) == 1
        count = "one applied migration says" if one else f"{len(v.applied)} applied migrations say"
        if v.failure:
            return f"the applied migrations cannot be replayed: {v.failure.splitlines()[0]}"
        if v.differences:
            return f"{self.target} differs from its migrations: {len(v.differences)} found"
        return f"the schema of {self.target} is what {count}"

    def tables(self) -> Sequence[Table]:
        if not self.validation.differences:
            return ()
        columns = (Column("change"), Column("kind"), Column("what"))
        rows = tuple((d.change, d.id.kind, d.sentence()) for d in self.validation.differences)
        return (Table("differences", columns, rows),)

    def notes(self) -> Sequence[str]:
        found = self.validation.failure.splitlines()[1:]
        found += [f"the scratch database lacks: {text}" for text in self.validation.missing]
        found.append("owners and privileges are not compared")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "applied": list(self.validation.applied),
            "differences": [
                {"change": d.change, "kind": d.id.kind, "what": d.sentence()}
                for d in self.validation.differences
            ],
            "failure": self.validation.failure,
            "missing": list(self.validation.missing),
        }


@qb_command("validate", short_help="Is the schema what the migrations say?")
@click.option("--scratch", metavar="URL", help="A server to replay on, instead of the embedded.")
def command(session: Session, scratch: str | None) -> Report:
    """Replay the applied migrations on a scratch database and compare its schema with the target's.

    The replay starts from what stood in the target before its first migration. Changes nothing.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.runner import validate

    migrations = session.migrations()
    place = place_of(session, migrations, scratch=scratch)
    return ValidateReport(session.target.name, validate(place))
