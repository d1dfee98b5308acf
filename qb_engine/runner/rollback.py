"""the last migration undone by its own down"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError, QbError, RefusedError
from qb_engine.ledger.decisions import last_detail
from qb_engine.runner import beside
from qb_engine.runner.crew import at_work
from qb_engine.runner.ran import Ran
from qb_engine.runner.run import arranged
from qb_engine.runner.status import backfill_states
from qb_engine.runner.trouble import UNDO, parts_back, undoing

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.runner.crew import Crew

MOVING = ("pending", "running", "paused", "verifying")


def roll_back(
    place: Place,
    only: str | None = None,
    *,
    to: str | None = None,
    steps: int = 1,
    edited: bool = False,
    out_of_order: bool = False,
    patience: float | None = None,
) -> tuple[Ran, ...]:
    """Run the down of the last applied migration (or of the one named), or go on with it.

    With `to`, of all that were applied after that one; with `steps`, of so many. Only what was
    applied is undone: of an expanded migration without the part that waits, of a half applied one
    the parts that are whole. Raise RefusedError when it is irreversible, when a part is half
    applied, when its backfill is still moving, when its way back was edited (unless `edited`), and
    when later ones are applied that may stand on it (unless `out_of_order`).
    """
    with at_work(place, patience) as crew:
        beside.settle(crew)
        names = [only] if only else _chosen(place, crew.control, to, steps)
        migrations = [file_of(place, name) for name in names]
        if len(migrations) > 1:
            _refuse_any(crew.control, migrations)
        done: list[Ran] = []
        try:
            for migration in migrations:
                done.append(undo(crew, migration, edited=edited, out_of_order=out_of_order))
        except QbError as error:
            if done:
                error.why += f"\nrolled back before it: {', '.join(r.migration for r in done)}"
            raise
        finally:
            if done and not crew.control.closed:
                last = ledger.history(crew.control, done[-1].migration)[0]
                crew.keep_schema(last.run)
    return tuple(done)


def undo(
    crew: Crew, migration: LoadedMigration, *, edited: bool = False, out_of_order: bool = False
) -> Ran:
    """Run the down of one migration, with the runner's lock held."""
    control = crew.control
    standing = ledger.standing(control).get(migration.id) if ledger.exists(control) else None
    if standing is None or standing.status == "rolled back":
        raise InputError(
            f"{migration.id} is not applied here",
            where=crew.place.target.display,
            todo="see what is with: qb status",
            code="not-applied",
        )
    resumed = standing.status == "partial down"
    way = last_detail(control, standing.last.run, UNDO) if resumed else None
    if way is not None:  # a repair has found it, and goes on
        migration = undoing(migration, way["parts"])
        parts = tuple(part for part in migration.parts if part.down)
    else:
        parts = _applied(control, migration, standing)
    _refuse(control, migration, parts)
    if not edited and not resumed:  # what stopped half way was mended to go on
        _refuse_edited(control, migration)
    if not out_of_order:
        again = {entry.id for entry in crew.place.migrations.entries if entry.repeatable}
        _refuse_later(control, migration, standing, again)
    if resumed:
        number = standing.last.run
    else:
        number = ledger.begin(control, migration, "down", crew.fingerprint())
    done = arranged(crew, migration, parts, number, "rolled back", resumed)
    return Ran(migration.id, "rolled back", done.seconds, tuple(done.seen), samples=done.samples)


def last_applied(place: Place, control: Connection) -> str:
    """The id of the migration that was applied last; raise InputError when none is."""
    return _chosen(place, control, None, 1)[0]


def _chosen(place: Place, control: Connection, to: str | None, steps: int) -> list[str]:
    """The ids of applied migrations to undo, the newest first."""
    known = ledger.standing(control) if ledger.exists(control) else {}
    again = {entry.id for entry in place.migrations.entries if entry.repeatable}
    applied = sorted(  # a repeatable one stands in no order, and has no way back
        (s for s in known.values() if s.status != "rolled back" and s.migration not in again),
        key=lambda s: s.last.run,
        reverse=True,
    )
    if not applied:
        raise InputError(
            "nothing is applied here",
            where=place.target.display,
            todo="qb run applies migrations",
            code="not-applied",
        )
    if to is None:
        return [s.migration for s in applied[:steps]]
    if to not in known or known[to].status == "rolled back":
        raise InputError(
            f"{to} is not applied here",
            where=place.target.display,
            why="--to names the last one that stays",
            todo="see what is applied with: qb status",
            code="not-applied",
        )
    return [s.migration for s in applied if s.last.run > known[to].last.run]


