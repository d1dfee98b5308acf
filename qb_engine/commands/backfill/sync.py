"""`qb backfill sync`: the trigger that keeps rows right that are written meanwhile"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import CONFIRM, NAME, find
from qb_engine.errors import RefusedError
from qb_engine.report import Report

LOCK_MS = 2_000
MOVING = ("pending", "running", "paused", "verifying")


@dataclass(frozen=True)
class SyncReport(Report):
    """The trigger of a backfill's keep_in_sync; an empty name when there is none."""

    name: ClassVar[str] = "backfill sync"
    migration: str
    trigger: str
    dropped: bool

    def headline(self) -> str:
        if not self.trigger:
            return f"{self.migration} has no trigger that keeps rows in sync"
        return f"trigger {self.trigger} {'is gone' if self.dropped else 'keeps rows in sync'}"

    def notes(self) -> Sequence[str]:
        if not self.trigger or self.dropped:
            return ()
        return (
            "it goes with what comes after the backfill, or with a rollback; else, when nobody "
            f"writes the old form any more: qb backfill sync {self.migration} --drop",
        )


@qb_command("sync", short_help="Tell of the trigger that keeps rows in sync, or drop it.")
@NAME
@click.option("--drop", is_flag=True, help="Take it away: nobody writes the old form any more.")
@CONFIRM
def part(session: Session, name: str | None, drop: bool, confirm: str) -> Report:
    """Tell which trigger keeps rows of NAME right that are written meanwhile (keep_in_sync)."""
    from qb_engine.backfill import records
    from qb_engine.backfill.limits import limit
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger import in_sync

    migration = find(session, name)
    if drop:
        session.guard_production(f"dropping the trigger of {migration.id}", confirm)
    with (
        closing(session.connect(application_name="qb backfill")) as conn,
        server_errors(f"looking after the trigger of {migration.id}", session.target),
    ):
        trigger = in_sync.standing(conn, migration.id)
        if not drop or not trigger:
            return SyncReport(migration.id, trigger, False)
        row = records.read(conn, migration.id)
        if row and row.state in MOVING:
            raise RefusedError(
                f"the backfill of {migration.id} is {row.state}",
                why="it counts on the trigger for rows that are written meanwhile",
                todo=f"let it end, or: qb backfill cancel {migration.name}",
                code="backfill-state",
            )
        with conn.transaction():
            limit(conn, LOCK_MS)
            in_sync.drop(conn, migration.id)
    return SyncReport(migration.id, trigger, True)
