"""an index is built while nobody can write to the table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="index-build-blocks-writes",
    severity=Severity.ERROR,
    title="builds {index} from all of {relation} under {lock}",
    meaning="Nobody can write to the table until the index is built. CONCURRENTLY builds it while "
    "others go on working.",
    bad="CREATE INDEX users_city ON users (city)",
    good="CREATE INDEX CONCURRENTLY users_city ON users (city)",
    fix="CREATE INDEX CONCURRENTLY, outside a transaction; of a partitioned table ON ONLY the "
    "parent, then concurrently on each partition, then ATTACH PARTITION",
)


def find(at: Situation) -> Iterator[Finding]:
    of_constraints = {k.index for k in at.changes.added_constraints if k.index}
    kept = at.circumstances.invalid_indexes
    found: dict[str, str] = {}
    for work in at.facts.works(WorkKind.BUILD):
        if (
            work.index in of_constraints
            or work.index in kept
            or not at.blocks_writes(work.relation)
        ):
            continue
        for table in at.wholes([work.relation]):
            found.setdefault(table, work.index)
    for table, index in found.items():
        own = [i.name for i in at.changes.added_indexes if i.table == table]
        yield HAZARD.at(at, table, index=", ".join(own) or index)
