"""a table is dropped that applications may still read"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.dependent_view import fallen
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="drop-table",
    severity=Severity.WARNING,
    title="drops {relation}, with its rows",
    meaning="Applications that still name the table fail from the moment it is gone, and its rows "
    "cannot be brought back without a backup.",
    bad="DROP TABLE orders",
    fix="first release applications that do not use it; rename it or revoke the rights on it for a "
    "while, then drop it",
)


def find(at: Situation) -> Iterator[Finding]:
    dropped, views = set(at.changes.dropped), set(fallen(at))
    for table in sorted(dropped - views):
        whole = at.parents.get(table, "") not in dropped
        if at.is_table(table) and whole and at.in_use(table):
            yield HAZARD.at(at, table, severity=at.weighed(table, HAZARD.severity))
