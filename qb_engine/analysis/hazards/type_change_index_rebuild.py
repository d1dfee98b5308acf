"""a change of a column's type keeps the table and makes its indexes anew"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="type-change-index-rebuild",
    severity=Severity.ERROR,
    title="makes {index} of {relation} anew under {lock} for the new type of {columns}",
    meaning="The rows stay as they are, but what is ordered otherwise must be sorted again: nobody "
    "can read or write the table until the indexes are built.",
    bad="ALTER TABLE users ALTER name TYPE text",
    good="ALTER TABLE users ALTER email TYPE varchar",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY, email text, name varchar(50));
CREATE INDEX users_name ON users (lower(name))
""",
    fix="drop the index concurrently, change the type, and create the index concurrently; or use a "
    "new column with a backfill and swap the two",
)


def find(at: Situation) -> Iterator[Finding]:
    work = at.facts.works(WorkKind.REBUILD, WorkKind.BUILD)
    new = {index.name for index in at.changes.added_indexes} - {i.name for i in at.changes.rebuilt}
    anew = [w for w in work if w.index not in new and w.relation not in at.facts.rewrites]
    for table in at.wholes(w.relation for w in anew):
        changed = (c.after for c in at.changes.retyped_columns)
        columns = [c.name for c in changed if at.whole(c.table) == table]
        if columns and at.blocks_writes(table):
            yield HAZARD.at(
                at,
                table,
                index=", ".join(dict.fromkeys(w.index for w in anew)),
                columns=", ".join(dict.fromkeys(columns)),
            )
