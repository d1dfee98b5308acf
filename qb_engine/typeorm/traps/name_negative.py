"""a dash that becomes a minus"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-negative",
    severity=Severity.ERROR,
    stage="files",
    title="{name} is accepted with the time {stamp}",
    meaning="A dash before 12 digits is read as a minus: the migration sorts before all others.",
    fix="end the name in 13 digits",
    bad=alone("AddNotes1", own_name=False, inside="name = 'AddNotes-171046080000'"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "negative":
            yield TRAP.on(each, each.cls.name_line, stamp=stamp_of(each.name))
