"""ADD COLUMN writes the whole table anew, for a value that each row gets"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="add-column-rewrite",
    severity=Severity.ERROR,
    title="writes all of {relation} anew under {lock} to give every row a value of {columns}",
    meaning="A default that differs from row to row (a volatile function, a sequence), a stored "
    "generated column and a domain with a rule cannot be added without touching every row. Nobody "
    "can read or write the table until the last one is written.",
    bad="ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()",
    good="""
ALTER TABLE users ADD COLUMN token uuid;
ALTER TABLE users ALTER token SET DEFAULT gen_random_uuid()
""",
    fix="add the column without a value, set the default for new rows, and fill the old ones by a "
    "backfill",
)


def find(at: Situation) -> Iterator[Finding]:
    for table in at.wholes(at.facts.rewrites):
        added = [c for c in at.changes.added_columns if at.whole(c.table) == table]
        filled = [c for c in added if c.generated != "v" and (c.default or c.identity)]
        retyped = any(at.whole(c.after.table) == table for c in at.changes.retyped_columns)
        if cause := filled or ([] if retyped else added):
            columns = ", ".join(dict.fromkeys(c.name for c in cause))
            yield HAZARD.at(at, table, columns=columns)
