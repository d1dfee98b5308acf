"""a backslash that JavaScript takes away before PostgreSQL sees it"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.migrations.typescript import Query
from qb_engine.typeorm.traps.project import Migration, Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="lost-backslashes",
    severity=Severity.WARNING,
    stage="up",
    title="a backslash in the SQL of {name} is lost: {shown}",
    meaning="In a JavaScript string a backslash before such a letter vanishes (or makes a control "
    "character), so the server gets another text: '\\d' becomes 'd'. migration:generate of 0.3.30, "
    "1.0.0 and older wrote them so, from the checks and defaults of your entities.",
    fix="write two backslashes; see what the database has where it is applied",
    bad=alone(
        "AddCheck1710460800000",
        ["ALTER TABLE notes ADD CONSTRAINT c CHECK (code ~ '^\\d+$')"],
        ["ALTER TABLE notes DROP CONSTRAINT c"],
    ),
    good=alone(
        "AddCheck1710460800000",
        ["ALTER TABLE notes ADD CONSTRAINT c CHECK (code ~ '^\\\\d+$')"],
        ["ALTER TABLE notes DROP CONSTRAINT c"],
    ),
)
LOST = re.compile(r"""(?<!\\)(?:\\\\)*(\\[^\\nrtux0-7'"`${\n])""")


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for _, method in each.both:
            for query in method.queries:
                if not query.file and (found := _lost(each, query)):
                    yield TRAP.on(each, found[0], shown=found[1])


def _lost(migration: Migration, query: Query) -> tuple[int, str] | None:
    """The line and the sequence that is lost in the text of a query's literal."""
    lines = migration.file.lines[query.line - 1 : query.line + query.sql.count("\n")]
    for number, line in enumerate(lines, query.line):
        found = LOST.search(line)
        if found and found[1] not in query.sql:  # String.raw keeps them
            return number, f"{found[1]} arrives as {_cooked(found[1])}"
    return None


def _cooked(escape: str) -> str:
    return "a control character" if escape[1] in "bfv" else escape[1]
