"""a foreign key between columns of different types"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="fk-type-mismatch",
    severity=Severity.WARNING,
    title="{constraint}: {columns} is {types}, and references {referenced}",
    meaning="The narrower column runs out of values before the other one does, and every lookup "
    "has to convert, which may keep it from using an index.",
    bad="ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (ref) REFERENCES users NOT VALID",
    good="""
ALTER TABLE orders ADD COLUMN user_id bigint;
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID
""",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, ref integer);
CREATE INDEX ON orders (ref)
""",
    fix="give the referencing column the type of the one that it references",
)


def find(at: Situation) -> Iterator[Finding]:
    for key in at.changes.added_constraints:
        own, other = map(_bare, key.types), map(_bare, key.referenced_types)
        if key.kind == "f" and key.table not in at.parents and list(own) != list(other):
            yield HAZARD.at(
                at,
                key.table,
                constraint=key.name,
                columns=", ".join(key.columns),
                types=", ".join(key.types),
                referenced=", ".join(key.referenced_types),
            )


def _bare(type: str) -> str:
    """A type without its length; those that hold the same text in the same way are one."""
    found = re.sub(r"\([\d, ]*\)", "", type)
    return "text" if found == "character varying" else found
