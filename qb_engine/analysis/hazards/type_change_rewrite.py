"""a change of a column's type writes the whole table anew"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="type-change-rewrite",
    severity=Severity.ERROR,
    title="writes all of {relation} anew under {lock} for {columns}",
    meaning="The new type is stored otherwise than the old one, or the server cannot tell that it "
    "is not. Nobody can read or write the table until every row is written and every index built.",
    bad="ALTER TABLE users ALTER age TYPE bigint",
    good="ALTER TABLE users ALTER name TYPE varchar(100)",
    fix="add a column of the new type, keep it up to date by a trigger, fill it by a backfill, and "
    "swap the two",
)


def find(at: Situation) -> Iterator[Finding]:
    for table in at.wholes(at.facts.rewrites):
        changed = {
            change.after.name: f"{change.after.name} ({change.before.type} to {change.after.type})"
            for change in at.changes.retyped_columns
            if at.whole(change.after.table) == table
        }
        if changed:
            yield HAZARD.at(at, table, columns=", ".join(changed.values()))
