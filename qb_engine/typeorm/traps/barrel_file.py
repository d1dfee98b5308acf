"""a file that exports again what another file exports"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

GOOD = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}

TRAP = Trap(
    id="barrel-file",
    severity=Severity.ERROR,
    stage="files",
    title="exports migrations of other files again: 'Duplicate migrations', and nothing runs",
    meaning="TypeORM finds the same class once in its own file and once here, and refuses both.",
    fix="move this file out of what the globs match, or let the data source import it alone",
    bad=Example({**GOOD, "index.ts": 'export * from "./1710460800000-AddNotes";\n'}),
    good=Example(GOOD),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        again = [export for export in file.script.exports if export.kind == "again"]
        if again and len(project.files) > 1:
            yield TRAP.at(file.path, again[0].line)
