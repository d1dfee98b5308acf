"""a materialized view is filled anew while nobody can read it"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="matview-refresh-blocks",
    severity=Severity.ERROR,
    title="fills {relation} anew under {lock}",
    meaning="Nobody can read the materialized view until its query has run. CONCURRENTLY changes "
    "only the rows that differ, and lets others read.",
    bad="REFRESH MATERIALIZED VIEW totals",
    good="REFRESH MATERIALIZED VIEW CONCURRENTLY totals",
    given="""
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total numeric);
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) FROM orders GROUP BY user_id;
CREATE UNIQUE INDEX totals_user ON totals (user_id)
""",
    fix="REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index",
)


def find(at: Situation) -> Iterator[Finding]:
    if at.kind in ("alter_table", "cluster", "vacuum"):
        return
    for view in at.big(at.facts.rewrites):
        if at.kind_of(view) == "m" and at.blocks_reads(view):
            yield HAZARD.at(at, view)
