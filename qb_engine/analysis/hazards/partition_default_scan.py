"""a new partition has the DEFAULT one read for rows that belong to it"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="partition-default-scan",
    severity=Severity.ERROR,
    title="reads all of the default partition {relation} under {lock}",
    meaning="It may hold rows that belong to the new partition, so nobody can read or write it "
    "until its last row is checked. A validated CHECK that excludes them proves it without a scan.",
    bad="""
ALTER TABLE events ATTACH PARTITION new FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
""",
    good="""
ALTER TABLE rest ADD CONSTRAINT other CHECK (at < '2026-01-01' OR at >= '2027-01-01') NOT VALID;
ALTER TABLE rest VALIDATE CONSTRAINT other;
ALTER TABLE events ATTACH PARTITION new FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
""",
    given="""
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE rest PARTITION OF events DEFAULT;
CREATE TABLE new (id bigint NOT NULL, at date NOT NULL)
""",
    fix="add a CHECK to the default partition that excludes the new bounds NOT VALID, and validate "
    "it first",
)


def find(at: Situation) -> Iterator[Finding]:
    parents = [change.after for change in at.changes.attached]
    parents += [p for t in at.changes.created if (p := at.changes.parents.get(t))]
    for default in dict.fromkeys(at.changes.default_partitions.get(p, "") for p in parents):
        read = at.facts.works(WorkKind.VERIFY, WorkKind.SCAN)
        if any(at.within(w.relation, default) for w in read) and at.is_big(default):
            yield HAZARD.at(at, default)
