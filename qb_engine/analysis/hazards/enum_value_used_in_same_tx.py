"""a new value of an enum is used before it is committed"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="enum-value-used-in-same-tx",
    severity=Severity.ERROR,
    title="is refused: {why}",
    meaning="A value that was added to an enum may be used only once the transaction that added it "
    "has committed.",
    bad="""
ALTER TYPE mood ADD VALUE 'fine';
UPDATE users SET mood = 'fine' WHERE id = 1
""",
    good="""
ALTER TYPE mood ADD VALUE 'fine';
UPDATE users SET mood = 'fine' WHERE id = 1
""",
    given="""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE users (id bigint PRIMARY KEY, mood mood)
""",
    fix="add the value in a migration of its own, and use it in the next",
)

UNSAFE = "55P04"  # unsafe new enum value usage


def find(at: Situation) -> Iterator[Finding]:
    if at.facts.sqlstate == UNSAFE:
        yield HAZARD.at(at, at.named, why=at.facts.error)
