"""is the schema what the migrations say it should be?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError
from qb_engine.execution import Executor, blocks, steps_where
from qb_engine.execution.failure import StepFailed
from qb_engine.runner.rollback import file_of
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
    """The differences between the schema that the migrations make and the one that is there."""

    applied: tuple[str, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    failure: str = ""


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
        ran = [(m, applied_blocks(conn, m, run)) for m, run in standing_runs(place, conn)]
        now = snapshot(conn)
    server = scratch(place.project, place.scratch_url, place.opened)
    names = tuple(dict.fromkeys(migration.id for migration, _ in ran))
    with loaded(server, base) as replayed, like(server, place.target, schema=now) as found:
        for migration, arranged in ran:
            try:
                _replay(place, replayed, arranged)
            except StepFailed as failed:
                return Validation(names, (), found.missing, f"{migration.id}: {failed.why}")
        left, right = replayed.connect(), found.connect()
        try:
            differences = diff(snapshot(left), snapshot(right), ignore=IGNORED)
        finally:
            left.close()
            right.close()
    return Validation(names, differences, (*replayed.missing, *found.missing))


def standing_runs(place: Place, conn: Connection) -> list[tuple[LoadedMigration, Run]]:
    """The runs that made the schema what it is, in the order they ran."""
    known = ledger.standing(conn)
    found: list[tuple[LoadedMigration, Run]] = []
    for run in reversed(ledger.history(conn)):
        if known.get(run.migration) is None or known[run.migration].status == "rolled back":
            continue
        if run.direction == "down" and run.status == "rolled back":
            found = [each for each in found if each[1].migration != run.migration]
        elif run.status in ("applied", "expanded", "contracted") or run.kept:
            found.append((file_of(place, run.migration), run))
    return found


def applied_blocks(conn: Connection, migration: LoadedMigration, run: Run) -> tuple[Block, ...]:
    """The blocks of one run that are committed on the target."""
    steps = ledger.steps(conn, run.run)
    files = {step.part for step in steps}
    done = {step.number for step in steps if step.status == "done"}
    parts = tuple(part for part in migration.parts if part.file in files)
    arranged = blocks(parts, down=run.direction == "down")
    return steps_where(arranged, lambda step: step.number in done)


def _replay(place: Place, shadow: Shadow, arranged: Iterable[Block]) -> None:
    acting, watching = shadow.connect(), shadow.connect()
    executor = Executor(acting, watching, place.policy())
    try:
        for block in arranged:
            executor.run(block)
    finally:
        executor.close()
        acting.close()
        watching.close()
