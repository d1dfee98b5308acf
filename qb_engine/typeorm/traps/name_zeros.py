"""a stamp of nothing but zeros"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-zeros",
    severity=Severity.ERROR,
    stage="files",
    title="{name} has the time 0: TypeORM refuses every migration of the project",
    meaning="A time of 0 counts as none: 'migration name is wrong', before anything runs.",
    fix="end the name in 13 digits of a real time",
    bad=alone("AddNotes0000000000000"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "zeros":
            yield TRAP.on(each, each.cls.name_line)
