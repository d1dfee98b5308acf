"""CONCURRENTLY is put into a transaction, where it is refused"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="concurrently-in-transaction",
    severity=Severity.ERROR,
    title="CONCURRENTLY is refused inside a transaction",
    meaning="It commits in between, so PostgreSQL does not run it in a transaction block, in a "
    "function, or in DO. The migration is put into a transaction: it will fail.",
    bad="CREATE INDEX CONCURRENTLY users_city ON users (city)",
    fix="put it into a migration of its own that runs without a transaction",
    tx="wrapped",
)


def find(at: Situation) -> Iterator[Finding]:
    refuses = at.facts.refuses_transaction.startswith("CONCURRENTLY")
    refused = at.facts.sqlstate == "25001" and "CONCURRENTLY" in at.facts.error
    if refused or (refuses and at.step.transaction is not None):
        yield HAZARD.at(at, at.named)
