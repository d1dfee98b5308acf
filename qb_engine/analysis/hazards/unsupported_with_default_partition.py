"""DETACH CONCURRENTLY beside a DEFAULT partition, which is refused"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="unsupported-with-default-partition",
    severity=Severity.ERROR,
    title="is refused: {why}",
    meaning="While the partition is detached, rows of its bounds would go to the default one, so "
    "PostgreSQL does not do it concurrently.",
    bad="ALTER TABLE events DETACH PARTITION old CONCURRENTLY",
    good="""
ALTER TABLE events DETACH PARTITION rest;
ALTER TABLE events DETACH PARTITION old CONCURRENTLY
""",
    given="""
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE old PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE rest PARTITION OF events DEFAULT
""",
    fix="give the default partition's rows partitions of their own and detach it first, or detach "
    "without CONCURRENTLY in a quiet moment",
)


def find(at: Situation) -> Iterator[Finding]:
    error = at.facts.error
    if at.facts.sqlstate == "55000" and "default partition" in error and "concurrently" in error:
        yield HAZARD.at(at, at.named, why=error)
