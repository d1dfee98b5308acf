"""TRUNCATE CASCADE empties tables that nobody has named"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.named import bare_names

HAZARD = Hazard(
    id="truncate-cascade",
    severity=Severity.ERROR,
    title="CASCADE empties {relation} as well",
    meaning="Every table that references the named one is emptied, and every table that references "
    "those, whether or not their rows point at anything.",
    bad="TRUNCATE users CASCADE",
    good="TRUNCATE orders",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users)
""",
    fix="name every table that is to be emptied, and leave out CASCADE",
)


def find(at: Situation) -> Iterator[Finding]:
    cascades = "cascade" in at.step.statement.sql.lower()
    if at.kind != "truncate" or not cascades:
        return
    named = {name for _, name in at.step.statement.relations}
    for table in dict.fromkeys(at.whole(t) for t in at.changes.emptied if at.in_use(t)):
        if not named.intersection(bare_names(table)):
            yield HAZARD.at(at, table, severity=at.weighed(table, HAZARD.severity))
