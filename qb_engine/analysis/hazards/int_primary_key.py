"""a new primary key that runs out at two billion"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="int-primary-key",
    severity=Severity.WARNING,
    title="the primary key {column} of {relation} is {type}",
    meaning="An integer ends at 2,147,483,647, and every insert fails from then on. To widen the "
    "key of a large table, and of all that reference it, is one of the hardest migrations there "
    "is.",
    bad="CREATE TABLE notes (id serial PRIMARY KEY, body text)",
    good="CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)",
    fix="use bigint, or uuid",
)


def find(at: Situation) -> Iterator[Finding]:
    added = {(c.table, c.name): c for c in at.changes.added_columns}
    for key in at.changes.added_constraints:
        if key.kind != "p" or len(key.columns) != 1 or key.table in at.parents:
            continue
        column, type = key.columns[0], key.types[0]
        place = (key.table, column)
        fresh = place in added or place in at.made_columns or at.is_new(key.table)
        numbered = place in added and (added[place].default or added[place].identity)
        if fresh and (type == "integer" or (type == "smallint" and numbered)):
            yield HAZARD.at(at, key.table, column=column, type=type)
