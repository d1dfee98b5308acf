"""CONCURRENTLY together with another statement in one string"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FIRST = "CREATE INDEX CONCURRENTLY notes_at ON notes (at)"
SECOND = "ANALYZE notes"

TRAP = Trap(
    id="concurrently-in-string",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} sends {count} statements in one string, and one is refused there: "
    "{statement}",
    meaning="PostgreSQL makes one transaction of a string of several statements, so CONCURRENTLY "
    "fails in it even with transaction = false and in the mode none.",
    fix="send each statement with a query of its own",
    bad=Example(
        {
            file_of("AddIndex1710460800000"): written(
                "AddIndex1710460800000",
                [f"{FIRST}; {SECOND}"],
                ["DROP INDEX notes_at"],
                inside="transaction = false",
            )
        },
        Options(mode="each"),
    ),
    good=Example(
        {
            file_of("AddIndex1710460800000"): written(
                "AddIndex1710460800000",
                [FIRST, SECOND],
                ["DROP INDEX notes_at"],
                inside="transaction = false",
            )
        },
        Options(mode="each"),
    ),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                refused = [
                    s for s in sent.statements if s.refuses_transaction and s.kind != "transaction"
                ]
                if refused and len(sent.statements) > 1:
                    yield TRAP.on(
                        each,
                        sent.query.called,
                        way=way,
                        count=len(sent.statements),
                        statement=refused[0].first_line,
                    )
