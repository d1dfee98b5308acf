"""`qb rehearse`: a migration on a shadow with sampled rows, up, down and up again"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import charts, steps_table
from qb_engine.report import Chart, Column, Report, Table, format_seconds

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.rehearsal import Rehearsal, Stage

DIFFERENCES = 20  # that are listed; the JSON has all


@dataclass(frozen=True)
class RehearsalReport(Report):
    """What was seen while a migration went up, down and up again."""

    name: ClassVar[str] = "rehearse"
    target: str
    found: Rehearsal
    recorded: str = ""  # why it was not written into the ledger; empty when it was

    @property
    def ok(self) -> bool:
        return self.found.ok

    def headline(self) -> str:
        name = self.found.migration.id
        failed = self.found.failed
        if failed is not None:
            return f"{name} does not go through: {failed.name} fails"
        if self.found.irreversible:
            return f"{name} goes up; there is no way back"
        if not self.found.ok:
            return f"{name} goes up and down, but its way back leaves another schema"
        lost = "; what it loses is listed" if self.found.losses else ""
        return f"{name} goes up, down and up again{lost}"

    def tables(self) -> Sequence[Table]:
        found = [_stages(self.found)]
        for stage in self.found.stages:
            for ran in stage.ran:
                if ran.seen and not (stage.name == "up again" and stage.ok):
                    found.append(
                        steps_table(f"{stage.name}: {ran.migration}", ran.seen, timed=True)
                    )
        if self.found.left or self.found.again:
            found.append(_differences(self.found))
        if self.found.losses:
            found.append(_losses(self.found))
        return found

    def notes(self) -> Sequence[str]:
        found = []
        for stage in self.found.stages:
            if stage.error is not None:
                found += [f"{stage.name}: {stage.error.what}", *stage.error.why.splitlines()]
            if stage.progress is not None and stage.progress.error:
                found.append(f"{stage.name}: {stage.progress.error}")
            for ran in stage.ran:
                checks = ran.verified.checks if ran.verified else ()
                found += [
                    f"{stage.name}: {c.what}: expected {c.expected}, found {c.found}"
                    for c in checks
                    if not c.ok
                ]
        if self._transformed:
            found.append("transform was called with these rows: what it does elsewhere was done")
        if self.found.irreversible:
            found.append(f"no way back: {self.found.irreversible}")
        found += [f"the shadow lacks: {text}" for text in self.found.missing]
        found += [f"not sampled: {text}" for text in self.found.sampled.missing]
        if rows := sum(self.found.sampled.rows.values()):
            tables = len(self.found.sampled.rows)
            word = "table" if tables == 1 else "tables"
            found.append(
                f"{rows:,} rows of {tables} {word} were copied from the target for it, and are gone"
            )
        if self.recorded:
            found.append(self.recorded)
        return found

    @property
    def _transformed(self) -> bool:
        """Whether the user's Python computed rows, and may have spoken to others."""
        declared = self.found.migration.backfill
        filled = [stage.progress for stage in self.found.stages if stage.progress is not None]
        return bool(declared and declared.transform and any(each.batches for each in filled))

    def charts(self) -> Sequence[Chart]:
        up = [o for stage in self.found.stages[:1] for ran in stage.ran for o in ran.seen]
        return charts(self.found.migration.name, up)

    def as_dict(self) -> dict[str, Any]:
        found = self.found
        return {
            "target": self.target,
            "migration": found.migration.id,
            "reversible": found.reversible,
            "irreversible": found.irreversible,
            "stages": [
                {
                    "name": stage.name,
                    "ok": stage.ok,
                    "seconds": stage.seconds,
                    "steps": [o.as_dict() for ran in stage.ran for o in ran.seen],
                    "backfill": _filled(stage),
                    "error": stage.error.as_dict() if stage.error else None,
                }
                for stage in found.stages
            ],
            "left": [each.sentence() for each in found.left],
            "again": [each.sentence() for each in found.again],
            "losses": [
                {"table": each.table, "column": each.column or None, "what": each.what}
                for each in found.losses
            ],
            "sampled": found.sampled.rows,
            "missing": [*found.missing, *found.sampled.missing],
            "recorded": not self.recorded,
        }


def _stages(found: Rehearsal) -> Table:
    columns = (
        Column("stage"), Column("went through", "check"), Column("statements", "count"),
        Column("time", "seconds"), Column("what it came to"),
    )  # fmt: skip
    rows = []
    for stage in found.stages:
        steps = [o for ran in stage.ran for o in ran.seen]
        rows.append((stage.name, stage.ok, len(steps), stage.seconds, _came_to(stage, found)))
    return Table("rehearsal", columns, tuple(rows))


