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
ADDED = re.compile(
    r"ALTER\s+TYPE\s+([\w\".]+)\s+ADD\s+VALUE\s+(?:IF\s+NOT\s+EXISTS\s+)?'([^']+)'", re.I
)
MADE = re.compile(r"CREATE\s+TYPE\s+([\w\".]+)\s+AS\s+ENUM", re.I)


def find(project: Project) -> Iterator[Finding]:
    added: dict[str, str] = {}
    made: set[str] = set()  # a value of a type that is as new as itself may be used
    for each in project.in_order:
        if each.applied or project.mode == "none" or each.cls.transaction is False:
            continue
        if project.mode == "each":
            added.clear()
            made.clear()
        for statement in each.statements:
            for value, other in added.items():
                if f"'{value}'" in statement.sql:
                    shown = "the same migration" if other == each.name else other
                    yield TRAP.on(each, statement.source.line, value=value, other=shown)
            made |= {_bare(name) for name in MADE.findall(statement.sql)}
            new = ADDED.match(statement.sql)
            if new and _bare(new[1]) not in made:
                added[new[2]] = each.name


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"').lower()
