"""a `down` that TypeORM's revert puts into a transaction all the same"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

TRAP = Trap(
    id="revert-ignores-transaction",
    severity=Severity.WARNING,
    stage="down",
    title="down of {name} sends what is refused in a transaction: {statement}",
    meaning="migration:revert makes a transaction whatever the property transaction says, so it "
    "fails with 25001 in the modes all and each, and blocks every migration before it.",
    fix="revert it with: migration:revert --transaction none; qb rollback heeds the property",
    bad=Example(
        {
            file_of("AddIndex1710460800000"): written(
                "AddIndex1710460800000",
                ["CREATE INDEX CONCURRENTLY notes_at ON notes (at)"],
                ["DROP INDEX CONCURRENTLY notes_at"],
                inside="transaction = false",
            )
        },
        Options(mode="each"),
    ),
    good=Example(
        {
            file_of("AddIndex1710460800000"): written(
                "AddIndex1710460800000",
                ["CREATE INDEX CONCURRENTLY notes_at ON notes (at)"],
                ["DROP INDEX notes_at"],
                inside="transaction = false",
            )
        },
        Options(mode="each"),
    ),
)


def find(project: Project) -> Iterator[Finding]:
    if project.mode == "none":
        return
    for each in project.migrations:
        for sent in each.down:
            for statement in sent.statements:
                if statement.refuses_transaction and statement.kind != "transaction":
                    yield TRAP.on(each, sent.query.called, statement=statement.first_line)
                    break
