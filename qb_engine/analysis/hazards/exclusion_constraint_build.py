"""an EXCLUDE constraint is built while nobody can touch the table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="exclusion-constraint-build",
    severity=Severity.ERROR,
    title="builds the index of {constraint} from all of {relation} under {lock}",
    meaning="Nobody can read or write the table until the index is built and every row is checked. "
    "It can neither be built concurrently nor be added NOT VALID.",
    bad="ALTER TABLE users ADD CONSTRAINT one_at_a_time EXCLUDE (age WITH =)",
    fix="there is no way in place: make a new table that has it, copy the rows, and swap the two",
)


def find(at: Situation) -> Iterator[Finding]:
    built = {work.index for work in at.facts.works(WorkKind.BUILD)}
    for constraint in at.changes.added_constraints:
        if constraint.kind == "x" and constraint.index in built:
            for table in at.wholes([constraint.table]):
                yield HAZARD.at(at, table, constraint=constraint.name)
