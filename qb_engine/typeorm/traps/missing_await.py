"""a query that nobody waits for"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="missing-await",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} does not await a query",
    meaning="Its error is lost: the migration is recorded as applied though the statement failed. "
    "The order is kept only because the driver sends one query after the other.",
    fix="write: await queryRunner.query(...)",
    bad=alone(
        "AddNotes1710460800000", code="queryRunner.query(`CREATE TABLE notes (id int PRIMARY KEY)`)"
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, method in each.both:
            lost = [q.called for q in method.queries if not q.awaited]
            for line in dict.fromkeys(lost):
                yield TRAP.on(each, line, way=way)
