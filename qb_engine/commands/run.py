"""`qb run`: apply what is pending"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import charts, steps_table
from qb_engine.report import Chart, Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner import Ran


@dataclass(frozen=True)
class RunReport(Report):
    """Each migration that ran, how it ended, and what each statement did."""

    name: ClassVar[str] = "run"
    target: str
    ran: tuple[Ran, ...]

    @property
    def ok(self) -> bool:
        return all(r.status != "not met" for r in self.ran)

    def headline(self) -> str:
        if not self.ran:
            return f"nothing is pending on {self.target}"
        bad = [r for r in self.ran if r.status == "not met"]
        if bad:
            return f"{bad[0].migration} was not run: its constraints are not met"
        done = [r for r in self.ran if r.seen or r.seconds]
        if not done:
            return f"{self.ran[0].migration} waits for its backfill: qb backfill start"
        word = "migration" if len(done) == 1 else "migrations"
        return f"{len(done)} {word} applied on {self.target}"

    def tables(self) -> Sequence[Table]:
        rows = tuple(
            (r.migration, r.status, len(r.seen), r.seconds if r.seen else None, r.note)
            for r in self.ran
        )
        columns = (
            Column("migration"), Column("status"), Column("statements", "count"),
            Column("time", "seconds"), Column("note"),
        )  # fmt: skip
        found = [Table("migrations", columns, rows, empty="nothing was pending")]
        for r in self.ran:
            if r.seen:
                found.append(steps_table(r.migration, r.seen, timed=True))
        return found

    def notes(self) -> Sequence[str]:
        found = []
        for r in self.ran:
            for check in r.verified.checks if r.verified and not r.verified.ok else ():
                if not check.ok:
                    found.append(f"{check.what}: expected {check.expected}, found {check.found}")
            for o in r.seen:
                found += [f"statement {o.number}: {text}" for text in o.messages]
        return found

    def charts(self) -> Sequence[Chart]:
        return [c for r in self.ran if r.seen for c in charts(r.migration, r.seen)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migrations": [
                {
                    "migration": r.migration,
                    "status": r.status,
                    "seconds": r.seconds,
                    "steps": [o.as_dict() for o in r.seen],
                    "not_met": [
                        {"what": c.what, "expected": c.expected, "found": c.found}
                        for c in (r.verified.checks if r.verified else ())
                        if not c.ok
                    ],
                }
                for r in self.ran
            ],
        }


@qb_command("run", short_help="Apply what is pending, and record it.")
@click.argument("migration", required=False)
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
@click.option(
    "--cut-off",
    type=click.Choice(["ask", "redo", "skip"]),
    default="ask",
    help="A statement outside a transaction that was cut off: run it again, or take it as done.",
)
@click.option("--no-verify", is_flag=True, help="Do not look at the constraints first.")
def command(
    session: Session, migration: str | None, confirm: str | None, cut_off: str, no_verify: bool
) -> Report:
    """Apply every pending migration in order (or only MIGRATION), each in its own transaction."""
    from qb_engine.commands._place import place_of
    from qb_engine.runner import Request, run

    session.guard_production("running migrations", confirm)
    migrations = session.migrations()
    only = migrations.find(migration).id if migration else None
    request = Request(only=only, verify_first=not no_verify, cut_off=cut_off)
    with session.face.progress("running", None) as bar:
        place = place_of(
            session,
            migrations,
            on_step=lambda m, step, state: bar.update(
                step.number - (state == "running"),
                max(step.number, sum(len(p.up) for p in m.before_backfill())),
                f"{m.name}: {step.statement.first_line[:50]}",
            ),
        )
        return RunReport(session.target.name, run(place, request))
