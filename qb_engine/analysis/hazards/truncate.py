"""TRUNCATE empties a table for good"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.named import bare_names

HAZARD = Hazard(
    id="truncate",
    severity=Severity.WARNING,
    title="empties {relation} under {lock}",
    meaning="All rows are gone, without a trace that a backup of the moment would not have, and "
    "nobody can read or write the table until the transaction ends.",
    bad="TRUNCATE orders",
    fix="keep a copy of the rows, or delete them in batches by a backfill",
)


def find(at: Situation) -> Iterator[Finding]:
    named = {name for _, name in at.step.statement.relations}
    wholes = dict.fromkeys(at.whole(t) for t in at.changes.emptied if at.in_use(t))
    for table in wholes:
        if at.kind != "truncate" or named.intersection(bare_names(table)):
            yield HAZARD.at(at, table, severity=at.weighed(table, HAZARD.severity))
