"""an `up` that gives TypeORM nothing to wait for"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, file_of, written

TRAP = Trap(
    id="up-not-async",
    severity=Severity.ERROR,
    stage="files",
    title="up of {name} is not async and returns nothing: TypeORM fails on it",
    meaning='TypeORM calls catch on what the method returns: "Cannot read properties of undefined '
    "(reading 'catch')\". The statements were sent by then, and nobody waits for them.",
    fix="make it async, and await each query",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000")
            .replace("public async up", "public up")
            .replace("await queryRunner.query(`CREATE", "queryRunner.query(`CREATE")
        }
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        up = each.methods.up if each.methods else None
        if up and not (up.asynchronous or up.returns or up.throws or up.unread):
            yield TRAP.on(each, up.line)
