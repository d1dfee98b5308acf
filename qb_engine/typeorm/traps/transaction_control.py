"""a migration that commits by itself"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="transaction-control",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} sends {word}: TypeORM does not know that its transaction is over",
    meaning="What comes after it is not in a transaction any more. When a later statement or the "
    "next migration fails, its work stays, and no row says so.",
    fix="leave it out; where a statement must run outside a transaction, say transaction = false; "
    "qb refuses such a migration",
    bad=alone(
        "AddNotes1710460800000", ["COMMIT", "CREATE INDEX CONCURRENTLY notes_at ON notes (at)"]
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    from qb_engine.sql.script import transaction_word

    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                words = [transaction_word(s) for s in sent.statements]
                if word := next((w for w in words if w and w != "savepoint"), ""):
                    yield TRAP.on(each, sent.query.called, way=way, word=word.upper())
