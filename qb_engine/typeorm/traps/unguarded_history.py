"""two runners on one history, and nothing that keeps a row from standing there twice"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

FILES = alone("AddNotes1710460800000").files

TRAP = Trap(
    id="unguarded-history",
    severity=Severity.NOTICE,
    stage="history",
    title="qb and TypeORM share {table}, and a name can stand there twice",
    meaning="qb keeps TypeORM out from the moment it starts a migration. A TypeORM that was "
    "already inside one then is stopped only by a unique name: its transaction fails and is "
    "rolled back.",
    fix="let the server refuse a second row: qb typeorm adopt --guard",
    bad=Example(FILES, history=HistoryTable(followed=True)),
    good=Example(FILES, history=HistoryTable(followed=True, guarded=True)),
)


def find(project: Project) -> Iterator[Finding]:
    history = project.history
    if history and history.followed and not history.guarded and not history.view:
        yield TRAP.at("", 0, table=history.name)
