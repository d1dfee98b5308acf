"""an applied migration whose class is gone"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.renamed_class import renamed
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}
ROW = Row(1, 1710460800000, "AddNotes1710460800000")

TRAP = Trap(
    id="row-without-file",
    severity=Severity.WARNING,
    stage="history",
    title="{name} is applied (row {id} of {table}), and no file has it",
    meaning="migration:show leaves it out. migration:revert takes the last row, and where no class "
    "has it stops: nothing before it can be reverted either.",
    fix="bring the file back from version control; qb adopts what is there and names what is not",
    bad=Example(
        FILES, history=HistoryTable(rows=(ROW, Row(2, 1710460900000, "AddTags1710460900000")))
    ),
    good=Example(FILES, history=HistoryTable(rows=(ROW,))),
)


def find(project: Project) -> Iterator[Finding]:
    if project.history is None:
        return
    known = {each.name for each in project.migrations}
    taken = {row.name for _, row in renamed(project)}
    unread = {file.stamp for file in project.files if file.script.errors and file.stamp}
    for row in project.rows:
        if row.name not in known | taken and row.name[-13:] not in unread:
            yield TRAP.at(
                "", 0, migration=row.name, name=row.name, id=row.id, table=project.history.name
            )
