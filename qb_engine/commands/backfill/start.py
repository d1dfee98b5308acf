"""`qb backfill start`: make it go, or go on with one that failed or was cancelled"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.following import follow
from qb_engine.commands.backfill.found import CONFIRM, NAME, answer, find
from qb_engine.commands.backfill.tune import asked, tuning_options
from qb_engine.report import Report


@qb_command("start", short_help="Start it, or go on with one that failed or was cancelled.")
@NAME
@click.option("--wait", is_flag=True, help="Show the progress until it ends.")
@click.option("--restart", is_flag=True, help="Begin again at the first row.")
@tuning_options
@CONFIRM
def part(
    session: Session, name: str | None, wait: bool, restart: bool, confirm: str, **tuning: Any
) -> Report:
    """Start the backfill of NAME; a worker is started when none polls.

    What is given here of its pace wins over backfill.py and qb.toml, as with `tune`. In a notebook
    it is shown live below the cell, and the kernel is free.
    """
    from qb_engine import backfill

    migration = find(session, name)
    changes = asked("qb backfill start", **tuning)
    session.guard_production(f"backfill {migration.id}", confirm)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.start(
            session.project, session.target, migration, conn=conn, restart=restart, changes=changes
        )
        if not wait:
            return answer(conn, done, session, started=True, live=True)
    follow(session, migration)
    with closing(session.connect(application_name="qb backfill")) as conn:  # that one may be lost
        done = backfill.status(session.project, session.target, migration, conn=conn)
        return answer(conn, done, session, started=True)
