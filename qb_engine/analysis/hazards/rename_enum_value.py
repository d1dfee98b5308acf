"""a value of an enum is renamed that applications still write"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="rename-enum-value",
    severity=Severity.WARNING,
    title="renames {old} of {type} to {new}",
    meaning="Applications that write or compare the old value fail from the moment it is renamed, "
    "and those that know the new one fail until then.",
    bad="ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
    good="ALTER TYPE mood ADD VALUE 'blue'",
    given="""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE users (id bigint PRIMARY KEY, mood mood)
""",
    fix="add the new value, move readers, writers and rows to it, and leave the old one unused",
)


def find(at: Situation) -> Iterator[Finding]:
    for change in at.changes.renamed_values:
        type, old = change.before
        yield HAZARD.at(at, old=repr(old), new=repr(change.after[1]), type=type)
