"""SET NOT NULL reads the whole table while nobody else can touch it"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import EXCLUSIVE, Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="not-null-scan",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to prove that {columns} has no NULL",
    meaning="Nobody can read or write the table until the last row is checked. A validated CHECK "
    "(column IS NOT NULL) proves it without a scan.",
    bad="ALTER TABLE users ALTER email SET NOT NULL",
    good="""
ALTER TABLE users ADD CONSTRAINT users_email_given CHECK (email IS NOT NULL) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT users_email_given;
ALTER TABLE users ALTER email SET NOT NULL;
ALTER TABLE users DROP CONSTRAINT users_email_given
""",
    fix="add CHECK (column IS NOT NULL) NOT VALID, validate it in another transaction, then SET "
    "NOT NULL, and drop the CHECK",
)


def find(at: Situation) -> Iterator[Finding]:
    primary = {at.whole(k.table) for k in at.changes.added_constraints if k.kind == "p"}
    read = [w.relation for w in at.facts.works(WorkKind.VERIFY, WorkKind.SCAN)]
    for table in at.wholes(r for r in read if r not in at.facts.rewrites):
        names = [c.name for c in at.changes.set_not_null if at.whole(c.table) == table]
        if at.facts.mode(table) == EXCLUSIVE:  # over one that was there, but not valid
            late = (k for k in at.changes.validated if k.kind == "n")
            names += [n for k in late if at.whole(k.table) == table for n in k.columns]
        if names and table not in primary and at.blocks_writes(table):
            yield HAZARD.at(at, table, columns=", ".join(dict.fromkeys(names)))