def _refuse_any(control: Connection, migrations: Sequence[LoadedMigration]) -> None:
    """Raise RefusedError for one that cannot be rolled back, before the first one is."""
    standing = ledger.standing(control)
    for migration in migrations:
        _refuse(control, migration, _applied(control, migration, standing[migration.id]))


def _applied(
    control: Connection, migration: LoadedMigration, standing: Standing
) -> tuple[Part, ...]:
    """The parts of a migration that are applied, whole."""
    if standing.status == "partial down":
        return parts_back(migration, ledger.steps(control, standing.last.run))
    if standing.status == "expanded":
        return migration.before_backfill()
    if standing.status in ("applied", "contracted"):
        return migration.parts
    done = {s.number for s in ledger.steps(control, standing.last.run) if s.status == "done"}
    files = {s.part for s in ledger.steps(control, standing.last.run)}
    after = migration.after_backfill()
    before = migration.before_backfill()
    second = bool(files & {part.file for part in after})
    found = list(before) if second else []
    number = 0
    for part in after if second else before:
        mine = set(range(number + 1, number + 1 + len(part.up)))
        number += len(part.up)
        if mine <= done:
            found.append(part)
        elif mine & done:
            raise RefusedError(
                f"{migration.id} is half applied",
                where=part.file,
                why=f"{len(mine & done)} of the {len(mine)} statements of {part.file} are "
                "committed, and its down would undo what never ran",
                todo="qb run continues; mend the file first where it failed",
                code="half-applied",
            )
    return tuple(found)


def _refuse_edited(control: Connection, migration: LoadedMigration) -> None:
    """Raise RefusedError when the way back is not the one that was there when it was applied."""
    runs = ledger.history(control, migration.id)
    recorded = next((r.down_checksum for r in runs if r.direction == "up"), "")
    if recorded and recorded != ledger.way_back(migration):
        raise RefusedError(
            f"the way back of {migration.id} was edited after it was applied",
            where=str(migration.path),
            why="it might undo what was never done",
            todo="restore the file; or run it as it stands now, with --edited",
            code="edited-migration",
        )


def _refuse_later(
    control: Connection, migration: LoadedMigration, standing: Standing, again: set[str]
) -> None:
    """Raise RefusedError when migrations that were applied later are still applied.

    Those `again` are run whenever they change: where one stands on this, the server says so.
    """
    later = sorted(
        s.migration
        for s in ledger.standing(control).values()
        if s.status != "rolled back" and s.last.run > standing.last.run and s.migration not in again
    )
    if later:
        raise RefusedError(
            f"{later[-1]} was applied after {migration.id}",
            where=str(migration.path),
            why=f"{len(later)} applied later may stand on what this one made",
            todo="roll these back first; or go on all the same with --out-of-order",
            code="out-of-order",
        )


def file_of(place: Place, name: str) -> LoadedMigration:
    """The migration of an id that the ledger knows; raise InputError when its file is gone."""
    if name in place.migrations:
        return place.migrations.get(name)
    raise InputError(
        f"the file of {name} is gone",
        where=str(place.migrations.folder),
        why="it is applied on this database, and its SQL is needed",
        todo="restore the file",
        code="missing-file",
    )


def _refuse(control: Connection, migration: LoadedMigration, parts: tuple[Part, ...]) -> None:
    if reason := replace(migration, parts=parts).irreversible:
        raise RefusedError(
            f"{migration.id} cannot be rolled back",
            where=str(migration.path),
            why=reason,
            todo="write a down into the file, or a new migration that goes on from here",
            code="irreversible",
        )
    state = backfill_states(control).get(migration.id, "")
    if state in MOVING:
        raise RefusedError(
            f"the backfill of {migration.id} is {state}",
            why="its worker writes to what the rollback would remove",
            todo=f"qb backfill cancel {migration.name}, then roll back",
            code="backfill-state",
        )
