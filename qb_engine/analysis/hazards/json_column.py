"""a column of type json, which has no equality"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="json-column",
    severity=Severity.WARNING,
    title="{columns} of {relation} is json",
    meaning="json has no equality operator: SELECT DISTINCT, GROUP BY and UNION over the table "
    "fail in applications that worked before, and it cannot be indexed. jsonb can do all of it.",
    bad="ALTER TABLE users ADD COLUMN settings json",
    good="ALTER TABLE users ADD COLUMN settings jsonb",
    fix="use jsonb",
)

JSON = ("json", "json[]")


def find(at: Situation) -> Iterator[Finding]:
    given = (*at.changes.added_columns, *(c.after for c in at.changes.retyped_columns))
    found: dict[str, dict[str, None]] = {}
    for column in given:
        table = column.table
        if column.type in JSON and at.kind_of(table) in ("r", "p") and table not in at.parents:
            found.setdefault(table, {})[column.name] = None
    for table, names in found.items():
        yield HAZARD.at(at, table, columns=", ".join(names))
