"""`qb plan`: the steps that would run, with the locks they were seen to take"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._findings import blocked_bars, counted, findings_table
from qb_engine.commands._steps import steps_table
from qb_engine.errors import InputError
from qb_engine.report import Bars, Chart, Report, Table
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.analysis import PlannedMigration
    from qb_engine.analysis.hazards import Finding
    from qb_engine.migrations import LoadedMigration

SHOWN_S = 0.01  # a bar for less tells nothing
WIDTH = 120  # of what a backfill does, in a note
README_LINES = 5  # of a migration's README.md in a note


@dataclass(frozen=True)
class PlanReport(Report):
    """The plan of one or more migrations, seen on an empty shadow of the target."""

    name: ClassVar[str] = "plan"
    target: str
    planned: tuple[PlannedMigration, ...]
    missing: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    kept: str = ""  # the file that holds it

    @property
    def ok(self) -> bool:
        return not any(p.error or any(map(_fails, p.findings)) for p in self.planned)

    def headline(self) -> str:
        if not self.planned:
            return f"nothing is pending on {self.target}"
        steps = sum(len(p.seen) for p in self.planned)
        text = f"{_count(steps, 'step')} in {_count(len(self.planned), 'migration')} would run"
        if not self.ok:
            return f"{text}, and one fails"
        hazards = counted([f for p in self.planned for f in p.findings])
        return f"{text} on {self.target}" + (f": {hazards}" if hazards else "")

    def tables(self) -> Sequence[Table]:
        found = []
        for p in self.planned:
            found.append(steps_table(p.migration.id, p.seen, timed=False, examined=p.examined))
            if p.findings:
                found.append(findings_table(p.findings, f"{p.migration.id}: what may go wrong"))
        return found

    def charts(self) -> Sequence[Chart]:
        found: list[Chart] = []
        for p in self.planned:
            labels, seconds = blocked_bars(p.examined)
            if any(second >= SHOWN_S for second in seconds):
                title = f"{p.migration.name}: how long others may wait, at most"
                found.append(Bars(title, labels, seconds))
        return found

    def notes(self) -> Sequence[str]:
        found = [f"{p.migration.id}: {p.error}" for p in self.planned if p.error]
        for p in self.planned:
            found += [
                f"{p.migration.id}: {part.file} was {part.recorded}"
                for part in p.migration.parts
                if part.recorded
            ]
            if p.migration.readme:
                found.append(f"{p.migration.id}: {_cut(p.migration.readme)}")
            if p.migration.backfill is not None:
                from qb_engine.migrations.filling import words

                found.append(f"{p.migration.id}: a backfill {_line(words(p.migration.backfill))}")
        found += [f"{name} waits for its backfill" for name in self.waiting]
        found += [f"the shadow lacks: {text}" for text in self.missing]
        if self.planned:
            found.append("seen on an empty copy of the schema; the target was only read")
        if self.kept:
            found.append(f"kept in {self.kept}; it runs with: qb run --plan-file {self.kept}")
        return found

    def as_dict(self) -> dict[str, Any]:
        steps = []
        for p in self.planned:
            for each in p.examined:
                hazards = [f.as_dict() for f in p.findings if f.number == each.number]
                steps.append({"migration": p.migration.id, **each.as_dict(), "hazards": hazards})
        return {
            "target": self.target,
            "migrations": [p.migration.id for p in self.planned],
            "readme": {
                p.migration.id: p.migration.readme for p in self.planned if p.migration.readme
            },
            "steps": steps,
            "missing": list(self.missing),
        }


def _fails(finding: Finding) -> bool:
    """True for what the rows of the target are known to break."""
    known = finding.hazard == "data-violates-constraint" and finding.severity == "error"
    return known and not finding.accepted


def _line(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _cut(text: str) -> str:
    """The first lines of a README that say something."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    more = ["..."] if len(lines) > README_LINES else []
    return "\n".join([*lines[:README_LINES], *more])


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@qb_command("plan", short_help="The steps that would run, with their locks.")
@click.argument("migration", required=False)
@click.option("--scratch", metavar="URL", help="A server for the shadow, instead of the embedded.")
@click.option("--out", type=click.Path(), help="Keep the plan in a file, for qb run --plan-file.")
def command(
    session: Session, migration: str | None, scratch: str | None, out: str | None
) -> Report:
    """Show what would run: MIGRATION (id, name, part, or a .sql file), or all that is pending.

    The statements run on an empty copy of the target's schema; the target is only read.
    """
    from qb_engine.analysis import plan
    from qb_engine.commands._applied import applied_here
    from qb_engine.commands._place import alone, going_on, pending, place_of

    waiting: tuple[str, ...] = ()
    if migration:
        chosen = session.migration(migration, allow_path=True)
        if applied := applied_here(session, chosen, "plan", unwritten=out or ""):
            return applied
        todo: tuple[LoadedMigration, ...] = (chosen,)
        migrations = alone(chosen)
    else:
        migrations, todo, waiting = pending(session)
    planned: tuple[PlannedMigration, ...] = ()
    missing: tuple[str, ...] = ()
    if todo:
        place = place_of(session, migrations, scratch=scratch)
        planned, missing = plan(place, todo, going_on=going_on(session, todo))
    report = PlanReport(session.target.name, planned, missing, waiting)
    if out is not None:
        _keep(session, report, Path(out))
        return replace(report, kept=out)
    return report


def _keep(session: Session, report: PlanReport, path: Path) -> None:
    """Write the plan to a file, bound to the target's schema as it is now."""
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import agreed
    from qb_engine.schema import snapshot

    with (
        session.connect(application_name="qb plan") as conn,
        server_errors("reading the schema", session.target),
    ):
        fingerprint = snapshot(conn).fingerprint
    found = report.as_dict()
    text = agreed.written(
        report.target, fingerprint, [p.migration for p in report.planned], found["steps"]
    )
    try:
        path.write_text(mask(text), encoding="utf-8")
    except OSError as error:
        raise InputError(
            "the plan cannot be written",
            where=str(path),
            why=error.strerror or str(error),
            todo="name a file in a folder that exists and has room",
            code="bad-option",
        ) from None
