"""is the schema what the migrations say it should be?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError
from qb_engine.execution import Executor, blocks, steps_where
from qb_engine.execution.executor import StepFailed
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import like, scratch
from qb_engine.shadow.shadow import loaded

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Block
    from qb_engine.execution.place import Place
    from qb_engine.ledger import Standing
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Difference
    from qb_engine.shadow import Shadow

# the shadow is loaded without owners and privileges, so these cannot be compared there
IGNORED = ("grant", "default privilege")


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
            )
        known = ledger.standing(conn)
        base = ledger.baseline(conn).sql
        applied = {
            m.id: applied_blocks(conn, m, known[m.id])
            for m in place.migrations.all
            if m.id in known
        }
        now = snapshot(conn)
    server = scratch(place.project, place.scratch_url, place.opened)
    order = sorted(
        (s for s in known.values() if s.status != "rolled back"), key=lambda s: s.last.run
    )
    names = tuple(s.migration for s in order)
    with loaded(server, base) as replayed, like(server, place.target, schema=now) as found:
        for standing in order:
            migration = place.migrations.find(standing.migration)
            try:
                _replay(place, replayed, applied[migration.id])
            except StepFailed as failed:
                return Validation(names, (), found.missing, f"{migration.id}: {failed.why}")
        left, right = replayed.connect(), found.connect()
        try:
            differences = diff(snapshot(left), snapshot(right), ignore=IGNORED)
        finally:
            left.close()
            right.close()
    return Validation(names, differences, (*replayed.missing, *found.missing))


def applied_blocks(
    conn: Connection, migration: LoadedMigration, standing: Standing
) -> tuple[Block, ...]:
    """The blocks of a migration that are committed on the target, in the order they ran."""
    if standing.status == "applied":
        return blocks(migration.parts)
    if standing.status == "expanded":
        return blocks(migration.before_backfill())
    steps = ledger.steps(conn, standing.last.run)
    done = {s.number for s in steps if s.status == "done"}
    after = migration.after_backfill()
    second = bool({s.part for s in steps} & {part.file for part in after})
    first = blocks(migration.before_backfill()) if second else ()
    if standing.last.direction == "down":
        undone = blocks(migration.parts, down=True)
        return (*blocks(migration.parts), *steps_where(undone, lambda step: step.number in done))
    parts = after if second else migration.before_backfill()
    return (*first, *steps_where(blocks(parts), lambda step: step.number in done))


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
