"""is the schema what the migrations say it should be?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError
from qb_engine.execution import Executor, blocks, steps_where
from qb_engine.execution.failure import StepFailed
from qb_engine.ledger.adopt import inherited, taken_over
from qb_engine.runner import beside
from qb_engine.runner.rollback import file_of
from qb_engine.runner.status import WHOLE
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import like, scratch
from qb_engine.shadow.shadow import loaded

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Block
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Run
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Difference
    from qb_engine.shadow import Shadow

# a shadow is loaded without owners, privileges and rows, so these cannot be compared there
IGNORED = ("grant", "default privilege", "matview.populated")


@dataclass(frozen=True, slots=True)
class Validation:
    """The differences between the schema that the migrations make and the one that is there.

    `order` are tables whose columns are the same ones in another order: nothing that a migration
    could mend, and nothing that statements see which name their columns.
    """

    applied: tuple[str, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    failure: str = ""
    order: tuple[Difference, ...] = ()


def validate(place: Place) -> Validation:
    """Replay the applied migrations from the baseline on a scratch database, and compare.

    Both sides are read on the scratch server, so that two versions of PostgreSQL do not differ in
    how they print a definition. The target is only read.
    """
    with place.connected("qb validate") as conn:
        if not ledger.exists(conn):
            raise InputError(
                "no migration was ever run here",
                where=place.target.display,
                why="the database has no ledger, so there is nothing to compare with",
                todo="qb run applies migrations",
                code="not-applied",
            )
        base = ledger.baseline(conn).sql
        ran = [(migration, arranged) for migration, _, arranged in applied(place, conn)]
        adopted = adopted_ids(conn)
        now = snapshot(conn)
    server = scratch(place.project, place.scratch_url, place.opened)
    names = tuple(dict.fromkeys([*adopted, *(migration.id for migration, _ in ran)]))
    with (
        loaded(server, base) as replayed,
        like(server, place.target, schema=now, owners=False) as found,
    ):
        for migration, arranged in ran:
            try:
                replay(place, replayed, arranged)
            except StepFailed as failed:
                return Validation(names, (), found.missing, f"{migration.id}: {failed.why}")
        left, right = replayed.connect(), found.connect()
        try:
            differences = diff(snapshot(left), snapshot(right), ignore=IGNORED)
        finally:
            left.close()
            right.close()
    differences = beside.without_history(place, differences)
    order = tuple(each for each in differences if each.of_order)
    rest = tuple(each for each in differences if not each.of_order)
    return Validation(names, rest, (*replayed.missing, *found.missing), order=order)


def standing_runs(place: Place, conn: Connection) -> list[tuple[LoadedMigration, Run]]:
    """The runs that made the schema what it is since its baseline, in the order they ran.

    What was adopted is in the baseline; undoing it is a run like any other.
    """
    known, told = ledger.standing(conn), inherited(conn)
    found: list[tuple[LoadedMigration, Run]] = []
    adopted: set[str] = set()
    for run in reversed(ledger.history(conn)):
        if run.run in told.runs:
            adopted.add(run.migration)
        elif run.run <= told.covered:  # its work is in the baseline, too, as long as it stands
            stood = run.direction == "up" and run.status in WHOLE
            (adopted.add if stood else adopted.discard)(run.migration)
        if run.run <= told.covered or run.run in told.runs or run.migration not in known:
            continue
        if known[run.migration].status == "rolled back" and run.migration not in adopted:
            continue
        if run.direction == "down" and run.status == "rolled back":
            rest = [each for each in found if each[1].migration != run.migration]
            if len(rest) == len(found) and run.migration in adopted:
                rest.append((file_of(place, run.migration), run))
            found = rest
        elif run.status in WHOLE or run.kept:
            migration = file_of(place, run.migration)
            if migration.repeatable:  # as its file is now it belongs where it ran last
                found = [each for each in found if each[1].migration != run.migration]
            found.append((migration, run))
    return found


def adopted_ids(conn: Connection) -> tuple[str, ...]:
    """The adopted migrations that still stand, in order."""
    told, known = inherited(conn), ledger.standing(conn)
    runs = sorted(s.last.run for s in known.values() if s.last.run in told.runs)
    names = {s.last.run: s.migration for s in known.values()}
    return tuple(names[run] for run in runs)


def applied(
    place: Place, conn: Connection
) -> Iterator[tuple[LoadedMigration, Run, tuple[Block, ...]]]:
    """The same runs, each with its blocks that are committed on the target.

    Of what another tool ran, and what was taken over, no step is recorded: it is all up to the
    backfill, or all that was not there before.
    """
    taken, expanded = taken_over(conn), set[str]()
    for migration, run in standing_runs(place, conn):
        if run.run not in taken:
            arranged = _blocks(conn, migration, run)
        elif run.status == "expanded":
            arranged = blocks(migration.before_backfill())
        else:
            after = migration.id in expanded
            arranged = blocks(migration.after_backfill() if after else migration.parts)
        if run.status == "expanded":
            expanded.add(migration.id)
        yield migration, run, arranged


def _blocks(conn: Connection, migration: LoadedMigration, run: Run) -> tuple[Block, ...]:
    """The blocks of one run that are committed on the target; all of them when it is whole."""
    steps = ledger.steps(conn, run.run)
    files = {step.part for step in steps}
    done = {step.number for step in steps if step.status == "done"}
    parts = tuple(part for part in migration.parts if part.file in files)
    arranged = blocks(parts, down=run.direction == "down")
    if run.status in (*WHOLE, "rolled back"):  # a file that was accepted may count otherwise
        return arranged
    return steps_where(arranged, lambda step: step.number in done)


def replay(place: Place, shadow: Shadow, arranged: Iterable[Block]) -> None:
    """Run blocks on a scratch database. Raise StepFailed."""
    acting, watching = shadow.connect(), shadow.connect()
    executor = Executor(acting, watching, place.policy())
    try:
        for block in arranged:
            executor.run(block)
    finally:
        executor.close()
        acting.close()
        watching.close()
