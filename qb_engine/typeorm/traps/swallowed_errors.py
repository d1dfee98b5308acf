"""an error that is caught and forgotten"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="swallowed-errors",
    severity=Severity.WARNING,
    stage="up",
    title="{way} of {name} catches errors: {reason}",
    meaning="The migration counts as applied although a statement failed. In a transaction it does "
    "not even help: after an error PostgreSQL refuses everything until the rollback (25P02).",
    fix="say it in SQL: IF NOT EXISTS, ON CONFLICT, or a DO block with EXCEPTION",
    bad=alone(
        "AddNotes1710460800000",
        code="try {\n    await queryRunner.query(`CREATE TABLE notes (id int)`)\n"
        "} catch (error) {\n    console.log(error)\n}",
    ),
    good=alone("AddNotes1710460800000", ["CREATE TABLE IF NOT EXISTS notes (id int)"]),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, method in each.both:
            if method.unread and method.unread.cause == "swallowed":
                yield TRAP.on(each, method.unread.line, way=way, reason=method.unread.reason)
