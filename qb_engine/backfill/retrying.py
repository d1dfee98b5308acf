"""going on with a backfill that failed: from the ledger, with or without Temporal's history"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import control, records
from qb_engine.backfill.batches import quarantine
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.batches.quarantine import Again
from qb_engine.backfill.before import checks
from qb_engine.backfill.control import Done
from qb_engine.backfill.driving import loop, temporal
from qb_engine.backfill.driving.payloads import GOING
from qb_engine.backfill.records import Row
from qb_engine.backfill.reporting.measure import progress
from qb_engine.backfill.spec import checksum, describe
from qb_engine.errors import InputError, RefusedError
from qb_engine.ledger import decisions
from qb_engine.project import seconds

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.migrations import LoadedMigration
    from qb_engine.project import Project

ACCEPTED = "edited backfill accepted"  # in qb.event
SHOWN = 3  # rows that a note names; the command `quarantine` shows them all

# What to do with a backfill in a state in which there is nothing to try again.
INSTEAD = {
    "completed": "nothing; to walk all rows again: qb backfill start {name} --restart",
    "cancelled": "qb backfill start {name}",
    "paused": "qb backfill resume {name}",
    "pending": "qb backfill watch {name}",
    "running": "qb backfill watch {name}",
    "verifying": "qb backfill watch {name}",
}

Connection = psycopg.Connection[Any]


def retry(
    project: Project,
    target: Target,
    migration: LoadedMigration,
    *,
    conn: Connection | None = None,
    quarantined: bool = False,
    from_ledger: bool = False,
    edited_ok: str | None = None,
) -> Done:
    """Go on with a failed backfill from its cursors, and have it verified to its end.

    With `quarantined` the rows in quarantine are written first; while some still fail it stays
    failed. With `from_ledger` Temporal's workflow is left behind, whatever its state, for a new
    one; one that Temporal does not know any more is replaced without being asked. `edited_ok` is
    the reason why the rest shall be written as an edited backfill.py says now.
    Raise RefusedError when it is not failed, InputError when it was never started.
    """
    with control.ledger(target, conn) as db:
        row = control.known(db, migration)
        edited = bool(migration.backfill and checksum(migration.backfill) != row.spec.checksum)
        notes = []
        if not _open_to(project, row, from_ledger, accepting=edited and edited_ok is not None):
            raise _not_failed(row, migration)
        if edited_ok is not None:
            notes.append(_accept(db, row, migration, edited_ok, edited=edited))
        elif edited:
            checks.unedited(row, migration)
        if quarantined and row.state == "failed":
            again = _again(db, project, row, migration)
            notes += said(again)
            if again.failing:
                found = progress(db, row.spec.id)
                assert found is not None
                return Done(found, tuple(notes))
        elif quarantined:
            notes.append(f"it is {row.state}: rows are written again once it has ended")
        if from_ledger:
            notes.append(_left_behind(project, row))
        elif _workflow(project, row) == "":
            notes.append(
                f"Temporal does not know its workflow {row.workflow_id} any more: a new one goes "
                "on from the ledger"
            )
        if row.state == "paused":
            done = control.resume(project, target, migration, conn=db)
        else:
            done = control.start(project, target, migration, conn=db)
        return replace(done, notes=(*notes, *done.notes))


def _open_to(project: Project, row: Row, from_ledger: bool, *, accepting: bool) -> bool:
    """Whether there is something to go on with: it failed, or nobody drives it any more."""
    if row.state in GOING:
        return from_ledger or _workflow(project, row) != "running"
    return row.state == "failed" or (accepting and row.state in ("cancelled", "paused"))


def said(again: Again) -> list[str]:
    """What became of the rows in quarantine, as sentences."""
    found = []
    if not (again.written or again.gone or again.failing):
        found.append("no row is in quarantine")
    if again.written:
        word = "row of the quarantine is" if again.written == 1 else "rows of the quarantine are"
        found.append(f"{again.written:,} {word} written")
    if again.gone:
        keys = _keys([each.key for each in again.gone])
        found.append(f"{_rows(len(again.gone))} not there any more: {keys}")
    if again.failing:
        one = again.failing[0]
        found.append(
            f"{_still(len(again.failing))} cannot be written, such as {', '.join(one.key)}: "
            f"{one.error}. Mend that, then: qb backfill retry --quarantined"
        )
    return found


def _again(db: Connection, project: Project, row: Row, migration: LoadedMigration) -> Again:
    now = records.read(db, row.spec.id)  # an edited form may have been accepted meanwhile
    lock_ms = max(1, int(seconds(project.config.timeouts.lock) * 1000))
    return quarantine.write_again(
        db,
        (now or row).spec,
        Limits(lock_ms=lock_ms),
        code=migration.backfill,
        worker="qb backfill retry",
    )


def _accept(
    db: Connection, row: Row, migration: LoadedMigration, reason: str, *, edited: bool
) -> str:
    """Take over an edited declaration for the rows that are left, with the reason."""
    if not edited:
        return "backfill.py is as it was: there was nothing to accept"
    if not reason.strip():
        raise InputError(
            "no reason is given",
            where="--edited-ok",
            why="who reads the ledger later wants to know why two forms of the rows exist",
            todo='say it: --edited-ok "the old expression left out umlauts"',
            code="bad-option",
        )
    spec, old = describe(db, migration), row.spec
    if (spec.schema, spec.table, spec.key) != (old.schema, old.table, old.key):
        raise RefusedError(
            f"backfill.py of {migration.id} names another table or key now",
            where=str(migration.path / "backfill.py"),
            why="the cursors in the ledger are keys of what it named before",
            todo=f"begin again: qb backfill start {migration.name} --restart",
            code="edited-migration",
        )
    with db.transaction():
        decisions.decide(
            db,
            ACCEPTED,
            row.spec.id,
            None,
            reason=reason.strip(),
            detail={
                "checksum": {"before": old.checksum, "now": spec.checksum},
                "rows written before": sum(each.rows for each in records.passes(db, old.id)),
            },
        )
        records.rewrite(db, spec)
    return "the edited backfill.py is accepted: rows from the cursors on are written as it says now"


def _workflow(project: Project, row: Row) -> str | None:
    """The state of its workflow, empty when Temporal does not know it; None when it is away."""
    where = temporal.place(project, start=True)
    if where is None or not row.workflow_id:
        return None
    return loop.run(temporal.workflow_status(where, row.workflow_id))


def _left_behind(project: Project, row: Row) -> str:
    """End the workflow that Temporal has, so that a new one begins with the ledger alone."""
    where = temporal.place(project, start=True)
    ended = bool(
        where
        and row.workflow_id
        and loop.run(temporal.end(where, row.workflow_id, "goes on from the ledger"))
    )
    was = f"workflow {row.workflow_id} was ended, and" if ended else "no workflow was left;"
    return f"{was} a new one goes on from the ledger"


def _not_failed(row: Row, migration: LoadedMigration) -> RefusedError:
    return RefusedError(
        f"the backfill of {row.spec.id} is {row.state}, not failed",
        why="only one that failed is tried again",
        todo=INSTEAD.get(row.state, "qb backfill status {name}").format(name=migration.name),
        code="backfill-state",
    )


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"


def _still(count: int) -> str:
    return "1 row still" if count == 1 else f"{count:,} rows still"


def _keys(keys: list[tuple[str, ...]]) -> str:
    shown = ", ".join("/".join(key) for key in keys[:SHOWN])
    return shown + (f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else "")
