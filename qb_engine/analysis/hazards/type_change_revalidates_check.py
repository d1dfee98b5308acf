"""a change of a column's type has every row checked again"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import WorkKind
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="type-change-revalidates-check",
    severity=Severity.ERROR,
    title="reads all of {relation} under {lock} to check its constraints for the new type of "
    "{columns}",
    meaning="The rows stay as they are, but a CHECK that names the column is validated again: "
    "nobody can read or write the table until the last row is checked.",
    bad="ALTER TABLE orders ALTER note TYPE text",
    good="""
ALTER TABLE orders DROP CONSTRAINT noted;
ALTER TABLE orders ALTER note TYPE text;
ALTER TABLE orders ADD CONSTRAINT noted CHECK (length(note) > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT noted
""",
    given="""
CREATE TABLE orders (id bigint PRIMARY KEY, note varchar(20),
    CONSTRAINT noted CHECK (length(note) > 0))
""",
    fix="drop the CHECK, change the type, add the CHECK again NOT VALID, and validate it",
)


def find(at: Situation) -> Iterator[Finding]:
    other = {at.whole(k.table) for k in at.changes.added_constraints if k.kind == "c" and k.valid}
    other |= {at.whole(c.table) for c in at.changes.set_not_null}
    read = [w.relation for w in at.facts.works(WorkKind.VERIFY)]
    for table in at.wholes(r for r in read if r not in at.facts.rewrites):
        changed = (c.after for c in at.changes.retyped_columns)
        columns = [c.name for c in changed if at.whole(c.table) == table]
        if columns and table not in other and at.blocks_writes(table):
            yield HAZARD.at(at, table, columns=", ".join(dict.fromkeys(columns)))
