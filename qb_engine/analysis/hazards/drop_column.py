"""a column is dropped that applications may still read"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="drop-column",
    severity=Severity.WARNING,
    title="drops {columns} of {relation}, with their values",
    meaning="Applications that still name the column fail from the moment it is gone, and what it "
    "held cannot be brought back without a backup.",
    bad="ALTER TABLE users DROP COLUMN city",
    fix="first release applications that neither read nor write it, then drop it",
)


def find(at: Situation) -> Iterator[Finding]:
    dropped: dict[str, dict[str, None]] = {}
    for column in at.changes.dropped_columns:
        made = (column.table, column.name) in at.made_columns
        if _replaced(at, column.table, column.name):
            continue
        if not made and at.kind_of(column.table) in ("r", "p", "f") and at.in_use(column.table):
            dropped.setdefault(at.whole(column.table), {})[column.name] = None
    for table, columns in dropped.items():
        if at.in_use(table):
            severity = at.weighed(table, HAZARD.severity)
            yield HAZARD.at(at, table, columns=", ".join(columns), severity=severity)


def _replaced(at: Situation, table: str, name: str) -> bool:
    """True when another column takes its name and place in the same transaction."""
    after = at.together[at.together.index(at.step) + 1 :]
    return any(
        (change.after.table, change.after.name) == (table, name)
        for each in after
        for change in each.facts.changes.renamed_columns
    )
