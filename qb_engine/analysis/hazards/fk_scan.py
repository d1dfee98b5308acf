"""a foreign key is added that every row must be looked up for"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="fk-scan",
    severity=Severity.ERROR,
    title="looks up every row of {relation} under {lock} to validate {constraint}",
    meaning="Nobody can write to either table until the last row is looked up. NOT VALID adds the "
    "key for new rows at once; VALIDATE then reads the old ones while others go on working.",
    bad="ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users",
    good="""
ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_user
""",
    fix="add it NOT VALID, and VALIDATE CONSTRAINT in another transaction",
)


def find(at: Situation) -> Iterator[Finding]:
    added = {key.name for key in at.changes.added_constraints if key.kind == "f"}
    for work in at.facts.works(WorkKind.FOREIGN_KEY):
        for table in at.wholes([work.relation]):
            if work.constraint in added and at.blocks_writes(table):
                yield HAZARD.at(at, table, constraint=work.constraint)