def _came_to(stage: Stage, found: Rehearsal) -> str:
    if stage.error is not None:
        return stage.error.what
    if stage.progress is not None:
        return f"{stage.progress.state}, {stage.progress.rows_done:,} rows written"
    if stage.name == "down":
        return _same(len(found.left), "as it was")
    if stage.name == "up again" and not found.migration.backfill:
        return _same(len(found.again), "as the first time")
    return ", ".join(ran.status for ran in stage.ran) or "-"


def _same(count: int, what: str) -> str:
    if not count:
        return f"the schema is {what}"
    return f"{count} difference{'s' if count > 1 else ''}: not {what}"


def _filled(stage: Stage) -> dict[str, Any] | None:
    if stage.progress is None:
        return None
    return {"state": stage.progress.state, "rows": stage.progress.rows_done}


def _differences(found: Rehearsal) -> Table:
    rows = [("after up and down", each.sentence()) for each in found.left]
    rows += [("after up again", each.sentence()) for each in found.again]
    return Table(
        "what is not the same", (Column("when"), Column("what")), tuple(rows[:DIFFERENCES])
    )


def _losses(found: Rehearsal) -> Table:
    columns = (Column("table"), Column("column"), Column("not kept by up and down"))
    rows = [(each.table, each.column or "-", each.what) for each in found.losses]
    return Table("data that the way back does not bring back", columns, tuple(rows))


@qb_command("rehearse", short_help="Up, backfill, down, up again, on a shadow with some rows.")
@click.argument("migration", required=False)
@click.option("--rows", type=click.IntRange(0), default=1_000, show_default=True,
              help="How many rows of each table are copied.")  # fmt: skip
@click.option("--sample", type=click.FloatRange(0, 100), metavar="PERCENT",
              help="Copy this share of each table instead.")  # fmt: skip
@click.option("--full", metavar="COPY",
              help="On all rows of a restored copy, an alias or URL; it is changed.")  # fmt: skip
@click.option("--scratch", metavar="URL", help="A server for the shadow, instead of the embedded.")
def command(
    session: Session,
    migration: str | None,
    rows: int,
    sample: float | None,
    full: str | None,
    scratch: str | None,
) -> Report:
    """Run MIGRATION (default: the next pending one) where nothing can go wrong, and back.

    On an empty copy of the target's schema with some of its rows, those that they reference with
    them: up, the backfill, down, and up again. That the way back works is seen, not believed, and
    written into the target's ledger. The `transform` of a backfill is called with these rows, so
    what it does elsewhere is done.
    """
    from qb_engine.commands._place import NothingPending, alone, next_pending, place_of
    from qb_engine.rehearsal import rehearse

    chosen = next_pending(session, migration)
    if chosen is None:
        return NothingPending(session.target.name)
    copy = _copy(session, full) if full else None
    with session.face.progress(f"rehearsing {chosen.name}", None):
        place = place_of(session, alone(chosen), scratch=scratch)
        found = rehearse(place, chosen, rows=rows, percent=sample, copy=copy)
    recorded = _record(session, found) if found.ok else "not recorded: it did not go through"
    return RehearsalReport(session.target.name, found, recorded)


def _copy(session: Session, name: str) -> Target:
    """The restored copy, which must be another database than the target, and not production."""
    from qb_engine.database import resolve
    from qb_engine.errors import RefusedError

    target = resolve(session.project, name)
    same = target.display == session.target.display
    if target.production or same:
        raise RefusedError(
            f"{target.name} is {'the target itself' if same else 'a production target'}",
            where=target.display,
            why="a rehearsal runs the migration there for real, up, down and up again",
            todo="name a restored copy, or rehearse on sampled rows: leave --full out",
            code="production-guard",
        )
    return target


def _record(session: Session, found: Rehearsal) -> str:
    """Write the rehearsal into the target's ledger; why not, when that cannot be."""
    import psycopg

    from qb_engine.errors import QbError
    from qb_engine.rehearsal import keep

    seconds = sum(stage.seconds for stage in found.stages)
    detail = {
        "reversible": found.reversible,
        "irreversible": found.irreversible,
        "rows": sum(found.sampled.rows.values()),
        "took": format_seconds(seconds),
        "losses": [f"{each.table}.{each.column}: {each.what}" for each in found.losses],
    }
    try:
        conn = session.connect(application_name="qb rehearse")
        try:
            keep(conn, session.target, found.migration, detail)
        finally:
            conn.close()
    except (QbError, psycopg.Error) as error:
        text = error.what if isinstance(error, QbError) else str(error)
        return f"not recorded in the target's ledger: {text}"
    return ""
