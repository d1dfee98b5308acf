"""`migrationsRun: true`: every replica that starts runs what is pending"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import HistoryTable, Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone

FILES = alone("AddNotes1710460800000").files

TRAP = Trap(
    id="migrations-at-start",
    severity=Severity.WARNING,
    stage="settings",
    title="migrationsRun is true: each replica that starts runs what is pending, without a lock",
    meaning="Three at once have been seen to run one data migration three times, and to "
    "leave three rows. Nothing in TypeORM keeps them apart.",
    fix="run migrations once, before the replicas start: qb run --if-pending; while TypeORM "
    "does it, let a constraint make the second one fail: ALTER TABLE {table} ADD UNIQUE (name)",
    bad=Example(FILES, Options(migrations_run=True)),
    good=Example(FILES, Options()),
)


def find(project: Project) -> Iterator[Finding]:
    options, history = project.options, project.history
    if options and options.migrations_run and not (history and history.guarded):
        table = (history or HistoryTable()).name
        yield TRAP.at(options.file, options.line_of("migrationsRun"), table=table)
