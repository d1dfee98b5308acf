"""a migration run for real on the target, observed, and rolled back"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.verify import Verified, verify
from qb_engine.errors import RefusedError
from qb_engine.execution import Executor, Observation, blocks
from qb_engine.execution.executor import StepFailed

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration


@dataclass(frozen=True)
class DryRun:
    """What each step did before everything was rolled back."""

    migration: LoadedMigration
    verified: Verified
    seen: tuple[Observation, ...]
    failure: StepFailed | None = None


def dry_run(place: Place, migration: LoadedMigration, *, here: bool = False) -> DryRun:
    """Run a migration on the target in one transaction that is always rolled back.

    Its locks are real while it runs: every wait is bounded by lock_timeout, nothing is retried.
    Statements that refuse a transaction are not run. Refused on production unless `here`.
    """
    if place.target.production and not here:
        raise RefusedError(
            f"{place.target.name} is a production target",
            where=place.target.display,
            why="a dry run takes the migration's locks for real until it is rolled back",
            todo="see the locks with qb plan, which touches nothing; or say --here",
        )
    with place.connected("qb dry run") as acting, place.connected("qb watch") as watching:
        verified = verify(watching, migration)
        executor = Executor(
            acting,
            watching,
            place.policy(commit=False, explain=True, debug=True),
            tell=place.tell,
            on_step=lambda step, state: place.on_step(migration, step, state),
        )
        seen: list[Observation] = []
        failure = None
        try:
            for block in blocks(migration.parts):
                seen += executor.run(block)
        except StepFailed as failed:
            if isinstance(failed.cause, psycopg.errors.QueryCanceled) and acting.closed:
                raise
            seen += failed.observations
            failure = failed
        finally:
            executor.close()
    return DryRun(migration, verified, tuple(seen), failure)
