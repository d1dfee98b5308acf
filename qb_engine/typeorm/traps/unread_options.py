"""options of the data source that only running it tells"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

FILES = alone("AddNotes1710460800000").files

TRAP = Trap(
    id="unread-options",
    severity=Severity.NOTICE,
    stage="settings",
    title="{option} of the data source cannot be read: {reason}",
    meaning="qb does not run the project's code to find out. It goes by qb.toml, and by TypeORM's "
    "own default where that says nothing.",
    fix="say it in qb.toml, section [typeorm]: files, table, schema",
    bad=Example(FILES, Options(unread=(("migrations", "it calls a function", 4),))),
    good=Example(FILES, Options()),
)
MATTERS = ("migrations", "migrationsTableName", "schema", "migrationsTransactionMode", "type")


def find(project: Project) -> Iterator[Finding]:
    for option, reason, line in project.options.unread if project.options else ():
        if option in MATTERS and project.options:
            yield TRAP.at(project.options.file, line, option=option, reason=reason)
