"""`qb verify`: are the constraints of a migration met by this target?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._rules import limits, rules_as_dicts, rules_table
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis import Verified


@dataclass(frozen=True)
class VerifyReport(Report):
    """Each constraint and each rule for before: what, what is expected, what was found."""

    name: ClassVar[str] = "verify"
    target: str
    verified: Verified
    begun: bool = False  # some of it has run: its constraints were for the target before that

    @property
    def ok(self) -> bool:
        return self.verified.ok

    def headline(self) -> str:
        checks, rules = self.verified.checks, self.verified.rules
        name = self.verified.migration
        if not checks and not rules and self.begun:
            return f"some of {name} has run: there is nothing left to verify"
        if not checks and not rules:
            return f"{name} has no constraints to verify"
        bad = sum(not c.ok for c in checks) + sum(not rule.ok for rule in rules)
        what = f"{len(checks)} constraints"
        if rules:
            what += f" and {len(rules)} rule{'s' * (len(rules) > 1)}"
        return f"{bad} of {what} of {name} are not met" if bad else f"all {what} of {name} are met"

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("what"), Column("expected"), Column("found"), Column("result", "check"),
        )  # fmt: skip
        rows = tuple((c.what, c.expected, c.found, c.ok) for c in self.verified.checks)
        none = "none are compared any more" if self.begun else "none are declared"
        found = [Table("constraints", columns, rows, empty=none)]
        if self.verified.rules:
            found.append(rules_table(self.verified.rules))
        return found

    def notes(self) -> Sequence[str]:
        found: tuple[str, ...] = ()
        if self.begun:
            found = (
                "its constraints were for the target before it, and some of it has run: "
                f"qb status {self.verified.migration}",
            )
        if self.ok:
            return found
        return (
            *found,
            "nothing was changed; bring the target into that state, or mend the constraints",
            "more: qb error constraints-not-met",
        )

    def as_dict(self) -> dict[str, object]:
        return {
            "target": self.target,
            "migration": self.verified.migration,
            "checks": [
                {"what": c.what, "expected": c.expected, "found": c.found, "ok": c.ok}
                for c in self.verified.checks
            ],
            "rules": rules_as_dicts(self.verified.rules),
        }


@qb_command("verify", short_help="Are the constraints met by this target?")
@click.argument("migration", required=False)
def command(session: Session, migration: str | None) -> Report:
    """Compare the constraints of MIGRATION (default: the next pending one) with the target.

    Its rules for before are asked, too (`"when": "before"` in `expect`).

    MIGRATION is an id, a name, a unique part of one, or the path of a .sql file. Changes nothing.
    """
    from qb_engine.analysis import verify
    from qb_engine.commands._applied import applied_here
    from qb_engine.commands._place import NothingPending, begun, next_pending
    from qb_engine.constraints.rules import rules_of
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import next_parts

    chosen = next_pending(session, migration)
    if chosen is None:
        return NothingPending(session.target.name)
    if migration and (applied := applied_here(session, chosen, "verify")):
        return applied
    with (
        session.connect(application_name="qb verify") as conn,
        server_errors("verifying", session.target),
    ):
        parts, done = next_parts(conn, chosen)
        rules = rules_of(chosen, session.project.root, parts)
        some = begun(chosen, parts, done)
        asked = replace(chosen, constraints={}) if some else chosen
        found = verify(conn, asked, rules=rules, limits=limits(session.project))
        return VerifyReport(session.target.name, found, some)
