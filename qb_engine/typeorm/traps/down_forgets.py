"""a `down` that leaves what `up` has made"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.made import made
from qb_engine.typeorm.traps.project import Project
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
        forgotten = [
            str(new)
            for statement in each.statements
            for new in made(statement)
            if new.table.lower() not in gone and new.name.lower() not in words
        ]
        if forgotten:
            yield TRAP.on(each, down.line, what=", ".join(dict.fromkeys(forgotten)))
