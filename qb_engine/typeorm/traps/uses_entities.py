"""a migration that uses today's entities"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="uses-entities",
    severity=Severity.WARNING,
    stage="up",
    title="{way} of {name} goes through the entity manager: {reason}",
    meaning="Its SQL is made from the entities as they are today, not as they were when it was "
    "written. A column added later is asked for before it exists, so it fails on a new database.",
    fix="write the SQL; many rows: a folder migration with a backfill",
    bad=alone(
        "FillNotes1710460800000",
        code="await queryRunner.manager.update('Note', {}, { read: false })",
    ),
    good=alone("FillNotes1710460800000", ["UPDATE notes SET read = false WHERE read IS NULL"]),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, method in each.both:
            if method.unread and method.unread.cause == "manager":
                yield TRAP.on(each, method.unread.line, way=way, reason=method.unread.reason)
