"""a statement that PostgreSQL refuses in a transaction is put into one"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="cannot-run-in-transaction",
    severity=Severity.ERROR,
    title="is refused inside a transaction: {why}",
    meaning="PostgreSQL runs this statement only by itself, outside any transaction block, and "
    "the migration is put into one: it will fail.",
    bad="VACUUM users",
    fix="put it into a migration of its own that runs without a transaction",
    tx="wrapped",
)

REFUSED = ("25001", "2D000")  # active transaction, invalid transaction termination


def find(at: Situation) -> Iterator[Finding]:
    refuses = at.facts.refuses_transaction
    if refuses.startswith("CONCURRENTLY") or "CONCURRENTLY" in at.facts.error:
        return
    if refuses and at.step.transaction is not None:
        yield HAZARD.at(at, at.named, why=refuses)
    elif at.facts.sqlstate in REFUSED:
        yield HAZARD.at(at, at.named, why=at.facts.error)
