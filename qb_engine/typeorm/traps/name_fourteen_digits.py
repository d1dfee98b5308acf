"""fourteen digits, of which TypeORM reads thirteen"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import better, reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-fourteen-digits",
    severity=Severity.ERROR,
    stage="files",
    title="{name} ends in 14 digits: TypeORM reads {stamp}, without the first one",
    meaning="The last 13 characters are taken, so the century's 2 is cut off and the "
    "migration sorts before every one that has milliseconds.",
    fix="end the name in 13 digits of milliseconds: {better}",
    bad=alone("AddNotes20240315120000"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "fourteen":
            yield TRAP.on(
                each, each.cls.name_line, stamp=stamp_of(each.name), better=better(each.name)
            )
