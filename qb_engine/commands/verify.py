"""`qb verify`: are the constraints of a migration met by this target?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis import Verified


@dataclass(frozen=True)
class VerifyReport(Report):
    """Each constraint: what, what is expected, what was found."""

    name: ClassVar[str] = "verify"
    target: str
    verified: Verified

    @property
    def ok(self) -> bool:
        return self.verified.ok

    def headline(self) -> str:
        checks = self.verified.checks
        if not checks:
            return f"{self.verified.migration} has no constraints to verify"
        bad = sum(not check.ok for check in checks)
        if bad:
            return f"{bad} of {len(checks)} constraints of {self.verified.migration} are not met"
        return f"all {len(checks)} constraints of {self.verified.migration} are met"

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("what"), Column("expected"), Column("found"), Column("result", "check"),
        )  # fmt: skip
        rows = tuple((c.what, c.expected, c.found, c.ok) for c in self.verified.checks)
        return (Table("constraints", columns, rows, empty="none are declared"),)

    def notes(self) -> Sequence[str]:
        if self.ok:
            return ()
        return ("nothing was changed; bring the target into that state, or mend the constraints",)

    def as_dict(self) -> dict[str, object]:
        return {
            "target": self.target,
            "migration": self.verified.migration,
            "checks": [
                {"what": c.what, "expected": c.expected, "found": c.found, "ok": c.ok}
                for c in self.verified.checks
            ],
        }


@qb_command("verify", short_help="Are the constraints met by this target?")
@click.argument("migration", required=False)
def command(session: Session, migration: str | None) -> Report:
    """Compare the constraints of MIGRATION (default: the next pending one) with the target.

    MIGRATION is an id, a name, a unique part of one, or the path of a .sql file. Changes nothing.
    """
    from qb_engine.analysis import verify
    from qb_engine.commands._place import NothingPending, next_pending
    from qb_engine.database.connect import server_errors

    chosen = next_pending(session, migration)
    if chosen is None:
        return NothingPending(session.target.name)
    with (
        session.connect(application_name="qb verify") as conn,
        server_errors("verifying", session.target),
    ):
        return VerifyReport(session.target.name, verify(conn, chosen))
