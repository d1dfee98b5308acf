"""SQL that depends on the environment"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="sql-from-environment",
    severity=Severity.WARNING,
    stage="up",
    title="{way} of {name} depends on where it runs: {reason}",
    meaning="Each database gets a schema of its own, and nobody can say later which. An unset "
    "variable becomes the text 'undefined' in the SQL.",
    fix="write the value into the migration, or decide it in the database (current_database(), a "
    "setting); qb does not run what it cannot read",
    bad=alone(
        "AddRole1710460800000",
        code="await queryRunner.query(`GRANT SELECT ON notes TO ${process.env.APP_ROLE}`)",
    ),
    good=alone("AddRole1710460800000", ["GRANT SELECT ON notes TO app"]),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, method in each.both:
            if method.unread and method.unread.cause == "environment":
                yield TRAP.on(each, method.unread.line, way=way, reason=method.unread.reason)
