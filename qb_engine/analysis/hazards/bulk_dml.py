"""UPDATE or DELETE of a whole table in one transaction"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.sql.tree import pb, relation, walk

HAZARD = Hazard(
    id="bulk-dml",
    severity=Severity.WARNING,
    title="{verb} reads all of {relation}, and may change all of it, in one transaction",
    meaning="Every row that it changes stays locked against other writers until the transaction "
    "ends, the table grows by as much as was changed, replicas fall behind, and a failure near "
    "the end takes all of it back.",
    bad="UPDATE users SET city = 'unknown' WHERE city IS NULL",
    good="UPDATE users SET city = 'unknown' WHERE id BETWEEN 1 AND 1000",
    fix="make it a backfill, which goes through the table in batches by its key",
)

CHANGES = (pb.UpdateStmt, pb.DeleteStmt, pb.MergeStmt)
# how the text of a block may change a table; what it puts together cannot be read
SAID = r"(?i)\b(?:update|delete\s+from|merge\s+into)\s+(?:only\s+)?(?:[\w\".]*\.)?\"?{}\"?(?!\w)"
COMPOSED = re.compile(r"(?i)\bexecute\b")


def find(at: Situation) -> Iterator[Finding]:
    node = at.step.statement.node
    if at.kind in ("do", "call") or (at.kind == "select" and not _changes(node)):
        yield from _in_functions(at)
        return
    for change in _changes(node):
        table = _table(at, change)
        if table is None or not (whole := at.wholes([table])):
            continue
        if _many(at, node, change, table):
            verb = type(change).__name__.removesuffix("Stmt").upper()
            yield HAZARD.at(at, whole[0], verb=verb)


def _many(at: Situation, node: Any, change: Any, table: str) -> bool:
    """True when it changes more rows than a batch would, as far as can be told."""
    if at.facts.rows is not None:
        return at.facts.rows >= at.circumstances.small_rows
    if any(isinstance(n, pb.SelectStmt) and n.HasField("limit_count") for n in walk(node)):
        return False  # a batch
    read = [work.relation for work in at.facts.works(WorkKind.SCAN)]
    if any(at.within(relation, table) for relation in read):
        return True
    joined = [r for r in read if at.is_big(r)]
    return bool(joined) and not isinstance(change, pb.MergeStmt) and _joins(change)


def _joins(change: Any) -> bool:
    """True when other tables say which rows are changed."""
    return bool(change.from_clause if isinstance(change, pb.UpdateStmt) else change.using_clause)


def _changes(node: Any) -> list[Any]:
    return [n for n in walk(node) if isinstance(n, CHANGES)] if node is not None else []


def _table(at: Situation, change: Any) -> str | None:
    """The table that is changed, as `schema.name`: the statement has locked it."""
    schema, name = relation(change.relation)
    locked = [*(k.relation for k in at.facts.locks if not k.index), *at.held]
    found = [f"{schema}.{name}"] if schema else [r for r in locked if r.partition(".")[2] == name]
    return next(iter(found), None)


def _in_functions(at: Situation) -> Iterator[Finding]:
    text = at.step.statement.sql
    for table in at.wholes(work.relation for work in at.facts.works(WorkKind.SCAN)):
        writes = at.lock(table) not in ("", "AccessShareLock", "RowShareLock")
        name = re.escape(table.partition(".")[2])
        said = re.search(SAID.format(name), text) or COMPOSED.search(text) or at.kind != "do"
        ruled = at.changes.ruled_domains or at.changes.attached or at.changes.created
        if writes and said and not ruled:
            yield HAZARD.at(at, table, verb="a function" if at.kind != "do" else "the block")
