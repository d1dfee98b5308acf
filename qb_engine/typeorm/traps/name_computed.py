"""a name that only running the code tells"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-computed",
    severity=Severity.WARNING,
    stage="files",
    title="the name of class {class_name} cannot be told: {reason}",
    meaning="The name is all that ties a class to its row in the history. When it is computed, "
    "neither a reviewer nor qb can tell whether the migration has run.",
    fix="write the name as a string",
    bad=alone(
        "AddNotes1710460800000", own_name=False, inside="name = 'AddNotes' + process.env.STAMP"
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if not each.name:
            reason = each.cls.name_unread or "it is empty"
            line = each.cls.name_line
            yield TRAP.on(each, line, class_name=each.cls.class_name, reason=reason)
