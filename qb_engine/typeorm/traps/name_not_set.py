"""no `name` property: a minifier renames the migration"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="name-not-set",
    severity=Severity.NOTICE,
    stage="files",
    title="{name} has no name property: a bundler that shortens names makes it run again",
    meaning="Without one the history holds the name of the class as it is after compiling. "
    "Minifiers rename classes, and migration:create writes no name.",
    fix="add: name = '{name}'",
    bad=alone("AddNotes1710460800000", own_name=False),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if not each.cls.own_name and each.name:
            yield TRAP.on(each)
