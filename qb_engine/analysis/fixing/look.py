"""each command of a migration, run on a shadow by itself: the schema before it, and its facts"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qb_engine import operations
from qb_engine.analysis.arrange import Tx, arrange
from qb_engine.analysis.examine import Examiner, examined_of
from qb_engine.analysis.facts import Facts, WorkKind
from qb_engine.analysis.fixing.ground import POLICY
from qb_engine.analysis.hazards import Situation
from qb_engine.execution import Executor
from qb_engine.execution.failure import StepFailed
from qb_engine.operations.safely import Seen
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import Statement, deparse, read_one
from qb_engine.sql.tree import pb

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.fixing.ground import Ground
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.observation import Observation
    from qb_engine.operations import Operation
    from qb_engine.shadow import Shadow

# what each partition must satisfy, as the server itself says it
BOUNDS = """
SELECT n.nspname || '.' || c.relname, pg_catalog.pg_get_partition_constraintdef(c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relispartition
"""
REWRITING = (WorkKind.REWRITE,)
READING = (WorkKind.VERIFY, WorkKind.SCAN, WorkKind.FOREIGN_KEY)
BUILDING = (WorkKind.BUILD, WorkKind.REBUILD)


@dataclass(frozen=True)
class Command:
    """One command of a statement: the operation, the schema before it, and what it was seen to do.

    `at` is the number of its statement, from 0; `whole` is True for the only one of its statement.
    """

    at: int
    statement: Statement
    operation: Operation
    whole: bool
    before: Snapshot
    examined: Examined
    bounds: Mapping[str, str] = field(default_factory=dict)
    after: Snapshot | None = None

    strong: frozenset[str] = frozenset()  # tables that others cannot even read meanwhile

    @property
    def facts(self) -> Facts:
        return self.examined.facts


def look(shadow: Shadow, statements: Sequence[Statement]) -> tuple[Command, ...]:
    """Run the commands of statements one by one on a shadow, each committed there.

    Stop after the first that fails: it is the last one, with its error.
    """
    each: list[tuple[int, Statement, Operation, bool, Statement]] = []
    for at, statement in enumerate(statements):
        found = operations.read(statement)
        whole = len(found) == 1
        for operation in found:
            sql = statement.sql if whole else operation.write()
            single = _at_once(read_one(sql, statement.source))
            each.append((at, statement, operation, whole, single))
    arranged = arrange([single for *_, single in each], Tx.NONE)
    acting, watching, reading = shadow.connect(), shadow.connect(), shadow.connect()
    examiner = Examiner(acting, watching)
    before: dict[int, Snapshot] = {}
    bounds: dict[int, Mapping[str, str]] = {}

    def on_step(step: Step, state: str, seen: Observation | None) -> None:
        if state == "running":
            before[step.number] = snapshot(reading)
            bounds[step.number] = _bounds(reading, step, "DETACH")
        examiner.on_step(step, state, seen)
        if state == "done" and not bounds[step.number]:
            bounds[step.number] = _bounds(acting, step, "ATTACH")

    executor = Executor(acting, watching, POLICY, opener=shadow.connect, on_step=on_step)
    seen: list[Observation] = []
    last = 0
    try:
        for block in arranged.blocks:
            seen += executor.run(block)
            examiner.settle()
            last = block.steps[-1].number
        before[last + 1] = snapshot(reading)
    except StepFailed as failed:
        seen += failed.observations
    finally:
        executor.close()
        for conn in (acting, watching, reading):
            conn.close()
    examined = {e.number: e for e in examined_of(examiner, arranged.blocks, seen)}
    return tuple(
        Command(
            at, statement, operation, whole, before[number], examined[number],
            bounds.get(number, {}), before.get(number + 1),
        )
        for number, (at, statement, operation, whole, _) in enumerate(each, 1)
        if number in before
    )  # fmt: skip


def _at_once(statement: Statement) -> Statement:
    """The same without CONCURRENTLY: on a shadow there is nobody else, and it is never refused."""
    node = statement.node
    if not statement.refuses_transaction and statement.kind != "refresh_mat_view":
        return statement
    copy = type(node)()
    copy.CopyFrom(node)
    if isinstance(node, pb.IndexStmt | pb.RefreshMatViewStmt | pb.DropStmt) and node.concurrent:
        copy.concurrent = False
    elif isinstance(node, pb.AlterTableStmt):
        getattr(copy.cmds[0].alter_table_cmd, "def").partition_cmd.concurrent = False
    else:
        return statement
    return read_one(deparse(copy), statement.source)


def _bounds(conn: Connection, step: Step, word: str) -> Mapping[str, str]:
    """What partitions must satisfy now, where a statement changes it."""
    text = " ".join(step.statement.sql.upper().split())
    if f"{word} PARTITION" not in text and (word != "ATTACH" or "PARTITION OF" not in text):
        return {}
    return {str(name): str(text) for name, text in conn.execute(BOUNDS).fetchall() if text}


def with_sizes(ground: Ground, commands: Iterable[Command]) -> tuple[Command, ...]:
    """The same commands with the target's figures of the relations that they touch."""
    found = tuple(commands)
    names: set[str] = set()
    for each in found:
        names |= {lock.relation for lock in each.facts.locks}
        names |= {work.relation for work in each.facts.work} | set(each.facts.changes.kinds)
    figures = ground.figures(names) if names else {}
    return tuple(
        replace(c, examined=replace(c.examined, facts=replace(c.facts, figures=figures)))
        for c in found
    )


def seen_of(
    command: Command,
    ground: Ground,
    made: frozenset[str],
    *,
    alone: bool,
    failed: bool,
    values: Mapping[str, str],
) -> Seen:
    """What a recipe asks about: the facts of a command, without what nobody would notice."""
    at = Situation(command.examined, ground.circumstances, made=made)

    def above(name: str) -> list[str]:
        """A table, and those that it is a partition of."""
        found, now = [name], name
        while (table := command.before.tables.get(now)) and table.partition_of:
            now = table.partition_of
            found.append(now)
        return found

    def big(name: str) -> bool:
        return any(at.is_big(each) for each in above(name)) and not at.is_new(name)

    def noticed(kinds: tuple[WorkKind, ...]) -> frozenset[str]:
        tables = [work.relation for work in command.facts.works(*kinds)]
        return frozenset(each for name in tables if big(name) for each in above(name))

    rows = ground.rows(command.statement)
    return Seen(
        version=ground.circumstances.version or 180000,
        rewrites=noticed(REWRITING),
        scans=noticed(READING),
        builds=noticed(BUILDING),
        alone=alone,
        failed=failed,
        values=values,
        bounds=command.bounds,
        after=command.after,
        big=big,
        filled=lambda name: not at.is_empty(name),
        many=lambda name: big(name) and (rows is None or rows >= ground.circumstances.small_rows),
    )
