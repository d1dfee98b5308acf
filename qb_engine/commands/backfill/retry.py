"""`qb backfill retry`: go on with one that failed"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.following import follow
from qb_engine.commands.backfill.found import CONFIRM, NAME, answer, find
from qb_engine.report import Report


@qb_command("retry", short_help="Go on with one that failed.")
@NAME
@click.option("--wait", is_flag=True, help="Show the progress until it ends.")
@click.option("--quarantined", is_flag=True, help="Write the rows in quarantine first.")
@click.option("--from-ledger", is_flag=True, help="Leave Temporal's workflow behind for a new one.")
@click.option(
    "--edited-ok", metavar="REASON", help="Have the rest written as an edited backfill.py says."
)
@CONFIRM
def part(
    session: Session,
    name: str | None,
    wait: bool,
    quarantined: bool,
    from_ledger: bool,
    edited_ok: str | None,
    confirm: str,
) -> Report:
    """Go on with the failed backfill of NAME from its cursors, once the reason is mended.

    It needs no history of Temporal: the ledger in the target says how far it is.
    """
    from qb_engine import backfill

    migration = find(session, name)
    session.guard_production(f"backfill {migration.id}", confirm)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.retry(
            session.project,
            session.target,
            migration,
            conn=conn,
            quarantined=quarantined,
            from_ledger=from_ledger,
            edited_ok=edited_ok,
        )
        going = not done.progress.ended
        if not (wait and going):
            return answer(conn, done, session, started=True, live=going)
    follow(session, migration)
    with closing(session.connect(application_name="qb backfill")) as conn:  # that one may be lost
        now = backfill.status(session.project, session.target, migration, conn=conn)
        done = replace(now, notes=(*done.notes, *now.notes))
        return answer(conn, done, session, started=True)
