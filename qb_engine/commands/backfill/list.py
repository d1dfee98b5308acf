"""`qb backfill list`: every backfill of the target"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Column, Report, Table, jsonable

if TYPE_CHECKING:
    from qb_engine.backfill.reporting.listing import Listed

NOTE = 40  # letters of a note that the table has room for
COLUMNS = (
    Column("migration"), Column("table"), Column("kind"), Column("state"), Column("rows", "count"),
    Column("of", "count"), Column("done", "percent"), Column("started", "time"),
    Column("time", "seconds"), Column("set aside", "count"), Column("note"),
)  # fmt: skip


@dataclass(frozen=True)
class ListReport(Report):
    """Every backfill that was started here, the newest first, and those that were not yet."""

    name: ClassVar[str] = "backfill-list"
    target: str
    backfills: tuple[Listed, ...]

    def headline(self) -> str:
        count = len(self.backfills)
        live = sum(each.state in ("pending", "running", "verifying") for each in self.backfills)
        word = "backfill" if count == 1 else "backfills"
        return f"{self.target}: {count} {word}, {live} under way"

    def tables(self) -> Sequence[Table]:
        rows = tuple(
            (
                *(each.migration, each.table, each.kind, each.state, each.rows_done),
                *(each.rows_total, each.fraction * 100 if each.started_at else None),
                *(each.started_at, each.seconds, each.quarantined, short(each.note, NOTE) or None),
            )
            for each in self.backfills
        )
        return (Table("backfills", COLUMNS, rows, empty="no migration has one"),)

    def notes(self) -> Sequence[str]:
        cut = [each for each in self.backfills if short(each.note, NOTE) != each.note]
        return [f"its whole note: qb backfill status {each.migration}" for each in cut[:1]]

    def as_dict(self) -> dict[str, Any]:
        return {"target": self.target, "backfills": jsonable(self.backfills)}


@qb_command("list", short_help="List every backfill of the target.")
def part(session: Session) -> Report:
    """List every backfill of the target: its state, how far it is, and when it was started.

    Those of migrations that were not started here are listed too, as `not started`.
    """
    from qb_engine.backfill.reporting.listing import listed
    from qb_engine.database.connect import server_errors

    declared = {
        migration.id: migration.backfill.table
        for migration in session.migrations().all
        if migration.backfill
    }
    with (
        closing(session.connect(application_name="qb backfill")) as conn,
        server_errors("reading the ledger", session.target),
    ):
        return ListReport(session.target.name, listed(conn, declared))
