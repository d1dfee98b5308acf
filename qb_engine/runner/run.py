"""pending migrations applied, each statement recorded, nothing half done in silence"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.analysis.verify import Verified, verify
from qb_engine.errors import QbError, RefusedError
from qb_engine.execution import Observation, blocks
from qb_engine.execution.failure import StepFailed
from qb_engine.runner.lock import only_runner, still_held
from qb_engine.runner.recording import Recording, wants_to_be_alone
from qb_engine.runner.resume import remaining
from qb_engine.runner.status import Status, backfill_states, one
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.schema import Snapshot


@dataclass(frozen=True, slots=True)
class Ran:
    """One migration's run: how it ended and what was observed.

    `status` is `applied`, `expanded` (its backfill comes next), `rolled back` (a run down) or
    `not met` (its constraints; nothing was run).
    """

    migration: str
    status: str
    seconds: float
    seen: tuple[Observation, ...] = ()
    verified: Verified | None = None
    note: str = ""


def run(
    place: Place,
    *,
    only: LoadedMigration | None = None,
    verify_first: bool = True,
    cut_off: str = "ask",
) -> tuple[Ran, ...]:
    """Apply what is pending, in order, one migration after the other (or just one).

    Stop at the first migration whose constraints are not met and at one that waits for its
    backfill. `cut_off` says what to do with a statement outside a transaction of whose end nothing
    is known: `ask` (refuse), `redo` or `skip`. Raise StepFailed, InterruptedRun or ServerError with
    what was kept.
    """
    if only is None and place.migrations.broken:
        raise place.migrations.broken[0].error
    done: list[Ran] = []
    with (
        place.connected("qb runner") as control,
        only_runner(control, place.patience, place.tell, place.stop),
    ):
        if ledger.exists(control):
            ledger.close_stale(control)
        before = snapshot(control)
        for migration in [only] if only else place.migrations.all:
            still_held(control)
            state = _state(control, migration)
            refuse(state, migration)
            if state.state == "applied":
                _settle(control, migration)
                continue
            if state.state == "pending":
                migration = place.reload(migration)
            if verify_first and state.state == "pending":
                verified = verify(control, migration, before)
                if not verified.ok:
                    done.append(Ran(migration.id, "not met", 0.0, verified=verified))
                    break
            parts = _parts(control, migration, state)
            fill = backfill_states(control).get(migration.id)
            if state.state == "expanded" and fill != "completed":
                done.append(Ran(migration.id, "expanded", 0.0, note=state.note))
                break
            try:
                ran, before = _apply(place, control, migration, parts, before, state, cut_off)
            except QbError as error:
                if names := [r.migration for r in done if r.seen or r.seconds]:
                    error.why += f"\napplied before it, and kept: {', '.join(names)}"
                raise
            done.append(ran)
            if ran.status == "expanded":
                break
    return tuple(done)


def _state(control: Connection, migration: LoadedMigration) -> Status:
    fills = backfill_states(control)
    known = ledger.standing(control) if ledger.exists(control) else {}
    return one(migration, known.get(migration.id), fills.get(migration.id, ""))


def next_parts(
    control: Connection, migration: LoadedMigration
) -> tuple[tuple[Part, ...], frozenset[int]]:
    """What would be run next of a migration: the parts, and the statements that are done already.

    Up to its backfill, or what comes after it.
    """
    if not ledger.exists(control):
        return migration.before_backfill(), frozenset()
    state = _state(control, migration)
    done: frozenset[int] = frozenset()
    if state.state == "partial" and not state.down:
        last = ledger.standing(control)[migration.id].last
        steps = ledger.steps(control, last.run)
        done = frozenset(step.number for step in steps if step.status == "done")
    return _parts(control, migration, state), done


def _parts(control: Connection, migration: LoadedMigration, state: Status) -> tuple[Part, ...]:
    """What is to be run: up to the backfill, or the post part after it."""
    if state.state == "partial":
        standing = ledger.standing(control)[migration.id]
        recorded = {step.part for step in ledger.steps(control, standing.last.run)}
        after = migration.after_backfill()
        return after if recorded & {p.file for p in after} else migration.before_backfill()
    return migration.after_backfill() if state.state == "expanded" else migration.before_backfill()


def refuse(state: Status, migration: LoadedMigration) -> None:
    """Raise RefusedError for a migration that must not be run as its file is now."""
    if state.state == "edited":
        raise RefusedError(
            f"{migration.id} was edited after it was applied",
            where=str(migration.path),
            why="what ran on this database and what the file says now are not the same",
            todo="restore the file, and put the change into a new migration",
        )
    if state.state == "partial" and state.down:
        raise RefusedError(
            f"{migration.id} is half rolled back",
            where=str(migration.path),
            why=state.note,
            todo=f"qb rollback {migration.name} continues",
        )


def _settle(control: Connection, migration: LoadedMigration) -> None:
    """Write `applied` once the backfill of an expanded migration is complete."""
    standing = ledger.standing(control).get(migration.id)
    if standing is not None and standing.status == "expanded":
        control.execute(
            "UPDATE qb.history SET status = 'applied' WHERE run = %s", [standing.last.run]
        )


def _apply(
    place: Place,
    control: Connection,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    before: Snapshot,
    state: Status,
    cut_off: str,
) -> tuple[Ran, Snapshot]:
    """Run the parts of one migration; record its run whatever happens."""
    ledger.ensure(control, place.target)
    waits = migration.backfill is not None and not is_after(migration, parts)
    status = "expanded" if waits else "applied"
    resumed = state.state == "partial"
    if resumed:
        number = ledger.standing(control)[migration.id].last.run
    else:
        number = ledger.begin(control, migration, "up", before.fingerprint)
    seen = arranged(place, control, migration, parts, number, status, resumed, cut_off)
    after = snapshot(control)
    ledger.snapshot_after(control, number, after)
    last = next(r for r in ledger.history(control, migration.id) if r.run == number)
    note = f"next: qb backfill start {migration.name}" if waits else ""
    return Ran(migration.id, status, last.seconds or 0.0, seen, note=note), after


def arranged(
    place: Place,
    control: Connection,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    number: int,
    status: str,
    resumed: bool,
    cut_off: str = "ask",
    refused: frozenset[int] = frozenset(),
) -> tuple[Observation, ...]:
    """Run parts as one recorded run, from where it stands when it is resumed.

    A statement that only the server knows to refuse in a transaction is then run alone.
    """
    down = status == "rolled back"
    order = blocks(parts, down=down, refused=refused)
    kept: tuple[Step, ...] = ()
    if resumed:
        kept, order = remaining(control, number, migration, order, cut_off)
        ledger.resume(control, number, migration.checksum)
    also = (lambda conn: forget_backfill(conn, migration)) if status != "applied" else None
    total = sum(len(part.down) for part in parts) if down else len(migration.up)
    first = migration.before_backfill() if is_after(migration, parts) else ()
    base = sum(len(part.up) for part in first)
    recording = Recording(place, control, migration, number, status, (base, total), also)
    try:
        return recording.run(order, kept)
    except StepFailed as failed:
        if not wants_to_be_alone(failed):
            raise
        again = refused | {failed.step.number}
    return arranged(place, control, migration, parts, number, status, True, cut_off, again)


def is_after(migration: LoadedMigration, parts: tuple[Part, ...]) -> bool:
    """True when these are the parts that come after the backfill."""
    return bool(parts) and parts == migration.after_backfill()


def forget_backfill(conn: Connection, migration: LoadedMigration) -> None:
    """Drop what the ledger knows of a backfill whose column is gone or made anew."""
    row = conn.execute("SELECT to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if row and row[0]:
        conn.execute("DELETE FROM qb.backfill WHERE id = %s", [migration.id])
