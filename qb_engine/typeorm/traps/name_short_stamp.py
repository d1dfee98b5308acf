"""a stamp of fewer than thirteen digits"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-short-stamp",
    severity=Severity.ERROR,
    stage="files",
    title="{name} ends in fewer than 13 digits: TypeORM refuses every migration of the project",
    meaning="The last 13 characters must be a number (milliseconds since 1970), and letters "
    "are among them: 'migration name is wrong', before anything runs. Ten digits are "
    "seconds.",
    fix="end the name in 13 digits",
    bad=alone("AddNotes1710460800"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "short":
            yield TRAP.on(each, each.cls.name_line)
