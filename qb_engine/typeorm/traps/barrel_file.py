"""a file that exports again what another file exports"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from qb_engine.typeorm.traps.project import File, Project
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
FROM = re.compile(r"""\bfrom\s+["'](\.[^"']*)["']""")


def find(project: Project) -> Iterator[Finding]:
    found = {file.path.with_suffix("") for file in project.files if file.script.classes}
    found |= {path.parent for path in found if path.name == "index"}
    for file in project.files:
        again = [export for export in file.script.exports if export.kind == "again"]
        named = {_place(file, said) for said in FROM.findall(file.text)} if again else set()
        if named & found:
            yield TRAP.at(file.path, again[0].line)


def _place(file: File, said: str) -> Path:
    """The file that an import names, without its suffix."""
    path = Path(os.path.normpath(file.path.parent / said))
    return path.with_suffix("") if path.suffix in (".ts", ".js", ".mts", ".mjs") else path
