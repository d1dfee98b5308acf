"""text behind the stamp"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-text-after",
    severity=Severity.ERROR,
    stage="files",
    title="{name} has text behind its stamp: TypeORM reads {stamp}",
    meaning="The last 13 characters are taken, so every letter behind the stamp cuts off a "
    "digit in front, and the migration sorts before the others.",
    fix="end the name in its 13 digits",
    bad=alone("AddNotes1710460800000abc"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "text-after":
            yield TRAP.on(each, each.cls.name_line, stamp=stamp_of(each.name))
