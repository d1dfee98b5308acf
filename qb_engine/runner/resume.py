"""going on after a migration that stopped half way"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.execution import Block

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration


def remaining(
    control: Connection, migration: LoadedMigration, arranged: tuple[Block, ...]
) -> tuple[int, tuple[Block, ...]]:
    """The run to go on with, and the blocks that it has not committed.

    Raise RefusedError when a statement that was committed is no longer what the file says.
    """
    standing = ledger.standing(control)[migration.id]
    recorded = ledger.kept_steps(control, standing.last.run)
    for block in arranged:
        for step in block.steps:
            row = recorded.get(step.number)
            if row and row.status == "done" and row.sql != step.statement.sql:
                raise RefusedError(
                    f"{migration.id} was edited while it was half applied",
                    where=str(step.statement.source),
                    why=f"statement {step.number} was committed as: {row.sql}",
                    todo="restore that statement; later ones may be changed",
                )
    left = []
    for block in arranged:
        steps = tuple(
            step
            for step in block.steps
            if not (row := recorded.get(step.number)) or row.status != "done"
        )
        if steps and not (len(steps) == 1 and _finished(control, block, recorded)):
            left.append(replace(block, steps=steps))
    return standing.last.run, tuple(left)


def _finished(control: Connection, block: Block, recorded: dict[int, ledger.StepRow]) -> bool:
    """True when a concurrent index build was killed after the server had finished it.

    An invalid index of that name is dropped, so that the build starts afresh.
    """
    step = block.steps[0]
    row = recorded.get(step.number)
    if block.transactional or row is None or row.status != "running":
        return False
    if step.statement.kind != "index" or not step.statement.node.idxname:
        return False
    from qb_engine.sql import qualified

    table = step.statement.node.relation
    found = control.execute(
        "SELECT n.nspname::text, c.relname::text, i.indisvalid"
        "  FROM pg_catalog.pg_index i"
        "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND i.indrelid = to_regclass(%s)",
        [step.statement.node.idxname, qualified(table.schemaname or None, table.relname)],
    ).fetchone()
    if found is None:
        return False
    if found[2]:
        return True
    control.execute(f"DROP INDEX CONCURRENTLY {qualified(found[0], found[1])}".encode())
    return False
