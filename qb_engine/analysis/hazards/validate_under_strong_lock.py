"""a constraint is validated while an earlier lock keeps others out"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import (
    BLOCKS_WRITES,
    EXCLUSIVE,
    Finding,
    Hazard,
    Severity,
    Situation,
)
from qb_engine.execution.observation import strength

HAZARD = Hazard(
    id="validate-under-strong-lock",
    severity=Severity.ERROR,
    title="validates {constraint} while {lock} on {relation} is still held",
    meaning="VALIDATE reads all rows under a weak lock, but an earlier statement of the same "
    "transaction holds a strong one until the end: others wait for the whole scan, as if NOT VALID "
    "had not been said.",
    bad="""
ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_positive
""",
    good="""
ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_positive
""",
    fix="VALIDATE CONSTRAINT in a transaction of its own",
)


def find(at: Situation) -> Iterator[Finding]:
    for constraint in at.changes.validated:
        table = constraint.table
        if constraint.kind == "n" and at.facts.mode(table) == EXCLUSIVE:
            continue  # by SET NOT NULL
        if table != at.whole(table) or not at.wholes([table]):
            continue
        for relation in filter(None, (table, constraint.references)):
            held = strength(at.held.get(relation, ""))
            if held >= BLOCKS_WRITES and not at.is_new(relation):
                yield HAZARD.at(at, relation, constraint=constraint.name)
                break
