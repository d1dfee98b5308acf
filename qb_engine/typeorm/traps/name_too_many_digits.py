"""more digits than a stamp has"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-too-many-digits",
    severity=Severity.ERROR,
    stage="files",
    title="{name} ends in more than 13 digits: TypeORM reads {stamp}, the last of them",
    meaning="Of microseconds (16 digits) the last 13 are no time at all: the order is as "
    "good as random.",
    fix="end the name in 13 digits of milliseconds",
    bad=alone("AddNotes1710460800000123"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "long":
            yield TRAP.on(each, each.cls.name_line, stamp=stamp_of(each.name))
