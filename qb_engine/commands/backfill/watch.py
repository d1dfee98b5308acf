"""`qb backfill watch`: the progress until it ends"""

from __future__ import annotations

from contextlib import closing

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.following import follow
from qb_engine.commands.backfill.found import NAME, answer, find
from qb_engine.report import Report


@qb_command("watch", short_help="Show the progress until it ends.")
@NAME
def part(session: Session, name: str | None) -> Report:
    """Show the progress of the backfill of NAME until it ends or is paused."""
    from qb_engine import backfill

    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        follow(session, conn, migration)
        done = backfill.status(session.project, session.target, migration, conn=conn)
        return answer(conn, done)
