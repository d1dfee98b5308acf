"""showing a backfill's progress in the face until nothing moves"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from qb_engine.commands import Session
from qb_engine.errors import InterruptedRun, QbError

if TYPE_CHECKING:
    from qb_engine.backfill import Progress
    from qb_engine.migrations import LoadedMigration

POLL_S = 0.3
AGAIN_S = 1.0  # between two tries to reach a server that was lost
PATIENCE_S = 120.0  # for as long the server may be away; the backfill waits for it, too


def follow(session: Session, migration: LoadedMigration) -> None:
    """Show the progress until nothing moves; an interrupt ends only the watching.

    A server that restarts is waited for. Raise ServerError when it stays away.
    """
    try:
        with session.face.watching() as show:
            seen = time.monotonic()
            while True:
                try:
                    _look(session, migration, show)
                    return
                except _Away as away:
                    seen = max(seen, away.seen)
                    if time.monotonic() - seen > PATIENCE_S:
                        raise away.error from None
                    time.sleep(AGAIN_S)
    except KeyboardInterrupt:
        raise InterruptedRun(
            "stopped watching; the backfill goes on",
            why="its worker is a process of its own",
            todo=f"qb backfill watch {migration.name}, or: qb backfill pause {migration.name}",
        ) from None


class _Away(Exception):
    """The server could not be asked; `seen` is when it last answered."""

    def __init__(self, error: BaseException, seen: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.seen = seen


def _look(session: Session, migration: LoadedMigration, show: object) -> None:
    """Look again and again, on one connection."""
    import psycopg

    from qb_engine.backfill import progress, records

    assert callable(show)
    seen = 0.0
    try:
        with closing(session.connect(application_name="qb backfill")) as conn:
            while records.there(conn):
                found = progress(conn, migration.id)
                seen = time.monotonic()
                if found is None:
                    return
                show(found)
                if settled(found):
                    return
                time.sleep(POLL_S)
    except psycopg.OperationalError as error:
        raise _Away(error, seen) from None
    except QbError as error:
        if error.exit_code != 3:
            raise
        raise _Away(error, seen) from None


def settled(found: Progress) -> bool:
    """True when nothing moves by itself any more."""
    if found.state == "completed":
        return found.post_state not in ("waiting", "running")
    return not found.moving
