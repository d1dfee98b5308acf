"""LOCK TABLE keeps others out until the transaction ends"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import (
    BLOCKS_WRITES,
    Finding,
    Hazard,
    Severity,
    Situation,
)
from qb_engine.execution.observation import strength

HAZARD = Hazard(
    id="explicit-lock-table",
    severity=Severity.WARNING,
    title="takes {lock} on {relation} and keeps it until the transaction ends",
    meaning="Who wants to write to the table, or to read it under ACCESS EXCLUSIVE, waits for the "
    "whole of the transaction, and before that this one waits for all who use it.",
    bad="LOCK TABLE users IN ACCESS EXCLUSIVE MODE",
    good="LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE",
    fix="do without it, take a weaker mode, or keep the transaction short",
)

SAID = re.compile(r"(?i)\block\s+table\b")


def find(at: Situation) -> Iterator[Finding]:
    said = at.kind in ("do", "select", "call") and SAID.search(at.step.statement.sql)
    if at.kind != "lock" and not said:
        return
    strong = [k.relation for k in at.facts.locks if strength(k.mode) >= BLOCKS_WRITES]
    touched = {k.table for k in at.changes.added_constraints}
    touched |= {c.table for c in at.changes.added_columns} | set(at.changes.emptied)
    for table in at.wholes(r for r in strong if at.is_table(r) and r not in touched):
        yield HAZARD.at(at, table)
