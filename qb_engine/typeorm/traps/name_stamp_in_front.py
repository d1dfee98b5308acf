"""the stamp stands before the words"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-stamp-in-front",
    severity=Severity.ERROR,
    stage="files",
    title="{name} begins with its stamp: TypeORM refuses every migration of the project",
    meaning="Only the last 13 characters are read. File names begin with the stamp, names "
    "of classes end in it.",
    fix="put the 13 digits at the end of the name",
    bad=alone("AddNotes1", own_name=False, inside="name = '1710460800000-add-notes'"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "in-front":
            yield TRAP.on(each, each.cls.name_line)
