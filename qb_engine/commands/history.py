"""`qb history`: what ran on this target, and how"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.ledger import Run, StepRow


@dataclass(frozen=True)
class HistoryReport(Report):
    """Every run, the newest first; of one migration with its statements."""

    name: ClassVar[str] = "history"
    target: str
    runs: tuple[Run, ...]
    steps: tuple[StepRow, ...] = ()

    def headline(self) -> str:
        word = "run" if len(self.runs) == 1 else "runs"
        return f"{self.target}: {len(self.runs)} {word} recorded"

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("run", "count"), Column("migration"), Column("direction"), Column("status"),
            Column("who"), Column("started", "time"), Column("time", "seconds"), Column("error"),
        )  # fmt: skip
        rows = tuple(
            (r.run, r.migration, r.direction, r.status, r.who, r.started_at, r.seconds,
             r.error or None)
            for r in self.runs
        )  # fmt: skip
        found = [Table("runs", columns, rows, empty="nothing ran here yet")]
        if self.steps:
            found.append(self._statements())
        return found

    def _statements(self) -> Table:
        columns = (
            Column("#", "count"), Column("statement", "code"), Column("status"),
            Column("time", "seconds"), Column("rows", "count"), Column("WAL", "bytes"),
            Column("tries", "count"), Column("error"),
        )  # fmt: skip
        rows = tuple(
            (
                s.number,
                short(s.sql),
                s.status,
                s.seconds,
                s.rows,
                s.wal_bytes,
                s.attempts,
                s.error or None,
            )
            for s in self.steps
        )
        return Table(f"statements of run {self.runs[0].run}", columns, rows)


@qb_command("history", short_help="What ran on this target, and how.")
@click.argument("migration", required=False)
def command(session: Session, migration: str | None) -> Report:
    """Show all recorded runs, or those of MIGRATION with the statements of the last one."""
    from qb_engine import ledger
    from qb_engine.database.connect import server_errors

    with session.connect() as conn, server_errors("reading the ledger", session.target):
        if not ledger.exists(conn):
            return HistoryReport(session.target.name, ())
        wanted = None
        if migration:
            known = {r.migration: r.name for r in ledger.history(conn)}
            exact = [i for i, name in known.items() if migration in (i, name)]
            part = [i for i in known if migration in i]
            wanted = (exact or part or [session.migration(migration).id])[0]
        runs = ledger.history(conn, wanted)
        steps = ledger.steps(conn, runs[0].run) if wanted and runs else ()
        return HistoryReport(session.target.name, runs, steps)
