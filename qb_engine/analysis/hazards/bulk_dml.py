"""UPDATE or DELETE of a whole table in one transaction"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.sql import SqlError, read_one
from qb_engine.sql.procedural import body
from qb_engine.sql.tree import only, pb, relation, strings, walk

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
    for change, whole in changed_whole(at):
        verb = type(change).__name__.removesuffix("Stmt").upper()
        yield HAZARD.at(at, whole, verb=verb)


def changed_whole(at: Situation) -> Iterator[tuple[Any, str]]:
    """The changes of the statement that go through a big table, with that table."""
    node = at.step.statement.node
    for change in _changes(node):
        table = _table(at, change)
        if table is None or not (whole := at.wholes([table])):
            continue
        if _many(at, node, change, table):
            yield change, whole[0]


def _many(at: Situation, node: Any, change: Any, table: str) -> bool:
    """True when it changes more rows than a batch would, as far as can be told."""
    if at.facts.rows is not None:
        return at.facts.rows >= at.circumstances.small_rows
    if any(isinstance(n, pb.SelectStmt) and n.HasField("limit_count") for n in walk(node)):
        return False  # a batch
    read = [work.relation for work in at.facts.works(WorkKind.SCAN)]
    if any(at.within(relation, table) for relation in read):
        return True
    if isinstance(change, pb.MergeStmt):
        sources = [n for n in walk(change.source_relation) if isinstance(n, pb.RangeVar)]
        return any(at.is_big(found) for each in sources if (found := _locked(at, each)))
    return not _pinned(only(change.where_clause))


def _pinned(node: Any) -> bool:
    """True when a condition names the values, or both ends of a range, that it is about.

    An index serves it, else all of the table would have been read.
    """
    if isinstance(node, pb.BoolExpr):
        parts = [only(each) for each in node.args]
        if node.boolop == pb.AND_EXPR:
            return any(map(_pinned, parts)) or _ends(parts)
        return node.boolop == pb.OR_EXPR and all(map(_pinned, parts))
    if isinstance(node, pb.SubLink):
        inner = only(node.subselect)
        return isinstance(inner, pb.SelectStmt) and _pinned(only(inner.where_clause))
    if not isinstance(node, pb.A_Expr):
        return False
    if node.kind in (pb.AEXPR_IN, pb.AEXPR_BETWEEN):
        return _constant(node.rexpr)
    equal = strings(node.name) == ("=",) and node.kind in (pb.AEXPR_OP, pb.AEXPR_OP_ANY)
    return equal and (_constant(node.rexpr) or _constant(node.lexpr))


def _ends(parts: list[Any]) -> bool:
    """True for a range with both ends: id >= 1 AND id < 1000."""
    signs = {
        strings(part.name)[0][:1]
        for part in parts
        if isinstance(part, pb.A_Expr) and part.kind == pb.AEXPR_OP and _constant(part.rexpr)
    }
    return {"<", ">"} <= signs


def _constant(node: Any) -> bool:
    """True for an expression that names no column; what a subquery gives counts as one value."""
    node = only(node)
    if isinstance(node, pb.ColumnRef):
        return False
    if node is None or isinstance(node, pb.SubLink):
        return True
    parts = [value for field, value in node.ListFields() if field.message_type is not None]
    return all(
        _constant(each)
        for part in parts
        for each in (part if isinstance(part, Iterable) else (part,))
    )


def _changes(node: Any) -> list[Any]:
    return [n for n in walk(node) if isinstance(n, CHANGES)] if node is not None else []


def _table(at: Situation, change: Any) -> str | None:
    """The table that is changed, as `schema.name`: the statement has locked it."""
    return _locked(at, change.relation)


def _locked(at: Situation, node: Any) -> str | None:
    schema, name = relation(node)
    locked = [*(k.relation for k in at.facts.locks if not k.index), *at.held]
    found = [f"{schema}.{name}"] if schema else [r for r in locked if r.partition(".")[2] == name]
    return next(iter(found), None)


def _in_functions(at: Situation) -> Iterator[Finding]:
    text = at.step.statement.sql
    verb = "a function" if at.kind != "do" else "the block"
    scanned = at.wholes(work.relation for work in at.facts.works(WorkKind.SCAN))
    found = []
    for table in scanned:
        writes = at.lock(table) not in ("", "AccessShareLock", "RowShareLock")
        name = re.escape(table.partition(".")[2])
        # a loop over no rows has not come to what the text says, nor to its lock
        said = re.search(SAID.format(name), text)
        hidden = writes and (COMPOSED.search(text) or at.kind != "do")
        ruled = at.changes.ruled_domains or at.partitions
        if (said or hidden) and not ruled:
            found.append(table)
    for table in dict.fromkeys((*found, *at.wholes(_batched(at)))):
        yield HAZARD.at(at, table, verb=verb)


def _batched(at: Situation) -> Iterator[str]:
    """The tables that a loop changes until nothing is left to change, without a COMMIT."""
    for text in (at.step.statement.sql, *at.facts.bodies):
        if at.kind != "do" and text is at.step.statement.sql:
            continue
        block = body(text)
        for inner in block.inner:
            if not inner.repeated or inner.composed or block.commits:
                continue
            try:
                node = read_one(inner.sql).node
            except SqlError:  # nothing that the server would not say
                continue
            for change in _changes(node):
                if table := _table(at, change):
                    yield table
