"""a CHECK is added that every row must be read for, under a strong lock"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="check-scan",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to validate {constraints}",
    meaning="Nobody can read or write the table until the last row is checked. NOT VALID adds the "
    "rule for new rows at once; VALIDATE then reads the old ones while others go on working.",
    bad="ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0)",
    good="""
ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_positive
""",
    fix="add it NOT VALID, and VALIDATE CONSTRAINT in another transaction",
)


def find(at: Situation) -> Iterator[Finding]:
    read = [w.relation for w in at.facts.works(WorkKind.VERIFY, WorkKind.SCAN)]
    for table in at.wholes(r for r in read if r not in at.facts.rewrites):
        names = [
            k.name
            for k in at.changes.added_constraints
            if k.kind == "c" and k.valid and at.whole(k.table) == table
        ]
        if names and at.blocks_writes(table):
            yield HAZARD.at(at, table, constraints=", ".join(dict.fromkeys(names)))
