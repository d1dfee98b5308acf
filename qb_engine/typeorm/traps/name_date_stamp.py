"""eight digits at the end, where TypeORM wants thirteen"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import better, reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-date-stamp",
    severity=Severity.ERROR,
    stage="files",
    title="{name} ends in a date of 8 digits: TypeORM refuses every migration of the project",
    meaning="The last 13 characters must be a number, and with a date of 8 digits letters "
    "are among them: 'migration name is wrong', before anything runs.",
    fix="write the date as milliseconds: {better}",
    bad=alone("AddNotes20240315"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "date":
            yield TRAP.on(each, each.cls.name_line, better=better(each.name))
