"""a class that was renamed after it had run"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Migration, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}

TRAP = Trap(
    id="renamed-class",
    severity=Severity.ERROR,
    stage="history",
    title="{name} is {old} of the history under another name: it would run again",
    meaning="The name alone says what has run. A new name with the old stamp is a pending "
    "migration to TypeORM, and the old row has no class, so nothing can be reverted either.",
    fix="put the old name into the property: name = '{old}'",
    bad=Example(FILES, history=HistoryTable(rows=(Row(1, 1710460800000, "Notes1710460800000"),))),
    good=Example(
        FILES, history=HistoryTable(rows=(Row(1, 1710460800000, "AddNotes1710460800000"),))
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each, row in renamed(project):
        yield TRAP.on(each, each.cls.name_line, old=row.name)


def renamed(project: Project) -> Iterator[tuple[Migration, Row]]:
    """Pending migrations with the row of the same stamp whose class is gone."""
    known = {each.name for each in project.migrations}
    gone = {row.name[-13:]: row for row in project.rows if row.name not in known}
    for each in project.migrations:
        if not each.applied and each.cls.stamp and each.cls.stamp in gone:
            yield each, gone[each.cls.stamp]
