"""a date where milliseconds are meant, alone or filled up with zeros"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.names import reading, stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-bare-date",
    severity=Severity.ERROR,
    stage="files",
    title="{name} is accepted with the time {stamp}: it sorts before every other migration",
    meaning="A date of 8 digits is a few hours after midnight of 1 January 1970 when it is "
    "read as milliseconds. The migration runs first on a new database, before what it "
    "needs.",
    fix="end the name in 13 digits of milliseconds",
    bad=alone("AddNotes0000020240315"),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name and reading(each.name) == "small":
            yield TRAP.on(each, each.cls.name_line, stamp=stamp_of(each.name))
