"""`qb status`: how every migration stands on this target"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner import Status

TROUBLE = ("partial", "edited", "broken", "missing")


@dataclass(frozen=True)
class StatusReport(Report):
    """Every migration with its state."""

    name: ClassVar[str] = "status"
    target: str
    migrations: tuple[Status, ...]
    runner: str = ""

    @property
    def ok(self) -> bool:
        return not any(s.state in TROUBLE for s in self.migrations)

    def headline(self) -> str:
        counts: dict[str, int] = {}
        for s in self.migrations:
            counts[s.state] = counts.get(s.state, 0) + 1
        if not counts:
            return f"{self.target}: there is no migration yet"
        return f"{self.target}: " + ", ".join(f"{n} {state}" for state, n in counts.items())

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("migration"), Column("state"), Column("applied", "time"), Column("by"),
            Column("time", "seconds"), Column("backfill"), Column("note"),
        )  # fmt: skip
        rows = tuple(
            (s.migration, s.state, s.applied_at, s.who or None, s.seconds, s.backfill or None,
             s.note or None)
            for s in self.migrations
        )  # fmt: skip
        return (Table("migrations", columns, rows, empty="the folder is empty"),)

    def notes(self) -> Sequence[str]:
        return (f"running now: {self.runner}",) if self.runner else ()


@qb_command("status", short_help="How every migration stands on this target.")
def command(session: Session) -> Report:
    """Show every migration with its state: pending, applied, expanded, partial, edited, broken."""
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import status
    from qb_engine.runner.status import runner

    migrations = session.migrations()
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        return StatusReport(session.target.name, status(conn, migrations), runner(conn))
