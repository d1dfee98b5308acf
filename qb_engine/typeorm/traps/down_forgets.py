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

DROPPED = re.compile(r'\bDROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:"?\w+"?\.)?"?(\w+)', re.I)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        down = each.methods.down if each.methods else None
        if each.methods is None or down is None or down.unread or not down.queries:
            continue
        text = " ".join(query.sql for query in down.queries)
        if re.search(r"\bCASCADE\b|\bDROP SCHEMA\b", text, re.I):
            continue
        words = set(re.findall(r"[\w$]+", text.lower()))
        gone = {name.lower() for name in DROPPED.findall(text)}
        made = [(table, name, what) for table, name, what in _made(each) if table not in gone]
        lost = [what for _, name, what in made if name not in words]
        if lost:
            yield TRAP.on(each, down.line, what=", ".join(dict.fromkeys(lost)))


def _made(migration: Migration) -> Iterator[tuple[str, str, str]]:
    """What up creates: the table that it goes with, its name, and how it is called."""
    from qb_engine import operations
    from qb_engine.operations.add_column import AddColumn
    from qb_engine.operations.create_enum import CreateEnum
    from qb_engine.operations.create_index import CreateIndex
    from qb_engine.operations.create_table import CreateTable

    for statement in migration.statements:
        for made in operations.read(statement) if statement.node is not None else ():
            if isinstance(made, CreateTable):
                yield made.table.lower(), made.table.lower(), f"table {made.table}"
            elif isinstance(made, AddColumn):
                what = f"column {made.table}.{made.column}"
                yield made.table.lower(), made.column.lower(), what
            elif isinstance(made, CreateEnum):
                yield "", made.name.lower(), f"type {made.name}"
            elif isinstance(made, CreateIndex) and made.name:
                yield made.table.lower(), made.name.lower(), f"index {made.name}"
