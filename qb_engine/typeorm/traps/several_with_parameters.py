"""several statements in a string that has parameters"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="several-with-parameters",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} sends {count} statements with parameters in one string: PostgreSQL "
    "refuses that",
    meaning="A query with parameters is prepared, and only one statement can be: SQLSTATE 42601.",
    fix="send each statement with a query of its own",
    bad=alone(
        "AddNotes1710460800000",
        code="await queryRunner.query("
        "`UPDATE a SET n = $1 WHERE id = 1; UPDATE b SET n = $1 WHERE id = 1`, [1])",
        back="throw new Error('the old numbers are gone')",
    ),
    good=alone(
        "AddNotes1710460800000",
        code="await queryRunner.query(`UPDATE a SET n = $1 WHERE id = 1`, [1])",
        back="throw new Error('the old numbers are gone')",
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                if sent.query.parameters and len(sent.statements) > 1:
                    yield TRAP.on(each, sent.query.called, way=way, count=len(sent.statements))
