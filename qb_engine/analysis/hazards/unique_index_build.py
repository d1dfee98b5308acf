"""a UNIQUE constraint is built while nobody can touch the table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="unique-index-build",
    severity=Severity.ERROR,
    title="builds the index of {constraint} from all of {relation} under {lock}",
    meaning="Nobody can read or write the table until the index is built. A unique index that was "
    "built concurrently becomes the constraint at once.",
    bad="ALTER TABLE users ADD CONSTRAINT users_email UNIQUE (email)",
    good="""
CREATE UNIQUE INDEX CONCURRENTLY users_email ON users (email);
ALTER TABLE users ADD CONSTRAINT users_email UNIQUE USING INDEX users_email
""",
    fix="CREATE UNIQUE INDEX CONCURRENTLY, then ADD UNIQUE USING INDEX",
)


def find(at: Situation) -> Iterator[Finding]:
    built = {work.index for work in at.facts.works(WorkKind.BUILD)}
    found: dict[str, str] = {}
    for constraint in at.changes.added_constraints:
        if constraint.kind == "u" and constraint.index in built:
            for table in at.wholes([constraint.table]):
                found.setdefault(table, constraint.name)
    for table, name in found.items():
        yield HAZARD.at(at, table, constraint=name)
