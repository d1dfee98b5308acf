"""all pending migrations in one transaction: all of them are applied, or none"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.analysis.verify import Verified, verify
from qb_engine.constraints.rules import rules_of
from qb_engine.errors import QbError, RefusedError
from qb_engine.execution import Block, StepFailed, blocks
from qb_engine.execution.executor import Unit
from qb_engine.runner import beside
from qb_engine.runner.ran import Ran
from qb_engine.runner.recording import Recording, forget_backfill, wants_to_be_alone

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration
    from qb_engine.runner.crew import Crew


class NotMet(RefusedError):
    """The constraints of a migration are not met by what those before it have made."""

    code = "constraints-not-met"

    def __init__(self, migration: LoadedMigration, verified: Verified) -> None:
        self.migration, self.verified = migration, verified
        bad = [c for c in verified.checks if not c.ok]
        said = [f"{c.what}: expected {c.expected}, found {c.found}" for c in bad]
        super().__init__(
            f"the constraints of {migration.id} are not met",
            where=str(migration.path),
            why="\n".join([*said, "rolled back: nothing of any migration was kept"]),
            todo="mend the schema or the constraints, then: qb run --atomic all",
        )


def run_together(
    crew: Crew, migrations: Sequence[LoadedMigration], *, verify_first: bool
) -> tuple[Ran, ...]:
    """Run migrations in one transaction, each recorded in it.

    Raise RefusedError before anything runs when one of them cannot be part of a transaction, and
    NotMet, StepFailed or RuleBroken when one fails: nothing is kept then.
    """
    order = [(m, blocks(m.before_backfill())) for m in migrations]
    for migration, arranged in order:
        ends = migration is migrations[0], migration is migrations[-1]
        _refuse(migration, arranged, first=ends[0], last=ends[1])
    root = crew.place.project.root
    held = [rules_of(m, root, m.before_backfill()) for m in migrations]  # a broken one raises
    crew.ensure_ledger()
    crew.history(beside.names_of(part for each in migrations for part in each.parts))
    started = crew.fingerprint()
    numbers = [ledger.begin(crew.control, m, "up", started) for m in migrations]
    recordings: list[Recording] = []
    units: list[Unit] = []
    for (migration, arranged), number, rules in zip(order, numbers, held):
        fills = migration.backfill is not None
        recording = Recording(
            crew,
            migration,
            number,
            "expanded" if fills else "applied",
            (0, len(migration.up)),
            partial(forget_backfill, migration=migration) if fills else None,
            rules,
            all_or_none=True,
        )
        mine = recording.units(arranged, migration.before_backfill())
        recordings.append(recording)
        units += [_beginning(crew, migration, recordings, mine[0], verify_first), *mine[1:]]
    try:
        crew.executor.run_together(units)
    except BaseException as error:
        if isinstance(error, StepFailed) and wants_to_be_alone(error):
            error = _alone(error)
        current = next((r for r in recordings if r.number == crew.run), recordings[0])
        with current.recorded():  # which knows when the commit got through after all
            _close_others(crew, current.number, numbers)
            current.keep_samples()
            raise error
    recordings[-1].keep_samples()
    crew.tidy()
    return tuple(_ran(recording, m) for recording, m in zip(recordings, migrations))


def _ran(recording: Recording, migration: LoadedMigration) -> Ran:
    waits = migration.backfill is not None
    note = f"next: qb backfill start {migration.name}" if waits else ""
    status = "expanded" if waits else "applied"
    return Ran(
        migration.id,
        status,
        recording.seconds,
        tuple(recording.seen),
        note=note,
        samples=recording.samples,
    )


def _refuse(
    migration: LoadedMigration, arranged: Sequence[Block], *, first: bool, last: bool
) -> None:
    """Raise RefusedError, with the line, for what cannot be part of one transaction."""
    for block in arranged:
        if not block.transactional:
            step = block.steps[0]
            raise RefusedError(
                f"{migration.id} cannot be part of one transaction with the others",
                where=f"{step.statement.source}, statement {step.number}: "
                f"{step.statement.first_line}",
                why=step.outside,
                todo="run what comes before it with --to, or all of it without --atomic all",
                code="not-together",
            )
    if not arranged:
        raise RefusedError(
            f"{migration.id} has no statement to run in a transaction",
            where=str(migration.path),
            why="it is a backfill alone" if migration.backfill else "its up does nothing",
            todo="run it by itself: qb run",
            code="not-together",
        )
    if not first and any(part.dynamic for part in migration.parts):
        raise RefusedError(
            f"the SQL of {migration.id} is made from what the target holds",
            where=str(migration.path),
            why="the migrations before it have not run when it is made, and in one transaction "
            "with them it cannot be made later",
            todo="run what comes before it with --to, or all of it without --atomic all",
            code="not-together",
        )
    if migration.backfill is not None and not last:
        raise RefusedError(
            f"{migration.id} has a backfill, and others come after it",
            where=str(migration.path),
            why="a backfill runs between transactions, so those after it cannot be in the same one",
            todo=f"run up to it: qb run --atomic all --to {migration.id}",
            code="not-together",
        )


def _beginning(
    crew: Crew,
    migration: LoadedMigration,
    recordings: list[Recording],
    unit: Unit,
    verify_first: bool,
) -> Unit:
    """The first block of a migration, which is verified in the transaction that made its schema."""
    mine = recordings[-1].number

    def first() -> None:
        for recording in recordings:
            if recording.number == crew.run:
                recording.keep_samples()  # what was seen until now is of the one before
        crew.take_up(migration, mine)
        if verify_first and migration.constraints:
            verified = verify(crew.acting, migration)
            if not verified.ok:
                raise NotMet(migration, verified)
        if unit.first is not None:
            unit.first()

    return replace(unit, first=first)


def _close_others(crew: Crew, current: int, numbers: Sequence[int]) -> None:
    """Record that the other migrations went with the one that failed."""
    for number in numbers:
        if number != current and not crew.control.closed:
            ledger.finish(crew.control, number, "stopped", "rolled back with another migration")


def _alone(failed: StepFailed) -> QbError:
    return RefusedError(
        "a statement cannot be part of a transaction",
        where=failed.where,
        why=failed.why + "\nrolled back: nothing of any migration was kept",
        todo="run without --atomic all",
        code="not-together",
    )
