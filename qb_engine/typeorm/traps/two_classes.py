"""two migrations in one file"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, file_of, written

TRAP = Trap(
    id="two-classes",
    severity=Severity.WARNING,
    stage="files",
    title="{count} migrations stand in one file: {names}",
    meaning="All of them run, each by its own stamp. The name of the file says one only, and who "
    "reviews or deletes the file thinks of one.",
    fix="give each a file of its own; the names of the classes stay as they are",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000")
            + written("AddMore1710460900000", ["SELECT 1"], ["SELECT 2"]).split("\n", 2)[2]
        }
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        found = [each for each in project.migrations if each.file is file]
        if len(found) > 1:
            names = ", ".join(each.name or each.cls.class_name for each in found)
            yield TRAP.at(file.path, found[1].cls.line, count=len(found), names=names)
