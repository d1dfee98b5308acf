"""a `down` that leaves what `up` has made"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Migration, Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

TRAP = Trap(
    id="down-forgets",
    severity=Severity.WARNING,
    stage="down",
    title="down of {name} says nothing of {what}, which up makes",
    meaning="After migration:revert it is still there, and the next migration:run fails because it "
    "exists already. Only names are compared here.",
    fix="undo it in down; qb roundtrip {name} shows all that a down does not restore",
    bad=alone(
        "AddNotes1710460800000",
        ["CREATE TABLE notes (id int PRIMARY KEY)", "CREATE TYPE mood AS ENUM ('fine')"],
        ["DROP TABLE notes"],
    ),
    good=alone("AddNotes1710460800000"),
)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        down = each.methods.down if each.methods else None
        if each.methods is None or down is None or down.unread or not down.queries:
            continue
        text = " ".join(query.sql for query in down.queries)
        if re.search(r"\bCASCADE\b|\bDROP SCHEMA\b", text, re.I):
            continue
        words = set(re.findall(r"[\w$]+", text.lower()))
        lost = [what for names, what in _made(each) if not names & words]
        if lost:
            yield TRAP.on(each, down.line, what=", ".join(dict.fromkeys(lost)))


def _made(migration: Migration) -> Iterator[tuple[set[str], str]]:
    """What up creates: the names of which one has to stand in down, and how it is called."""
    from qb_engine import operations

    for statement in migration.statements:
        if statement.node is None:
            continue
        for made in operations.read(statement):
            kind = type(made).__name__
            table = str(getattr(made, "table", "") or "")
            name = str(getattr(made, "name", "") or "")
            if kind == "CreateTable":
                yield {table.lower() or name.lower()}, f"table {table or name}"
            elif kind == "AddColumn":
                column = str(getattr(made, "column", ""))
                yield {column.lower()}, f"column {table}.{column}"
            elif kind == "CreateEnum":
                yield {name.lower()}, f"type {name}"
            elif kind == "CreateIndex" and name:
                yield {name.lower()}, f"index {name}"
