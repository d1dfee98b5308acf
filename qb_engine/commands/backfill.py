"""`qb backfill`: fill the rows of a migration, and watch, hold or end it"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._tree import QbGroup
from qb_engine.errors import InputError, InterruptedRun
from qb_engine.report import Report, format_seconds, format_value

if TYPE_CHECKING:
    from qb_engine.backfill import Done, Progress
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

POLL_S = 0.3
NAME = click.argument("name", metavar="[NAME]", required=False)


@click.group("backfill", cls=QbGroup, short_help="Fill rows in batches: start, watch, pause ...")
def command() -> None:
    """Fill the rows of a migration's table in batches, each row written once.

    It is driven by Temporal and goes on without this terminal or notebook. NAME may be left out:
    the last migration with a backfill is meant.
    """


@qb_command("start", short_help="Start it, or go on with one that failed or was cancelled.")
@NAME
@click.option("--wait", is_flag=True, help="Show the progress until it ends.")
@click.option("--restart", is_flag=True, help="Begin again at the first row.")
@click.option("--confirm", metavar="ALIAS", help="The alias of a production target, typed back.")
def start(session: Session, name: str | None, wait: bool, restart: bool, confirm: str) -> Report:
    """Start the backfill of NAME; a worker is started when none polls."""
    from qb_engine import backfill

    migration = find(session, name)
    session.guard_production(f"backfill {migration.id}", confirm)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.start(
            session.project, session.target, migration, conn=conn, restart=restart
        )
        if wait:
            _watch(session, conn, migration)
            done = backfill.status(session.project, session.target, migration, conn=conn)
        return _report(conn, done, started=True)


@qb_command("status", short_help="Tell how far it is.")
@NAME
def status(session: Session, name: str | None) -> Report:
    """Tell how far the backfill of NAME is: from the ledger, whether Temporal runs or not."""
    from qb_engine import backfill

    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.status(session.project, session.target, migration, conn=conn)
        return _report(conn, done)


@qb_command("watch", short_help="Show the progress until it ends.")
@NAME
def watch(session: Session, name: str | None) -> Report:
    """Show the progress of the backfill of NAME until it ends or is paused."""
    from qb_engine import backfill

    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        _watch(session, conn, migration)
        done = backfill.status(session.project, session.target, migration, conn=conn)
        return _report(conn, done)


@qb_command("pause", short_help="Hold it after the batches in flight.")
@NAME
def pause(session: Session, name: str | None) -> Report:
    """Hold the backfill of NAME after the batches in flight; Temporal need not run."""
    from qb_engine import backfill

    return _told(session, name, backfill.pause)


@qb_command("resume", short_help="Go on with a paused one.")
@NAME
@click.option("--confirm", metavar="ALIAS", help="The alias of a production target, typed back.")
def resume(session: Session, name: str | None, confirm: str) -> Report:
    """Go on with the paused backfill of NAME."""
    from qb_engine import backfill

    session.guard_production("resume the backfill", confirm)
    return _told(session, name, backfill.resume)


@qb_command("cancel", short_help="End it after the batches in flight.")
@NAME
def cancel(session: Session, name: str | None) -> Report:
    """End the backfill of NAME after the batches in flight. Written rows stay as they are."""
    from qb_engine import backfill

    return _told(session, name, backfill.cancel)


for _part in (start, status, watch, pause, resume, cancel):
    command.add_command(_part)


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


def _told(session: Session, name: str | None, act: object) -> Report:
    migration = find(session, name)
    with closing(session.connect(application_name="qb backfill")) as conn:
        assert callable(act)
        return _report(conn, act(session.project, session.target, migration, conn=conn))


def _report(conn: Connection, done: Done, *, started: bool = False) -> Report:
    from qb_engine.backfill.report import report

    return report(conn, done, started=started)


def _watch(session: Session, conn: Connection, migration: LoadedMigration) -> None:
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
