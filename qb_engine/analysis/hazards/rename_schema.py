"""a schema is renamed that applications still know by its old name"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="rename-schema",
    severity=Severity.WARNING,
    title="renames the schema {old} to {new}",
    meaning="Everything in it has another name from that moment on: applications, functions and "
    "search paths that say the old one fail.",
    bad="ALTER SCHEMA shop RENAME TO store",
    good="CREATE SCHEMA store",
    given="CREATE SCHEMA shop; CREATE TABLE shop.users (id bigint PRIMARY KEY)",
    fix="make the new schema, with views of the old one's tables, and move the applications first",
)


def find(at: Situation) -> Iterator[Finding]:
    for change in at.changes.renamed_schemas:
        yield HAZARD.at(at, old=change.before, new=change.after)
