"""showing a backfill's progress in the face until nothing moves"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qb_engine.commands import Session
from qb_engine.errors import InterruptedRun
from qb_engine.report import format_seconds, format_value

if TYPE_CHECKING:
    from qb_engine.backfill import Progress
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

POLL_S = 0.3


def follow(session: Session, conn: Connection, migration: LoadedMigration) -> None:
    """Show the progress until nothing moves; an interrupt ends only the watching."""
    from qb_engine.backfill import progress

    try:
        with session.face.progress(f"backfill {migration.id}") as bar:
            while True:
                found = progress(conn, migration.id)
                if found is None:
                    return
                bar.update(found.rows_done, found.rows_total or None, _note(found))
                if found.ended or found.state == "paused":
                    return
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        raise InterruptedRun(
            "stopped watching; the backfill goes on",
            why="its worker is a process of its own",
            todo=f"qb backfill watch {migration.name}, or: qb backfill pause {migration.name}",
        ) from None


def _note(found: Progress) -> str:
    text = f"{found.rows_done:,} of {found.rows_total:,} rows"
    if found.rate >= 1:
        text += f", {format_value(found.rate, 'rate')}"
    if found.eta is not None:
        text += f", {format_seconds(found.eta)} left"
    return f"{found.state}: {text}"
