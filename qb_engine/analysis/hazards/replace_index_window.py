"""an index is dropped before its successor is there"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.changes import IndexState
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="replace-index-window",
    severity=Severity.WARNING,
    title="drops {index} of {relation} before {next} takes its place",
    meaning="From now until the new index is built, queries that used the old one read the whole "
    "table. A unique one lets duplicates in meanwhile.",
    bad="""
DROP INDEX CONCURRENTLY users_age;
CREATE INDEX CONCURRENTLY users_age_city ON users (age, city)
""",
    good="""
CREATE INDEX CONCURRENTLY users_age_city ON users (age, city);
DROP INDEX CONCURRENTLY users_age
""",
    fix="create the new index first, under another name, then drop the old one",
)


def find(at: Situation) -> Iterator[Finding]:
    gone = set(at.changes.dropped)
    for index in at.changes.dropped_indexes:
        left = [i for i in at.changes.indexes.get(index.table, ()) if i.valid]
        if index.table in gone or index.name in at.made_indexes or not at.is_big(index.table):
            continue
        if any(_alike(index, other) and not other.partial for other in left):
            continue
        for each in at.later:
            apart = each.transaction is None or each.transaction != at.step.transaction
            successors = [i for i in each.facts.changes.added_indexes if _succeeds(i, index)]
            if apart and successors:
                yield HAZARD.at(at, index.table, index=index.name, next=successors[0].name)
                break


def _succeeds(new: IndexState, old: IndexState) -> bool:
    return new.table == old.table and (new.name == old.name or _alike(new, old))


def _alike(one: IndexState, other: IndexState) -> bool:
    """True when both help to find rows by the same first column."""
    if not one.columns or not other.columns or one.columns[0] != other.columns[0]:
        return False
    return bool(one.columns[0]) or one.expression == other.expression
