"""a migration that was edited after it had run"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}
HISTORY = HistoryTable(rows=(Row(1, 1710460800000, "AddNotes1710460800000"),), followed=True)

TRAP = Trap(
    id="edited-after-applied",
    severity=Severity.ERROR,
    stage="history",
    title="{name} says something else now than what ran here",
    meaning="TypeORM keeps no checksum and never notices: this database and the next new one get "
    "different schemas. qb has kept what the SQL was when it ran, or when it was adopted.",
    fix="put the file back, and write the change as a new migration; what differs: "
    "qb checksum {name}",
    bad=Example(FILES, history=HISTORY, edited=frozenset({"AddNotes1710460800000"})),
    good=Example(FILES, history=HISTORY),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.name in project.edited:
            yield TRAP.on(each)
