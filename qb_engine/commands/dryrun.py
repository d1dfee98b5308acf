"""`qb dryrun`: run for real on the target, observed, rolled back"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._rules import rules_as_dicts, rules_table
from qb_engine.commands._steps import charts, steps_table
from qb_engine.commands._watched import as_facts, kept_waiting, waited_for
from qb_engine.commands._workload import (
    workload_facts,
    workload_notes,
    workload_of,
    workload_tables,
)
from qb_engine.report import Chart, Report, Table, format_seconds

if TYPE_CHECKING:
    from qb_engine.analysis import DryRun


@dataclass(frozen=True)
class DryRunReport(Report):
    """What each statement did before everything was rolled back."""

    name: ClassVar[str] = "dryrun"
    target: str
    dry: DryRun
    others: int = 0

    @property
    def ok(self) -> bool:
        met = all(rule.ok for rule in self.dry.rules)
        return self.dry.failure is None and self.dry.verified.ok and met

    def headline(self) -> str:
        name = self.dry.migration.id
        if self.dry.failure is not None:
            return f"{name} fails on {self.target}; everything was rolled back"
        ran = [o for o in self.dry.seen if not o.skipped]
        took = format_seconds(sum(o.seconds for o in ran))
        bad = sum(not rule.ok for rule in self.dry.rules)
        broken = f"; {bad} of {len(self.dry.rules)} rules not met" if bad else ""
        return f"{name} ran on {self.target} in {took}, and was rolled back{broken}"

    def tables(self) -> Sequence[Table]:
        steps = steps_table(self.dry.migration.id, self.dry.seen, timed=True)
        found = [steps, rules_table(self.dry.rules)] if self.dry.rules else [steps]
        seen, samples = self.dry.seen, self.dry.samples
        found += [t for t in (kept_waiting(seen, samples), waited_for(seen, samples)) if t]
        return [*found, *workload_tables(self.dry.compared)]

    def notes(self) -> Sequence[str]:
        found = []
        if self.dry.failure is not None:
            found += [self.dry.failure.where, *self.dry.failure.why.splitlines()]
        for check in self.dry.verified.checks:
            if not check.ok:
                found.append(f"{check.what}: expected {check.expected}, found {check.found}")
        for o in self.dry.seen:
            found += [f"statement {o.number}: {text}" for text in o.messages]
        found += workload_notes(self.dry.compared)
        if self.others:
            found.append(
                f"{self.others} more pending: each can be dry-run once the one before is applied"
            )
        return found

    def charts(self) -> Sequence[Chart]:
        return charts(self.dry.migration.name, self.dry.seen, self.dry.samples)

    def as_dict(self) -> dict[str, Any]:
        failure = self.dry.failure
        return {
            "target": self.target,
            "migration": self.dry.migration.id,
            "constraints_met": self.dry.verified.ok,
            "seconds": sum(o.seconds for o in self.dry.seen),
            "steps": [o.as_dict() for o in self.dry.seen],
            "rules": rules_as_dicts(self.dry.rules),
            "kept_waiting": as_facts(self.dry.samples),
            "workload": workload_facts(self.dry.compared),
            "error": failure.as_dict() if failure else None,
        }


@dataclass(frozen=True)
class DryRunsReport(Report):
    """What each of several migrations did, one on top of the other, all of it rolled back."""

    name: ClassVar[str] = "dryrun"
    target: str
    dries: tuple[DryRun, ...]

    @property
    def each(self) -> tuple[DryRunReport, ...]:
        return tuple(DryRunReport(self.target, dry) for dry in self.dries)

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.each)

    def headline(self) -> str:
        if len(self.dries) == 1 or not self.each[-1].ok:
            return self.each[-1].headline()
        return f"{len(self.dries)} migrations ran on {self.target}, and were rolled back"

    def tables(self) -> Sequence[Table]:
        return [table for one in self.each for table in one.tables()]

    def notes(self) -> Sequence[str]:
        found = [note for one in self.each for note in one.notes()]
        if len(self.dries) > 1:
            found.append("all in one transaction: what needs a commit in between is not tried")
        return found

    def charts(self) -> Sequence[Chart]:
        return [chart for one in self.each for chart in one.charts()]

    def as_dict(self) -> dict[str, Any]:
        return {"target": self.target, "migrations": [one.as_dict() for one in self.each]}


@qb_command("dryrun", short_help="Run for real on the target, observed, rolled back.")
@click.argument("migration", required=False)
@click.option("--here", is_flag=True, help="Yes, on this production target.")
@click.option("--workload", type=click.Path(), help="Queries to plan before and after, from FILE.")
def command(session: Session, migration: str | None, here: bool, workload: str | None) -> Report:
    """Run MIGRATION (default: the next pending one) in a transaction that is rolled back.

    Its locks are real while it runs; no wait is longer than the lock timeout, and nobody waits for
    it longer than max_blocked.
    """
    from qb_engine.analysis import dry_run
    from qb_engine.commands._applied import applied_here
    from qb_engine.commands._place import NothingPending, alone, next_pending, pending, place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import next_parts

    chosen = next_pending(session, migration)
    if chosen is None:
        return NothingPending(session.target.name)
    others = 0
    if not migration:
        others = max(len(pending(session)[1]) - 1, 0)
    elif applied := applied_here(session, chosen, "dry-run"):
        return applied
    with (
        session.connect(application_name="qb dry run") as conn,
        server_errors("reading the ledger", session.target),
    ):
        parts, done = next_parts(conn, chosen)
    label = f"dry run of {chosen.name}"
    total = len(chosen.up)
    with session.face.progress(label, total) as bar:
        place = place_of(
            session,
            alone(chosen),
            on_step=lambda m, step, state: bar.update(
                step.number - (state == "running"), total, step.statement.first_line[:50]
            ),
        )
        dry = dry_run(
            place,
            chosen,
            parts,
            done,
            here=here,
            workload=workload_of(session, workload, [chosen]),
        )
        return DryRunReport(session.target.name, dry, others)
