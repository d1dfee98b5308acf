"""an exported object or array that holds a function"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

GOOD = written("AddNotes1710460800000")

TRAP = Trap(
    id="exported-object",
    severity=Severity.ERROR,
    stage="files",
    title="{name} is {kind} with a function in it: TypeORM takes that for a migration and stops",
    meaning="Exported objects and arrays are searched, and each function found is called with new: "
    "'migrationClass is not a constructor', before anything runs. That is so for a default export "
    "{ up, down }, too. Objects of nothing but data are left alone.",
    fix="make a migration a class; keep functions out of what is exported",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): GOOD
            + "export const settings = { size: 5, fill: () => 1 };\n"
        }
    ),
    good=Example(
        {file_of("AddNotes1710460800000"): GOOD + "export const settings = { size: 5 };\n"}
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        for export in file.script.exports:
            if export.kind in ("object", "array") and export.callable:
                name = "the default export" if export.name == "default" else export.name
                kind = "an array" if export.kind == "array" else "an object"
                yield TRAP.at(file.path, export.line, name=name, kind=kind)
