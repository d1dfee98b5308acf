"""a transaction is begun and never ended"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="uncommitted-transaction",
    severity=Severity.ERROR,
    title="the transaction that was begun is never committed",
    meaning="The file ends within its own transaction. Whoever runs it either loses all of it "
    "without a word, or leaves the locks held until the connection is closed.",
    bad="BEGIN; ALTER TABLE users ADD COLUMN nick text",
    good="BEGIN; ALTER TABLE users ADD COLUMN nick text; COMMIT",
    fix="end it with COMMIT, or leave out BEGIN and let the runner put it into a transaction",
    tx="explicit",
)


def find(at: Situation) -> Iterator[Finding]:
    if at.circumstances.unended == at.step.number:
        yield HAZARD.at(at)
