"""names of keys and indexes that TypeORM would give otherwise"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, alone, file_of, written

TABLE = (
    'CREATE TABLE "notes" ("id" int,'
    ' CONSTRAINT "PK_af6206538ea96c4e77e9f400c3d" PRIMARY KEY ("id"))'
)
OWN = 'CREATE INDEX "IDX_1f4fd5ef1ba9a2d2f3f1f4b0d2" ON "notes" ("id")'
OTHER = 'CREATE INDEX "notes_id" ON "notes" ("id")'

TRAP = Trap(
    id="foreign-names",
    severity=Severity.NOTICE,
    stage="up",
    title="{name} names {names} in its own way, where the project has TypeORM's names",
    meaning="An entity that declares such an index, foreign key or check without a name expects "
    "TypeORM's. The next migration:generate then drops it and makes it again. Primary and unique "
    "keys are left alone.",
    fix="name it in the entity too (@Index('{first}')), or use TypeORM's name: "
    "qb generate --format typeorm does",
    bad=Example(
        {
            file_of("AddNotes1710460800000"): written("AddNotes1710460800000", [TABLE, OWN]),
            file_of("AddIndex1710460900000"): written(
                "AddIndex1710460900000", [OTHER], ["DROP INDEX notes_id"]
            ),
        }
    ),
    good=alone("AddNotes1710460800000", [TABLE, OWN]),
)
HASHED = re.compile(
    r"\b(?:FK_[0-9a-f]{27}|(?:IDX|CHK|REL|XCL)_[0-9a-f]{26}|(?:PK|UQ)_[0-9a-f]{27})\b"
)
NAMED = re.compile(
    r'CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?"?(\w+)"?\s+ON\b'
    r'|CONSTRAINT\s+"?(\w+)"?\s+(?:FOREIGN\s+KEY|CHECK)\b',
    re.I,
)


def find(project: Project) -> Iterator[Finding]:
    own = others = 0
    found = []
    for each in project.migrations:
        text = " ".join(sent.query.sql for sent in each.up)
        own += len(HASHED.findall(text))
        names = [a or b for a, b in NAMED.findall(text)]
        foreign = [name for name in names if not HASHED.fullmatch(name)]
        others += len(foreign)
        if foreign:
            shown = ", ".join(dict.fromkeys(foreign))
            found.append(TRAP.on(each, names=shown, first=foreign[0]))
    if own > others:  # where most are named otherwise, it is the project's own way
        yield from found
