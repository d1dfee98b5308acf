"""values that have no place in the SQL, and places that have no value"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.migrations.typescript.binding import unbound
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="values-without-places",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} fails: {what}",
    meaning="The driver sends values beside the SQL, and PostgreSQL takes the statement only where "
    "each value has a place ($1, $2, ...) and each place a value: else 08P01, 42P18 or 42P02. "
    "Statements such as ALTER TABLE have no places at all.",
    fix="{todo}",
    bad=alone(
        "AddNotes1710460800000",
        code="await queryRunner.query(`UPDATE shops SET n = $1 WHERE id = 1`, [1, 2])",
        back="throw new Error('the old numbers are gone')",
    ),
    good=alone(
        "AddNotes1710460800000",
        code="await queryRunner.query(`UPDATE shops SET n = $1 WHERE id = $2`, [1, 2])",
        back="throw new Error('the old numbers are gone')",
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                if wrong := unbound(sent.query):
                    yield TRAP.on(
                        each, sent.query.called, way=way, what=wrong.what, todo=wrong.todo
                    )
