"""a file that is named as a migration and holds none"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

TRAP = Trap(
    id="no-class",
    severity=Severity.WARNING,
    stage="files",
    title="the file is named as a migration, and no class with up is in it: nothing runs",
    meaning="TypeORM goes by what files export and never by their names: it says nothing.",
    fix="write the class, or delete the file",
    bad=Example({"1710460800000-AddNotes.ts": "export const later = true;\n"}),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        script = file.script
        taken = any(export.callable or export.kind == "again" for export in script.exports)
        taken = taken or bool(script.classes or script.errors)
        if file.stamp and file.form == "file" and not taken:
            yield TRAP.at(file.path, 1)
