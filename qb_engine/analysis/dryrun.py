"""a migration run for real on the target, observed, and rolled back"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.verify import Verified, verify
from qb_engine.errors import RefusedError
from qb_engine.execution import Executor, Observation, blocks
from qb_engine.execution.failure import StepFailed

if TYPE_CHECKING:
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration, Part


@dataclass(frozen=True)
class DryRun:
    """What each step did before everything was rolled back."""

    migration: LoadedMigration
    verified: Verified
    seen: tuple[Observation, ...]
    failure: StepFailed | None = None


def dry_run(
    place: Place,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    done: frozenset[int] = frozenset(),
    *,
    here: bool = False,
) -> DryRun:
    """Run the parts of a migration that are next on the target, in a transaction rolled back.

    The other parts are listed as not run. Its locks are real while it runs: every wait is bounded
    by lock_timeout, nothing is retried.
    Statements that refuse a transaction are not run. Refused on production unless `here`.
    """
    if place.target.production and not here:
        raise RefusedError(
            f"{place.target.name} is a production target",
            where=place.target.display,
            why="a dry run takes the migration's locks for real until it is rolled back",
            todo="see the locks with qb plan, which touches nothing; or say --here",
            code="production-guard",
        )
    with place.connected("qb dry run") as acting, place.connected("qb watch") as watching:
        first = parts[:1] == migration.parts[:1] and not done
        offset = (
            0
            if parts[:1] == migration.parts[:1]
            else len(migration.up) - len([s for part in parts for s in part.up])
        )
        verified = verify(watching, migration) if first else Verified(migration.id, ())
        files = {part.file for part in parts}
        executor = Executor(
            acting,
            watching,
            place.policy(commit=False, explain=True, debug=True),
            tell=place.tell,
            on_step=lambda step, state, seen: place.on_step(migration, step, state),
            opener=lambda: place.opener("qb watch"),
        )
        seen: list[Observation] = []
        failure = None
        try:
            for block in blocks(migration.parts):
                for step in block.steps:
                    if step.number - offset in done:
                        seen.append(_other(step, after=False))
                    elif step.part not in files:
                        seen.append(_other(step, after=bool(step.number > offset)))
                now = [s for s in block.steps if s.part in files and s.number - offset not in done]
                if now:
                    seen += executor.run(replace(block, steps=tuple(now)))
        except StepFailed as failed:
            if isinstance(failed.cause, psycopg.errors.QueryCanceled) and acting.closed:
                raise
            seen += failed.observations
            failure = failed
        finally:
            executor.close()
    return DryRun(migration, verified, tuple(seen), failure)


def _other(step: Step, *, after: bool) -> Observation:
    """A step that is not run now: it comes after the backfill, or was applied before it."""
    return Observation(
        step.number,
        step.statement.sql,
        str(step.statement.source),
        step.part,
        None,
        skipped="comes after the backfill" if after else "applied already",
    )
