"""a migration that wants a say on transactions, where all share one"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {
    file_of("AddNotes1710460800000"): written("AddNotes1710460800000", inside="transaction = false")
}

TRAP = Trap(
    id="transaction-forbidden",
    severity=Severity.ERROR,
    stage="up",
    title="{name} sets transaction while the mode is all: nothing runs",
    meaning="The default mode puts every pending migration into one transaction, and "
    "ForbiddenTransactionModeOverrideError stops the whole command, with --fake, too.",
    fix="set migrationsTransactionMode: 'each' in the data source, or run with --transaction each; "
    "qb run makes a transaction for each migration and heeds the property",
    bad=Example(FILES, Options()),
    good=Example(FILES, Options(mode="each")),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.cls.transaction is not None and project.mode == "all":
            yield TRAP.on(each, each.cls.transaction_line)
