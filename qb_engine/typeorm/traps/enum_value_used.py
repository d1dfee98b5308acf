"""a new value of an enum that is used in the transaction that adds it"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Options, Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

FILES = {
    file_of("AddMood1710460800000"): written(
        "AddMood1710460800000",
        ["ALTER TYPE mood ADD VALUE 'calm'"],
        back="throw new Error('a value cannot be taken away')",
    ),
    file_of("UseMood1710460900000"): written(
        "UseMood1710460900000",
        ["UPDATE notes SET mood = 'calm' WHERE mood IS NULL"],
        ["UPDATE notes SET mood = NULL WHERE mood = 'calm'"],
    ),
}

TRAP = Trap(
    id="enum-value-used",
    severity=Severity.ERROR,
    stage="up",
    title="{name} uses '{value}', which {other} adds to a type in the same transaction",
    meaning="PostgreSQL refuses a new value until the transaction that added it has committed "
    "(55P04), and in the mode all every pending migration is in one. It works where the "
    "migrations are run one by one, and fails on a new database.",
    fix="run with --transaction each, or set migrationsTransactionMode: 'each'; within one "
    "migration: put the use of the value into the next one",
    bad=Example(FILES, Options()),
    good=Example(FILES, Options(mode="each")),
)


def find(project: Project) -> Iterator[Finding]:
    added: dict[str, str] = {}
    for each in project.in_order:
        if each.applied or project.mode == "none":
            continue
        if project.mode == "each":
            added.clear()
        for statement in each.statements:
            for value, other in added.items():
                if f"'{value}'" in statement.sql:
                    line = statement.source.line
                    shown = "the same migration" if other == each.name else other
                    yield TRAP.on(each, line, value=value, other=shown)
            if statement.kind == "alter_enum":
                new = re.search(
                    r"ADD\s+VALUE\s+(?:IF\s+NOT\s+EXISTS\s+)?'([^']+)'", statement.sql, re.I
                )
                if new:
                    added[new[1]] = each.name
