"""a change of a column's type writes the whole table anew"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.sql.tree import pb, walk

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
        if columns := retyped(at, table):
            yield HAZARD.at(at, table, columns=", ".join(columns))


def retyped(at: Situation, table: str) -> list[str]:
    """The columns of a table that has been written anew whose types changed, as a reader knows it.

    USING may give a column other values and leave it its type.
    """
    changed = {
        change.after.name: f"{change.after.name} ({change.before.type} to {change.after.type})"
        for change in at.changes.retyped_columns
        if at.whole(change.after.table) == table
    }
    if changed or at.kind != "alter_table":
        return list(changed.values())
    return [
        f"{command.name} (by USING)"
        for command in walk(at.step.statement.node)
        if isinstance(command, pb.AlterTableCmd) and command.subtype == pb.AT_AlterColumnType
    ]
