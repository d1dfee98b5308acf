"""going on after a migration that stopped half way, up or down"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.execution import Block, Observation, Step
from qb_engine.secrets import mask
from qb_engine.sql import qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

REPEATABLE = ("vacuum", "reindex", "cluster", "alter_system", "discard")


def remaining(
    control: Connection,
    run: int,
    migration: LoadedMigration,
    arranged: Sequence[Block],
    cut_off: str = "ask",
) -> tuple[tuple[Step, ...], tuple[Block, ...]]:
    """The steps of a run that are committed, and the blocks that are not.

    Raise RefusedError when a committed statement is no longer what the file says, and when nobody
    can know whether a statement that was cut off has finished (unless `cut_off` decides).
    """
    recorded = ledger.kept_steps(control, run)
    kept: list[Step] = []
    left: list[Block] = []
    for block in arranged:
        steps = []
        for step in block.steps:
            row = recorded.get(step.number)
            if row is None or (row.status == "running" and row.transactional):
                steps.append(step)
            elif row.status == "done":
                _refuse_edited(migration, step, row)
                kept.append(step)
            elif _finished(control, step, cut_off):
                ledger.record_steps(control, run, [_known(step)])
                kept.append(step)
            else:
                steps.append(step)
        if steps:
            left.append(replace(block, steps=tuple(steps)))
    return tuple(kept), tuple(left)


def settings_of(kept: Iterable[Step]) -> tuple[str, ...]:
    """The SET statements among steps that will not run again: their session is gone."""
    return tuple(
        step.statement.sql
        for step in kept
        if step.statement.kind == "variable_set" and not step.statement.node.is_local
    )


def _refuse_edited(migration: LoadedMigration, step: Step, row: ledger.StepRow) -> None:
    if row.sql != mask(step.statement.sql):
        raise RefusedError(
            f"{migration.id} was edited while it was half applied",
            where=str(step.statement.source),
            why=f"statement {step.number} was committed as: {row.sql}",
            todo="restore that statement; later ones may be changed",
        )


def _finished(control: Connection, step: Step, cut_off: str) -> bool:
    """Whether a statement outside a transaction had finished when its runner was killed.

    A concurrent index build is looked up in the catalog, its invalid remains are dropped; what may
    be repeated is repeated; for the rest the user decides.
    """
    if cut_off in ("redo", "skip"):
        return cut_off == "skip"
    statement = step.statement
    if statement.kind == "index" and statement.node.idxname:
        return _index_is_there(control, step)
    if statement.kind in REPEATABLE:
        return False
    raise RefusedError(
        "a statement was cut off, and nobody knows whether it finished",
        where=f"{statement.source}, statement {step.number}: {statement.first_line}",
        why="it runs outside a transaction, and its runner was killed while it ran",
        todo="look at the database, then: qb run --cut-off redo, or --cut-off skip",
    )


def _index_is_there(control: Connection, step: Step) -> bool:
    node = step.statement.node
    found = control.execute(
        "SELECT n.nspname::text, c.relname::text, i.indisvalid"
        "  FROM pg_catalog.pg_index i"
        "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND i.indrelid = to_regclass(%s)",
        [node.idxname, qualified(node.relation.schemaname or None, node.relation.relname)],
    ).fetchone()
    if found is None or found[2]:
        return found is not None
    control.execute(f"DROP INDEX CONCURRENTLY {qualified(found[0], found[1])}".encode())
    return False


def _known(step: Step) -> Observation:
    return Observation(step.number, step.statement.sql, str(step.statement.source), step.part, None)
