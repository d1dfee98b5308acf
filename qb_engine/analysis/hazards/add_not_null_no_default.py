"""ADD COLUMN NOT NULL without a default fails on any row"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="add-not-null-no-default",
    severity=Severity.ERROR,
    title="{relation} gets {columns}, which is NOT NULL and has no default: it fails if there is "
    "a row",
    meaning="The rows that are there have no value of the new column, so PostgreSQL refuses it. "
    "On an empty development database nobody notices.",
    bad="ALTER TABLE users ADD COLUMN nick text NOT NULL",
    good="ALTER TABLE users ADD COLUMN nick text NOT NULL DEFAULT ''",
    fix="give it a default, or add it nullable, fill it by a backfill, and SET NOT NULL then",
)


def find(at: Situation) -> Iterator[Finding]:
    bare: dict[str, list[str]] = {}
    for column in at.changes.added_columns:
        given = column.default or column.identity or column.generated
        if column.not_null and not given and at.in_use(column.table):
            bare.setdefault(at.whole(column.table), []).append(column.name)
    for table, columns in bare.items():
        if at.in_use(table):
            yield HAZARD.at(at, table, columns=", ".join(dict.fromkeys(columns)))
