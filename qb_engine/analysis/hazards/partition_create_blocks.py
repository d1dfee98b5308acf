"""CREATE TABLE ... PARTITION OF locks the parent against everybody"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="partition-create-blocks",
    severity=Severity.WARNING,
    title="makes {partition} under {lock} on {relation}",
    meaning="The lock waits for every query on the parent that is running, and every new query "
    "waits behind it. ATTACH PARTITION takes a lock that lets others read and write.",
    bad="""
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
""",
    good="""
CREATE TABLE events_2026 (LIKE events INCLUDING ALL);
ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
""",
    fix="CREATE TABLE (LIKE parent INCLUDING ALL), then ALTER TABLE ... ATTACH PARTITION",
)


def find(at: Situation) -> Iterator[Finding]:
    made: dict[str, list[str]] = {}
    for table in at.changes.created:
        parent = at.changes.parents.get(table)
        if parent and parent not in at.changes.created and at.blocks_reads(parent):
            made.setdefault(parent, []).append(table)
    for parent, tables in made.items():
        if at.is_big(parent):
            yield HAZARD.at(at, parent, partition=", ".join(tables))
