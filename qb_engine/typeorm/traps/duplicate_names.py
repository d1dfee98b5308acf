"""two classes of one name"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qb_engine.errors import nearby
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, written

TEXT = written("AddNotes1710460800000")

TRAP = Trap(
    id="duplicate-names",
    severity=Severity.ERROR,
    stage="files",
    title="{name} is also in {other}: 'Duplicate migrations', and nothing runs",
    meaning="Names are the identity of migrations. The usual cause is a glob that matches the "
    "sources and what they were compiled to.",
    fix="let the globs match one of the two, or give the class a new stamp",
    bad=Example({"src/1710460800000-AddNotes.ts": TEXT, "src/copy.ts": TEXT}),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for each in project.migrations:
        if each.name and each.name in first:
            yield TRAP.on(each, other=nearby(str(first[each.name])))
        first.setdefault(each.name, each.path)
