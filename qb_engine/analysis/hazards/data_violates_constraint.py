"""values that break a constraint or do not fit a type"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="data-violates-constraint",
    severity=Severity.ERROR,
    title="fails: {why}",
    meaning="A row that is there, or that the statement itself writes, breaks the constraint or "
    "does not fit the type, so PostgreSQL refuses the statement.",
    bad="""
INSERT INTO users (email, age) VALUES ('a@example.com', 200), ('a@example.com', 300);
ALTER TABLE users ALTER age TYPE varchar(2)
""",
    good="ALTER TABLE users ADD CONSTRAINT age_known CHECK (age >= 0) NOT VALID",
    fix="find the rows that are in the way, mend or remove them first, then run it again",
)

# what depends on rows that a shadow does not have: a referenced row, a value that is looked up
UNSURE = ("23503", "23502")
DATA = ("22", "23")  # classes of SQLSTATEs: data exceptions, broken constraints
NO_ROW = ("22023",)  # an option or a parameter that cannot be, whatever the rows


def find(at: Situation) -> Iterator[Finding]:
    state = at.facts.sqlstate
    rows = at.step.statement.is_dml or at.kind in ("do", "call")
    if state[:2] not in DATA or state in NO_ROW or (rows and state in UNSURE):
        return
    why = f"{at.facts.error} ({at.facts.detail})" if at.facts.detail else at.facts.error
    yield HAZARD.at(at, at.named, why=why)
