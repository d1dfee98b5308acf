"""the last migration undone by its own down"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError, RefusedError
from qb_engine.execution import blocks
from qb_engine.runner.lock import only_runner
from qb_engine.runner.run import Ran, execute
from qb_engine.runner.status import backfill_states
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration

MOVING = ("pending", "running", "paused", "verifying")


def roll_back(place: Place, only: LoadedMigration | None = None) -> Ran:
    """Run the down of the last applied migration (or of the one named).

    Raise RefusedError when it is irreversible, or when its backfill is still moving.
    """
    with (
        place.connected("qb runner") as control,
        only_runner(control, place.patience, place.tell),
    ):
        migration = only or _last(place, control)
        standing = ledger.standing(control).get(migration.id) if ledger.exists(control) else None
        if standing is None or standing.status == "rolled back":
            raise InputError(
                f"{migration.id} is not applied here",
                where=place.target.display,
                todo="see what is with: qb status",
            )
        _refuse(control, migration)
        before = snapshot(control)
        number = ledger.begin(control, migration, "down", before.fingerprint)
        arranged = blocks(migration.parts, down=True)
        seen = execute(place, control, migration, arranged, number, "rolled back")
        if backfill_states(control).get(migration.id):
            # its rows are gone with the column: a later run fills them anew
            control.execute("DELETE FROM qb.backfill WHERE id = %s", [migration.id])
        ledger.snapshot_after(control, number, snapshot(control))
        last = ledger.history(control, migration.id)[0]
    return Ran(migration.id, "rolled back", last.seconds or 0.0, seen)


def _last(place: Place, control: Connection) -> LoadedMigration:
    known = ledger.standing(control) if ledger.exists(control) else {}
    applied = [s for s in known.values() if s.status != "rolled back"]
    if not applied:
        raise InputError(
            "nothing is applied here", where=place.target.display, todo="qb run applies migrations"
        )
    return place.migrations.find(max(applied, key=lambda s: s.last.run).migration)


def _refuse(control: Connection, migration: LoadedMigration) -> None:
    if reason := migration.irreversible:
        raise RefusedError(
            f"{migration.id} cannot be rolled back",
            where=str(migration.path),
            why=reason,
            todo="write a down into the file, or a new migration that goes on from here",
        )
    state = backfill_states(control).get(migration.id, "")
    if state in MOVING:
        raise RefusedError(
            f"the backfill of {migration.id} is {state}",
            why="its worker writes to what the rollback would remove",
            todo=f"qb backfill cancel {migration.name}, then roll back",
        )
