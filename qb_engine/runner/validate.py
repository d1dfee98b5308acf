"""is the schema what the migrations say it should be?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import InputError
from qb_engine.execution import Executor, blocks
from qb_engine.execution.executor import StepFailed
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import like, scratch
from qb_engine.shadow.shadow import loaded

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration, Part
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
        now = snapshot(conn)
    server = scratch(place.project, place.scratch_url, place.opened)
    order = sorted(
        (s for s in known.values() if s.status != "rolled back"), key=lambda s: s.last.run
    )
    names = tuple(s.migration for s in order)
    with loaded(server, base) as replayed, like(server, place.target, schema=now) as found:
        for standing in order:
            migration = place.migrations.find(standing.migration)
            waiting = standing.status == "expanded"
            parts = migration.before_backfill() if waiting else migration.parts
            kept = standing.last.kept if standing.status == "partial" else None
            try:
                _replay(place, replayed, migration, parts, kept)
            except StepFailed as failed:
                return Validation(names, (), found.missing, f"{migration.id}: {failed.why}")
        left, right = replayed.connect(), found.connect()
        try:
            differences = diff(snapshot(left), snapshot(right), ignore=IGNORED)
        finally:
            left.close()
            right.close()
    return Validation(names, differences, (*replayed.missing, *found.missing))


def _replay(
    place: Place,
    shadow: Shadow,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    kept: int | None,
) -> None:
    acting, watching = shadow.connect(), shadow.connect()
    executor = Executor(acting, watching, place.policy())
    try:
        for block in blocks(parts):
            if kept is not None and block.steps[0].number > kept:
                break
            executor.run(block)
    finally:
        executor.close()
        acting.close()
        watching.close()
