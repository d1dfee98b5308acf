"""a value of JavaScript's in the SQL that was never meant to be there"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

DOWN = 'ALTER TABLE notes DROP CONSTRAINT "{}"'
UP = "ALTER TABLE notes ADD CONSTRAINT notes_size CHECK (size > 0)"

TRAP = Trap(
    id="undefined-in-sql",
    severity=Severity.ERROR,
    stage="up",
    title="{way} of {name} sends {word}: {statement}",
    meaning="A name or value was not there when the SQL was put together, and JavaScript writes it "
    "out all the same. migration:generate has done so with constraints that have no name.",
    fix="write what was meant",
    bad=alone("AddCheck1710460800000", [UP], [DOWN.format("undefined")]),
    good=alone("AddCheck1710460800000", [UP], [DOWN.format("notes_size")]),
)
WORD = re.compile(r"""["'`]undefined["'`]|\bundefined\b(?!['"\w])|\[object Object\]|["']NaN["']""")
TEXT = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.S)


def find(project: Project) -> Iterator[Finding]:
    for each in project.migrations:
        for way, _ in each.both:
            for sent in each.sent(way):
                for statement in sent.statements:
                    found = WORD.search(TEXT.sub("''", statement.sql))
                    if found:
                        line, shown = sent.query.called, statement.first_line
                        yield TRAP.on(each, line, way=way, word=found[0], statement=shown)
