"""going on after a migration that stopped half way, up or down"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.errors import RefusedError
from qb_engine.execution import Block, Observation, Step
from qb_engine.execution.blocks import MAY_COMMIT
from qb_engine.ledger import PartRow
from qb_engine.ledger.decisions import settle_parts
from qb_engine.runner.evidence import Found, now
from qb_engine.secrets import mask
from qb_engine.sql import SqlError, read_one

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.ledger import StepRow
    from qb_engine.migrations import LoadedMigration
    from qb_engine.sql import Statement

CLEAR_S = 300  # what is half made is dropped within this, or the next run tries again


def remaining(
    control: Connection,
    run: int,
    migration: LoadedMigration,
    arranged: Sequence[Block],
    cut_off: str = "ask",
) -> tuple[tuple[Step, ...], tuple[Block, ...]]:
    """The steps of a run that are committed, and the blocks that are not.

    A statement outside a transaction that was cut off is looked up in the catalog, and what it left
    half made is removed. Raise RefusedError when a committed statement is no longer what the file
    says, and when nobody can know whether one has finished (unless `cut_off` decides).
    """
    recorded = ledger.kept_steps(control, run)
    _refuse_lost(migration, arranged, recorded)
    kept: list[Step] = []
    left: list[Block] = []
    for block in arranged:
        steps = []
        for step in block.steps:
            row = recorded.get(step.number)
            if row is None or (row.status == "running" and row.transactional):
                steps.append(step)
                continue
            if row.status == "done":
                refuse_edited(migration, step, row)
            elif not _finished(control, migration, step, row, cut_off):
                steps.append(step)
                continue
            else:
                whole = _whole(migration, arranged, step)
                with control.transaction():
                    ledger.record_steps(control, run, [_known(step)])
                    settle_parts(control, run, whole)
            kept.append(step)
        if steps:
            left.append(replace(block, steps=tuple(steps)))
    return tuple(kept), tuple(left)


def settings_of(kept: Iterable[Step]) -> tuple[str, ...]:
    """What steps that will not run again have left in their session, which is gone.

    SET, set_config and prepared statements; a temporary table and its rows cannot be made again.
    """
    return tuple(step.statement.sql for step in kept if _of_session(step.statement))


def _of_session(statement: Statement) -> bool:
    """True for a statement that changes nothing but its session, and may do so again."""
    if statement.kind == "variable_set":
        return not statement.node.is_local
    if statement.kind != "select" or len(statement.node.from_clause):
        return statement.kind in ("prepare", "deallocate")
    calls = [target.res_target.val for target in statement.node.target_list]
    return bool(calls) and all(
        call.HasField("func_call") and call.func_call.funcname[-1].string.sval == "set_config"
        for call in calls
    )


def found_now(conn: Connection, step: Step, row: StepRow) -> Found:
    """What the catalog says of a statement outside a transaction that was cut off. Only reads."""
    statement = step.statement
    if row.sql != mask(statement.sql):  # the file was mended meanwhile: it is about what ran
        try:
            statement = read_one(row.sql)
        except SqlError:
            return Found("unknown", "the file says something else now than what ran")
    found = now(conn, statement, row.before)
    if row.error and statement.kind in MAY_COMMIT:
        return replace(found, said=f"it failed ({row.error}), and may have committed before")
    return found


def refuse_edited(migration: LoadedMigration, step: Step, row: StepRow) -> None:
    """Raise RefusedError when a committed statement is no longer what the file says."""
    if row.sql != mask(step.statement.sql):
        raise RefusedError(
            f"{migration.id} was edited while it was half applied",
            where=str(step.statement.source),
            why=f"statement {step.number} was committed as: {row.sql}",
            todo="restore that statement; later ones may be changed. Or take it as it is: "
            f"qb repair {migration.id} --accept --reason TEXT",
            code="edited-migration",
        )


def _refuse_lost(
    migration: LoadedMigration, arranged: Sequence[Block], recorded: dict[int, StepRow]
) -> None:
    """Raise RefusedError when the file has fewer statements than are committed."""
    numbers = {step.number for block in arranged for step in block.steps}
    gone = [
        row for number, row in recorded.items() if row.status == "done" and number not in numbers
    ]
    if gone:
        raise RefusedError(
            f"{migration.id} was edited while it was half applied",
            where=str(migration.path),
            why=f"statement {gone[0].number} was committed, and is not in the file any more: "
            f"{gone[0].sql}",
            todo="restore that statement; or take it as it is: "
            f"qb repair {migration.id} --accept --reason TEXT",
            code="edited-migration",
        )


def _finished(
    control: Connection, migration: LoadedMigration, step: Step, row: StepRow, cut_off: str
) -> bool:
    """Whether a statement outside a transaction had finished when its runner was killed.

    What it left half made is removed. Of what the catalog does not tell the user decides.
    """
    statement, found = step.statement, found_now(control, step, row)
    if found.verdict == "unknown" and cut_off in ("redo", "skip"):
        return cut_off == "skip"
    if found.verdict == "unknown":
        raise RefusedError(
            "a statement was cut off, and nobody knows whether it finished",
            where=f"{statement.source}, statement {step.number}: {statement.first_line}",
            why=f"it runs outside a transaction, and nobody was there to see its end\n{found.said}",
            todo="look at the database, then: qb run --cut-off redo, or --cut-off skip",
            code="cut-off-statement",
        )
    if found.verdict == "finished":
        refuse_edited(migration, step, row)
    for sql in found.clear:
        clear(control, sql)
    return found.verdict == "finished"


def clear(control: Connection, sql: str) -> None:
    """Remove what a statement has left half made, outside a transaction, in bounded time."""
    control.execute(f"SET statement_timeout = '{CLEAR_S}s'".encode())
    try:
        control.execute(sql.encode())
    finally:
        if not control.closed:
            control.execute("RESET statement_timeout")


def _whole(
    migration: LoadedMigration, arranged: Sequence[Block], step: Step
) -> tuple[PartRow, ...]:
    """The file of which this step is the last one: with it, all of it has run."""
    numbers = [s.number for block in arranged for s in block.steps if s.part == step.part]
    if step.number != max(numbers):
        return ()
    part = next(part for part in migration.parts if part.file == step.part)
    state = "undone" if step.statement in part.down else "applied"
    return (PartRow(part.file, part.kind, state, "mixed"),)


def _known(step: Step) -> Observation:
    return Observation(step.number, step.statement.sql, str(step.statement.source), step.part, None)
