"""a row whose stamp is not that of its class"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qb_engine.typeorm.traps.names import stamp_of
from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}

TRAP = Trap(
    id="stored-stamp-differs",
    severity=Severity.ERROR,
    stage="history",
    title="the history has {stored} for {name}: a revert undoes it and leaves the row",
    meaning="migration:revert deletes by stamp and name. With another stamp stored, down runs, no "
    "row is deleted, success is reported, and the next revert runs the same down again.",
    fix="UPDATE {table} SET timestamp = {stamp} WHERE name = '{name}'",
    bad=Example(
        FILES, history=HistoryTable(rows=(Row(1, 1710460700000, "AddNotes1710460800000"),))
    ),
    good=Example(
        FILES, history=HistoryTable(rows=(Row(1, 1710460800000, "AddNotes1710460800000"),))
    ),
)


def find(project: Project) -> Iterator[Finding]:
    if project.history is None:
        return
    stored = {row.name: row.stamp for row in project.rows}
    for each in project.migrations:
        stamp = stamp_of(each.name)
        seconds = stamp is not None and stored.get(each.name) == stamp // 1000
        if each.applied and stamp and stored[each.name] != stamp and not seconds:
            words: dict[str, Any] = {"stored": stored[each.name], "stamp": stamp}
            yield TRAP.on(each, each.cls.name_line, table=project.history.name, **words)
