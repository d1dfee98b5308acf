"""a name that ends in no number at all"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-no-stamp",
    severity=Severity.ERROR,
    stage="files",
    title="{name} has no stamp: TypeORM refuses every migration of the project",
    meaning="TypeORM takes the last 13 characters of the name for a time in milliseconds, "
    "and stops with 'migration name is wrong' before anything runs when they are no number.",
    fix="end the name in 13 digits: {name}1710460800000",
    bad=alone("AddNotes1", own_name=False, inside="name = 'AddNotes'"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "no-stamp":
            yield TRAP.on(each, each.cls.name_line)
