"""ATTACH PARTITION reads all of the new partition"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="partition-attach-scan",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to see that its rows belong to {parent}",
    meaning="Nobody can read or write the table that is attached until its last row is checked. A "
    "validated CHECK that says the same as the partition's bounds proves it without a scan.",
    bad="""
ALTER TABLE events ATTACH PARTITION old FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')
""",
    good="""
ALTER TABLE old ADD CONSTRAINT old_at CHECK (at >= '2023-01-01' AND at < '2024-01-01') NOT VALID;
ALTER TABLE old VALIDATE CONSTRAINT old_at;
ALTER TABLE events ATTACH PARTITION old FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
ALTER TABLE old DROP CONSTRAINT old_at
""",
    given="""
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE old (id bigint NOT NULL, at date NOT NULL)
""",
    fix="add a CHECK with the partition's bounds NOT VALID, validate it, attach, and drop it",
)


def find(at: Situation) -> Iterator[Finding]:
    read = at.facts.works(WorkKind.VERIFY, WorkKind.SCAN)
    for change in at.changes.attached:
        child, parent = change.before, change.after
        if any(at.within(w.relation, child) for w in read) and at.is_big(child):
            yield HAZARD.at(at, child, parent=parent)
