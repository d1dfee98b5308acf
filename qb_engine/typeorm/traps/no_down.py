"""no `down` at all"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="no-down",
    severity=Severity.WARNING,
    stage="down",
    title="{name} has no down: it runs, and migration:revert fails with 'down is not a function'",
    meaning="TypeORM reverts the last row only, so every migration before it cannot be reverted "
    "either.",
    fix="write a down, or one that throws the reason why there is no way back",
    bad=alone("AddNotes1710460800000", down=None),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if not each.cls.has_down:
            yield TRAP.on(each)
