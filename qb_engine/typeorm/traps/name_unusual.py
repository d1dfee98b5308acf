"""a name that is no name of a class"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-unusual",
    severity=Severity.NOTICE,
    stage="files",
    title="{name} is stored as it stands, and no class can be called so",
    meaning="TypeORM takes any text, spaces and quotes too. It looks the name up letter by "
    "letter, so an editor that changes an accent or a space makes the migration run again.",
    fix="where it has not run yet, use letters, digits and underscores",
    bad=alone("AddNotes1", own_name=False, inside="name = 'Add notes 1710460800000'"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "unusual":
            yield TRAP.on(each, each.cls.name_line)
