"""an exported function, which TypeORM takes for a migration"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

TRAP = Trap(
    id="exported-function",
    severity=Severity.ERROR,
    stage="files",
    title="exports the function {name}: TypeORM takes it for a migration and stops, {how}",
    meaning="Every exported function in a file that the globs match is called with new. That stops "
    "all commands, before anything runs. The usual glob, **/*.ts, matches files beside the "
    "migrations, too.",
    fix="move it to a file that the globs do not match, or do not export it; "
    "migrations: ['src/migrations/{{*.ts,*/migration.ts}}'] leaves other files of folders out",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000"),
            "1710460900000-more/backfill.ts": "export async function backfill() {}\n",
        }
    ),
    good=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000"),
            "1710460900000-more/backfill.ts": 'export const backfill = { table: "notes" };\n',
        }
    ),
)
WRONG_NAME = "'migration name is wrong'"
NO_CONSTRUCTOR = "'migrationClass is not a constructor'"


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        for export in file.script.exports:
            if export.kind == "function" and export.callable:
                line = file.lines[export.line - 1] if export.line <= len(file.lines) else ""
                plain = re.search(r"\bfunction\b(?!\s*\*)", line) and "async" not in line
                how = WRONG_NAME if plain else NO_CONSTRUCTOR
                yield TRAP.at(file.path, export.line, name=export.name, how=how)
