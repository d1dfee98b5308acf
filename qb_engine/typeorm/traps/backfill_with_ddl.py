"""a whole table updated while the schema is locked"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="backfill-with-ddl",
    severity=Severity.WARNING,
    stage="up",
    title="{name} changes the schema and then fills {table} in the same transaction: {statement}",
    meaning="The lock of the schema change is held until the last row is written, and everybody "
    "who reads or writes the table waits. It cannot be resumed: what fails begins again.",
    fix="fill the rows by a folder migration with a backfill (batches, resumable): "
    "qb generate NAME --format typeorm",
    bad=alone(
        "AddSeen1710460800000",
        ["ALTER TABLE notes ADD seen boolean", "UPDATE notes SET seen = false"],
        ["ALTER TABLE notes DROP seen"],
    ),
    good=alone(
        "AddSeen1710460800000",
        ["ALTER TABLE notes ADD seen boolean"],
        ["ALTER TABLE notes DROP seen"],
    ),
)
CHANGES = ("alter_table", "index", "alter_type", "rename")
ONE_ROW = re.compile(r"\bWHERE\b.*(=\s*(\d+|'[^']*'|\$\d)|\bIN\s*\()", re.I | re.S)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        changed = False
        made: set[str] = set()
        for statement in each.statements:
            names = {name for _, name in statement.relations}
            if statement.kind == "create":
                made |= names
            changed = changed or statement.kind in CHANGES
            if not changed or statement.kind not in ("update", "delete"):
                continue
            if not statement.relations or ONE_ROW.search(statement.sql):
                continue
            table = statement.relations[0][1]
            if table not in made:
                line = statement.source.line
                yield TRAP.on(each, line, table=table, statement=statement.first_line)
                break
