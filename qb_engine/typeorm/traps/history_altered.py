"""TypeORM's table is not as TypeORM needs it"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

FILES = alone("AddNotes1710460800000").files

TRAP = Trap(
    id="history-altered",
    severity=Severity.ERROR,
    stage="history",
    title="{table} {what}: the next migration runs and cannot be recorded",
    meaning="TypeORM inserts timestamp and name. Further columns that may be NULL or have a "
    "default are fine, and so is a view that can be written; anything else fails after the "
    "work is done.",
    fix="{todo}",
    bad=Example(FILES, history=HistoryTable(required=("applied_by",))),
    good=Example(FILES, history=HistoryTable()),
)


def find(project: Project) -> Iterator[Finding]:
    table = project.history
    if table is None:
        return
    for column in table.required:
        what = f"has the column {column}, which is NOT NULL without a default"
        todo = f"ALTER TABLE {table.name} ALTER {column} DROP NOT NULL"
        yield TRAP.at("", 0, table=table.name, what=what, todo=todo)
    if table.missing:
        what = f"has no column {' and no column '.join(table.missing)}"
        todo = "name TypeORM's own table: [typeorm] table in qb.toml, migrationsTableName"
        yield TRAP.at("", 0, table=table.name, what=what, todo=todo)
    if table.view:
        what = "is a view that cannot be written"
        todo = "put the table back under its name"
        yield TRAP.at("", 0, table=table.name, what=what, todo=todo)
