"""pending migrations applied, each statement recorded, nothing half done in silence"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qb_engine import ledger
from qb_engine.analysis.verify import verify
from qb_engine.constraints.rules import rules_of
from qb_engine.errors import QbError, RefusedError
from qb_engine.execution import StepFailed, blocks
from qb_engine.execution.blocks import without_effect
from qb_engine.runner import agreed, beside, contracted
from qb_engine.runner.crew import at_work
from qb_engine.runner.ran import Ran
from qb_engine.runner.recording import Recording, forget_backfill, wants_to_be_alone
from qb_engine.runner.request import Request, selected
from qb_engine.runner.resume import remaining
from qb_engine.runner.status import Status, backfill_states, one, status
from qb_engine.runner.together import run_together

if TYPE_CHECKING:
    from qb_engine.constraints.rules import DeclaredRule, Memo
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration, Migrations, Part
    from qb_engine.runner.crew import Crew


WAITING = ("expanded", "backfilling")


def run(place: Place, request: Request | None = None) -> tuple[Ran, ...]:
    """Apply what is pending, in order, as the request says.

    Stop at the first migration whose constraints are not met and at one that waits for its
    backfill. Raise RefusedError before anything ran, or StepFailed, InterruptedRun or ServerError
    with what was kept.
    """
    request = request or Request()
    if request.if_pending and not _pending(place, request):
        return ()
    started = time.monotonic()
    with at_work(place, request.patience) as crew:
        done = run_with(crew, request)
    seconds = time.monotonic() - started
    place.emit("run_ended", status="done", seconds=seconds, migrations=len(done))
    return done


def run_with(crew: Crew, request: Request) -> tuple[Ran, ...]:
    """Apply what is pending, with the runner's lock held."""
    place, control = crew.place, crew.control
    crew.terminate = request.terminate or 0.0
    if place.migrations.entries:
        crew.expect_ledger()  # while the migrations are read
    beside.settle(crew)
    states = status(control, place.migrations)
    todo = _selected(states, place.migrations, request)
    loaded = {s.migration: place.migrations.get(s.migration) for s in todo}  # a broken one raises
    for state in todo:
        if state.state == "pending":
            _refuse_outdated(loaded[state.migration])
    fills = backfill_states(control)
    if request.agreed is not None:
        agreed.insist(request.agreed, list(loaded.values()), crew.schema().fingerprint)
    _settle(control, states)
    done: list[Ran] = []
    together = _together(todo, loaded) if request.atomic == "all" else []
    try:
        if together:
            try:
                done += run_together(crew, together, verify_first=request.verify_first)
            except beside.Meanwhile as error:
                beside.settle(crew)
                rest = [s for s in todo if s.migration != error.migration]
                note = "TypeORM has applied it meanwhile"
                done.append(Ran(error.migration, "applied", 0.0, note=note))
                if rest:
                    again = replace(request, to=rest[-1].migration, steps=None, only=None)
                    done += run_with(crew, again)
            return tuple(done)
        for ahead, state in zip(reversed(range(len(todo))), todo):
            crew.ahead = ahead
            migration = loaded[state.migration]
            waits = state.state in ("expanded", "backfilling")
            if waits and fills.get(migration.id) != "completed":
                done.append(Ran(migration.id, "expanded", 0.0, note=state.note))
                break
            try:
                ran = _one(crew, migration, state, request)
            except beside.Meanwhile:
                if migration.id not in beside.settle(crew):
                    beside.take_rest(crew, migration)
                ran = Ran(migration.id, "applied", 0.0, note="TypeORM has applied it meanwhile")
            done.append(ran)
            if ran.status in ("expanded", "not met"):
                break
    except QbError as error:
        if names := [r.migration for r in done if r.seen or r.seconds]:
            kept = "applied before it" + ("" if crew.control.closed else ", and kept")
            error.why += f"\n{kept}: {_some(names)}"
        raise
    finally:
        _keep_schema(crew, done)
    return tuple(done)


def _refuse_outdated(migration: LoadedMigration) -> None:
    """Raise RefusedError for what was recorded before a file that it imports was edited."""
    for part in migration.parts:
        if part.outdated:
            raise RefusedError(
                f"{migration.id} was recorded before {part.outdated} was edited",
                where=str(migration.path),
                why="it imports that file, and may send something else now",
                todo="record it again: qb typeorm import --allow-execution --yes",
                code="not-recorded",
            )


