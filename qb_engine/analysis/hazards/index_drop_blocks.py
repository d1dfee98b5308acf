"""DROP INDEX locks the table against everybody"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="index-drop-blocks",
    severity=Severity.WARNING,
    title="drops {index} under {lock} on {relation}",
    meaning="The lock waits for every query on the table that is running, and every new query "
    "waits behind it. CONCURRENTLY waits without keeping anybody out.",
    bad="DROP INDEX users_age",
    good="DROP INDEX CONCURRENTLY users_age",
    fix="DROP INDEX CONCURRENTLY, outside a transaction",
)


def find(at: Situation) -> Iterator[Finding]:
    gone = set(at.changes.dropped) | {c.table for c in at.changes.dropped_columns}
    gone |= {change.after.table for change in at.changes.retyped_columns}
    of_constraints = {k.index for k in at.changes.dropped_constraints if k.index}
    found: dict[str, dict[str, None]] = {}
    for index in at.changes.dropped_indexes:
        if index.table in gone or index.name in of_constraints or index.name in at.made_indexes:
            continue
        for table in at.wholes([index.table]):
            if at.blocks_reads(index.table):
                found.setdefault(table, {})[index.name] = None
    for table, names in found.items():
        own = [i.name for i in at.changes.dropped_indexes if i.table == table]
        yield HAZARD.at(at, table, index=", ".join(own or names))
