"""a migration that TypeORM never sees"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, file_of, written

TRAP = Trap(
    id="not-exported",
    severity=Severity.WARNING,
    stage="files",
    title="the class {name} is not exported: TypeORM never runs it, and says nothing",
    meaning="Only what a file exports is looked at. migration:show does not list it either.",
    fix="export the class, or delete it",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000").replace(
                "export class", "class"
            )
        }
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        for each in file.script.classes:
            if not each.exported and not each.default:
                yield TRAP.at(file.path, each.line, name=each.name or each.class_name)