def _together(
    todo: Sequence[Status], loaded: Mapping[str, LoadedMigration]
) -> list[LoadedMigration]:
    """The migrations for one transaction; raise RefusedError for one that is half applied."""
    for state in todo:
        if state.state != "pending":
            raise RefusedError(
                f"{state.migration} is {state.state}, and cannot be part of one transaction",
                where=str(loaded[state.migration].path),
                why=state.note,
                todo="run without --atomic all first",
                code="not-together",
            )
    return [loaded[state.migration] for state in todo]


def _selected(
    states: Sequence[Status], migrations: Migrations, request: Request
) -> tuple[Status, ...]:
    requires = {entry.id: entry.requires for entry in migrations.entries if entry.requires}
    return selected(states, request, lambda id: file_name(migrations, id), requires)


def file_name(migrations: Migrations, id: str) -> str:
    """Where a migration's file is; its id when it has none."""
    return next((str(e.path) for e in migrations.entries if e.id == id), id)


def to_run(
    conn: Connection, migrations: Migrations, request: Request
) -> tuple[LoadedMigration, ...]:
    """The migrations that a run of the request would come to, up to one that has to wait."""
    found = []
    todo = _selected(status(conn, migrations), migrations, request)
    fills = backfill_states(conn)
    for state in todo:
        if state.state in WAITING and fills.get(state.migration) != "completed":
            break
        found.append(migrations.get(state.migration))
        if found[-1].backfill is not None and state.state not in WAITING:
            break
    return tuple(found)


def _pending(place: Place, request: Request) -> bool:
    """True when there is something to run, asked without the runner's lock."""
    with place.connected("qb status") as conn:  # not the name by which work is known
        return bool(to_run(conn, place.migrations, request))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 6 else f"{len(names)}, the last one {names[-1]}"


def _one(crew: Crew, migration: LoadedMigration, state: Status, request: Request) -> Ran:
    """Verify and run one migration, as far as it goes now."""
    if state.state == "pending":
        if any(part.dynamic for part in migration.parts):
            migration = crew.place.reload(migration)
            if request.agreed is not None:
                agreed.insist_on(request.agreed, migration)
        if request.verify_first and migration.constraints:
            verified = verify(crew.control, migration)
            if not verified.ok:
                return Ran(migration.id, "not met", 0.0, verified=verified)
    if request.atomic == "none":
        loose = tuple(replace(part, transaction=False) for part in migration.parts)
        migration = replace(migration, parts=loose)
    parts = _parts(crew.control, migration, state)
    return _apply(crew, migration, parts, state, request.cut_off)


def next_parts(
    control: Connection, migration: LoadedMigration
) -> tuple[tuple[Part, ...], frozenset[int]]:
    """What would be run next of a migration: the parts, and the statements that are done already.

    Up to its backfill, or what comes after it.
    """
    if not ledger.exists(control):
        return migration.before_backfill(), frozenset()
    fills = backfill_states(control)
    known = ledger.standing(control)
    state = one(migration, known.get(migration.id), fills.get(migration.id, ""))
    done: frozenset[int] = frozenset()
    if state.state == "partial" and not state.down:
        steps = ledger.steps(control, known[migration.id].last.run)
        done = frozenset(step.number for step in steps if step.status == "done")
    return _parts(control, migration, state), done


def _parts(control: Connection, migration: LoadedMigration, state: Status) -> tuple[Part, ...]:
    """What is to be run: up to the backfill, or the post part after it."""
    if state.state == "partial":
        standing = ledger.standing(control)[migration.id]
        recorded = {step.part for step in ledger.steps(control, standing.last.run)}
        after = migration.after_backfill()
        return after if recorded & {p.file for p in after} else migration.before_backfill()
    return migration.after_backfill() if state.state in WAITING else migration.before_backfill()


def _settle(control: Connection, states: Sequence[Status]) -> None:
    """Write `applied` for expanded migrations whose backfill is complete and has nothing after."""
    finished = [s.migration for s in states if s.state == "applied" and s.backfill]
    if finished:
        control.execute(
            "UPDATE qb.history SET status = 'applied'"
            " WHERE migration = ANY (%s) AND status = 'expanded'",
            [finished],
        )


