"""DETACH PARTITION locks the parent against everybody"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="partition-detach-blocks",
    severity=Severity.WARNING,
    title="detaches {partition} under {lock} on {relation}",
    meaning="The lock waits for every query on the parent that is running, and every new query "
    "waits behind it. CONCURRENTLY waits without keeping anybody out.",
    bad="ALTER TABLE events DETACH PARTITION events_2024",
    good="ALTER TABLE events DETACH PARTITION events_2024 CONCURRENTLY",
    fix="DETACH PARTITION ... CONCURRENTLY, outside a transaction (where there is no default "
    "partition)",
)


def find(at: Situation) -> Iterator[Finding]:
    for change in at.changes.detached:
        parent, partition = change.before, change.after
        if at.blocks_reads(parent) and at.is_big(parent):
            yield HAZARD.at(at, parent, partition=partition)
