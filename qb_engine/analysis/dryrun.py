"""a migration run for real on the target, observed, and rolled back"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qb_engine.analysis.verify import Verified, verify
from qb_engine.constraints.rules import Limits, Outcome, after, before, rules_of
from qb_engine.errors import RefusedError
from qb_engine.execution import Executor, Observation, blocks
from qb_engine.execution.failure import StepFailed
from qb_engine.project import seconds

if TYPE_CHECKING:
    from qb_engine.analysis.workload import Compared, Workload
    from qb_engine.constraints.rules import DeclaredRule, Memo
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration, Part


@dataclass(frozen=True)
class DryRun:
    """What each step did before everything was rolled back."""

    migration: LoadedMigration
    verified: Verified
    seen: tuple[Observation, ...]
    failure: StepFailed | None = None
    rules: tuple[Outcome, ...] = ()
    samples: tuple[Sample, ...] = ()
    compared: Compared | None = None  # the workload, on the last migration of several


Item = tuple["LoadedMigration", tuple["Part", ...], frozenset[int]]
"""A migration, the parts of it that are next, and the statements of these that are done."""


def dry_run(
    place: Place,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    done: frozenset[int] = frozenset(),
    *,
    here: bool = False,
    workload: Workload | None = None,
) -> DryRun:
    """Run the parts of a migration that are next on the target, in a transaction rolled back.

    The other parts are listed as not run. Its locks are real while it runs: every wait is bounded
    by lock_timeout, and others wait for it no longer than max_blocked; nothing is retried.
    The workload is planned before, and again before all is rolled back.
    Statements that refuse a transaction are not run. Refused on production unless `here`.
    """
    return dry_run_together(place, [(migration, parts, done)], here=here, workload=workload)[0]


def dry_run_together(
    place: Place,
    items: Iterable[Item],
    *,
    here: bool = False,
    workload: Workload | None = None,
) -> tuple[DryRun, ...]:
    """The same for several migrations, in one transaction, up to the first that fails.

    What a migration needs the one before it to have committed fails here and not in a run.
    """
    if place.target.production and not here:
        raise RefusedError(
            f"{place.target.name} is a production target",
            where=place.target.display,
            why="a dry run takes the migration's locks for real until it is rolled back",
            todo="see the locks with qb plan, which touches nothing; or say --here",
            code="production-guard",
        )
    timeouts = place.project.config.timeouts
    limits = Limits(seconds(timeouts.lock), seconds(timeouts.statement))
    found: list[DryRun] = []
    doing: list[LoadedMigration] = []
    with place.connected("qb dry run") as acting, place.connected("qb watch") as watching:
        executor = Executor(
            acting,
            watching,
            place.policy(commit=False, explain=True, debug=True),
            tell=place.tell,
            on_step=lambda step, state, seen: place.on_step(doing[-1], step, state),
            opener=lambda: place.opener("qb watch"),
            stop=place.stop,
        )
        try:
            if workload is not None:
                workload.before(watching)
            for migration, parts, done in items:
                doing.append(migration)
                first = parts[:1] == migration.parts[:1] and not done and not found
                verified = verify(watching, migration) if first else Verified(migration.id, ())
                rules = rules_of(migration, place.project.root, parts)
                memo = before(acting, rules, limits)
                seen, failure = _run(executor, migration, parts, done)
                if failure is not None and acting.closed:
                    raise failure
                outcomes = memo.outcomes
                if failure is None:
                    asked, failure = _after(executor, acting, rules, memo, seen, parts)
                    outcomes += asked
                samples = executor.samples()
                found.append(DryRun(migration, verified, seen, failure, outcomes, samples))
                if failure is not None:
                    break
            if workload is not None and found and found[-1].failure is None:
                with executor.giving_way():
                    found[-1] = replace(found[-1], compared=workload.after(acting))
        finally:
            executor.close()
    return tuple(found)


def _run(
    executor: Executor, migration: LoadedMigration, parts: tuple[Part, ...], done: frozenset[int]
) -> tuple[tuple[Observation, ...], StepFailed | None]:
    whole = parts[:1] == migration.parts[:1]
    ahead = len(migration.up) - len([s for part in parts for s in part.up])
    offset = 0 if whole else ahead
    files = {part.file for part in parts}
    seen: list[Observation] = []
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
        return (*seen, *failed.observations), failed
    return tuple(seen), None


def _after(
    executor: Executor,
    acting: Connection,
    rules: tuple[DeclaredRule, ...],
    memo: Memo,
    seen: tuple[Observation, ...],
    parts: tuple[Part, ...],
) -> tuple[tuple[Outcome, ...], StepFailed | None]:
    """Ask the rules in the transaction that is rolled back, when it holds the whole migration."""
    files = {part.file for part in parts}
    left_out = [o for o in seen if o.part in files and o.skipped.startswith("not run")]
    if not left_out and rules:
        last = blocks(parts)[-1]
        try:
            with executor.beside(last.steps[-1], last, "its rules"), executor.giving_way():
                return after(acting, rules, memo, seen), None
        except StepFailed as failed:
            return (), failed
    if not left_out:
        return (), None
    why = f"not asked: statement {left_out[0].number} cannot run in a transaction"
    return tuple(Outcome(rule, None, why) for rule in rules if rule.after), None


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
