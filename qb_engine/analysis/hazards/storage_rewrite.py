"""a table is written anew to be stored otherwise"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.hazards.type_change_rewrite import retyped

HAZARD = Hazard(
    id="storage-rewrite",
    severity=Severity.ERROR,
    title="writes all of {relation} anew under {lock}",
    meaning="VACUUM FULL, CLUSTER, SET TABLESPACE, SET LOGGED, SET ACCESS METHOD and a new "
    "expression of a stored column copy the whole table, and build its indexes, while nobody can "
    "read or write it.",
    bad="VACUUM FULL users",
    good="VACUUM users",
    fix="use pg_repack, or a new table that is filled by a backfill and then swapped",
)


def find(at: Situation) -> Iterator[Finding]:
    causes = {at.whole(c.table) for c in at.changes.added_columns if c.generated != "v"}
    stored = at.kind in ("alter_table", "cluster", "vacuum")
    for table in at.wholes(at.facts.rewrites):
        refreshed = at.kind_of(table) == "m" and not stored
        if table not in causes and not refreshed and not retyped(at, table):
            yield HAZARD.at(at, table)
