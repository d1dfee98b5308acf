"""a rule of a domain is checked in every table that uses it"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="domain-constraint-scan",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to check a rule of {domain}",
    meaning="Every table with a column of the domain is locked against writers and read to its "
    "last row. VALIDATE takes the same lock; NOT VALID alone does not read.",
    bad="ALTER DOMAIN plain ADD CONSTRAINT plain_short CHECK (length(VALUE) < 100)",
    good="ALTER DOMAIN plain ADD CONSTRAINT plain_short CHECK (length(VALUE) < 100) NOT VALID",
    given="""
CREATE DOMAIN plain AS text;
CREATE TABLE users (id bigint PRIMARY KEY, note plain)
""",
    fix="add it NOT VALID; where the old rows must be checked, use a CHECK of the table instead",
)


def find(at: Situation) -> Iterator[Finding]:
    if not at.changes.ruled_domains:
        return
    read = [w.relation for w in at.facts.works(WorkKind.SCAN, WorkKind.VERIFY)]
    for table in at.wholes(read):
        if at.blocks_writes(table):
            yield HAZARD.at(at, table, domain=", ".join(at.changes.ruled_domains))
