"""which backfill a command means, and the report that it answers with"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from qb_engine.commands import Session
from qb_engine.errors import InputError
from qb_engine.report import Report

if TYPE_CHECKING:
    from qb_engine.backfill import Done
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

NAME = click.argument("name", metavar="[NAME]", required=False)
CONFIRM = click.option(
    "--confirm", metavar="ALIAS", help="The alias of a production target, typed back."
)


def find(session: Session, name: str | None) -> LoadedMigration:
    """The migration that is named, or the last one with a backfill."""
    if name:
        return session.migration(name)
    loaded = session.migrations()
    filling = [migration for migration in loaded.all if migration.backfill]
    if filling:
        return filling[-1]
    if loaded.broken:
        raise loaded.broken[0].error
    raise InputError(
        "no migration has a backfill",
        where=str(loaded.folder),
        why="a backfill is the backfill.py in the folder of a migration",
        todo="write one, with a class that subclasses Backfill",
        code="no-backfill",
    )


def told(session: Session, name: str | None, act: Callable[..., Done], **given: Any) -> Report:
    """What a function of the backfill room says of the migration that is meant."""
    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = act(session.project, session.target, migration, conn=conn, **given)
        return answer(conn, done, session)


def answer(
    conn: Connection,
    done: Done,
    session: Session | None = None,
    *,
    started: bool = False,
    live: bool = False,
) -> Report:
    """The report of a command, with its rows over time; `live` where the face may go on with it."""
    from qb_engine.backfill.reporting.report import report

    made = report(conn, done, started=started)
    if not live or session is None or not session.face.live:
        return made
    from qb_engine.commands.backfill import live as shown

    return shown.live(made, session.target)
