"""a static `name`, which depends on the compiler"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-static",
    severity=Severity.WARNING,
    stage="files",
    title="name is static: what the history calls {name} depends on who compiles it",
    meaning="TypeORM asks the instance for its name, then the class. A static name replaces the "
    "class's own in some builds and is refused in others (TS2699), so one build may run again "
    "what another one has run.",
    fix="make it a property of the instance: name = '{name}'",
    bad=alone("AddNotes1710460800000", own_name=False, inside="static name = 'Other1710460800000'"),
    good=alone("AddNotes1710460800000"),
)
STATIC = re.compile(r"^\s*(?:public\s+)?static\s+(?:readonly\s+)?name\s*[:=]")


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for number in range(each.cls.line, each.cls.end + 1):
            if STATIC.match(each.file.lines[number - 1]):
                yield TRAP.on(each, number, name=each.name or each.cls.class_name)
