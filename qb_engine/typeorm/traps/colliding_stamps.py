"""several migrations of one stamp"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from qb_engine.typeorm.traps.names import stamp_of
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FIRST = written("AddNotes1710460800000")

TRAP = Trap(
    id="colliding-stamps",
    severity=Severity.WARNING,
    stage="files",
    title="{name} has the stamp of {others}: their order is not fixed",
    meaning="With equal stamps TypeORM keeps the order in which files were found. That differs "
    "between its versions: 0.3.31 and 1.1.1 run the same three files in another order.",
    fix="give what has not run yet a later stamp, in the class, in name, and in the file",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): FIRST,
            file_of("AddTags1710460800000"): written("AddTags1710460800000", ["SELECT 1"]),
        }
    ),
    good=Example(
        {
            file_of("AddNotes1710460800000"): FIRST,
            file_of("AddTags1710460800001"): written("AddTags1710460800001", ["SELECT 1"]),
        }
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for stamp, group in groupby(project.in_order, key=lambda m: stamp_of(m.name)):
        together = list(group)
        names = dict.fromkeys(each.name for each in together)
        if stamp is not None and len(names) > 1:
            for each in together[1:]:
                others = ", ".join(name for name in names if name != each.name)
                yield TRAP.on(each, each.cls.name_line, others=others)
