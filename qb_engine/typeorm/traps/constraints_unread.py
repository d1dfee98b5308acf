"""`static constraints` that are no literal"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="constraints-unread",
    severity=Severity.WARNING,
    stage="up",
    title="static constraints of {name} cannot be read: {reason}",
    meaning="TypeORM ignores them. qb asks them of a database before the migration runs there, and "
    "refuses the migration as long as it cannot tell what they say.",
    fix="write them as a literal: static constraints = {{ users: {{ must_exist: true }} }}",
    bad=alone("AddNotes1710460800000", inside="static constraints = needed()"),
    good=alone(
        "AddNotes1710460800000", inside="static constraints = { users: { must_exist: true } }"
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.cls.constraints_unread:
            line = each.cls.constraints_line
            yield TRAP.on(each, line, reason=each.cls.constraints_unread)
