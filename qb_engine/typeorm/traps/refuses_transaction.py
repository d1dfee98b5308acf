"""a statement that PostgreSQL refuses in the transaction that TypeORM makes"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

UP = ["CREATE INDEX CONCURRENTLY notes_at ON notes (at)"]
DOWN = ["DROP INDEX notes_at"]

TRAP = Trap(
    id="refuses-transaction",
    severity=Severity.ERROR,
    stage="up",
    title="up of {name} sends what is refused in a transaction ({why}): {statement}",
    meaning="TypeORM runs it in one unless the mode is none, or the mode is each and the migration "
    "says transaction = false: SQLSTATE 25001. A CONCURRENTLY that fails leaves an invalid index "
    "and no row.",
    fix="give it a migration of its own with transaction = false (an instance property), and set "
    "migrationsTransactionMode: 'each'",
    bad=Example({file_of("AddIndex1710460800000"): written("AddIndex1710460800000", UP, DOWN)}),
    good=Example(
        {
            file_of("AddIndex1710460800000"): written(
                "AddIndex1710460800000", UP, DOWN, inside="transaction = false"
            )
        },
        Options(mode="each"),
    ),
)

SAY = "give it a migration of its own with transaction = false (an instance property)"


def find(project: Project) -> Iterator[Finding]:
    if project.mode == "none":
        return
    for each in project.migrations:
        if each.cls.transaction is False:
            continue
        for statement in each.statements:
            why = statement.refuses_transaction
            if why and statement.kind != "transaction":
                line = statement.source.line if statement.source.file == str(each.path) else 0
                fix = SAY if project.mode == "each" else ""
                yield TRAP.on(each, line, why=why, statement=statement.first_line, fix=fix)
