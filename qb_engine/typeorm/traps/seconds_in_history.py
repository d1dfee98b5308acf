"""stamps of ten digits, as early versions of TypeORM stored them"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}

TRAP = Trap(
    id="seconds-in-history",
    severity=Severity.WARNING,
    stage="history",
    title="{name} is in {table} with seconds ({stamp}), not milliseconds",
    meaning="Early versions stored ten digits. What has run is told by the name, so nothing runs "
    "again; but a revert deletes by stamp and name, finds no row, and runs the same down again.",
    fix="UPDATE {table} SET timestamp = right(name, 13)::bigint WHERE name = '{name}'",
    bad=Example(FILES, history=HistoryTable(rows=(Row(1, 1710460800, "AddNotes1710460800000"),))),
    good=Example(
        FILES, history=HistoryTable(rows=(Row(1, 1710460800000, "AddNotes1710460800000"),))
    ),
)


def find(project: Project) -> Iterator[Finding]:
    if project.history is None:
        return
    for row in project.rows:
        if len(str(row.stamp)) == 10 and row.name[-13:].isdigit() and len(row.name) >= 13:
            words: dict[str, Any] = {"name": row.name, "stamp": row.stamp}
            yield TRAP.at("", 0, migration=row.name, table=project.history.name, **words)
