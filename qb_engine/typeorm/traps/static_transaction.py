"""`static transaction`, which nobody reads"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="static-transaction",
    severity=Severity.ERROR,
    stage="up",
    title="transaction of {name} is static: TypeORM ignores it",
    meaning="TypeORM asks the instance. The migration runs in a transaction as if nothing were "
    "said.",
    fix="make it a property of the instance, without static",
    bad=alone("AddNotes1710460800000", inside="static transaction = false"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.cls.static_transaction:
            yield TRAP.on(each, each.cls.static_transaction)
