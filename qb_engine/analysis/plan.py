"""the steps that would run, seen on an empty shadow of the target"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.accept import accepted
from qb_engine.analysis.calibrate import rates
from qb_engine.analysis.estimate import with_seconds
from qb_engine.analysis.examine import Examiner, examined_of
from qb_engine.analysis.figures import circumstances
from qb_engine.analysis.hazards import judge
from qb_engine.analysis.on_target import doubted, joined
from qb_engine.analysis.outside import made_roles, reaches_outside
from qb_engine.analysis.witnesses.judging import findings
from qb_engine.execution import Block, Executor, Observation, blocks, steps_where
from qb_engine.execution.failure import StepFailed
from qb_engine.migrations.model import read_text
from qb_engine.shadow import like, scratch
from qb_engine.shadow.roles import lent

if TYPE_CHECKING:
    from qb_engine.analysis.estimate import Rates
    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.hazards import Circumstances, Finding
    from qb_engine.database.connect import Connection
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.shadow import Lacking, Shadow

STATEMENT_S = 60  # on an empty shadow nothing honest takes longer


@dataclass(frozen=True, slots=True)
class PlannedMigration:
    """A migration as it would run: its blocks, what each step was seen to do, what went wrong.

    `examined` are its steps with their facts, `findings` what may go wrong on the target.
    """

    migration: LoadedMigration
    blocks: tuple[Block, ...]
    seen: tuple[Observation, ...]
    error: str = ""
    examined: tuple[Examined, ...] = ()
    findings: tuple[Finding, ...] = ()


def plan(
    place: Place,
    migrations: Iterable[LoadedMigration],
    *,
    going_on: Mapping[str, tuple[tuple[Part, ...], frozenset[int]]] | None = None,
) -> tuple[tuple[PlannedMigration, ...], tuple[str, ...]]:
    """Run migrations on a fresh shadow and return what was seen, and what the shadow lacks.

    `going_on` gives, for a migration that stopped half way, the parts to run and the steps done.
    The target is only read. A step that fails on the shadow ends that migration's plan with the
    error; the steps after it are listed without observations.
    """
    found = []
    server = scratch(place.project, place.scratch_url, place.opened)
    chosen = tuple(migrations)
    roles = made_roles(statement for migration in chosen for statement in migration.up)
    with lent(server, roles), like(server, place.target) as shadow:
        for migration in chosen:
            parts, done = (going_on or {}).get(migration.id, (migration.parts, frozenset()))
            planned = observe(place, shadow, migration, parts, done)
            found.append(planned)
            if planned.error:
                break
        missing, doubts = shadow.missing, shadow.uncertain
    with place.connected("qb plan") as conn:
        small = place.project.config.hazards
        known = circumstances(
            conn,
            production=place.target.production,
            small_bytes=int(small.small_bytes),
            small_rows=small.small_rows,
        )
        speed = rates(conn, server, place.project.home)
        return tuple(_judged(conn, each, doubts, known, speed) for each in found), missing


def _judged(
    conn: Connection,
    planned: PlannedMigration,
    doubts: Sequence[Lacking],
    known: Circumstances,
    speed: Rates,
) -> PlannedMigration:
    """The same with the target's sizes, how long it may take, and what may go wrong.

    Whether rows of the target break what a statement requires is asked of the target.
    """
    certain = [doubted(each, doubts) for each in planned.examined]
    examined = with_seconds(joined(conn, certain), speed)
    broken = findings(conn, examined, filled=planned.migration.filled)
    judged = judge(examined, known, broken)
    found = sorted(judged, key=lambda each: (each.number, -each.severity.rank))
    names = {each.statement.source.file for each in examined}
    texts = {name: read_text(Path(name)) for name in names if name and Path(name).is_file()}
    return replace(planned, examined=examined, findings=accepted(found, texts))


def observe(
    place: Place,
    shadow: Shadow,
    migration: LoadedMigration,
    parts: tuple[Part, ...],
    done: frozenset[int] = frozenset(),
    *,
    refused: frozenset[int] = frozenset(),
) -> PlannedMigration:
    """Run parts of a migration on a shadow, committed there, every step observed."""
    arranged = steps_where(blocks(parts, refused=refused), lambda step: step.number not in done)
    here = steps_where(arranged, lambda step: not reaches_outside(step.statement))
    policy = place.policy(debug=True, stepped=True, statement_timeout=STATEMENT_S)
    acting, watching = shadow.connect(), shadow.connect()
    examiner = Examiner(acting, watching, claiming=True)
    executor = Executor(acting, watching, policy, opener=shadow.connect, on_step=examiner.on_step)
    seen: list[Observation] = []
    error = ""
    try:
        for block in here:
            seen += executor.run(block)
            examiner.settle()
    except StepFailed as failed:
        if isinstance(failed.cause, psycopg.errors.ActiveSqlTransaction) and (
            failed.step.number not in refused
        ):
            # the parser could not know (a procedure that commits, say): the server has told us
            again = refused | {failed.step.number}
            executor.close()
            return observe(place, shadow, migration, parts, done, refused=again)
        seen += failed.observations
        error = failed.why
        if failed.meant.extension:
            error += f"\n{failed.meant.todo}"
    finally:
        executor.close()
        acting.close()
        watching.close()
    whole = _whole(arranged, seen)
    examined = examined_of(examiner, arranged, whole)
    return PlannedMigration(migration, arranged, whole, error, examined)


def _whole(arranged: tuple[Block, ...], seen: list[Observation]) -> tuple[Observation, ...]:
    """One observation per step: blank ones for the steps that were not reached."""
    by_number = {o.number: o for o in seen}
    found = []
    for block in arranged:
        for step in block.steps:
            outside = reaches_outside(step.statement)
            blank = Observation(
                step.number,
                step.statement.sql,
                str(step.statement.source),
                step.part,
                block.number if block.transactional else None,
                skipped=f"not run on the shadow: {outside}" if outside else "not reached",
            )
            o = by_number.get(step.number, blank)
            found.append(replace(o, transaction=blank.transaction))
    return tuple(found)
