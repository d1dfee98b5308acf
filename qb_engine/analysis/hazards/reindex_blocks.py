"""REINDEX makes an index anew while nobody can write to its table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="reindex-blocks",
    severity=Severity.ERROR,
    title="makes {index} of {relation} anew under {lock}",
    meaning="Nobody can write to the table until the index is built, and queries that would use "
    "the index, or only plan with it, wait as well. CONCURRENTLY builds it beside the old one.",
    bad="REINDEX INDEX users_age",
    good="REINDEX INDEX CONCURRENTLY users_age",
    fix="REINDEX ... CONCURRENTLY, outside a transaction",
)


def find(at: Situation) -> Iterator[Finding]:
    other = set(at.facts.rewrites) | set(at.changes.emptied)
    other |= {change.after.table for change in at.changes.retyped_columns}
    found: dict[str, dict[str, None]] = {}
    for work in at.facts.works(WorkKind.REBUILD):
        if work.relation in other or not at.blocks_writes(at.whole(work.relation)):
            continue
        for table in at.wholes([work.relation]):
            found.setdefault(table, {})[work.index] = None
    for table, names in found.items():
        yield HAZARD.at(at, table, index=", ".join(names))