def _apply(
    crew: Crew,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    state: Status,
    cut_off: str,
) -> Ran:
    """Run the parts of one migration; record its run whatever happens."""
    rules = rules_of(migration, crew.place.project.root, parts)  # a broken one raises
    crew.ensure_ledger()
    crew.history(beside.names_of(parts))
    status = becomes(migration, parts)
    if status == "contracted":
        _insist_on_backfill(crew.control, migration)
    resumed = state.state == "partial"
    if resumed:
        number = ledger.standing(crew.control)[migration.id].last.run
    else:
        number = crew.begin(migration)
    done = arranged(crew, migration, parts, number, status, resumed, cut_off, rules=rules)
    note = f"next: qb backfill start {migration.name}" if status == "expanded" else ""
    if status == "contracted":
        note = contracted.settle(crew, migration)
    seen = tuple(done.seen)
    return Ran(migration.id, status, done.seconds, seen, note=note, samples=done.samples)


def _insist_on_backfill(control: Connection, migration: LoadedMigration) -> None:
    """Raise RefusedError for what comes after a backfill that is not complete and verified."""
    fill = backfill_states(control).get(migration.id, "")
    if fill and fill != "completed":  # none: its history came from elsewhere
        raise RefusedError(
            f"the backfill of {migration.id} is {fill}",
            where=str(migration.path),
            why="what comes after it relies on every row",
            todo=f"qb backfill start {migration.name}",
            code="backfill-state",
        )


def becomes(migration: LoadedMigration, parts: tuple[Part, ...]) -> str:
    """What a migration is once these parts have run."""
    if migration.backfill is None:
        return "applied"
    return "contracted" if is_after(migration, parts) else "expanded"


def arranged(
    crew: Crew,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    number: int,
    status: str,
    resumed: bool,
    cut_off: str = "ask",
    refused: frozenset[int] = frozenset(),
    *,
    rules: tuple[DeclaredRule, ...] = (),
    memo: Memo | None = None,
) -> Recording:
    """Run parts as one recorded run, from where it stands when it is resumed.

    A statement that only the server knows to refuse in a transaction is then run alone.
    """
    down = status == "rolled back"
    order = blocks(parts, down=down, refused=refused)
    kept: tuple[Step, ...] = ()
    for step in without_effect(order):
        crew.place.tell(
            f"statement {step.number}, {step.statement.first_line}: SET LOCAL ends with its "
            "transaction, and nothing else runs in it; SET lasts for the whole migration"
        )
    if resumed:
        kept, order = remaining(crew.control, number, migration, order, cut_off)
        ledger.resume(crew.control, number, migration, tell=not crew.decides)
    fresh = status not in ("applied", "contracted")
    also = (lambda conn: forget_backfill(conn, migration)) if fresh else None
    total = sum(len(part.down) for part in parts) if down else len(migration.up)
    first = migration.before_backfill() if is_after(migration, parts) else ()
    base = sum(len(part.up) for part in first)
    recording = Recording(crew, migration, number, status, (base, total), also, rules)
    recording.memo = memo or recording.memo
    whose: dict[str, Any] = {"migration": migration.id, "run": number}
    crew.place.emit("migration_started", **whose, direction="down" if down else "up")
    try:
        recording.run(order, parts, kept)
        crew.place.emit("migration_ended", **whose, status=status, seconds=recording.seconds)
        return recording
    except StepFailed as failed:
        if not wants_to_be_alone(failed):
            raise
        again, memo = refused | {failed.step.number}, recording.memo
    return arranged(
        crew, migration, parts, number, status, True, cut_off, again, rules=rules, memo=memo
    )


def is_after(migration: LoadedMigration, parts: tuple[Part, ...]) -> bool:
    """True when these are the parts that come after the backfill."""
    return bool(parts) and parts == migration.after_backfill()


def _keep_schema(crew: Crew, done: Sequence[Ran]) -> None:
    """Record what the schema became with the last migration that ran."""
    ran = [r.migration for r in done if r.seen or r.seconds]
    if ran and not crew.control.closed:
        crew.keep_schema(ledger.history(crew.control, ran[-1])[0].run)
