"""`synchronize: true` beside migrations"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

FILES = alone("AddNotes1710460800000").files

TRAP = Trap(
    id="synchronize-on",
    severity=Severity.ERROR,
    stage="settings",
    title="synchronize is true: TypeORM changes the schema whenever the application starts",
    meaning="It makes the schema what the entities say, dropping columns on the way, without any "
    "migration and without a row in the history. The migrations then fail on what is there.",
    fix="set synchronize: false",
    bad=Example(FILES, Options(synchronize=True)),
    good=Example(FILES, Options()),
)


def find(project: Project) -> Iterator[Finding]:
    options = project.options
    if options and options.synchronize:
        yield TRAP.at(options.file, options.line_of("synchronize"))
