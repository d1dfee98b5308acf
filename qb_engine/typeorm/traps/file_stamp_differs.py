"""a file whose digits are not those of its class"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, written

TRAP = Trap(
    id="file-stamp-differs",
    severity=Severity.WARNING,
    stage="files",
    title="the file says {stamp}, the class {name}",
    meaning="TypeORM orders by the name of the class and never looks at that of the file. "
    "Who reads the folder sees another order than the one that runs.",
    fix="rename the file; not the class, where it has run anywhere: its name is its identity",
    bad=Example({"1710460700000-AddNotes.ts": written("AddNotes1710460800000")}),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    from qb_engine.migrations.stamps import moment

    for each in project.migrations:
        stamp, own = each.file.stamp, each.cls.stamp
        if not stamp or not own or stamp == own:
            continue
        if len(stamp) == 13 or moment(stamp)[: len(stamp)] != moment(own)[: len(stamp)]:
            yield TRAP.on(each, stamp=stamp)
