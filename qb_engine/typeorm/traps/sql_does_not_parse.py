"""SQL that PostgreSQL cannot read"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="sql-does-not-parse",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name}: {error}, in {statement}",
    meaning="PostgreSQL's own grammar refuses the statement. In a down it is found out on the day "
    "when somebody needs it: downs are hardly ever run before.",
    fix="mend the statement",
    bad=alone("AddNotes1710460800000", down=["ALTER TABLE notes DROP COLUMN IF EXIST size"]),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                for number, error in sent.problems.items():
                    statement = sent.statements[number]
                    line = sent.query.called if sent.query.file else statement.source.line
                    shown = statement.first_line
                    yield TRAP.on(each, line, way=way, error=error.what, statement=shown)
