"""REFRESH CONCURRENTLY without the unique index that it needs"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="matview-no-unique-index",
    severity=Severity.ERROR,
    title="is refused: {relation} has no unique index over all its rows",
    meaning="REFRESH MATERIALIZED VIEW CONCURRENTLY finds by it which rows have changed. It must "
    "be on columns alone, without a condition.",
    bad="REFRESH MATERIALIZED VIEW CONCURRENTLY totals",
    good="""
CREATE UNIQUE INDEX CONCURRENTLY totals_user ON totals (user_id);
REFRESH MATERIALIZED VIEW CONCURRENTLY totals
""",
    given="""
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total numeric);
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) FROM orders GROUP BY user_id
""",
    fix="CREATE UNIQUE INDEX CONCURRENTLY on the columns that tell its rows apart",
)


def find(at: Situation) -> Iterator[Finding]:
    error = at.facts.error
    refused = "cannot refresh materialized view" in error and "concurrently" in error
    if at.facts.sqlstate == "55000" and refused:
        yield HAZARD.at(at, at.named)
