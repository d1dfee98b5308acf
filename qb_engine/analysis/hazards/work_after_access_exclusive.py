"""work goes on while an earlier statement's lock keeps everybody out of a table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import Work, WorkKind
from qb_engine.analysis.hazards.bulk_dml import changed_whole
from qb_engine.analysis.hazards.hazard import (
    EXCLUSIVE,
    Finding,
    Hazard,
    Severity,
    Situation,
)

HAZARD = Hazard(
    id="work-after-access-exclusive",
    severity=Severity.ERROR,
    title="{work} while ACCESS EXCLUSIVE on {relation} is still held",
    meaning="A lock is kept until its transaction ends. What would have been over in an instant "
    "now keeps everybody from the table for as long as this statement works.",
    bad="""
ALTER TABLE users ADD COLUMN active boolean;
UPDATE users SET active = true
""",
    good="""
ALTER TABLE users ADD COLUMN active boolean;
UPDATE users SET active = true
""",
    fix="commit before it: put the work into a migration, or a backfill, of its own",
)

CODE = ("do", "select", "call")


def find(at: Situation) -> Iterator[Finding]:
    if at.kind in CODE and (own := _own(at)):
        yield HAZARD.at(at, own[0], work=f"reads all of {own[1]}")
        return
    held = [
        relation
        for relation, mode in at.held.items()
        if mode == EXCLUSIVE and at.is_table(relation) and not at.is_new(relation)
    ]
    for table in at.wholes(sorted(held, key=lambda r: at.first_of.get(r, 0))):
        if work := _work(at, table):
            yield HAZARD.at(at, table, work=work)
            return


def _work(at: Situation, held: str) -> str:
    """What the statement does that takes time; empty when its own lock would be the same."""
    for work in at.facts.work:
        if work.kind is WorkKind.PROVED or not at.wholes([work.relation]):
            continue
        if at.root(work.relation) != at.root(held) or not _by_itself(at, work):
            return str(work)
    for _, table in changed_whole(at):
        return f"changes rows of all of {table}"
    return ""


def _by_itself(at: Situation, work: Work) -> bool:
    """True when the work would keep everybody out of its table without the earlier lock, too.

    So does most of what ALTER TABLE does. What VALIDATE does is told as such.
    """
    if work.kind in (WorkKind.REWRITE, WorkKind.VERIFY):
        return True
    if work.kind is WorkKind.REBUILD:
        return at.kind != "reindex"
    if work.kind is WorkKind.FOREIGN_KEY:
        return any(k.name == work.constraint for k in at.changes.validated)
    if work.kind is WorkKind.BUILD:
        return any(k.index == work.index for k in at.changes.added_constraints)
    return at.partitions


def _own(at: Situation) -> tuple[str, str] | None:
    """A table that a block or a function itself keeps everybody out of, and what it reads whole."""
    if at.partitions or at.changes.ruled_domains:
        return None
    changed = {c.table for c in (*at.changes.added_columns, *at.changes.dropped_columns)}
    changed |= {change.after.table for change in at.changes.retyped_columns}
    locked = [k.relation for k in at.facts.locks if k.mode == EXCLUSIVE and k.relation in changed]
    read = at.wholes(work.relation for work in at.facts.works(WorkKind.SCAN))
    tables = at.wholes(locked)
    return (tables[0], read[0]) if tables and read else None
