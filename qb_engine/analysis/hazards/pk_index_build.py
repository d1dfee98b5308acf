"""a primary key is built while nobody can touch the table"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="pk-index-build",
    severity=Severity.ERROR,
    title="builds the index of the primary key {constraint} from all of {relation} under {lock}",
    meaning="Nobody can read or write the table until the index is built. A unique index that was "
    "built concurrently becomes the primary key at once.",
    bad="ALTER TABLE logs ADD CONSTRAINT logs_pkey PRIMARY KEY (id)",
    good="""
CREATE UNIQUE INDEX CONCURRENTLY logs_id ON logs (id);
ALTER TABLE logs ADD CONSTRAINT logs_pkey PRIMARY KEY USING INDEX logs_id
""",
    given="CREATE TABLE logs (id bigint NOT NULL, line text)",
    fix="CREATE UNIQUE INDEX CONCURRENTLY, then ADD PRIMARY KEY USING INDEX",
)


def find(at: Situation) -> Iterator[Finding]:
    built = {work.index for work in at.facts.works(WorkKind.BUILD)}
    found: dict[str, str] = {}
    for constraint in at.changes.added_constraints:
        if constraint.kind == "p" and constraint.index in built:
            for table in at.wholes([constraint.table]):
                found.setdefault(table, constraint.name)
    for table, name in found.items():
        yield HAZARD.at(at, table, constraint=name)
