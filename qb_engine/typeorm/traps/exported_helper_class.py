"""an exported class that is no migration"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

GOOD = written("AddNotes1710460800000")

TRAP = Trap(
    id="exported-helper-class",
    severity=Severity.ERROR,
    stage="files",
    title="exports the class {name}, which has no up: TypeORM takes it for a migration and stops",
    meaning="Every exported class in a file that the globs match is a migration to TypeORM: "
    "'migration name is wrong', before anything runs. An entity that the glob matches is "
    "the usual case.",
    fix="move it to a file that the globs do not match, or do not export it",
    bad=Example({file_of("AddNotes1710460800000"): GOOD, "helper.ts": "export class Helper {}\n"}),
    good=Example({file_of("AddNotes1710460800000"): GOOD, "helper.ts": "export const size = 5;\n"}),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        migrations = {each.class_name for each in file.script.classes}
        lines = {each.line for each in file.script.classes}
        for export in file.script.exports:
            migration = export.name in migrations or export.line in lines
            if export.kind == "class" and not migration and export.name != "default":
                yield TRAP.at(file.path, export.line, name=export.name)
