"""a method whose SQL its text does not tell"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="dynamic-method",
    severity=Severity.NOTICE,
    stage="up",
    title="{way} of {name} cannot be read without running it: {reason}",
    meaning="TypeORM runs it as ever. qb refuses to guess its SQL: it cannot be planned, "
    "checked or run by qb until it was recorded.",
    fix="record it on a shadow, with node: qb typeorm import --allow-execution; or write the SQL",
    bad=alone(
        "AddNotes1710460800000",
        code="const rows = await queryRunner.query(`SELECT id FROM shops`)\n"
        "for (const row of rows) {\n"
        "    await queryRunner.query(`CREATE TABLE notes_${row.id} (id int)`)\n}",
    ),
    good=alone("AddNotes1710460800000"),
)
OTHERS = ("environment", "swallowed", "manager")  # each has a trap of its own


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, method in each.both:
            unread = method.unread
            if unread and unread.cause not in OTHERS and not each.recorded:
                yield TRAP.on(each, unread.line, way=way, reason=unread.reason)
