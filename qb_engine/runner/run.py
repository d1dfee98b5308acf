"""pending migrations applied, each statement recorded, nothing half done in silence"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.analysis.verify import Verified, verify
from qb_engine.database.connect import lost
from qb_engine.errors import InterruptedRun, RefusedError
from qb_engine.execution import Block, Executor, Observation, blocks
from qb_engine.execution.executor import StepFailed, server_gone
from qb_engine.runner.lock import only_runner, still_held
from qb_engine.runner.resume import remaining
from qb_engine.runner.status import Status, backfill_states, one
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
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
    place: Place, *, only: LoadedMigration | None = None, verify_first: bool = True
) -> tuple[Ran, ...]:
    """Apply what is pending, in order, one migration after the other (or just one).

    Stop at the first migration whose constraints are not met and at one that waits for its
    backfill. Raise StepFailed, InterruptedRun or ServerError with what was kept.
    """
    if only is None and place.migrations.broken:
        raise place.migrations.broken[0].error
    done: list[Ran] = []
    with (
        place.connected("qb runner") as control,
        only_runner(control, place.patience, place.tell),
    ):
        ledger.ensure(control, place.target)
        before = snapshot(control)
        for migration in [only] if only else place.migrations.all:
            still_held(control)
            state = _state(control, migration)
            _refuse(state, migration)
            if state.state == "applied":
                _settle(control, migration)
                continue
            if verify_first and state.state == "pending":
                migration = place.reload(migration)
                verified = verify(control, migration, before)
                if not verified.ok:
                    done.append(Ran(migration.id, "not met", 0.0, verified=verified))
                    break
            parts = _parts(control, migration, state)
            fill = backfill_states(control).get(migration.id)
            if state.state == "expanded" and fill != "completed":
                done.append(Ran(migration.id, "expanded", 0.0, note=state.note))
                break
            ran, before = _apply(place, control, migration, parts, before, state)
            done.append(ran)
            if ran.status == "expanded":
                break
    return tuple(done)


def _state(control: Connection, migration: LoadedMigration) -> Status:
    fills = backfill_states(control)
    return one(migration, ledger.standing(control).get(migration.id), fills.get(migration.id, ""))


def next_parts(control: Connection, migration: LoadedMigration) -> tuple[Part, ...]:
    """What would be run next of a migration: up to its backfill, or what comes after it."""
    if not ledger.exists(control):
        return migration.before_backfill()
    return _parts(control, migration, _state(control, migration))


def _parts(control: Connection, migration: LoadedMigration, state: Status) -> tuple[Part, ...]:
    """What is to be run: up to the backfill, or the post part after it."""
    if state.state == "partial":
        standing = ledger.standing(control)[migration.id]
        recorded = {step.part for step in ledger.steps(control, standing.last.run)}
        after = migration.after_backfill()
        return after if recorded & {p.file for p in after} else migration.before_backfill()
    return migration.after_backfill() if state.state == "expanded" else migration.before_backfill()


def _refuse(state: Status, migration: LoadedMigration) -> None:
    if state.state == "edited":
        raise RefusedError(
            f"{migration.id} was edited after it was applied",
            where=str(migration.path),
            why="what ran on this database and what the file says now are not the same",
            todo="restore the file and put the change into a new migration; qb status shows both",
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
) -> tuple[Ran, Snapshot]:
    """Run the parts of one migration; record its run whatever happens."""
    arranged = blocks(parts)
    resumed: int | None = None
    if state.state == "partial":
        resumed, arranged = remaining(control, migration, arranged)
        ledger.resume(control, resumed, migration.checksum)
    number = resumed or ledger.begin(control, migration, "up", before.fingerprint)
    waits = bool(migration.backfill) and parts != migration.after_backfill()
    status = "expanded" if waits else "applied"
    seen = execute(place, control, migration, arranged, number, status)
    after = snapshot(control)
    ledger.snapshot_after(control, number, after)
    last = next(r for r in ledger.history(control, migration.id) if r.run == number)
    note = f"next: qb backfill start {migration.name}" if waits else ""
    return Ran(migration.id, status, last.seconds or 0.0, seen, note=note), after


def execute(
    place: Place,
    control: Connection,
    migration: LoadedMigration,
    arranged: tuple[Block, ...],
    number: int,
    status: str,
) -> tuple[Observation, ...]:
    """Run blocks and record them: each block's steps commit together with what they did."""
    seen: list[Observation] = []
    with place.connected("qb run") as acting:
        executor = Executor(
            acting,
            control,
            place.policy(),
            tell=place.tell,
            on_step=lambda step, what: place.on_step(migration, step, what),
        )
        place.executors.append(executor)
        try:
            for block in arranged:
                last = block is arranged[-1]
                seen += _block(control, acting, executor, block, number, status if last else "")
            if not arranged:
                ledger.finish(control, number, status)
        except StepFailed as failed:
            raise _stopped(control, number, failed, migration, acting) from failed.cause
        except KeyboardInterrupt:
            kept = _record_end(control, number, "stopped", "interrupted")
            raise InterruptedRun(
                f"{migration.id} was interrupted",
                why=_fate(kept, len(migration.up)),
                todo="qb run continues",
            ) from None
        finally:
            place.executors.remove(executor)
            executor.close()
            if not acting.closed:
                acting.execute("DISCARD ALL")  # what a migration SET must not reach the next
    return tuple(seen)


def _block(
    control: Connection,
    acting: Connection,
    executor: Executor,
    block: Block,
    number: int,
    status: str,
) -> tuple[Observation, ...]:
    """Run one block; `status` is what the run becomes with it, when it is the last."""

    def inside(observations: tuple[Observation, ...]) -> None:
        # the session may act as another role by now; the ledger is written as who connected
        acting.execute("RESET ROLE")
        ledger.record_steps(acting, number, observations)
        if status:
            ledger.finish(acting, number, status)

    if block.transactional:
        return executor.run(block, inside)
    step = block.steps[0]
    blank = Observation(
        step.number, step.statement.sql, str(step.statement.source), step.part, None
    )
    ledger.record_steps(control, number, [blank], "running")
    seen = executor.run(block)
    with control.transaction():
        ledger.record_steps(control, number, seen)
        if status:
            ledger.finish(control, number, status)
    return seen


def _stopped(
    control: Connection, number: int, failed: StepFailed, migration: LoadedMigration,
    acting: Connection,
) -> Exception:  # fmt: skip
    """Record a failed step, and say what is left of the migration."""
    cancelled = isinstance(failed.cause, psycopg.errors.QueryCanceled)
    if control.closed or (lost(failed.cause) and not _alive(control)):
        return server_gone(failed.cause, f"running {migration.id}")
    ledger.record_steps(control, number, failed.observations[-1:], "failed")
    kept = _record_end(control, number, "stopped" if cancelled else "failed", failed.what)
    failed.why += f"\n{_fate(kept, len(migration.up))}"
    failed.todo = failed.todo or f"mend {migration.path.name}, then: qb run"
    return failed


def _alive(conn: Connection) -> bool:
    try:
        conn.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _record_end(control: Connection, number: int, status: str, error: str) -> int:
    """Record how a run ended; how many of its steps were kept."""
    ledger.finish(control, number, status, error)
    return len([s for s in ledger.steps(control, number) if s.status == "done"])


def _fate(kept: int, total: int) -> str:
    if not kept:
        return "rolled back: nothing of it was kept"
    return f"{kept} of {total} statements are committed, and recorded; qb run continues after them"
