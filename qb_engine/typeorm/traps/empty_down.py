"""a `down` that does nothing and succeeds"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="empty-down",
    severity=Severity.WARNING,
    stage="down",
    title="down of {name} does nothing: migration:revert takes its row away, and nothing else",
    meaning="The history then says that the migration is not applied while its work stands. The "
    "next migration:run fails on what is already there, or does its work twice.",
    fix="write what undoes it, or throw: throw new Error('there is no way back: ...')",
    bad=alone("AddNotes1710460800000", down=()),
    good=alone(
        "DropNotes1710460800000",
        ["DROP TABLE notes"],
        back="throw new Error('the notes are gone')",
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        down = each.methods.down if each.methods else None
        if down is not None and down.empty:
            yield TRAP.on(each, down.line)
