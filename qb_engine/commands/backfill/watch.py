"""`qb backfill watch`: the progress until it ends"""

from __future__ import annotations

from contextlib import closing

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.following import follow
from qb_engine.commands.backfill.found import NAME, answer, find
from qb_engine.report import Report


@qb_command("watch", short_help="Show the progress until it ends.")
@NAME
@click.option("--wait", is_flag=True, help="In a notebook: let the cell run until it ends.")
def part(session: Session, name: str | None, wait: bool) -> Report:
    """Show the progress of the backfill of NAME until it ends or is paused.

    Ctrl-C ends only the watching. In a notebook it is shown live below the cell, and the kernel
    is free, unless --wait is given.
    """
    from qb_engine import backfill

    migration = find(session, name)
    waits = wait or not session.face.live
    if waits:
        follow(session, migration)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.status(session.project, session.target, migration, conn=conn)
        return answer(conn, done, session, live=not waits)
