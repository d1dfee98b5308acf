"""CONCURRENTLY on a partitioned table, which PostgreSQL refuses"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="concurrently-on-partitioned",
    severity=Severity.ERROR,
    title="is refused: {why}",
    meaning="An index of a partitioned table cannot be made or dropped concurrently as a whole. "
    "Made on the parent with ONLY, it is invalid until an index of each partition is attached.",
    bad="CREATE INDEX CONCURRENTLY events_kind ON events (kind)",
    good="""
CREATE INDEX events_kind ON ONLY events (kind);
CREATE INDEX CONCURRENTLY events_2024_kind ON events_2024 (kind);
ALTER INDEX events_kind ATTACH PARTITION events_2024_kind;
CREATE INDEX CONCURRENTLY events_2025_kind ON events_2025 (kind);
ALTER INDEX events_kind ATTACH PARTITION events_2025_kind
""",
    fix="CREATE INDEX ON ONLY the parent, then CREATE INDEX CONCURRENTLY on each partition, and "
    "ALTER INDEX ... ATTACH PARTITION",
)


def find(at: Situation) -> Iterator[Finding]:
    error = at.facts.error
    if at.facts.sqlstate == "0A000" and "partitioned" in error and "concurrently" in error.lower():
        yield HAZARD.at(at, at.named, why=error)
