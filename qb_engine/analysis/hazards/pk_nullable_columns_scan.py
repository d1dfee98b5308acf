"""a primary key on columns that may be NULL has every row checked"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="pk-nullable-columns-scan",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to see that {columns} has no NULL",
    meaning="A primary key makes its columns NOT NULL. Where they are not yet, every row is read "
    "while nobody can read or write the table, even with an index that was built before.",
    bad="ALTER TABLE logs ADD CONSTRAINT logs_pkey PRIMARY KEY USING INDEX logs_id",
    good="""
ALTER TABLE logs ADD CONSTRAINT given CHECK (id IS NOT NULL) NOT VALID;
ALTER TABLE logs VALIDATE CONSTRAINT given;
ALTER TABLE logs ALTER id SET NOT NULL;
ALTER TABLE logs ADD CONSTRAINT logs_pkey PRIMARY KEY USING INDEX logs_id;
ALTER TABLE logs DROP CONSTRAINT given
""",
    given="CREATE TABLE logs (id bigint, line text); CREATE UNIQUE INDEX logs_id ON logs (id)",
    fix="make the columns NOT NULL first, by a validated CHECK (column IS NOT NULL)",
)


def find(at: Situation) -> Iterator[Finding]:
    primary = {at.whole(k.table) for k in at.changes.added_constraints if k.kind == "p"}
    read = [w.relation for w in at.facts.works(WorkKind.VERIFY, WorkKind.SCAN)]
    for table in at.wholes(r for r in read if r not in at.facts.rewrites):
        columns = [c.name for c in at.changes.set_not_null if at.whole(c.table) == table]
        if columns and table in primary and at.blocks_writes(table):
            yield HAZARD.at(at, table, columns=", ".join(dict.fromkeys(columns)))
