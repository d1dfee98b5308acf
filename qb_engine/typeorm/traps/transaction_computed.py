"""a `transaction` property that only running the code tells"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

NAME = "AddNotes1710460800000"

TRAP = Trap(
    id="transaction-computed",
    severity=Severity.WARNING,
    stage="up",
    title="transaction of {name} cannot be told: {reason}",
    meaning="Whether it runs in a transaction then depends on where it runs, and so does what is "
    "left when it fails. qb refuses such a migration.",
    fix="write transaction = true or transaction = false",
    bad=Example(
        {file_of(NAME): written(NAME, inside="transaction = process.env.CI !== '1'")},
        Options(mode="each"),
    ),
    good=Example({file_of(NAME): written(NAME, inside="transaction = true")}, Options(mode="each")),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        if each.cls.transaction_unread:
            yield TRAP.on(each, each.cls.transaction_line, reason=each.cls.transaction_unread)
