"""a migration that the history has several times"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from qb_engine.typeorm.traps.project import HistoryTable, Project, Row
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {file_of("AddNotes1710460800000"): written("AddNotes1710460800000")}
ONE, TWO = (Row(id, 1710460800000, "AddNotes1710460800000") for id in (1, 2))

TRAP = Trap(
    id="duplicate-rows",
    severity=Severity.ERROR,
    stage="history",
    title="{name} was applied {count} times (rows {ids} of {table})",
    meaning="TypeORM takes no lock: replicas that start together each run what is pending. "
    "An UPDATE is then done as many times, so look at the data. A revert deletes all of the "
    "rows at once.",
    fix="see what it did twice, delete the later rows from {table}, and let a constraint stop the "
    "next: qb typeorm adopt --guard",
    bad=Example(FILES, history=HistoryTable(rows=(ONE, TWO))),
    good=Example(FILES, history=HistoryTable(rows=(ONE,))),
)


def find(project: Project) -> Iterator[Finding]:
    if project.history is None:
        return
    files = {each.name: each for each in project.migrations}
    for name, count in Counter(row.name for row in project.rows).items():
        if count > 1:
            ids = ", ".join(str(row.id) for row in project.rows if row.name == name)
            words: dict[str, Any] = {"name": name, "count": count, "ids": ids}
            if name in files:
                yield TRAP.on(files[name], table=project.history.name, **words)
            else:
                yield TRAP.at("", 0, migration=name, table=project.history.name, **words)
