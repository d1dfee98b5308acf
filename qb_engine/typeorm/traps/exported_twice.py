"""one class under two names of export"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, file_of, written

TRAP = Trap(
    id="exported-twice",
    severity=Severity.ERROR,
    stage="files",
    title="{name} is exported by name and as default: 'Duplicate migrations', and nothing runs",
    meaning="TypeORM walks over all exports of a file and finds the class twice.",
    fix="keep one of the two exports",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000")
            + "export default AddNotes1710460800000;\n"
        }
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        name = re.escape(each.cls.class_name)
        named = re.compile(rf"^\s*export\s+(?:abstract\s+)?class\s+{name}\b", re.M)
        later = re.compile(rf"^\s*export\s+(?:default\s+{name}\b|\{{[^}}]*\b{name}\b)", re.M)
        again = later.search(each.file.text)
        if again and named.search(each.file.text):
            yield TRAP.on(each, each.file.text.count("\n", 0, again.end()) + 1)
